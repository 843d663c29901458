"""Bookings, trips and what happened to them: every statement about them."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Select, bindparam, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from ossature.kernel.db.listing import Found, Listable, ListQuery
from ossature.kernel.db.transaction import Db
from ossature.services.dispatch.domain.bookings import (
    Booking,
    ExternalIdTaken,
    Origin,
    Payer,
    Requirement,
    Trip,
    TripEvent,
    Wheelchair,
)
from ossature.services.dispatch.domain.reach import Reach
from ossature.services.dispatch.domain.states import Party, TripState
from ossature.services.dispatch.domain.windows import TimeRule, Window
from ossature.services.dispatch.store.portions import held, portions
from ossature.services.dispatch.store.tables import BookingRow, DutyRow, ShiftRow, TripEventRow, TripRow

BOOKINGS = Listable(
    key=BookingRow.id,
    filters={"client_id": BookingRow.client_id, "requester": BookingRow.requester},
    sorts={"created_at": BookingRow.created_at},
    default="-created_at",
)
TRIPS = Listable(
    key=TripRow.id,
    filters={"day": TripRow.day, "state": TripRow.state},
    sorts={"created_at": TripRow.created_at},
    default="-created_at",
)
_BOOKING_FIELDS = ("id", "client_id", "requester", "external_id", "notes", "created_at", "version")
_TRIP_FIELDS = (
    "id", "booking_id", "client_id", "leg", "day", "from_place_id", "to_place_id", "at", "max_ride_s", "service_p_s",
    "service_d_s", "priority", "duty_id", "arrived_at", "reason", "created_at", "version",
)  # fmt: skip
_REQUIREMENT_FIELDS = tuple(Requirement.__dataclass_fields__)
_WINDOWS = ("pickup", "dropoff", "promised")


async def list_bookings(
    db: Db,
    tenant_id: UUID,
    query: ListQuery,
    reach: Reach,
    *,
    also: Sequence[ColumnElement[bool]] = (),
    by: Listable = BOOKINGS,
) -> Found[Booking]:
    """One page of the bookings that somebody may see, with their trips. also: what must hold besides; by: the orders."""
    statement = select(BookingRow.__table__).where(BookingRow.tenant_id == tenant_id, *also)
    found = await by.fetch(db, _within(statement, reach), query, _booking)
    trips = await _trips_of(db, tenant_id, [booking.id for booking in found.items])
    items = (replace(booking, trips=tuple(trips.get(booking.id, ()))) for booking in found.items)
    return Found(tuple(items), found.next, found.total)


async def booking(db: Db, tenant_id: UUID, booking_id: UUID, reach: Reach, *, hold: bool = False) -> Booking | None:
    """A booking that somebody may see, with its trips. hold: until the transaction ends."""
    statement = select(BookingRow.__table__).where(BookingRow.tenant_id == tenant_id, BookingRow.id == booking_id)
    row = await db.first(held(_within(statement, reach), hold=hold))
    if row is None:
        return None
    trips = await _trips_of(db, tenant_id, [booking_id])
    return replace(_booking(row), trips=tuple(trips.get(booking_id, ())))


async def bookings_called(db: Db, tenant_id: UUID, names: Iterable[tuple[str, str]]) -> dict[tuple[str, str], UUID]:
    """The ids of bookings by requester and external id, of those that are there."""
    by_requester: dict[str, list[str]] = {}
    for requester, external_id in names:
        by_requester.setdefault(requester, []).append(external_id)
    row, found = BookingRow, {}
    for requester, external_ids in by_requester.items():
        for some in portions(external_ids):
            mine = (row.tenant_id == tenant_id, row.requester == requester, row.external_id.in_(some))
            found.update(
                {
                    (requester, one.external_id): one.id
                    for one in await db.all(select(row.id, row.external_id).where(*mine))
                }
            )
    return found


async def add_bookings(db: Db, tenant_id: UUID, made: Sequence[Booking]) -> None:
    """Add bookings and their trips. Raises: ExternalIdTaken when somebody else has booked one in this moment."""
    rows = [
        {
            "tenant_id": tenant_id,
            "payer": one.payer.value,
            "origin": one.origin.value,
            "party": one.party.value,
            **{name: getattr(one, name) for name in _BOOKING_FIELDS},
        }
        for one in made
    ]
    trips = [{"tenant_id": tenant_id, **_values(trip)} for one in made for trip in one.trips]
    if rows:
        try:
            await db.execute(insert(BookingRow), rows)
        except IntegrityError as error:
            raise ExternalIdTaken from error
        await db.execute(insert(TripRow), trips)


async def change_booking(db: Db, tenant_id: UUID, changed: Booking) -> None:
    """Write payer and notes of a booking over those before, in the next version."""
    mine = (BookingRow.tenant_id == tenant_id, BookingRow.id == changed.id)
    values = {"payer": changed.payer.value, "notes": changed.notes, "version": changed.version}
    await db.execute(update(BookingRow).where(*mine).values(**values))


async def list_trips(db: Db, tenant_id: UUID, query: ListQuery, reach: Reach) -> Found[Trip]:
    """One page of the trips that somebody may see."""
    return await TRIPS.fetch(db, _trips(tenant_id, reach), query, _trip)


async def trip(db: Db, tenant_id: UUID, trip_id: UUID, reach: Reach) -> Trip | None:
    """A trip that somebody may see."""
    row = await db.first(_trips(tenant_id, reach).where(TripRow.id == trip_id))
    return None if row is None else _trip(row)


async def trips_of_day(db: Db, tenant_id: UUID, day: date, states: Iterable[TripState]) -> tuple[Trip, ...]:
    """The trips of a day in these states, in a fixed order."""
    statement = select(TripRow.__table__).where(
        TripRow.tenant_id == tenant_id, TripRow.day == day, TripRow.state.in_(sorted(states))
    )
    return tuple(_trip(row) for row in await db.all(statement.order_by(TripRow.created_at, TripRow.id)))


async def drafts(db: Db, tenant_id: UUID) -> list[tuple[Trip, Party]]:
    """The trips that are not asked for yet, since something of them is missing, and in which part they were booked."""
    statement = (
        select(TripRow.__table__, BookingRow.party)
        .join(BookingRow, BookingRow.id == TripRow.booking_id)
        .where(TripRow.tenant_id == tenant_id, TripRow.state == TripState.DRAFT.value)
    )
    return [(_trip(row), Party(row.party)) for row in await db.all(statement.order_by(TripRow.created_at, TripRow.id))]


async def trips_of_duty(db: Db, tenant_id: UUID, duty_id: UUID, state: TripState) -> tuple[Trip, ...]:
    """The trips of a duty that are in this state."""
    statement = select(TripRow.__table__).where(
        TripRow.tenant_id == tenant_id, TripRow.duty_id == duty_id, TripRow.state == state.value
    )
    return tuple(_trip(row) for row in await db.all(statement))


async def change_trips(
    db: Db, tenant_id: UUID, changed: Sequence[Trip], events: Sequence[tuple[UUID, TripEvent]]
) -> bool:
    """Write trips over those of the version before, and what happened; False, and nothing, when one was changed since."""
    if not changed:
        return True
    expected = {one.id: one.version - 1 for one in changed}
    held: dict[UUID, int] = {}
    for some in portions(sorted(expected)):
        found = select(TripRow.id, TripRow.version).where(TripRow.tenant_id == tenant_id, TripRow.id.in_(some))
        held.update((row.id, row.version) for row in await db.all(found.with_for_update()))
    if held != expected:
        return False
    values = [_values(one) for one in changed]
    written = update(TripRow).where(TripRow.tenant_id == tenant_id, TripRow.id == bindparam("new_id"))
    written = written.values({name: bindparam(f"new_{name}") for name in values[0] if name != "id"})
    await db.execute(written, [{f"new_{name}": value for name, value in row.items()} for row in values])
    told = [{"tenant_id": tenant_id, "trip_id": trip_id, **_event_values(event)} for trip_id, event in events]
    if told:
        await db.execute(insert(TripEventRow), told)
    return True


async def last_seqs(db: Db, tenant_id: UUID, trips: Iterable[UUID]) -> dict[UUID, int]:
    """The number of the last event of each trip that has one."""
    row, found = TripEventRow, {}
    for some in portions(sorted(set(trips))):
        statement = select(row.trip_id, func.max(row.seq).label("seq")).where(
            row.tenant_id == tenant_id, row.trip_id.in_(some)
        )
        found.update({one.trip_id: one.seq for one in await db.all(statement.group_by(row.trip_id))})
    return found


async def history(db: Db, tenant_id: UUID, trip_id: UUID) -> list[TripEvent]:
    """What happened to a trip, in order."""
    return (await histories(db, tenant_id, [trip_id])).get(trip_id, [])


async def histories(db: Db, tenant_id: UUID, trips: Iterable[UUID]) -> dict[UUID, list[TripEvent]]:
    """What happened to some trips, by trip and in order."""
    row = TripEventRow
    statement = select(row.__table__).where(row.tenant_id == tenant_id, row.trip_id.in_(sorted(set(trips))))
    found: dict[UUID, list[TripEvent]] = {}
    for one in await db.all(statement.order_by(row.trip_id, row.seq)):
        found.setdefault(one.trip_id, []).append(_event(one))
    return found


def _within(statement: Select[Any], reach: Reach) -> Select[Any]:
    """Only the bookings that somebody may see."""
    if reach.everything:
        return statement
    if reach.client_id is not None:
        return statement.where(BookingRow.client_id == reach.client_id)
    if reach.driver_id is not None:
        return statement.where(BookingRow.id.in_(select(TripRow.booking_id).where(TripRow.duty_id.in_(_duties(reach)))))
    return statement.where(BookingRow.requester == reach.requester)


def _trips(tenant_id: UUID, reach: Reach) -> Select[Any]:
    statement = select(TripRow.__table__).where(TripRow.tenant_id == tenant_id)
    if reach.everything:
        return statement
    if reach.client_id is not None:
        return statement.where(TripRow.client_id == reach.client_id)
    if reach.driver_id is not None:
        return statement.where(TripRow.duty_id.in_(_duties(reach)))
    booked = select(BookingRow.id).where(BookingRow.tenant_id == tenant_id, BookingRow.requester == reach.requester)
    return statement.where(TripRow.booking_id.in_(booked))


def _duties(reach: Reach) -> Select[Any]:
    return (
        select(DutyRow.id).join(ShiftRow, ShiftRow.id == DutyRow.shift_id).where(ShiftRow.driver_id == reach.driver_id)
    )


async def _trips_of(db: Db, tenant_id: UUID, bookings: Iterable[UUID]) -> dict[UUID, list[Trip]]:
    statement = select(TripRow.__table__).where(
        TripRow.tenant_id == tenant_id, TripRow.booking_id.in_(sorted(bookings))
    )
    found: dict[UUID, list[Trip]] = {}
    for row in sorted(await db.all(statement), key=lambda row: row.leg):  # a few: no index is read for their order
        found.setdefault(row.booking_id, []).append(_trip(row))
    return found


def _booking(row: Row[Any]) -> Booking:
    values = {name: getattr(row, name) for name in _BOOKING_FIELDS}
    return Booking(**values, payer=Payer(row.payer), origin=Origin(row.origin), party=Party(row.party))


def _trip(row: Row[Any]) -> Trip:
    needs = row.requirement
    requirement = {**needs, "wheelchair": Wheelchair(needs["wheelchair"]), "needs": frozenset(needs["needs"])}
    windows: dict[str, Any] = {
        name: None if getattr(row, f"{name}_earliest") is None
        else Window(getattr(row, f"{name}_earliest"), getattr(row, f"{name}_latest"))
        for name in _WINDOWS
    }  # fmt: skip
    return Trip(
        **{name: getattr(row, name) for name in _TRIP_FIELDS},
        **windows,
        requirement=Requirement(**requirement),
        time_rule=TimeRule(row.time_rule),
        state=TripState(row.state),
    )


def _values(one: Trip) -> dict[str, Any]:
    values = {name: getattr(one, name) for name in _TRIP_FIELDS}
    for name in _WINDOWS:
        window = getattr(one, name)
        values[f"{name}_earliest"] = window.earliest if window else None
        values[f"{name}_latest"] = window.latest if window else None
    needed = one.requirement
    requirement = {name: getattr(needed, name) for name in _REQUIREMENT_FIELDS}
    requirement |= {"wheelchair": needed.wheelchair.value, "needs": sorted(needed.needs)}
    return {
        **values,
        "requirement": requirement,
        "load": list(needed.load),
        "time_rule": one.time_rule.value,
        "state": one.state.value,
    }


def _event_values(event: TripEvent) -> dict[str, Any]:
    return {**asdict(event), "from_state": event.from_state.value, "to_state": event.to_state.value}


def _event(row: Row[Any]) -> TripEvent:
    names = ("seq", "command", "actor", "party", "at", "reported_at", "reason")
    states: dict[str, Any] = {"from_state": TripState(row.from_state), "to_state": TripState(row.to_state)}
    return TripEvent(**{name: getattr(row, name) for name in names}, **states)
