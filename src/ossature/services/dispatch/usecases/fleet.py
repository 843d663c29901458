"""Drivers, vehicles and shifts: what a planner does with them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from ossature.kernel import clock
from ossature.kernel.context import Ctx
from ossature.kernel.errors import FieldError, InvalidInput
from ossature.services.dispatch.domain.bookings import check_needs, require_version
from ossature.services.dispatch.domain.clocks import check_year
from ossature.services.dispatch.domain.fleet import (
    Driver,
    DriverKind,
    DriverNotFound,
    NameTaken,
    Shift,
    ShiftInUse,
    ShiftNotFound,
    ShiftOverlaps,
    Vehicle,
    VehicleNotFound,
    check_shift,
)
from ossature.services.dispatch.domain.loads import LAYOUTS_MOST, Load
from ossature.services.dispatch.domain.plans import local_day
from ossature.services.dispatch.store import fleet as store
from ossature.services.dispatch.usecases.placing import Address, place


@dataclass(frozen=True, slots=True, kw_only=True)
class DriverWish:
    """A driver to be made."""

    number: str
    name: str
    kind: DriverKind = DriverKind.REGULAR
    phone: str = ""
    skills: Sequence[str] = ()
    source: str = "here"


async def add_driver(ctx: Ctx, wish: DriverWish) -> Driver:
    """A new driver. Raises: NameTaken, InvalidInput."""
    skills = check_needs(wish.skills, "/skills")
    made = Driver(
        id=clock.new_id(),
        number=wish.number,
        name=wish.name,
        kind=wish.kind,
        phone=wish.phone,
        skills=skills,
        active=True,
        source=wish.source,
        created_at=ctx.now,
    )
    async with ctx.db.step():
        await _require_number(ctx, made)
        await store.add_drivers(ctx.db, ctx.tenant.id, [made])
        await ctx.audit("driver.added", f"driver:{made.id}", number=made.number)
    return made


async def read_driver(ctx: Ctx, driver_id: UUID, *, hold: bool = False) -> Driver:
    """A driver. hold: nobody else changes them before this transaction ends. Raises: DriverNotFound."""
    found = await store.driver(ctx.db, ctx.tenant.id, driver_id, hold=hold)
    if found is None:
        raise DriverNotFound
    return found


async def change_driver(ctx: Ctx, driver_id: UUID, version: int, changes: dict[str, Any]) -> Driver:
    """A driver after changes of `number`, `name`, `kind`, `phone`, `skills` or `active`.

    Raises: DriverNotFound, StaleVersion, NameTaken, InvalidInput.
    """
    if "skills" in changes:
        changes = {**changes, "skills": check_needs(changes["skills"], "/skills")}
    async with ctx.db.step():
        before = await read_driver(ctx, driver_id, hold=True)
        require_version(before.version, version)
        after = replace(before, version=before.version + 1, **changes)
        await _require_number(ctx, after)
        await store.change_drivers(ctx.db, ctx.tenant.id, [after])
        await ctx.audit("driver.changed", f"driver:{driver_id}", changed=sorted(changes))
    return after


@dataclass(frozen=True, slots=True, kw_only=True)
class VehicleWish:
    """A vehicle to be made."""

    plate: str
    name: str
    layouts: Sequence[Load]
    equipment: Sequence[str] = ()


async def add_vehicle(ctx: Ctx, wish: VehicleWish) -> Vehicle:
    """A new vehicle. Raises: NameTaken, InvalidInput."""
    made = Vehicle(
        id=clock.new_id(),
        plate=wish.plate,
        name=wish.name,
        layouts=_checked(wish.layouts),
        equipment=check_needs(wish.equipment, "/equipment"),
        active=True,
        created_at=ctx.now,
    )
    async with ctx.db.step():
        await _require_plate(ctx, made)
        await store.add_vehicle(ctx.db, ctx.tenant.id, made)
        await ctx.audit("vehicle.added", f"vehicle:{made.id}", plate=made.plate)
    return made


async def read_vehicle(ctx: Ctx, vehicle_id: UUID, *, hold: bool = False) -> Vehicle:
    """A vehicle. hold: nobody else changes it before this transaction ends. Raises: VehicleNotFound."""
    found = await store.vehicle(ctx.db, ctx.tenant.id, vehicle_id, hold=hold)
    if found is None:
        raise VehicleNotFound
    return found


async def change_vehicle(ctx: Ctx, vehicle_id: UUID, version: int, changes: dict[str, Any]) -> Vehicle:
    """A vehicle after changes of `plate`, `name`, `layouts`, `equipment` or `active`.

    Raises: VehicleNotFound, StaleVersion, NameTaken, InvalidInput.
    """
    if "equipment" in changes:
        changes = {**changes, "equipment": check_needs(changes["equipment"], "/equipment")}
    if "layouts" in changes:
        changes = {**changes, "layouts": _checked(changes["layouts"])}
    async with ctx.db.step():
        before = await read_vehicle(ctx, vehicle_id, hold=True)
        require_version(before.version, version)
        after = replace(before, version=before.version + 1, **changes)
        await _require_plate(ctx, after)
        await store.change_vehicle(ctx.db, ctx.tenant.id, after)
        await ctx.audit("vehicle.changed", f"vehicle:{vehicle_id}", changed=sorted(changes))
    return after


@dataclass(frozen=True, slots=True, kw_only=True)
class ShiftWish:
    """A shift to be made. base: where it begins and ends."""

    driver_id: UUID
    vehicle_id: UUID
    base: Address
    starts_at: datetime
    ends_at: datetime


async def add_shift(ctx: Ctx, wish: ShiftWish) -> Shift:
    """A new shift, on the local day of its begin.

    Raises: DriverNotFound, VehicleNotFound, ShiftImpossible, ShiftOverlaps, InvalidInput, and what `placing.place` raises.
    """
    check_shift(wish.starts_at, wish.ends_at)
    check_year(wish.starts_at, "/starts_at")
    base = await place(ctx, wish.base)
    made = Shift(
        id=clock.new_id(),
        duty_id=clock.new_id(),
        driver_id=wish.driver_id,
        vehicle_id=wish.vehicle_id,
        day=local_day(wish.starts_at, ctx.tenant.zone),
        place_id=base.id,
        starts_at=wish.starts_at,
        ends_at=wish.ends_at,
        created_at=ctx.now,
    )
    async with ctx.db.step():
        # Held, always in this order: of two who want the same at once, the second sees the shift of the first.
        await read_driver(ctx, wish.driver_id, hold=True)
        await read_vehicle(ctx, wish.vehicle_id, hold=True)
        who = {"driver_id": wish.driver_id, "vehicle_id": wish.vehicle_id}
        other = await store.shift_at(ctx.db, ctx.tenant.id, **who, starts_at=wish.starts_at, ends_at=wish.ends_at)
        if other is not None:
            raise ShiftOverlaps(shift_id=str(other))
        await store.add_shift(ctx.db, ctx.tenant.id, made)
        await ctx.audit("shift.added", f"shift:{made.id}", day=made.day)
    return made


async def read_shift(ctx: Ctx, shift_id: UUID) -> Shift:
    """A shift. Raises: ShiftNotFound."""
    found = await store.shift(ctx.db, ctx.tenant.id, shift_id)
    if found is None:
        raise ShiftNotFound
    return found


async def remove_shift(ctx: Ctx, shift_id: UUID) -> None:
    """Take a shift away. Raises: ShiftNotFound, ShiftInUse."""
    async with ctx.db.step():
        found = await read_shift(ctx, shift_id)
        if await store.duty_in_use(ctx.db, ctx.tenant.id, found.duty_id):
            raise ShiftInUse
        await store.remove_shift(ctx.db, ctx.tenant.id, shift_id)
        await ctx.audit("shift.removed", f"shift:{shift_id}", day=found.day)


def _checked(layouts: Sequence[Load]) -> tuple[Load, ...]:
    found = tuple(dict.fromkeys(layouts))
    if not 1 <= len(found) <= LAYOUTS_MOST or not all(any(layout) for layout in found):
        fault = FieldError("/layouts", f"Give 1 to {LAYOUTS_MOST} layouts with room for somebody.", "layouts")
        raise InvalidInput(errors=[fault])
    return found


async def _require_number(ctx: Ctx, wanted: Driver) -> None:
    """Nobody else has this number. Raises: NameTaken."""
    same = await store.driver_numbered(ctx.db, ctx.tenant.id, wanted.number)
    if same is not None and same.id != wanted.id:
        raise NameTaken(f"There is a driver with the number {wanted.number!r}.")


async def _require_plate(ctx: Ctx, wanted: Vehicle) -> None:
    """No other vehicle has this plate. Raises: NameTaken."""
    if await store.vehicle_plated(ctx.db, ctx.tenant.id, wanted.plate) not in (None, wanted.id):
        raise NameTaken(f"There is a vehicle with the plate {wanted.plate!r}.")
