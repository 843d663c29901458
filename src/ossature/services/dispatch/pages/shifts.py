"""Shifts: of a day, or of a driver or a vehicle from today on."""

from collections.abc import Sequence

from ossature.kernel.console import say
from ossature.kernel.console.parts import empty
from ossature.kernel.console.table import Column, table
from ossature.kernel.console.visit import Visit
from ossature.kernel.i18n.words import Message, Words
from ossature.services.dispatch.domain.roster import ShiftView

WORDS = Words(
    "dispatch.shifts",
    {
        "day": "Day",
        "driver": "Driver",
        "vehicle": "Vehicle",
        "begins": "Begins",
        "ends": Message("Ends", context="shift"),
        "lasts": "Lasts",
        "base": "Base",
        "trips": "Trips",
        "board": "On the board",
        "none": "No shift",
        "none_text": "A shift takes a driver and a vehicle for a stretch of a day. Planners make them.",
    },
)


def shift_table(visit: Visit, shifts: Sequence[ShiftView], *, with_day: bool = False) -> None:
    """Shifts, each with the way to its duty on the board."""
    if not shifts:
        empty(WORDS("none"), WORDS("none_text"))
        return
    table(shifts, shift_columns(visit, with_day=with_day))


def shift_columns(visit: Visit, *, with_day: bool = False) -> list[Column[ShiftView]]:
    """What is told of a shift."""
    zone = visit.tenant.zone
    board = (lambda one: f"/dispatch/board?day={one.day}&duty={one.duty_id}") if visit.may("read:plans") else None
    columns: list[Column[ShiftView]] = [
        Column(WORDS("driver"), lambda one: one.driver, path=lambda one: f"/dispatch/drivers/{one.driver_id}"),
        Column(WORDS("vehicle"), lambda one: one.vehicle, path=lambda one: f"/dispatch/vehicles/{one.vehicle_id}"),
        Column(WORDS("begins"), lambda one: say.clock_time(one.starts_at, zone), numeric=True),
        Column(WORDS("ends"), lambda one: say.clock_time(one.ends_at, zone), numeric=True),
        Column(WORDS("lasts"), lambda one: say.span((one.ends_at - one.starts_at).total_seconds()), numeric=True),
        Column(WORDS("base"), lambda one: one.base),
        Column(WORDS("trips"), lambda one: say.count(one.trips), path=board, numeric=True),
    ]
    day: Column[ShiftView] = Column(WORDS("day"), lambda one: say.day(one.day), tight=True)
    return [day, *columns] if with_day else columns
