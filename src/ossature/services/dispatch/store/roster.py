"""Shifts with the names of who and what is in them: every statement about it."""

from datetime import date
from uuid import UUID

from sqlalchemy import func, select

from ossature.kernel.db.transaction import Db
from ossature.services.dispatch.domain.roster import ShiftView
from ossature.services.dispatch.store.tables import DriverRow, DutyRow, PlaceRow, ShiftRow, TripRow, VehicleRow

_MOST = 200


async def shifts_of_day(db: Db, tenant_id: UUID, day: date, *, driver_id: UUID | None = None) -> tuple[ShiftView, ...]:
    """The shifts of a day, in the order of their begin. driver_id: only of this driver."""
    return await _shifts(db, tenant_id, since=day, until=day, driver_id=driver_id, most=_MOST)


async def shifts_since(
    db: Db,
    tenant_id: UUID,
    day: date,
    *,
    driver_id: UUID | None = None,
    vehicle_id: UUID | None = None,
    most: int = 30,
) -> tuple[ShiftView, ...]:
    """The next shifts of a driver or a vehicle from a day on."""
    return await _shifts(db, tenant_id, since=day, driver_id=driver_id, vehicle_id=vehicle_id, most=most)


async def _shifts(
    db: Db,
    tenant_id: UUID,
    *,
    since: date,
    until: date | None = None,
    driver_id: UUID | None = None,
    vehicle_id: UUID | None = None,
    most: int,
) -> tuple[ShiftView, ...]:
    taken = select(func.count(TripRow.id)).where(TripRow.duty_id == DutyRow.id).scalar_subquery()
    statement = (
        select(
            *(getattr(ShiftRow, name) for name in ("id", "day", "driver_id", "vehicle_id", "starts_at", "ends_at")),
            DutyRow.id.label("duty_id"),
            DriverRow.name.label("driver"),
            VehicleRow.name.label("vehicle"),
            PlaceRow.label.label("base"),
            taken.label("trips"),
        )
        .join(DutyRow, DutyRow.shift_id == ShiftRow.id)
        .join(DriverRow, DriverRow.id == ShiftRow.driver_id)
        .join(VehicleRow, VehicleRow.id == ShiftRow.vehicle_id)
        .join(PlaceRow, PlaceRow.id == DutyRow.place_id)
        .where(ShiftRow.tenant_id == tenant_id, ShiftRow.day >= since)
        .order_by(ShiftRow.day, ShiftRow.starts_at, ShiftRow.id)
        .limit(most)
    )
    if until is not None:
        statement = statement.where(ShiftRow.day <= until)
    if driver_id is not None:
        statement = statement.where(ShiftRow.driver_id == driver_id)
    if vehicle_id is not None:
        statement = statement.where(ShiftRow.vehicle_id == vehicle_id)
    names = ShiftView.__dataclass_fields__
    return tuple(ShiftView(**{name: getattr(row, name) for name in names}) for row in await db.all(statement))
