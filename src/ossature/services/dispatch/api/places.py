"""Places over HTTP: what an address is, and where."""

from uuid import UUID

from fastapi import APIRouter

from ossature.kernel.context import CurrentCtx
from ossature.kernel.http.policy import policy
from ossature.services.dispatch.api.shapes.places import AddressOut, PinIn
from ossature.services.dispatch.domain.bookings import Place, PlaceNotFound, WaitingPlace
from ossature.services.dispatch.domain.places import Point
from ossature.services.dispatch.store import people as store
from ossature.services.dispatch.usecases import waiting as usecases

router = APIRouter(tags=["dispatch"])


@router.get("/places/{place_id}")
@policy(allow="read:bookings.all")
async def read_place(ctx: CurrentCtx, place_id: UUID) -> AddressOut:
    """One place: its address, and where that is; without a position while it waits to be found or pinned."""
    found = await store.place(ctx.db, ctx.tenant.id, place_id)
    if found is None:
        raise PlaceNotFound
    return _address(found)


@router.put("/places/{place_id}/pin")
@policy(allow="write:clients")
async def pin_place(ctx: CurrentCtx, place_id: UUID, body: PinIn) -> AddressOut:
    """Say where a place is. Trips that waited for it go on; windows of those that are booked stay as they are."""
    return _address(await usecases.pin(ctx, place_id, Point(body.lat, body.lon)))


def _address(found: Place | WaitingPlace) -> AddressOut:
    if isinstance(found, WaitingPlace):
        return AddressOut(id=found.id, label=found.label, lat=None, lon=None, source="", confidence=0.0)
    point = found.point
    return AddressOut(
        id=found.id,
        label=found.label,
        lat=point.lat,
        lon=point.lon,
        source=found.source,
        confidence=found.confidence,
    )
