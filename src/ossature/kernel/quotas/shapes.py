"""Shapes on the wire that limits, budgets and plans share."""

from decimal import Decimal
from typing import Annotated

from pydantic import BaseModel, Field

from ossature.kernel.service import Rate

Unit = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,40}$", examples=["request"])]
Amount = Annotated[Decimal, Field(ge=0, le=Decimal(9000000000), max_digits=16, decimal_places=6, examples=["1000"])]


class WindowOut(BaseModel):
    """So many requests in so many seconds."""

    count: int
    seconds: int


class RateOut(BaseModel):
    """A class of rate limits: all windows hold at once, per caller."""

    name: str
    windows: list[WindowOut]


def rate_out(rate: Rate) -> RateOut:
    """A class of rate limits as it is told."""
    return RateOut(name=rate.name, windows=[WindowOut(count=count, seconds=s) for count, s in rate.windows])
