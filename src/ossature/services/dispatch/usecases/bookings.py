"""Taking bookings: addresses are placed, windows derived, and what the policy accepts is confirmed at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from uuid import UUID

from ossature.contracts.dispatch import BookingRequested
from ossature.kernel import clock
from ossature.kernel.context import Ctx
from ossature.kernel.errors import FieldError, InvalidInput
from ossature.kernel.events.outbox import Outbox
from ossature.services.dispatch.domain.bookings import (
    Booking,
    Client,
    ClientNotFound,
    ExternalIdTaken,
    Origin,
    Payer,
    Place,
    Requirement,
    Trip,
    WaitingPlace,
    check_needs,
)
from ossature.services.dispatch.domain.clocks import check_year
from ossature.services.dispatch.domain.places import Unplaced, tidy
from ossature.services.dispatch.domain.plans import local_day
from ossature.services.dispatch.domain.reach import Reach
from ossature.services.dispatch.domain.states import Party, TripState
from ossature.services.dispatch.domain.windows import TimeRule, WindowImpossible, given
from ossature.services.dispatch.settings import DispatchSettings
from ossature.services.dispatch.store import bookings as store
from ossature.services.dispatch.store import people
from ossature.services.dispatch.usecases.placing import Address, place_all, refusal, settle
from ossature.services.dispatch.usecases.seeing import reach_of
from ossature.services.dispatch.usecases.timing import timed
from ossature.services.dispatch.usecases.trips import submit
from ossature.services.dispatch.usecases.waiting import PLACE_AGAIN_S, PLACE_WAITING

Ends = Mapping[str, Place | WaitingPlace] | Mapping[str, Place | Unplaced]
"""Where addresses are, by their tidy label."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TripWish:
    """A trip to be made. day: needed only for one that has no instant. pointer: where its time stood in the request."""

    origin: Address
    destination: Address
    time_rule: TimeRule
    at: datetime | None = None
    day: date | None = None
    requirement: Requirement = field(default_factory=Requirement)
    priority: int = 0
    pointer: str = "/"


@dataclass(frozen=True, slots=True, kw_only=True)
class BookingWish:
    """A booking to be made."""

    client_id: UUID
    trips: Sequence[TripWish]
    requester: str = ""
    payer: Payer | None = None
    origin: Origin = Origin.API
    external_id: str | None = None
    notes: str = ""


async def book(ctx: Ctx, wish: BookingWish) -> Booking:
    """A new booking, requested; confirmed already where staff books and the settings say so.

    Raises: ClientNotFound, WindowImpossible, ExternalIdTaken, InvalidInput.
    """
    (made,) = await book_all(ctx, [wish])
    return made


async def book_all(ctx: Ctx, wishes: Sequence[BookingWish]) -> list[Booking]:
    """New bookings, in as many statements as one takes. Raises: as `book`, and then none of them is made.

    A trip whose address is nowhere yet stays a draft with the reason, until it is found or pinned.
    """
    reach = reach_of(ctx.actor)
    if not reach.everything:  # nobody books in the name of another
        wishes = [replace(wish, requester=reach.requester or "") for wish in wishes]
    clients = await people.clients(ctx.db, ctx.tenant.id, [wish.client_id for wish in wishes])
    for wish in wishes:
        _require_within(wish.client_id, clients, reach)
    await _require_new(ctx, wishes)
    places = await place_all(ctx, addresses_of(wishes))
    ends = await settle(ctx, places)
    made = [await draft(ctx, wish, clients[wish.client_id], ends) for wish in wishes]
    async with ctx.db.step():
        await _require_new(ctx, wishes)
        kept = await keep(ctx, made, reach.party)
        if Unplaced.UNAVAILABLE in places.values():
            await ctx.enqueue(PLACE_WAITING, unique=PLACE_WAITING.name, delay_s=PLACE_AGAIN_S)
    return kept


def addresses_of(wishes: Sequence[BookingWish]) -> list[Address]:
    """Every address of bookings."""
    return [end for wish in wishes for trip in wish.trips for end in (trip.origin, trip.destination)]


async def draft(ctx: Ctx, wish: BookingWish, client: Client, places: Ends) -> Booking:
    """A booking that is not kept yet. places: of its addresses, by tidy label.

    Raises: AddressNotPlaced, GeocoderUnavailable, WindowImpossible, InvalidInput.
    """
    booking_id = clock.new_id()
    trips = [
        await _draft(ctx, booking_id, client, each, leg=leg, places=places) for leg, each in enumerate(wish.trips, 1)
    ]
    return Booking(
        id=booking_id,
        client_id=client.id,
        requester=wish.requester,
        payer=wish.payer or client.default_payer,
        origin=wish.origin,
        external_id=wish.external_id,
        notes=wish.notes,
        created_at=ctx.now,
        trips=tuple(trips),
    )


async def keep(ctx: Ctx, made: Sequence[Booking], party: Party) -> list[Booking]:
    """Drafted bookings, kept and submitted. party: in which part somebody books. Only inside of a step."""
    made = [replace(one, party=party) for one in made]
    await store.add_bookings(ctx.db, ctx.tenant.id, made)
    told = [
        BookingRequested(
            booking_id=one.id, client_id=one.client_id, day=one.trips[0].day.isoformat(), trips=len(one.trips)
        )
        for one in made
    ]
    await ctx.port(Outbox).publish_all(ctx, told)
    ready = [trip for one in made for trip in one.trips if not trip.reason]
    moved = {trip.id: trip for trip in await submit(ctx, ready, party)}
    for one in made:
        await ctx.audit("booking.made", f"booking:{one.id}", trips=len(one.trips), origin=one.origin.value)
    return [replace(one, trips=tuple(moved.get(trip.id, trip) for trip in one.trips)) for one in made]


def _require_within(client_id: UUID, clients: Mapping[UUID, Client], reach: Reach) -> None:
    """The client is there; a patient books for nobody else, and drivers for nobody at all. Raises: ClientNotFound."""
    if client_id not in clients or reach.driver_id is not None or reach.client_id not in (None, client_id):
        raise ClientNotFound


async def _require_new(ctx: Ctx, wishes: Sequence[BookingWish]) -> None:
    """Raises: ExternalIdTaken."""
    named = [(wish.requester, wish.external_id) for wish in wishes if wish.external_id is not None]
    taken = await store.bookings_called(ctx.db, ctx.tenant.id, named)
    if taken:
        raise ExternalIdTaken(booking_id=str(min(taken.values())))


async def _draft(ctx: Ctx, booking_id: UUID, client: Client, wish: TripWish, *, leg: int, places: Ends) -> Trip:
    check_needs(wish.requirement.needs, f"/trips/{leg - 1}/requirement/needs")
    here, there = _end(wish.origin, places), _end(wish.destination, places)
    if here.id == there.id:
        raise InvalidInput(
            errors=[FieldError(wish.destination.pointer, "The trip ends where it begins.", "same_place")]
        )
    settings = ctx.settings[DispatchSettings]
    if wish.time_rule in {TimeRule.ARRIVE_BY, TimeRule.PICK_UP_AT}:
        given(wish.time_rule, wish.at)  # also for one that waits for its place
    begins = wish.at or (ctx.now if wish.time_rule is TimeRule.AS_SOON_AS_POSSIBLE else None)
    for said in (begins, wish.day):
        if said is not None:
            check_year(said, wish.pointer)
    day = local_day(begins, ctx.tenant.zone) if begins is not None else wish.day
    if day is None:
        raise InvalidInput(errors=[FieldError(wish.pointer, "Say the day of a trip on call.", "missing")])
    made = Trip(
        id=clock.new_id(),
        booking_id=booking_id,
        client_id=client.id,
        leg=leg,
        day=day,
        from_place_id=here.id,
        to_place_id=there.id,
        requirement=wish.requirement,
        time_rule=wish.time_rule,
        at=wish.at,
        pickup=None,
        dropoff=None,
        promised=None,
        max_ride_s=0,
        service_p_s=settings.service_p_s,
        service_d_s=settings.service_d_s,
        priority=wish.priority,
        state=TripState.DRAFT,
        duty_id=None,
        arrived_at=None,
        reason="",
        created_at=ctx.now,
    )
    if isinstance(here, WaitingPlace):
        return replace(made, reason=here.why.value)
    if isinstance(there, WaitingPlace):
        return replace(made, reason=there.why.value)
    try:
        made = await timed(ctx, made, here, there, client)
    except WindowImpossible as refused:
        refused.errors = (FieldError(wish.pointer, str(refused), refused.slug),)
        raise
    if made.pickup is not None and made.pickup.latest < ctx.now:
        raise InvalidInput(errors=[FieldError(wish.pointer, "Nobody can be fetched in time any more.", "past")])
    return made


def _end(address: Address, places: Ends) -> Place | WaitingPlace:
    found = places[tidy(address.label)]
    if isinstance(found, Unplaced):
        raise refusal(address, found)
    return found
