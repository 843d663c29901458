"""Who drives, in what, and when."""

from dataclasses import dataclass, replace
from datetime import date, datetime
from enum import StrEnum
from uuid import UUID

from ossature.kernel.errors import Conflict, InvalidInput, NotFound
from ossature.services.dispatch.domain.loads import Load

SHIFT_MOST_S = 12 * 3600
"""The longest shift that is taken."""
NUMBER_MOST, NAME_MOST = 60, 200
"""Characters of a driver's number and name."""


class DriverNotFound(NotFound):
    """No driver has this id."""

    title = "No such driver"


class VehicleNotFound(NotFound):
    """No vehicle has this id."""

    title = "No such vehicle"


class ShiftNotFound(NotFound):
    """No shift has this id."""

    title = "No such shift"


class NameTaken(Conflict):
    """Another one of this kind has the same number or plate."""

    title = "Name taken"


class ShiftOverlaps(Conflict):
    """The driver or the vehicle is in another shift at that time; `shift_id` says in which."""

    title = "Shift overlaps"


class ShiftInUse(Conflict):
    """Trips are planned in this shift; take them out first."""

    title = "Shift in use"


class ShiftImpossible(InvalidInput):
    """A shift ends after it begins, and lasts no longer than twelve hours."""

    title = "Shift impossible"


class DriverKind(StrEnum):
    """Whether somebody is counted on every day, or only when it takes more."""

    REGULAR = "regular"
    RESERVE = "reserve"


@dataclass(frozen=True, slots=True, kw_only=True)
class Driver:
    """A driver. number: in the books of the employer. skills: of `bookings.NEEDS`, by training.

    active: whether they may be planned. employed: what the employer's own system said last, None where none did. source:
    who made them: `here`, or `sync:` and the pipeline.
    """

    id: UUID
    number: str
    name: str
    kind: DriverKind
    phone: str
    skills: frozenset[str]
    active: bool
    source: str
    created_at: datetime
    employed: bool | None = None
    version: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Vehicle:
    """A vehicle. layouts: how it can be arranged. equipment: of `bookings.NEEDS`."""

    id: UUID
    plate: str
    name: str
    layouts: tuple[Load, ...]
    equipment: frozenset[str]
    active: bool
    created_at: datetime
    version: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """A driver with a vehicle for a stretch of a day, from a place and back to it: what the planner calls a duty."""

    id: UUID
    duty_id: UUID
    driver_id: UUID
    vehicle_id: UUID
    day: date
    place_id: UUID
    starts_at: datetime
    ends_at: datetime
    created_at: datetime
    version: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Duty:
    """A shift as the planner needs it: with what driver and vehicle can do together."""

    id: UUID
    driver_id: UUID
    driver: str
    vehicle_id: UUID
    vehicle: str
    place_id: UUID
    earliest_start: datetime
    latest_end: datetime
    layouts: tuple[Load, ...]
    skills: frozenset[str]
    reserve: bool


def check_shift(starts_at: datetime, ends_at: datetime) -> None:
    """Raises: ShiftImpossible."""
    lasts_s = (ends_at - starts_at).total_seconds()
    if not 0 < lasts_s <= SHIFT_MOST_S:
        raise ShiftImpossible(f"It would last {lasts_s / 3600:.1f} h.", lasts_s=lasts_s, most_s=SHIFT_MOST_S)


def told(driver: Driver, *, name: str, employed: bool) -> Driver:
    """A driver as the employer's system tells of them, in the next version; the same one when that changes nothing.

    Who leaves is planned no more, and who comes back may be; who was withdrawn here stays so while the employer says
    nothing new.
    """
    active = driver.active if employed is driver.employed else employed and (driver.employed is False or driver.active)
    if (name, employed, active) == (driver.name, driver.employed, driver.active):
        return driver
    return replace(driver, name=name, employed=employed, active=active, version=driver.version + 1)
