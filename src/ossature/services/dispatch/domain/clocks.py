"""Times of day as people write them, where clocks are changed twice a year."""

from datetime import UTC, date, datetime, time
from typing import Final
from zoneinfo import ZoneInfo

from ossature.kernel.errors import FieldError, InvalidInput

YEARS: Final = range(1970, 2200)
"""In which days are planned. Far from where the calendars of programs end, so that windows and zones have room."""


class LocalTimeAmbiguous(InvalidInput):
    """This local time does not exist, or exists twice: clocks are changed then. `instants` has both readings."""

    title = "Local time ambiguous"


def check_year(day: date, pointer: str) -> None:
    """A day, or an instant, is one that somebody can be taken on. Raises: InvalidInput."""
    if day.year not in YEARS:
        said = f"Give a day from {YEARS[0]} to {YEARS[-1]}."
        raise InvalidInput(errors=[FieldError(pointer, said, "out_of_range")])


def instant(day: date, at: time, zone: str) -> datetime:
    """The instant of a local time, UTC. Raises: LocalTimeAmbiguous."""
    here = ZoneInfo(zone)
    first, second = (datetime.combine(day, at, here).replace(fold=fold).astimezone(UTC) for fold in (0, 1))
    if first != second:
        raise LocalTimeAmbiguous(
            f"{day} {at:%H:%M} in {zone}: clocks are changed then.",
            instants=[first.isoformat(), second.isoformat()],
        )
    return first
