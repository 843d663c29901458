"""Looking things up as people do: by a day, by how things stand, by a few words. Every statement about it.

Words are compared without regard to case; SQLite knows the case of ASCII letters only.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, Select, func, literal, or_, select

from ossature.kernel.db.listing import Found, Listable, ListQuery
from ossature.kernel.db.transaction import Db
from ossature.kernel.db.types import Utc
from ossature.services.dispatch.domain.bookings import Booking, Client
from ossature.services.dispatch.domain.fleet import Driver, Vehicle
from ossature.services.dispatch.domain.reach import Reach
from ossature.services.dispatch.domain.roster import AddressView
from ossature.services.dispatch.domain.states import TripState
from ossature.services.dispatch.store import bookings, fleet, people
from ossature.services.dispatch.store.tables import BookingRow, ClientRow, DriverRow, PlaceRow, TripRow, VehicleRow

_NO_TIME: Final = datetime(9999, 12, 31, tzinfo=UTC)
"""Where trips on call, which have no time yet, stand in an order by time."""
_WORDS_MOST = 5

BY_NUMBER: Final = Listable(key=DriverRow.id, sorts={"number": DriverRow.number}, default="number")
BY_REFERENCE: Final = Listable(key=ClientRow.id, sorts={"reference": ClientRow.reference}, default="reference")
BY_PLATE: Final = Listable(key=VehicleRow.id, sorts={"plate": VehicleRow.plate}, default="plate")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sought:
    """What bookings are looked for: with a trip that is on this day and in one of these states, if any are given.

    text: words that are all found in the client, the requester, the external id or an address.
    """

    day: date | None = None
    states: frozenset[TripState] = frozenset()
    text: str = ""


def bookings_by(sought: Sought) -> Listable:
    """How bookings that are looked for can be ordered; `pickup` is the first one that fits, for those of a day."""
    by_age = {"created_at": BookingRow.created_at}
    if sought.day is None:  # no index has the first pickups of all bookings
        return Listable(key=BookingRow.id, sorts=by_age, default="-created_at")
    first = select(func.coalesce(func.min(TripRow.pickup_earliest), literal(_NO_TIME, Utc())))
    pickup = first.where(TripRow.booking_id == BookingRow.id, *_fitting(sought)).scalar_subquery()
    return Listable(key=BookingRow.id, sorts={**by_age, "pickup": pickup}, default="-created_at")


async def find_bookings(db: Db, tenant_id: UUID, query: ListQuery, reach: Reach, sought: Sought) -> Found[Booking]:
    """One page of the bookings that fit, of those that somebody may see, with all their trips."""
    conditions = [_said(tenant_id, word) for word in sought.text.split()[:_WORDS_MOST]]
    if sought.day is not None or sought.states:
        trips = select(TripRow.booking_id).where(TripRow.tenant_id == tenant_id, *_fitting(sought))
        conditions.append(BookingRow.id.in_(trips))
    return await bookings.list_bookings(db, tenant_id, query, reach, also=conditions, by=bookings_by(sought))


async def find_drivers(
    db: Db, tenant_id: UUID, query: ListQuery, *, text: str = "", only: UUID | None = None
) -> Found[Driver]:
    """One page of the drivers whose number or name has all these words, by number. only: of this one, if it is there."""
    also = [_has(word, DriverRow.number, DriverRow.name) for word in text.split()[:_WORDS_MOST]]
    return await fleet.list_drivers(db, tenant_id, query, only=only, also=also, by=BY_NUMBER)


async def find_vehicles(db: Db, tenant_id: UUID, query: ListQuery, *, text: str = "") -> Found[Vehicle]:
    """One page of the vehicles whose plate or name has all these words, by plate."""
    also = [_has(word, VehicleRow.plate, VehicleRow.name) for word in text.split()[:_WORDS_MOST]]
    return await fleet.list_vehicles(db, tenant_id, query, also=also, by=BY_PLATE)


async def find_clients(
    db: Db, tenant_id: UUID, query: ListQuery, *, text: str = "", only: UUID | None = None
) -> Found[Client]:
    """One page of the clients whose name or reference has all these words, by reference. only: of this one, if it is there."""
    named = (ClientRow.last_name, ClientRow.first_name, ClientRow.reference)
    also = [_has(word, *named) for word in text.split()[:_WORDS_MOST]]
    return await people.list_clients(db, tenant_id, query, only=only, also=also, by=BY_REFERENCE)


async def addresses(db: Db, tenant_id: UUID, ids: Iterable[UUID]) -> dict[UUID, AddressView]:
    """What the addresses of places say, also of those that are on no map yet, by the ids of the places."""
    statement = select(PlaceRow.id, PlaceRow.label, PlaceRow.lat).where(
        PlaceRow.tenant_id == tenant_id, PlaceRow.id.in_(sorted(set(ids)))
    )
    return {row.id: AddressView(row.label, row.lat is not None) for row in await db.all(statement)}


async def known_addresses(db: Db, tenant_id: UUID, most: int) -> list[str]:
    """Addresses that have a place on the map already, the newest first."""
    statement = select(PlaceRow.label).where(PlaceRow.tenant_id == tenant_id)
    return [row.label for row in await db.all(statement.order_by(PlaceRow.id.desc()).limit(most))]


async def next_day(db: Db, tenant_id: UUID, after: date) -> date | None:
    """The first day after this one on which somebody wants to be taken."""
    later = select(func.min(TripRow.day)).where(TripRow.tenant_id == tenant_id, TripRow.day > after)
    found: date | None = await db.scalar(later)
    return found


def _fitting(sought: Sought) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if sought.day is not None:
        conditions.append(TripRow.day == sought.day)
    if sought.states:
        conditions.append(TripRow.state.in_(sorted(sought.states)))
    return conditions


def _said(tenant_id: UUID, word: str) -> ColumnElement[bool]:
    """Whether a booking has a word somewhere."""
    named = _has(word, ClientRow.last_name, ClientRow.first_name, ClientRow.reference)
    clients = _ids(ClientRow.id, ClientRow.tenant_id == tenant_id, named)
    places = _ids(PlaceRow.id, PlaceRow.tenant_id == tenant_id, _has(word, PlaceRow.label))
    ends = or_(TripRow.from_place_id.in_(places), TripRow.to_place_id.in_(places))
    return or_(
        BookingRow.client_id.in_(clients),
        BookingRow.id.in_(_ids(TripRow.booking_id, TripRow.tenant_id == tenant_id, ends)),
        _has(word, BookingRow.requester, BookingRow.external_id),
    )


def _ids(column: Any, *conditions: ColumnElement[bool]) -> Select[Any]:  # noqa: ANN401 - a column of any table
    return select(column).where(*conditions)


def _has(word: str, *columns: Any) -> ColumnElement[bool]:
    return or_(*(column.icontains(word, autoescape=True) for column in columns))
