"""One booking: its trips, what happened to each, and what can be done next."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal
from uuid import UUID

from ossature.kernel.console import say
from ossature.kernel.console.parts import button, drawn, facts, field, link, panel, sheet, tag, toast
from ossature.kernel.console.shell import heading
from ossature.kernel.console.table import Column, table
from ossature.kernel.console.visit import Visit
from ossature.kernel.context import Ctx
from ossature.kernel.i18n.words import Words
from ossature.services.dispatch.domain.bookings import Booking, Client, Trip, TripEvent
from ossature.services.dispatch.domain.fleet import Duty
from ossature.services.dispatch.domain.roster import AddressView
from ossature.services.dispatch.domain.states import Command, allowed, needs_reason
from ossature.services.dispatch.domain.windows import TimeRule
from ossature.services.dispatch.pages.bookings import who
from ossature.services.dispatch.pages.days import window_said, zone_note
from ossature.services.dispatch.pages.states import (
    COMMANDS,
    TRIPS,
    command_said,
    reason_said,
    requirement_said,
    trip_lamp,
)
from ossature.services.dispatch.store import bookings as store
from ossature.services.dispatch.store import fleet, people
from ossature.services.dispatch.store.search import addresses
from ossature.services.dispatch.usecases.seeing import reach_of, read_booking
from ossature.services.dispatch.usecases.trips import BY_HAND, command_trip

WORDS = Words(
    "dispatch.booking",
    {
        "bookings": "Bookings",
        "booking": "Booking",
        "client": "Client",
        "reference": "Reference",
        "phone": "Phone",
        "requester": "Booked by",
        "origin": "Came by",
        "phone_call": "phone",
        "portal": "portal",
        "api": "API",
        "import": "import",
        "standing": "standing order",
        "payer": "Paid by",
        "patient": "patient",
        "clinic": "clinic",
        "insurer": "insurer",
        "external": "External id",
        "notes": "Notes",
        "made": "Booked",
        "state": "State",
        "trip": "Trip {leg}",
        "day": "Day",
        "wish": "Wish",
        "arrive_by": "there by {at}",
        "pick_up_at": "picked up at {at}",
        "as_soon_as_possible": "as soon as possible",
        "on_call": "when called",
        "pickup": "Pickup",
        "dropoff": "Drop-off",
        "promised": "Promised",
        "from_to": "{origin} to {destination}",
        "needs": "Needs",
        "longest": "Longest ride",
        "duty": "Duty",
        "duty_of": "{driver}, {vehicle}",
        "no_duty": "none yet",
        "why": "Why",
        "waits_for": "Waits for",
        "unplaced": "{address} is not on the map yet.",
        "history": "What happened",
        "at": "When",
        "what": "What",
        "to": "After",
        "by": "By",
        "reason": "Reason",
        "say_reason": "Say the reason. It stays in the history of the trip.",
        "reason_short": "A reason is needed.",
        "keep": "Leave it",
        "done": "Done: {what}",
    },
)

_DANGEROUS = frozenset({Command.REJECT, Command.CANCEL, Command.NO_SHOW, Command.BREAKDOWN})
_FORWARD = frozenset(
    {Command.ACCEPT, Command.PUBLISH, Command.START, Command.ARRIVE, Command.BOARD, Command.COMPLETE, Command.REOPEN}
)


Act = Callable[[Trip, Command], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    booking: Booking
    clients: Mapping[UUID, Client]
    places: Mapping[UUID, AddressView]
    histories: Mapping[UUID, Sequence[TripEvent]]
    duties: Mapping[UUID, Duty]


async def booking(visit: Visit, *, booking_id: UUID) -> None:
    """Draw the page. Raises: BookingNotFound."""
    async with visit.ctx("read:bookings") as ctx:
        first = await _read(visit, ctx, booking_id)
    heading(who(first.booking, first.clients), note=zone_note(visit), trail=[(WORDS("bookings"), "/dispatch/bookings")])

    async def draw() -> None:
        async with visit.ctx("read:bookings") as ctx:
            seen = await _read(visit, ctx, booking_id)
        with tag("div", cls="o-stack"):
            with panel(WORDS("booking")):
                facts(_facts(visit, seen))
            for trip in seen.booking.trips:
                _trip(visit, seen, trip, act)

    async def act(trip: Trip, command: Command) -> None:
        if await _command(visit, trip, command):
            await place.again()

    place = await drawn(15.0, draw)


async def _read(visit: Visit, ctx: Ctx, booking_id: UUID) -> _Seen:
    found = await read_booking(ctx, booking_id)
    ends = {place for trip in found.trips for place in (trip.from_place_id, trip.to_place_id)}
    duties: dict[UUID, Duty] = {}
    if visit.may("read:planning"):
        for day in sorted({trip.day for trip in found.trips if trip.duty_id is not None}):
            duties |= {duty.id: duty for duty in await fleet.duties(ctx.db, ctx.tenant.id, day)}
    clients = [found.client_id] if visit.may("read:clients") else []
    return _Seen(
        booking=found,
        clients=await people.clients(ctx.db, ctx.tenant.id, clients),
        places=await addresses(ctx.db, ctx.tenant.id, ends),
        histories=await store.histories(ctx.db, ctx.tenant.id, [trip.id for trip in found.trips]),
        duties=duties,
    )


def _facts(visit: Visit, seen: _Seen) -> list[tuple[str, str]]:
    found = seen.booking
    client = seen.clients.get(found.client_id)
    origin = "phone_call" if found.origin.value == "phone" else found.origin.value
    of_client = [] if client is None else [(WORDS("client"), client.name), (WORDS("reference"), client.reference)]
    if client is not None and client.phone:
        of_client.append((WORDS("phone"), client.phone))
    besides = [
        (WORDS("requester"), found.requester),
        (WORDS("external"), found.external_id or ""),
        (WORDS("notes"), found.notes),
    ]
    return [
        *of_client,
        (WORDS("state"), TRIPS(found.state.value)),
        (WORDS("origin"), WORDS(origin)),
        (WORDS("payer"), WORDS(found.payer.value)),
        *((name, said) for name, said in besides if said),
        (WORDS("made"), say.instant(found.created_at, visit.tenant.zone)),
    ]


def _trip(visit: Visit, seen: _Seen, trip: Trip, act: Act) -> None:
    """One trip: what was wished and what holds, what can be done, what was done."""
    origin, destination = seen.places[trip.from_place_id].label, seen.places[trip.to_place_id].label

    def actions() -> None:
        if not visit.may("command:trips"):
            return
        for command in allowed(trip.state, reach_of(visit.actor).party):
            if command in BY_HAND:
                button(command_said(command), partial(act, trip, command), kind=_kind(command))

    with panel(
        WORDS("trip", leg=trip.leg), note=WORDS("from_to", origin=origin, destination=destination), actions=actions
    ) as section:
        section.props["id"] = f"trip-{trip.leg}"
        with tag("div", cls="o-grid"):
            with tag("div", cls="o-w5"):
                facts(_trip_facts(visit, seen, trip))
            with tag("div", cls="o-w7"):
                tag("h3", WORDS("history"), "o-label")
                table(seen.histories.get(trip.id, ()), _event_columns(visit))


def _kind(command: Command) -> Literal["", "main", "danger"]:
    if command in _DANGEROUS:
        return "danger"
    return "main" if command in _FORWARD else ""


def _trip_facts(visit: Visit, seen: _Seen, trip: Trip) -> list[tuple[str, str | Callable[[], object]]]:
    zone = visit.tenant.zone
    found: list[tuple[str, str | Callable[[], object]]] = [
        (WORDS("state"), lambda: trip_lamp(trip.state)),
        (WORDS("day"), lambda: _day(visit, trip)),
        (WORDS("wish"), _wish(trip, zone)),
        (WORDS("pickup"), window_said(trip.pickup, zone)),
        (WORDS("dropoff"), window_said(trip.dropoff, zone)),
        (WORDS("promised"), window_said(trip.promised, zone)),
        (WORDS("longest"), say.span(trip.max_ride_s) if trip.max_ride_s else say.NOTHING),
        (WORDS("needs"), requirement_said(trip.requirement)),
        (WORDS("duty"), lambda: _duty(visit, seen, trip)),
    ]
    ends = (seen.places[trip.from_place_id], seen.places[trip.to_place_id])
    found += [(WORDS("waits_for"), WORDS("unplaced", address=end.label)) for end in ends if not end.placed]
    if trip.reason:
        found.append((WORDS("why"), reason_said(trip.reason)))
    return found


def _day(visit: Visit, trip: Trip) -> None:
    if visit.may("read:plans"):
        link(say.day(trip.day), f"/dispatch/board?day={trip.day}")
    else:
        tag("span", say.day(trip.day))


def _duty(visit: Visit, seen: _Seen, trip: Trip) -> None:
    duty = seen.duties.get(trip.duty_id) if trip.duty_id is not None else None
    if duty is None:
        tag("span", WORDS("no_duty") if trip.duty_id is None else say.NOTHING)
        return
    name = WORDS("duty_of", driver=duty.driver, vehicle=duty.vehicle)
    if visit.may("read:plans"):
        link(name, f"/dispatch/board?day={trip.day}&duty={duty.id}")
    else:
        tag("span", name)


def _wish(trip: Trip, zone: str) -> str:
    if trip.at is None or trip.time_rule not in {TimeRule.ARRIVE_BY, TimeRule.PICK_UP_AT}:
        return WORDS(trip.time_rule.value)
    return WORDS(trip.time_rule.value, at=say.clock_time(trip.at, zone))


def _event_columns(visit: Visit) -> list[Column[TripEvent]]:
    zone = visit.tenant.zone
    return [
        Column(WORDS("at"), lambda event: say.instant(event.at, zone), tight=True),
        Column(WORDS("what"), lambda event: COMMANDS(event.command)),
        Column(WORDS("to"), lambda event: TRIPS(event.to_state.value)),
        Column(WORDS("by"), lambda event: event.actor),
        Column(WORDS("reason"), lambda event: reason_said(event.reason) or say.NOTHING),
    ]


async def _command(visit: Visit, trip: Trip, command: Command) -> bool:
    """Do it, once its reason is said if it takes one; False when the person thought better of it."""
    reason = ""
    if needs_reason(trip.state, command):
        said = await _reason(command)
        if said is None:
            return False
        reason = said
    async with visit.ctx("command:trips") as ctx:
        await command_trip(ctx, trip.id, command, reason=reason, version=trip.version)
    toast(WORDS("done", what=command_said(command)), tone="good")
    return True


async def _reason(command: Command) -> str | None:
    """What somebody says for a reason; None when they leave it."""

    async def send() -> None:
        reason = str(line.value or "").strip()[:500]
        if not reason:
            line.props["error"], line.props["error-message"] = True, WORDS("reason_short")
            return
        dialog.submit(reason)

    async def leave() -> None:
        dialog.submit(None)

    with sheet(command_said(command)) as dialog:
        tag("p", WORDS("say_reason"))
        line = field(WORDS("reason")).on("keydown.enter", send)
        with tag("div", cls="o-actions"):
            button(WORDS("keep"), leave)
            button(command_said(command), send, kind=_kind(command))
    answer = await dialog
    dialog.delete()
    return answer if isinstance(answer, str) else None
