"""Clients and places: every statement about them."""

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, bindparam, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import InstrumentedAttribute

from ossature.kernel.db.listing import Found, Listable, ListQuery
from ossature.kernel.db.transaction import Db
from ossature.kernel.db.upsert import upsert
from ossature.services.dispatch.domain.bookings import Client, Payer, Place, WaitingPlace
from ossature.services.dispatch.domain.fleet import NameTaken
from ossature.services.dispatch.domain.places import Point
from ossature.services.dispatch.store.portions import portions
from ossature.services.dispatch.store.tables import ClientRow, PlaceRow

CLIENTS = Listable(
    key=ClientRow.id, filters={"reference": ClientRow.reference}, sorts={"created_at": ClientRow.created_at},
    default="created_at",
)  # fmt: skip


async def places_called(db: Db, tenant_id: UUID, labels: Iterable[str]) -> dict[str, Place | WaitingPlace]:
    """The places of these labels, by label."""
    found: dict[str, Place | WaitingPlace] = {}
    for some in portions(labels):
        statement = select(PlaceRow.__table__).where(PlaceRow.tenant_id == tenant_id, PlaceRow.label.in_(some))
        found.update((row.label, _place(row)) for row in await db.all(statement))
    return found


async def places(db: Db, tenant_id: UUID, ids: Iterable[UUID]) -> dict[UUID, Place]:
    """Places by id, without those that wait to be found."""
    found: dict[UUID, Place] = {}
    for some in portions(sorted(set(ids))):
        statement = select(PlaceRow.__table__).where(PlaceRow.tenant_id == tenant_id, PlaceRow.id.in_(some))
        rows = (_place(row) for row in await db.all(statement.order_by(PlaceRow.id)))
        found.update((one.id, one) for one in rows if isinstance(one, Place))
    return found


async def place(db: Db, tenant_id: UUID, place_id: UUID) -> Place | WaitingPlace | None:
    """A place."""
    row = await db.first(select(PlaceRow.__table__).where(PlaceRow.tenant_id == tenant_id, PlaceRow.id == place_id))
    return None if row is None else _place(row)


async def labels(db: Db, tenant_id: UUID, ids: Iterable[UUID]) -> dict[UUID, str]:
    """The addresses of places by id, also of those that wait to be found."""
    found: dict[UUID, str] = {}
    for some in portions(sorted(set(ids))):
        statement = select(PlaceRow.id, PlaceRow.label).where(PlaceRow.tenant_id == tenant_id, PlaceRow.id.in_(some))
        found.update((row.id, row.label) for row in await db.all(statement))
    return found


async def add_places(db: Db, tenant_id: UUID, made: Sequence[Place | WaitingPlace]) -> None:
    """Add places, but for those that somebody else has added in this moment: read what is there then."""
    in_order = sorted(made, key=lambda one: one.label)  # of two who add the same ones at once, none waits for the other
    rows = [{"tenant_id": tenant_id, "id": one.id, "label": one.label, **_position(one)} for one in in_order]
    if rows:
        await db.execute(upsert(db, PlaceRow).on_conflict_do_nothing(), rows)


async def position_places(db: Db, tenant_id: UUID, placed: Sequence[Place]) -> None:
    """Say where places are now."""
    statement = update(PlaceRow).where(PlaceRow.tenant_id == tenant_id, PlaceRow.id == bindparam("place"))
    rows = [{"place": one.id, **{f"new_{name}": value for name, value in _position(one).items()}} for one in placed]
    if rows:
        names = ("lat", "lon", "source", "confidence")
        await db.execute(statement.values({name: bindparam(f"new_{name}") for name in names}), rows)


def _position(one: Place | WaitingPlace) -> dict[str, Any]:
    if isinstance(one, WaitingPlace):
        return {"lat": None, "lon": None, "source": "", "confidence": 0.0}
    return {"lat": one.point.lat, "lon": one.point.lon, "source": one.source, "confidence": one.confidence}


async def list_clients(
    db: Db,
    tenant_id: UUID,
    query: ListQuery,
    *,
    only: UUID | None = None,
    also: Sequence[ColumnElement[bool]] = (),
    by: Listable = CLIENTS,
) -> Found[Client]:
    """One page of the clients. only: of this one, if it is there; also: what must hold besides; by: the orders."""
    statement = select(ClientRow.__table__).where(ClientRow.tenant_id == tenant_id, *also)
    if only is not None:
        statement = statement.where(ClientRow.id == only)
    return await by.fetch(db, statement, query, _client)


async def clients(db: Db, tenant_id: UUID, ids: Iterable[UUID]) -> dict[UUID, Client]:
    """Clients by id."""
    found = await _clients(db, tenant_id, ClientRow.id, sorted(set(ids)))
    return {one.id: one for one in found}


async def clients_referred(db: Db, tenant_id: UUID, references: Iterable[str]) -> dict[str, Client]:
    """The clients of these references, by reference."""
    found = await _clients(db, tenant_id, ClientRow.reference, sorted(set(references)))
    return {one.reference: one for one in found}


async def clients_named(db: Db, tenant_id: UUID, last_names: Iterable[str]) -> list[Client]:
    """The clients of these last names."""
    return await _clients(db, tenant_id, ClientRow.last_name, sorted(set(last_names)))


async def add_clients(db: Db, tenant_id: UUID, made: Sequence[Client]) -> None:
    """Add clients. Raises: NameTaken when somebody else has taken a reference in this moment."""
    names = ("id", "reference", "last_name", "first_name", "birth_date", "phone", "home_place_id", "max_ride_s")
    rows = [
        {
            "tenant_id": tenant_id,
            "default_payer": one.default_payer.value,
            **{name: getattr(one, name) for name in (*names, "created_at")},
        }
        for one in made
    ]
    if rows:
        try:
            await db.execute(insert(ClientRow), rows)
        except IntegrityError as error:
            raise NameTaken from error


async def _clients(db: Db, tenant_id: UUID, column: InstrumentedAttribute[Any], values: Sequence[Any]) -> list[Client]:
    found: list[Client] = []
    for some in portions(values):
        statement = select(ClientRow.__table__).where(ClientRow.tenant_id == tenant_id, column.in_(some))
        found += [_client(row) for row in await db.all(statement)]
    return found


def _place(row: Row[Any]) -> Place | WaitingPlace:
    if row.lat is None or row.lon is None:
        return WaitingPlace(id=row.id, label=row.label)
    point = Point(row.lat, row.lon)
    return Place(id=row.id, label=row.label, point=point, source=row.source, confidence=row.confidence)


def _client(row: Row[Any]) -> Client:
    return Client(
        id=row.id,
        reference=row.reference,
        last_name=row.last_name,
        first_name=row.first_name,
        birth_date=row.birth_date,
        phone=row.phone,
        home_place_id=row.home_place_id,
        max_ride_s=row.max_ride_s,
        default_payer=Payer(row.default_payer),
        created_at=row.created_at,
        version=row.version,
    )
