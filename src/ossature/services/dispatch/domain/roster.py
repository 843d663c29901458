"""Who drives what and where it goes, as it is looked at."""

from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID


@dataclass(frozen=True, slots=True)
class AddressView:
    """An address as somebody said it. placed: whether it is on the map."""

    label: str
    placed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ShiftView:
    """A shift with the names of who and what is in it. trips: how many are in its duty now. base: where it begins and ends."""

    id: UUID
    duty_id: UUID
    day: date
    driver_id: UUID
    driver: str
    vehicle_id: UUID
    vehicle: str
    base: str
    starts_at: datetime
    ends_at: datetime
    trips: int
