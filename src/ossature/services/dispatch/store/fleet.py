"""Drivers, vehicles, shifts and duties: every statement about them."""

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Executable, Row, Select, bindparam, delete, exists, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from ossature.kernel.db.listing import Found, Listable, ListQuery
from ossature.kernel.db.transaction import Db
from ossature.services.dispatch.domain.fleet import Driver, DriverKind, Duty, NameTaken, Shift, Vehicle
from ossature.services.dispatch.domain.loads import Load
from ossature.services.dispatch.store.portions import held, portions
from ossature.services.dispatch.store.tables import (
    DriverRow,
    DutyRow,
    PlanStopRow,
    ShiftRow,
    TripRow,
    VehicleLayoutRow,
    VehicleRow,
)

DRIVERS = Listable(
    key=DriverRow.id, filters={"number": DriverRow.number}, sorts={"created_at": DriverRow.created_at},
    default="created_at",
)  # fmt: skip
VEHICLES = Listable(
    key=VehicleRow.id, filters={"plate": VehicleRow.plate}, sorts={"created_at": VehicleRow.created_at},
    default="created_at",
)  # fmt: skip
SHIFTS = Listable(
    key=ShiftRow.id, filters={"day": ShiftRow.day}, sorts={"created_at": ShiftRow.created_at}, default="created_at"
)
_DRIVER_FIELDS = ("id", "number", "name", "kind", "phone", "active", "employed", "source", "created_at", "version")


async def list_drivers(
    db: Db,
    tenant_id: UUID,
    query: ListQuery,
    *,
    only: UUID | None = None,
    also: Sequence[ColumnElement[bool]] = (),
    by: Listable = DRIVERS,
) -> Found[Driver]:
    """One page of the drivers. only: of this one, if it is there; also: what must hold besides; by: the orders."""
    statement = select(DriverRow.__table__).where(DriverRow.tenant_id == tenant_id, *also)
    if only is not None:
        statement = statement.where(DriverRow.id == only)
    return await by.fetch(db, statement, query, _driver)


async def driver(db: Db, tenant_id: UUID, driver_id: UUID, *, hold: bool = False) -> Driver | None:
    """A driver. hold: until the transaction ends."""
    statement = select(DriverRow.__table__).where(DriverRow.tenant_id == tenant_id, DriverRow.id == driver_id)
    found = await db.first(held(statement, hold=hold))
    return None if found is None else _driver(found)


async def driver_numbered(db: Db, tenant_id: UUID, number: str) -> Driver | None:
    """The driver of this number."""
    statement = select(DriverRow.__table__).where(DriverRow.tenant_id == tenant_id, DriverRow.number == number)
    found = await db.first(statement)
    return None if found is None else _driver(found)


async def drivers_numbered(db: Db, tenant_id: UUID, numbers: Iterable[str]) -> dict[str, Driver]:
    """The drivers of these numbers, by number; held until the transaction ends."""
    found: dict[str, Driver] = {}
    for some in portions(numbers):
        statement = select(DriverRow.__table__).where(DriverRow.tenant_id == tenant_id, DriverRow.number.in_(some))
        found.update((row.number, _driver(row)) for row in await db.all(statement.with_for_update()))
    return found


async def add_drivers(db: Db, tenant_id: UUID, made: Sequence[Driver]) -> None:
    """Add drivers. Raises: NameTaken when somebody else has taken a number in this moment."""
    rows = [{"tenant_id": tenant_id, **_driver_values(one)} for one in made]
    if rows:
        await _unlike_others(db, insert(DriverRow), rows)


async def change_drivers(db: Db, tenant_id: UUID, changed: Sequence[Driver]) -> None:
    """Write drivers over those before, each in the next version. Raises: NameTaken, as `add_drivers`."""
    columns = ("number", "name", "kind", "phone", "skills", "active", "employed", "source", "version")
    statement = update(DriverRow).where(DriverRow.tenant_id == tenant_id, DriverRow.id == bindparam("driver"))
    rows = []
    for one in changed:
        values = _driver_values(one)
        rows.append({"driver": one.id, **{f"new_{name}": values[name] for name in columns}})
    if rows:
        await _unlike_others(db, statement.values({name: bindparam(f"new_{name}") for name in columns}), rows)


async def _unlike_others(db: Db, statement: Executable, rows: list[dict[str, Any]] | None = None) -> None:
    """Write what has a number or a plate of its own. Raises: NameTaken."""
    try:
        await db.execute(statement, rows)
    except IntegrityError as error:
        raise NameTaken from error


def _driver_values(one: Driver) -> dict[str, Any]:
    return {name: getattr(one, name) for name in _DRIVER_FIELDS} | {"skills": sorted(one.skills)}


async def list_vehicles(
    db: Db, tenant_id: UUID, query: ListQuery, *, also: Sequence[ColumnElement[bool]] = (), by: Listable = VEHICLES
) -> Found[Vehicle]:
    """One page of the vehicles. also: what must hold besides; by: the orders."""
    statement = select(VehicleRow.__table__).where(VehicleRow.tenant_id == tenant_id, *also)
    found = await by.fetch(db, statement, query, lambda row: row)
    layouts = await _layouts(db, tenant_id, [row.id for row in found.items])
    return Found(tuple(_vehicle(row, layouts) for row in found.items), found.next, found.total)


async def vehicle(db: Db, tenant_id: UUID, vehicle_id: UUID, *, hold: bool = False) -> Vehicle | None:
    """A vehicle. hold: until the transaction ends."""
    statement = select(VehicleRow.__table__).where(VehicleRow.tenant_id == tenant_id, VehicleRow.id == vehicle_id)
    found = await db.first(held(statement, hold=hold))
    return None if found is None else _vehicle(found, await _layouts(db, tenant_id, [vehicle_id]))


async def vehicle_plated(db: Db, tenant_id: UUID, plate: str) -> UUID | None:
    """The id of the vehicle of this plate."""
    found: UUID | None = await db.scalar(
        select(VehicleRow.id).where(VehicleRow.tenant_id == tenant_id, VehicleRow.plate == plate)
    )
    return found


async def add_vehicle(db: Db, tenant_id: UUID, made: Vehicle) -> None:
    """Add a vehicle with its layouts. Raises: NameTaken when somebody else has taken the plate in this moment."""
    values = {name: getattr(made, name) for name in ("id", "plate", "name", "active", "created_at", "version")}
    new = insert(VehicleRow).values(tenant_id=tenant_id, equipment=sorted(made.equipment), **values)
    await _unlike_others(db, new)
    await _add_layouts(db, tenant_id, made)


async def change_vehicle(db: Db, tenant_id: UUID, changed: Vehicle) -> None:
    """Write a vehicle over the one before, in the next version. Raises: NameTaken, as `add_vehicle`."""
    values = {name: getattr(changed, name) for name in ("plate", "name", "active", "version")}
    of_vehicle = (VehicleRow.tenant_id == tenant_id, VehicleRow.id == changed.id)
    written = update(VehicleRow).where(*of_vehicle).values(equipment=sorted(changed.equipment), **values)
    await _unlike_others(db, written)
    layouts = (VehicleLayoutRow.tenant_id == tenant_id, VehicleLayoutRow.vehicle_id == changed.id)
    await db.execute(delete(VehicleLayoutRow).where(*layouts))
    await _add_layouts(db, tenant_id, changed)


async def list_shifts(db: Db, tenant_id: UUID, query: ListQuery, *, driver_id: UUID | None = None) -> Found[Shift]:
    """One page of the shifts. driver_id: only of this driver."""
    statement = _shifts(tenant_id)
    if driver_id is not None:
        statement = statement.where(ShiftRow.driver_id == driver_id)
    return await SHIFTS.fetch(db, statement, query, _shift)


async def shift(db: Db, tenant_id: UUID, shift_id: UUID) -> Shift | None:
    """A shift."""
    found = await db.first(_shifts(tenant_id).where(ShiftRow.id == shift_id))
    return None if found is None else _shift(found)


async def shift_at(
    db: Db, tenant_id: UUID, *, driver_id: UUID, vehicle_id: UUID, starts_at: datetime, ends_at: datetime
) -> UUID | None:
    """A shift in which the driver or the vehicle is at some of that time."""
    statement = select(ShiftRow.id).where(
        ShiftRow.tenant_id == tenant_id,
        or_(ShiftRow.driver_id == driver_id, ShiftRow.vehicle_id == vehicle_id),
        ShiftRow.starts_at < ends_at,
        ShiftRow.ends_at > starts_at,
    )
    found: UUID | None = await db.scalar(statement.limit(1))
    return found


async def add_shift(db: Db, tenant_id: UUID, made: Shift) -> None:
    """Add a shift and its duty."""
    names = ("id", "driver_id", "vehicle_id", "day", "starts_at", "ends_at", "created_at", "version")
    await db.execute(insert(ShiftRow).values(tenant_id=tenant_id, **{name: getattr(made, name) for name in names}))
    values = {"id": made.duty_id, "shift_id": made.id, "day": made.day, "place_id": made.place_id}
    values |= {"earliest_start": made.starts_at, "latest_end": made.ends_at, "created_at": made.created_at}
    await db.execute(insert(DutyRow).values(tenant_id=tenant_id, **values))


async def duty_in_use(db: Db, tenant_id: UUID, duty_id: UUID) -> bool:
    """Whether a trip or a plan has this duty."""
    of_trip = select(TripRow.id).where(TripRow.tenant_id == tenant_id, TripRow.duty_id == duty_id)
    of_plan = select(PlanStopRow.plan_id).where(PlanStopRow.tenant_id == tenant_id, PlanStopRow.duty_id == duty_id)
    return bool(await db.scalar(select(or_(exists(of_trip), exists(of_plan)))))


async def remove_shift(db: Db, tenant_id: UUID, shift_id: UUID) -> None:
    """Remove a shift with its duty."""
    await db.execute(delete(ShiftRow).where(ShiftRow.tenant_id == tenant_id, ShiftRow.id == shift_id))


async def duties(db: Db, tenant_id: UUID, day: date) -> tuple[Duty, ...]:
    """The duties of a day whose driver and vehicle are in service, in the order of their begin."""
    statement = (
        select(
            DutyRow.id,
            DutyRow.place_id,
            DutyRow.earliest_start,
            DutyRow.latest_end,
            DriverRow.id.label("driver_id"),
            DriverRow.name.label("driver"),
            DriverRow.kind,
            DriverRow.skills,
            VehicleRow.id.label("vehicle_id"),
            VehicleRow.name.label("vehicle"),
            VehicleRow.equipment,
        )
        .join(ShiftRow, ShiftRow.id == DutyRow.shift_id)
        .join(DriverRow, DriverRow.id == ShiftRow.driver_id)
        .join(VehicleRow, VehicleRow.id == ShiftRow.vehicle_id)
        .where(DutyRow.tenant_id == tenant_id, DutyRow.day == day, DriverRow.active, VehicleRow.active)
        .order_by(DutyRow.earliest_start, DutyRow.id)
    )
    rows = await db.all(statement)
    layouts = await _layouts(db, tenant_id, [row.vehicle_id for row in rows])
    return tuple(
        Duty(
            id=row.id,
            driver_id=row.driver_id,
            driver=row.driver,
            vehicle_id=row.vehicle_id,
            vehicle=row.vehicle,
            place_id=row.place_id,
            earliest_start=row.earliest_start,
            latest_end=row.latest_end,
            layouts=layouts.get(row.vehicle_id, ()),
            skills=frozenset(row.skills) | frozenset(row.equipment),
            reserve=row.kind == DriverKind.RESERVE,
        )
        for row in rows
    )


async def _layouts(db: Db, tenant_id: UUID, vehicles: Sequence[UUID]) -> dict[UUID, tuple[Load, ...]]:
    row = VehicleLayoutRow
    statement = select(row.vehicle_id, row.position, row.load).where(
        row.tenant_id == tenant_id, row.vehicle_id.in_(sorted(vehicles))
    )
    found: dict[UUID, tuple[Load, ...]] = {}
    for one in sorted(await db.all(statement), key=lambda one: one.position):
        found[one.vehicle_id] = (*found.get(one.vehicle_id, ()), Load(*one.load))
    return found


async def _add_layouts(db: Db, tenant_id: UUID, made: Vehicle) -> None:
    rows = [
        {"tenant_id": tenant_id, "vehicle_id": made.id, "position": place, "load": list(load)}
        for place, load in enumerate(made.layouts)
    ]
    await db.execute(insert(VehicleLayoutRow), rows)


def _shifts(tenant_id: UUID) -> Select[Any]:
    own = DutyRow.shift_id == ShiftRow.id
    duty_id = select(DutyRow.id).where(own).scalar_subquery().label("duty_id")
    place_id = select(DutyRow.place_id).where(own).scalar_subquery().label("place_id")
    return select(ShiftRow.__table__, duty_id, place_id).where(ShiftRow.tenant_id == tenant_id)


def _driver(row: Row[Any]) -> Driver:
    values = {name: getattr(row, name) for name in _DRIVER_FIELDS}
    return Driver(**{**values, "kind": DriverKind(row.kind)}, skills=frozenset(row.skills))


def _vehicle(row: Row[Any], layouts: dict[UUID, tuple[Load, ...]]) -> Vehicle:
    values = {name: getattr(row, name) for name in ("id", "plate", "name", "active", "created_at", "version")}
    return Vehicle(**values, layouts=layouts.get(row.id, ()), equipment=frozenset(row.equipment))


def _shift(row: Row[Any]) -> Shift:
    names = ("id", "duty_id", "driver_id", "vehicle_id", "day", "place_id", "starts_at", "ends_at", "created_at")
    return Shift(**{name: getattr(row, name) for name in (*names, "version")})
