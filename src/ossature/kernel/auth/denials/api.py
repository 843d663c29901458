"""Addresses that are refused by themselves, over HTTP."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict

from ossature.kernel.auth.denials import store, watch
from ossature.kernel.auth.denials.domain import AddressNotDenied, counted_as
from ossature.kernel.auth.gate import Gate
from ossature.kernel.context import CurrentCtx
from ossature.kernel.http.policy import policy

router = APIRouter(prefix="/denied-addresses", tags=["addresses"])


class DeniedAddressOut(BaseModel):
    """An address (of IPv6 the first of its /64) that is refused everything until `denied_until`."""

    model_config = ConfigDict(from_attributes=True)

    address: str
    failures: int
    denied_at: datetime
    denied_until: datetime


class DeniedAddressesOut(BaseModel):
    """The addresses that are refused now."""

    items: list[DeniedAddressOut]


@router.get("")
@policy(allow="read:platform")
async def list_denied_addresses(ctx: CurrentCtx) -> DeniedAddressesOut:
    """The addresses that are refused now since they failed too often, at most 4096."""
    found = await store.denied(ctx.db, ctx.now, most=watch.KEPT_MOST)
    return DeniedAddressesOut(items=[DeniedAddressOut.model_validate(one) for one in found])


@router.delete("/{address}", status_code=204)
@policy(allow="write:platform")
async def lift_denial(ctx: CurrentCtx, address: Annotated[str, Path(max_length=64)]) -> None:
    """Let an address in again, in every process within a second; what it failed at is forgotten."""
    if not await watch.lift(ctx, ctx.port(Gate).registry.signals, counted_as(address)):
        raise AddressNotDenied
