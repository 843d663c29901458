"""Bookings: who wants to be taken, when, and how far that is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from nicegui import ui

from ossature.kernel.console import say
from ossature.kernel.console.parts import drawn, empty, link, panel, select, tabs, tag
from ossature.kernel.console.search import Hit
from ossature.kernel.console.shell import heading
from ossature.kernel.console.table import Column, exports, table
from ossature.kernel.console.visit import Visit
from ossature.kernel.context import Ctx
from ossature.kernel.db.listing import Found, ListQuery, parse_order
from ossature.kernel.i18n.words import Message, Words
from ossature.services.dispatch.domain.bookings import Booking, Client, Trip
from ossature.services.dispatch.domain.roster import AddressView
from ossature.services.dispatch.domain.states import ENDED, TripState
from ossature.services.dispatch.pages.days import chooser, day_of, zone_note
from ossature.services.dispatch.pages.lists import Address, instant_in
from ossature.services.dispatch.pages.states import TRIPS, trip_lamp
from ossature.services.dispatch.store import bookings as store
from ossature.services.dispatch.store import people
from ossature.services.dispatch.store.search import Sought, addresses, find_bookings
from ossature.services.dispatch.usecases.seeing import reach_of

WORDS = Words(
    "dispatch.bookings",
    {
        "title": "Bookings",
        "note": "Who is to be taken where. A booking has one trip or more.",
        "new": "New booking",
        "all": "All",
        "requested": "To accept",
        "confirmed": "To plan",
        "unplannable": "Cannot be planned",
        "planned": Message("Planned", context="trip"),
        "dispatched": "Told to the driver",
        "under_way": "Under way",
        "done": "Done",
        "off": "Called off",
        "search": "Client, reference or address",
        "order": "Order",
        "newest": "Newest first",
        "oldest": "Oldest first",
        "by_pickup": "By pickup",
        "any_day": "Every day",
        "who": "Client",
        "booking": "Booking {id}",
        "day": "Day",
        "pickup": "Pickup",
        "on_call": "on call",
        "from": Message("From", context="place"),
        "to": Message("To", context="place"),
        "trips": "Trips",
        "state": "State",
        "booked": "Booked",
        "none": "No booking fits",
        "none_text": "Choose another day or state, or search by fewer words.",
        "none_yet": "Nothing is booked yet",
        "none_yet_text": "A booking says who is to be taken where and when. The API and this console take them.",
    },
)

GROUPS: Mapping[str, frozenset[TripState]] = {
    "requested": frozenset({TripState.REQUESTED}),
    "confirmed": frozenset({TripState.CONFIRMED}),
    "unplannable": frozenset({TripState.UNPLANNABLE}),
    "planned": frozenset({TripState.PLANNED}),
    "dispatched": frozenset({TripState.DISPATCHED}),
    "under_way": frozenset(
        {TripState.EN_ROUTE, TripState.AT_PICKUP, TripState.ONBOARD, TripState.AT_DROPOFF, TripState.INTERRUPTED}
    ),
    "done": frozenset({TripState.COMPLETED, TripState.NO_SHOW}),
    "off": frozenset({TripState.CANCELLED, TripState.REJECTED}),
}
_ORDERS = {"newest": "-created_at", "oldest": "created_at", "by_pickup": "pickup"}
_OF_A_DAY = "by_pickup"
_HITS = 6


@dataclass(frozen=True, slots=True)
class Line:
    """A booking as the list shows it: with the trip that the filters meant, else its first."""

    booking: Booking
    trip: Trip
    who: str
    places: Mapping[UUID, AddressView]


async def bookings(visit: Visit) -> None:
    """Draw the list."""
    asked = Address(visit, "/dispatch/bookings", ("day", "state", "q", "sort"))
    shown: list[Line] = []
    columns = _columns(visit.tenant.zone)

    def actions() -> None:
        if visit.may("write:bookings") and visit.may("read:clients"):
            link(WORDS("new"), "/dispatch/book", "o-button o-main")

    heading(WORDS("title"), note=" ".join(filter(None, (WORDS("note"), zone_note(visit)))), actions=actions)

    async def draw() -> None:
        async with visit.ctx("read:bookings") as ctx:
            sought = _sought(visit, asked)
            found = await _find(ctx, asked, sought)
            shown[:] = await lines_of(visit, ctx, found.items, sought)
        if not shown:
            key = "none" if asked.narrowed else "none_yet"
            empty(WORDS(key), WORDS(f"{key}_text"))
            return
        table(shown, columns)
        asked.pager(found.next)

    with tag("div", cls="o-stack"):
        with tag("div", cls="o-row"):
            chooser(visit, day_of(visit, asked["day"]), lambda day: asked.but(day=day.isoformat()))
            if asked["day"]:
                link(WORDS("any_day"), asked.but(day=""))
        with panel():
            with tag("div", cls="o-panel-head"):
                choices = [("", WORDS("all")), *((name, WORDS(name)) for name in GROUPS)]
                tabs(choices, asked["state"], lambda state: asked.but(state=state))
                with tag("div", cls="o-actions"):
                    asked.finder(WORDS("search"))
                    _order(asked, day_of(visit, asked["day"]))
                    exports("bookings", lambda: shown, columns)
            await drawn(20.0, draw)


def _order(asked: Address, day: date | None) -> None:
    orders = {name: WORDS(name) for name in _ORDERS if day or name != _OF_A_DAY}
    chosen = select(WORDS("order"), orders, value=_ordered(asked, day)).style("min-width: 150px")
    chosen.on_value_change(lambda event: ui.navigate.to(asked.but(sort=str(event.value))))


def _ordered(asked: Address, day: date | None) -> str:
    if asked["sort"] in _ORDERS and (day or asked["sort"] != _OF_A_DAY):
        return asked["sort"]
    return _OF_A_DAY if day else "newest"


def _sought(visit: Visit, asked: Address) -> Sought:
    return Sought(day=day_of(visit, asked["day"]), states=GROUPS.get(asked["state"], frozenset()), text=asked["q"])


async def _find(ctx: Ctx, asked: Address, sought: Sought) -> Found[Booking]:
    query = asked.query(instant_in, parse_order(_ORDERS[_ordered(asked, sought.day)]))
    return await find_bookings(ctx.db, ctx.tenant.id, query, reach_of(ctx.actor), sought)


async def lines_of(visit: Visit, ctx: Ctx, found: Sequence[Booking], sought: Sought) -> Sequence[Line]:
    """Bookings with the names that belong to them; clients are named to who may see them."""
    trips = {one.id: _meant(one, sought) for one in found}
    ends = {place for trip in trips.values() for place in (trip.from_place_id, trip.to_place_id)}
    places = await addresses(ctx.db, ctx.tenant.id, ends)
    clients: Mapping[UUID, Client] = {}
    if visit.may("read:clients"):
        clients = await people.clients(ctx.db, ctx.tenant.id, [one.client_id for one in found])
    return [Line(one, trips[one.id], who(one, clients), places) for one in found]


def who(booking: Booking, clients: Mapping[UUID, Client]) -> str:
    """What a booking is called: by its client, else by the end of its id."""
    client = clients.get(booking.client_id)
    return client.name if client is not None else WORDS("booking", id=str(booking.id)[-6:])


def _meant(booking: Booking, sought: Sought) -> Trip:
    fitting = (
        trip
        for trip in booking.trips
        if sought.day in (None, trip.day) and (not sought.states or trip.state in sought.states)
    )
    return next(fitting, booking.trips[0])


def _columns(zone: str) -> list[Column[Line]]:
    def pickup(line: Line) -> str:
        window = line.trip.pickup
        return WORDS("on_call") if window is None else say.clock_time(window.earliest, zone)

    def state(line: Line) -> TripState:
        return line.trip.state if line.booking.state in ENDED else line.booking.state

    return [
        Column(WORDS("who"), lambda line: line.who, path=lambda line: f"/dispatch/bookings/{line.booking.id}"),
        Column(WORDS("day"), lambda line: say.day(line.trip.day), tight=True),
        Column(WORDS("pickup"), pickup, numeric=True),
        Column(WORDS("from"), lambda line: line.places[line.trip.from_place_id].label),
        Column(WORDS("to"), lambda line: line.places[line.trip.to_place_id].label),
        Column(WORDS("trips"), lambda line: say.count(len(line.booking.trips)), numeric=True),
        Column(WORDS("state"), lambda line: TRIPS(state(line).value), lambda line: trip_lamp(state(line)), tight=True),
        Column(WORDS("booked"), lambda line: say.instant(line.booking.created_at, zone, length="short"), numeric=True),
    ]


async def find(visit: Visit, text: str) -> Sequence[Hit]:
    """A booking by its id, and bookings by their client, their reference or an address."""
    if len(text) < 2:
        return []
    async with visit.ctx("read:bookings") as ctx:
        reach = reach_of(ctx.actor)
        try:
            one = await store.booking(ctx.db, ctx.tenant.id, UUID(text), reach)
            found: Sequence[Booking] = [] if one is None else [one]
        except ValueError:
            query = ListQuery(limit=_HITS)
            found = (await find_bookings(ctx.db, ctx.tenant.id, query, reach, Sought(text=text))).items
        lines = await lines_of(visit, ctx, found, Sought())
    return [
        Hit(
            title=line.who,
            note=f"{say.day(line.trip.day)}, {TRIPS(line.booking.state.value)}",
            path=f"/dispatch/bookings/{line.booking.id}",
        )
        for line in lines
    ]
