"""The parts of a problem: stops, requests, vehicles.

Times share one unit, and so do costs; darp does not care which (seconds and metres, or the minutes of the benchmarks).
Places are row numbers of the problem's matrices. A request's ride time runs from the end of service at its pickup to the
begin of service at its drop-off.
"""

import math
from dataclasses import dataclass
from enum import StrEnum


class LayoutChange(StrEnum):
    """When a vehicle may be rearranged from one of its layouts to another."""

    WHEN_EMPTY = "when_empty"
    ANYWHERE = "anywhere"
    PER_ROUTE = "per_route"


class Clock(StrEnum):
    """What a time limit counts: time as it passes, or what each thread of the search computes, however busy the machine is."""

    WALL = "wall"
    CPU = "cpu"


class StopKind(StrEnum):
    """What happens at a stop."""

    PICKUP = "pickup"
    DROPOFF = "dropoff"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """A place, the window in which service there may begin, and how long it takes."""

    place: int
    earliest: float = 0.0
    latest: float = math.inf
    service: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One ride.

    load: amount in every dimension of the vehicles' layouts. skills: bit mask, all needed. allowed: vehicle ids, `None` is
    all of them. bonus: what a preferred vehicle takes off the cost. penalty: cost of not serving it; `None` is more than
    any plan costs. share_class: all who are on board at the same time state the same one; a class of one's own is to ride
    alone. release: nobody is picked up before it; the vehicle may be on its way already.
    """

    id: str
    pickup: Stop
    dropoff: Stop
    load: tuple[int, ...] = (1,)
    max_ride: float = math.inf
    skills: int = 0
    allowed: frozenset[str] | None = None
    forbidden: frozenset[str] = frozenset()
    preferred: frozenset[str] = frozenset()
    bonus: float = 0.0
    penalty: float | None = None
    share_class: str = ""
    release: float = -math.inf


@dataclass(frozen=True, slots=True, kw_only=True)
class PinnedStop:
    """A stop that stays where it is at the begin of a route. at: when its service really began, `None` if it has not yet."""

    request: str
    kind: StopKind
    at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Vehicle:
    """One duty: a vehicle with its driver, from a start to an end.

    start, end: the shift is in their windows. layouts: the load vectors that it can be arranged to. skills: bit mask.
    fixed_cost: paid once if it is used at all. prefix: the stops that may no longer move. started: when it really left.
    """

    id: str
    start: Stop
    end: Stop
    layouts: tuple[tuple[int, ...], ...] = ((1,),)
    skills: int = 0
    max_duration: float = math.inf
    fixed_cost: float = 0.0
    prefix: tuple[PinnedStop, ...] = ()
    started: float | None = None
