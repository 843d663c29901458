"""What the shapes of dispatch on the wire share."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from ossature.kernel.http.input import Input
from ossature.kernel.http.validation import Line
from ossature.services.dispatch.domain.bookings import NEEDS

Short = Annotated[Line, Field(max_length=100)]
Label = Annotated[Line, Field(max_length=300, examples=["1 Station Road, Geneva"])]
Text = Annotated[str, Field(max_length=2000)]
Reason = Annotated[str, Field(max_length=500)]
Requester = Annotated[str, Field(max_length=100)]
Need = Literal[NEEDS]  # type: ignore[valid-type] # the words are the domain's
Needs = list[Need]
Count = Annotated[int, Field(ge=0, le=16)]
Version = Annotated[int, Field(ge=1, lt=2**31, description="That was read.")]


class Out(BaseModel):
    """Base of answers."""

    model_config = ConfigDict(from_attributes=True, frozen=True)


class AddressIn(Input):
    """Where something is: an address that is searched, or one with a pin."""

    label: Label
    lat: Annotated[float, Field(ge=-90, le=90)] | None = None
    lon: Annotated[float, Field(ge=-180, le=180)] | None = None


class LoadIn(Input):
    """Room, in every dimension."""

    seats: Count = 0
    wheelchairs: Count = 0
    electric_wheelchairs: Count = 0
    stretchers: Count = 0
    child_seats: Count = 0


class LoadOut(Out):
    """Room, in every dimension."""

    seats: int
    wheelchairs: int
    electric_wheelchairs: int
    stretchers: int
    child_seats: int


class WindowOut(Out):
    """From when to when, UTC."""

    earliest: datetime
    latest: datetime
