"""A booking as it is taken on the phone: who, then where and when, with the way back."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime, time
from urllib.parse import urlencode
from uuid import UUID

from nicegui import ui

from ossature.kernel.console.parts import button, empty, facts, field, link, panel, select, sheet, tag, toast
from ossature.kernel.console.shell import heading
from ossature.kernel.console.table import Column, table
from ossature.kernel.console.visit import Visit
from ossature.kernel.db.listing import ListQuery
from ossature.kernel.errors import FieldError, InvalidInput
from ossature.kernel.i18n.words import Message, Words
from ossature.services.dispatch.domain.bookings import Client, Origin, Requirement, Wheelchair
from ossature.services.dispatch.domain.clocks import instant
from ossature.services.dispatch.domain.windows import TimeRule
from ossature.services.dispatch.pages.days import day_of, today, zone_note
from ossature.services.dispatch.store.search import find_clients, known_addresses
from ossature.services.dispatch.usecases.bookings import BookingWish, TripWish, book
from ossature.services.dispatch.usecases.clients import ClientWish, add_client, read_client
from ossature.services.dispatch.usecases.placing import Address
from ossature.services.dispatch.usecases.seeing import NOBODY, own_client, reach_of

WORDS = Words(
    "dispatch.booking_form",
    {
        "title": "New booking",
        "bookings": "Bookings",
        "who": "Who rides?",
        "who_note": "Choose a client, or add one.",
        "search": "Name or reference",
        "find": "Find",
        "new_client": "New client",
        "add": "Add",
        "keep": "Leave it",
        "client": "Client",
        "reference": "Reference",
        "reference_hint": "What you call them elsewhere; no two clients share one.",
        "last_name": "Last name",
        "first_name": "First name",
        "phone": "Phone",
        "choose": "Book for them",
        "none": "No client fits",
        "none_text": "Search by fewer words, or add the client.",
        "other": "Somebody else",
        "outbound": "There",
        "from": Message("From", context="place"),
        "to": Message("To", context="place"),
        "address_hint": "An address that was used before is known; others are looked up.",
        "day": "Day",
        "time": "Time",
        "rule": "The time is when they",
        "arrive_by": "are there",
        "pick_up_at": "are picked up",
        "as_soon_as_possible": "need it now: as soon as possible",
        "on_call": "call: there is no time yet",
        "needs": "Needs",
        "chair": "Wheelchair",
        "chair_none": "without",
        "chair_manual": "manual",
        "chair_electric": "electric",
        "escorts": "Escorts",
        "back": "Way back",
        "return": "Return",
        "return_none": "No way back",
        "return_at": "Picked up at a time",
        "return_call": "When they call",
        "return_time": "Picked up at",
        "notes": "Notes",
        "book": "Book",
        "booked": "Booked",
        "missing": "This is needed.",
        "not_day": "This is no day.",
        "not_time": "This is no time.",
        "not_number": "This is no number.",
    },
)

_CLIENTS = 20
_ADDRESSES = 200
_ESCORTS_MOST = 8
_TIMED = {TimeRule.ARRIVE_BY, TimeRule.PICK_UP_AT}


async def booking_form(visit: Visit) -> None:
    """Draw the page: the choice of a client, or the form for the one in the address. Raises: ClientNotFound."""
    chosen = _id(visit.query.get("client", ""))
    heading(WORDS("title"), note=zone_note(visit), trail=[(WORDS("bookings"), "/dispatch/bookings")])
    if chosen is None:
        await _choose(visit)
    else:
        await _Form(visit).draw(chosen)


def _id(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _path(visit: Visit, **more: str) -> str:
    said = {name: value for name, value in ({"day": visit.query.get("day", "")} | more).items() if value}
    return f"/dispatch/book?{urlencode(said)}" if said else "/dispatch/book"


async def _choose(visit: Visit) -> None:
    async with visit.ctx("read:clients") as ctx:
        text = visit.query.get("q", "")[:200]
        found = await find_clients(
            ctx.db, ctx.tenant.id, ListQuery(limit=_CLIENTS), text=text, only=own_client(ctx.actor)
        )

    async def find() -> None:
        ui.navigate.to(_path(visit, q=words.value.strip()))

    async def add() -> None:
        made = await _new_client(visit)
        if made is not None:
            ui.navigate.to(_path(visit, client=str(made.id)))

    def actions() -> None:
        if visit.may("write:clients"):
            button(WORDS("new_client"), add)

    with panel(WORDS("who"), note=WORDS("who_note"), actions=actions), tag("div", cls="o-stack"):
        with tag("div", cls="o-row"):
            words = field(WORDS("search"), value=text).on("keydown.enter", find).style("width: 280px")
            button(WORDS("find"), find, kind="main")
        if found.items:
            with tag("div"):
                table(found.items, _client_columns(visit))
        else:
            empty(WORDS("none"), WORDS("none_text"))


def _client_columns(visit: Visit) -> list[Column[Client]]:
    return [
        Column(WORDS("client"), lambda one: one.name, path=lambda one: _path(visit, client=str(one.id))),
        Column(WORDS("reference"), lambda one: one.reference),
        Column(WORDS("phone"), lambda one: one.phone),
    ]


async def _new_client(visit: Visit) -> Client | None:
    """A client as they are described, added; None when the person leaves it."""

    async def add() -> None:
        wish = ClientWish(
            reference=_needed(reference),
            last_name=_needed(last_name),
            first_name=first_name.value.strip()[:100],
            phone=phone.value.strip()[:40],
        )
        async with visit.ctx("write:clients") as ctx:
            made = await add_client(ctx, wish)
        dialog.submit(made)

    async def leave() -> None:
        dialog.submit(None)

    with sheet(WORDS("new_client")) as dialog:
        with tag("div", cls="o-form"):
            last_name, first_name = field(WORDS("last_name")), field(WORDS("first_name"))
            reference = field(WORDS("reference"), hint=WORDS("reference_hint"))
            phone = field(WORDS("phone"), kind="tel")
        with tag("div", cls="o-actions"):
            button(WORDS("keep"), leave)
            button(WORDS("add"), add, kind="main")
    answer = await dialog
    dialog.delete()
    return answer if isinstance(answer, Client) else None


class _Form:
    """The trips of one client, as they are typed."""

    def __init__(self, visit: Visit) -> None:
        self.visit = visit

    async def draw(self, client_id: UUID) -> None:
        """Draw it. Raises: ClientNotFound."""
        async with self.visit.ctx("read:clients") as ctx:
            reach = reach_of(ctx.actor)
            self.client = await read_client(ctx, client_id if own_client(ctx.actor) in (None, client_id) else NOBODY)
            addresses = await known_addresses(ctx.db, ctx.tenant.id, _ADDRESSES) if reach.everything else []
        with tag("div", cls="o-grid"):
            with tag("div", cls="o-stack o-w6"):
                with panel(WORDS("client"), actions=lambda: link(WORDS("other"), _path(self.visit))):
                    facts([(WORDS("client"), self.client.name), (WORDS("reference"), self.client.reference)])
                with panel(WORDS("outbound")), tag("div", cls="o-form"):
                    self._where(addresses)
            with tag("div", cls="o-stack o-w6"):
                with panel(WORDS("needs")), tag("div", cls="o-form"):
                    self._needs()
                with panel(WORDS("back")), tag("div", cls="o-form"):
                    self._back()
            with tag("div", cls="o-actions"):
                button(WORDS("book"), self.book, kind="main")

    def _where(self, addresses: Sequence[str]) -> None:
        self.origin = field(WORDS("from"))
        self.destination = field(WORDS("to"), hint=WORDS("address_hint"))
        for one in (self.origin, self.destination):
            one.set_autocomplete(list(addresses))
        chosen = day_of(self.visit, self.visit.query.get("day", "")) or today(self.visit)
        self.day = field(WORDS("day"), value=chosen.isoformat(), kind="date")
        rules = {rule.value: WORDS(rule.value) for rule in TimeRule}
        self.rule = select(WORDS("rule"), rules, value=TimeRule.ARRIVE_BY.value)
        self.time = field(WORDS("time"), kind="time").bind_visibility_from(
            self.rule, "value", backward=lambda rule: rule in {one.value for one in _TIMED}
        )

    def _needs(self) -> None:
        chairs = {chair.value: WORDS(f"chair_{chair.value}") for chair in Wheelchair}
        self.chair = select(WORDS("chair"), chairs, value=Wheelchair.NONE.value)
        self.escorts = field(WORDS("escorts"), value="0", kind="number")
        self.notes = field(WORDS("notes"))

    def _back(self) -> None:
        ways = {way: WORDS(f"return_{way}") for way in ("none", "at", "call")}
        self.way_back = select(WORDS("return"), ways, value="none")
        self.return_time = field(WORDS("return_time"), kind="time").bind_visibility_from(
            self.way_back, "value", backward=lambda way: way == "at"
        )

    async def book(self) -> None:
        """Book what was typed."""
        wish = BookingWish(
            client_id=self.client.id,
            trips=self._trips(),
            origin=Origin.PHONE if self.visit.may("read:bookings.all") else Origin.PORTAL,
            notes=self.notes.value.strip()[:2000],
        )
        async with self.visit.ctx("write:bookings") as ctx:
            made = await book(ctx, wish)
        toast(WORDS("booked"), tone="good")
        ui.navigate.to(f"/dispatch/bookings/{made.id}")

    def _trips(self) -> list[TripWish]:
        """What was typed. Raises: InvalidInput, LocalTimeAmbiguous."""
        rule, day = TimeRule(str(self.rule.value)), self._day()
        there = TripWish(
            origin=Address(label=_needed(self.origin, 300)),
            destination=Address(label=_needed(self.destination, 300)),
            time_rule=rule,
            at=self._at(day, self.time) if rule in _TIMED else None,
            day=day,
            requirement=Requirement(wheelchair=Wheelchair(str(self.chair.value)), escorts=_escorts(self.escorts)),
        )
        if self.way_back.value == "none":
            return [there]
        back = replace(there, origin=there.destination, destination=there.origin)
        if self.way_back.value == "call":
            return [there, replace(back, time_rule=TimeRule.ON_CALL, at=None)]
        at = self._at(day, self.return_time)
        return [there, replace(back, time_rule=TimeRule.PICK_UP_AT, at=at)]

    def _day(self) -> date:
        found = day_of(self.visit, str(self.day.value or ""))
        if found is None:
            raise _fault(self.day, "not_day")
        return found

    def _at(self, day: date, typed: ui.input) -> datetime:
        try:
            said = time.fromisoformat(str(typed.value or ""))
        except ValueError as error:
            raise _fault(typed, "not_time") from error
        return instant(day, said, self.visit.tenant.zone)


def _needed(typed: ui.input, most: int = 100) -> str:
    said = str(typed.value or "").strip()
    if not said:
        raise _fault(typed, "missing")
    return said[:most]


def _escorts(typed: ui.input) -> int:
    said = str(typed.value or "0")
    if said not in map(str, range(_ESCORTS_MOST + 1)):
        raise _fault(typed, "not_number")
    return int(said)


def _fault(typed: ui.input, key: str) -> InvalidInput:
    """What is wrong with a field, which shows it until it is typed anew."""
    typed.error = WORDS(key)
    return InvalidInput(errors=[FieldError(str(typed.props["label"]), WORDS(key), key)])
