"""Who sees and does how much, out of what they are bound to and may do."""

from uuid import UUID

from ossature.kernel.context import Actor, Ctx
from ossature.services.dispatch.domain.bookings import Booking, BookingNotFound, Trip, TripNotFound
from ossature.services.dispatch.domain.reach import Reach
from ossature.services.dispatch.store import bookings as store

ALL = "read:bookings.all"
"""Who holds this sees every booking of the tenant; the others see what they are bound to."""

NOBODY = UUID(int=0)
"""The id of no client and of no driver."""


def reach_of(actor: Actor) -> Reach:
    """How far somebody sees; who is bound to nothing, or to what nothing is called, sees what belongs to nobody."""
    if actor.may(ALL):
        return Reach(everything=True)
    bound = actor.bound
    if "client" in bound:
        return Reach(client_id=_id(bound["client"]))
    if "driver" in bound:
        return Reach(driver_id=_id(bound["driver"]))
    if bound.get("requester"):
        return Reach(requester=bound["requester"])
    return Reach(client_id=NOBODY)


def own_driver(actor: Actor) -> UUID | None:
    """The driver that somebody is; None for who sees all of them."""
    reach = reach_of(actor)
    return None if reach.everything else reach.driver_id or NOBODY


def own_client(actor: Actor) -> UUID | None:
    """The client that somebody is; None for who sees all of them."""
    reach = reach_of(actor)
    return None if reach.everything else reach.client_id or NOBODY


def _id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        return NOBODY


async def read_booking(ctx: Ctx, booking_id: UUID, *, hold: bool = False) -> Booking:
    """A booking. hold: nobody else changes it before this transaction ends.

    Raises: BookingNotFound, also for one that belongs to somebody else.
    """
    found = await store.booking(ctx.db, ctx.tenant.id, booking_id, reach_of(ctx.actor), hold=hold)
    if found is None:
        raise BookingNotFound
    return found


async def read_trip(ctx: Ctx, trip_id: UUID) -> Trip:
    """A trip. Raises: TripNotFound, also for one that belongs to somebody else."""
    found = await store.trip(ctx.db, ctx.tenant.id, trip_id, reach_of(ctx.actor))
    if found is None:
        raise TripNotFound
    return found
