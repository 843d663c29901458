"""A planned duty as time passes in it: driving, waiting, serving, and who rides from when to when."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import pairwise
from uuid import UUID

from ossature.services.dispatch.domain.fleet import Duty
from ossature.services.dispatch.domain.loads import Load
from ossature.services.dispatch.domain.plans import PlanStop, StopKind

Way = Callable[[UUID, UUID], tuple[float, float]]
"""Seconds and metres of the drive from one place to another."""


class Doing(StrEnum):
    """What a vehicle does in a stretch of time."""

    DRIVING = "driving"
    WAITING = "waiting"
    PICKUP = "pickup"
    DROPOFF = "dropoff"


_SERVING = {StopKind.PICKUP: Doing.PICKUP, StopKind.DROPOFF: Doing.DROPOFF}


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """A stretch of time in which a vehicle does one thing. load: on board meanwhile."""

    doing: Doing
    begins_at: datetime
    ends_at: datetime
    load: Load


@dataclass(frozen=True, slots=True, kw_only=True)
class Ride:
    """A trip in a duty, from the begin of its service at the pickup to the end of that at the drop-off.

    row: 0, or more where it overlaps with rides in the rows before.
    """

    trip_id: UUID
    begins_at: datetime
    ends_at: datetime
    row: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """One duty of a day as it is planned. rows: how many rides lie above each other at most."""

    duty: Duty
    stops: tuple[PlanStop, ...]
    stretches: tuple[Stretch, ...]
    rides: tuple[Ride, ...]
    driven_s: float
    waited_s: float
    distance_m: float

    @property
    def rows(self) -> int:
        """How many rides lie above each other."""
        return max((ride.row for ride in self.rides), default=0) + 1


def lane_of(duty: Duty, stops: Sequence[PlanStop], way: Way) -> Lane:
    """A duty with what its vehicle does between and at its stops, which are in their order.

    It drives on at once and waits where it has arrived. way: as it is now; the plan may have been made with other times, so
    a drive that would end after the service begins is as long as there is time for it.
    """
    stretches: list[Stretch] = []
    driven_s = waited_s = distance_m = 0.0
    for here, there in pairwise(stops):
        drive_s, leg_m = way(here.place_id, there.place_id) if here.place_id != there.place_id else (0.0, 0.0)
        arrives_at = min(here.leaves_at + timedelta(seconds=drive_s), there.planned_at)
        driven_s += (arrives_at - here.leaves_at).total_seconds()
        waited_s += (there.planned_at - arrives_at).total_seconds()
        distance_m += leg_m
        serving = _SERVING.get(there.kind)
        parts = [(Doing.DRIVING, here.leaves_at, arrives_at), (Doing.WAITING, arrives_at, there.planned_at)]
        stretches += [_stretch(*part, here.load) for part in parts if part[1] < part[2]]
        if serving is not None:
            stretches.append(_stretch(serving, there.planned_at, there.leaves_at, there.load))
    return Lane(
        duty=duty,
        stops=tuple(stops),
        stretches=tuple(stretches),
        rides=tuple(_rides(stops)),
        driven_s=driven_s,
        waited_s=waited_s,
        distance_m=distance_m,
    )


def _stretch(doing: Doing, begins_at: datetime, ends_at: datetime, load: Load) -> Stretch:
    return Stretch(doing=doing, begins_at=begins_at, ends_at=ends_at, load=load)


def _rides(stops: Sequence[PlanStop]) -> list[Ride]:
    """The rides in the order of their begin, each in the first row that is free by then."""
    ends = {stop.trip_id: stop.leaves_at for stop in stops if stop.kind is StopKind.DROPOFF}
    free: list[datetime] = []
    found = []
    for stop in stops:
        if stop.kind is not StopKind.PICKUP or stop.trip_id is None or stop.trip_id not in ends:
            continue
        row = next((n for n, at in enumerate(free) if at <= stop.planned_at), len(free))
        free[row : row + 1] = [ends[stop.trip_id]]
        found.append(Ride(trip_id=stop.trip_id, begins_at=stop.planned_at, ends_at=ends[stop.trip_id], row=row))
    return found
