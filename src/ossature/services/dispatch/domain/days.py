"""A day as a dial-a-ride problem, and a solved problem as the plan of a day.

Times of the problem are seconds after the begin of the local day; costs are seconds of driving.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final
from uuid import UUID

from ossature.services.dispatch.domain.bookings import Trip, bits
from ossature.services.dispatch.domain.fleet import Duty
from ossature.services.dispatch.domain.loads import Load, fits
from ossature.services.dispatch.domain.places import Point
from ossature.services.dispatch.domain.plans import PlanStop, StopKind
from ossature.services.dispatch.domain.states import TripState
from ossature.services.dispatch.domain.windows import Window

if TYPE_CHECKING:
    from darp import Problem, Request, Route, Stop, Vehicle
    from ossature.services.dispatch.domain.roads import Matrix

PLANNED_ANEW: Final = frozenset({TripState.CONFIRMED, TripState.UNPLANNABLE, TripState.PLANNED, TripState.DISPATCHED})
UNDER_WAY: Final = frozenset({TripState.EN_ROUTE, TripState.AT_PICKUP, TripState.ONBOARD, TripState.AT_DROPOFF})
_CROWD: Final = 64
"""More trips than share a vehicle: the last dimension of the problem counts them, and riding alone takes all of it."""
_TOLD: Final = 100.0
"""Leaving a trip out that its driver was told of is as bad as leaving so many others out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """What the planner weighs. reserve_cost_s: as much driving as it takes to call a reserve driver in."""

    reserve_cost_s: float = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """What a plan of a day is made from. begins_at: the first instant of the day. places: by id, in their order."""

    begins_at: datetime
    trips: tuple[Trip, ...]
    duties: tuple[Duty, ...]
    places: Mapping[UUID, Point]
    parent_id: UUID | None = None

    def still_holds(self, now: "Day") -> bool:
        """Whether a plan of it is one of the day as it is now. What was booked meanwhile waits for the next plan."""
        versions, duties = {trip.id: trip.version for trip in now.trips}, set(now.duties)
        return (
            now.parent_id == self.parent_id
            and all(versions.get(trip.id) == trip.version for trip in self.trips)
            and all(duty in duties for duty in self.duties)
            and all(now.places.get(place) == point for place, point in self.places.items())
        )

    @property
    def points(self) -> list[Point]:
        """The places as rows of the matrix."""
        return list(self.places.values())


def hopeless(day: Day) -> dict[UUID, str]:
    """Trips that no duty of the day can ever take, with the reason."""
    found = {}
    for trip in day.trips:
        said = _hopeless(trip, day.duties)
        if said:
            found[trip.id] = said
    return found


def stranded(day: Day) -> tuple[Trip, ...]:
    """Trips that their drivers were told of, and whose duty is out of service or cannot take them any more."""
    duties = {duty.id: duty for duty in day.duties}
    told = ((trip, duties.get(trip.duty_id)) for trip in day.trips if _is_told(trip) and trip.duty_id is not None)
    return tuple(trip for trip, duty in told if duty is None or _hopeless(trip, [duty]))


def _is_told(trip: Trip) -> bool:
    return trip.state is TripState.DISPATCHED and trip.duty_id is not None


def _hopeless(trip: Trip, duties: Sequence[Duty]) -> str:
    requirement = trip.requirement
    if trip.pickup is None or trip.dropoff is None:
        return "no-window"
    if not duties:
        return "no-duty"
    if not any(requirement.needs <= duty.skills for duty in duties):
        return "no-skill"
    if not any(fits(requirement.load, duty.layouts) for duty in duties):
        return "no-room"
    return ""


def problem_of(day: Day, matrix: "Matrix", weights: Weights) -> "Problem":
    """The day as a problem; `hopeless` trips are left out of it, and no trip of it is `stranded`. Raises: darp.ProblemError.

    A trip that was told to its driver stays in its duty. Where not all can be served, one of priority n counts like n + 1
    of none.
    """
    from darp import Problem  # noqa: PLC0415 - comes with the extra [dispatch]

    rows = {place: row for row, place in enumerate(day.places)}
    without = hopeless(day)
    vehicles = tuple(_vehicle(day, duty, rows, weights) for duty in day.duties)
    # As much as any plan costs: serving one more is always better.
    longest = float(matrix.duration_s.max(initial=0.0))
    most = longest * 2 * (len(day.trips) + len(day.duties) + 1) + sum(one.fixed_cost for one in vehicles) + 1.0
    requests = tuple(_request(day, trip, rows, most) for trip in day.trips if trip.id not in without)
    return Problem(durations=matrix.duration_s, requests=requests, vehicles=vehicles)


def _request(day: Day, trip: Trip, rows: Mapping[UUID, int], most: float) -> "Request":
    from darp import Request  # noqa: PLC0415 - comes with the extra [dispatch]

    told = _is_told(trip)
    return Request(
        id=str(trip.id),
        pickup=_stop(day, rows[trip.from_place_id], trip.pickup, trip.service_p_s),
        dropoff=_stop(day, rows[trip.to_place_id], trip.dropoff, trip.service_d_s),
        load=(*trip.requirement.load, _CROWD if trip.requirement.rides_alone else 1),
        max_ride=float(trip.max_ride_s),
        skills=trip.requirement.skills,
        allowed=frozenset({str(trip.duty_id)}) if told else None,
        penalty=most * (1.0 + trip.priority + (_TOLD if told else 0.0)),
    )


def _vehicle(day: Day, duty: Duty, rows: Mapping[UUID, int], weights: Weights) -> "Vehicle":
    from darp import Vehicle  # noqa: PLC0415 - comes with the extra [dispatch]

    shift = Window(duty.earliest_start, duty.latest_end)
    home = _stop(day, rows[duty.place_id], shift, 0)
    return Vehicle(
        id=str(duty.id),
        start=home,
        end=home,
        layouts=tuple((*layout, _CROWD) for layout in duty.layouts),
        skills=bits(duty.skills),
        max_duration=(duty.latest_end - duty.earliest_start).total_seconds(),
        fixed_cost=weights.reserve_cost_s if duty.reserve else 0.0,
    )


def _stop(day: Day, row: int, window: Window | None, service_s: int) -> "Stop":
    from darp import Stop  # noqa: PLC0415 - comes with the extra [dispatch]

    if window is None:
        msg = "a trip without a window is in no problem"
        raise ValueError(msg)
    return Stop(
        place=row,
        earliest=(window.earliest - day.begins_at).total_seconds(),
        latest=(window.latest - day.begins_at).total_seconds(),
        service=float(service_s),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Solved:
    """What a solver gives back from its process. broken: what the independent checker found, empty for a good plan."""

    plan: str
    iterations: int
    unserved: tuple[UUID, ...]
    cost_s: float
    kernel: str
    problem_hash: str
    broken: tuple[str, ...]


def solver_kernel() -> str:
    """What makes the plans: `cpp` or `python`. Raises: ImportError without the extra [dispatch]."""
    import darp  # noqa: PLC0415 - comes with the extra [dispatch]

    return darp.KERNEL


def solve(problem: "Problem", time_limit_s: float, seed: int, max_iterations: int | None) -> Solved:
    """Solve a problem and check the answer; for a process of its own.

    Times are those of comfort: at the order that was found, nobody sits in a vehicle for longer than it takes.
    Raises: darp.DarpError.
    """
    import darp  # noqa: PLC0415 - comes with the extra [dispatch]

    plan = darp.solve(problem, time_limit_s, seed, 1, max_iterations=max_iterations, objective=darp.Objective.COMFORT)
    return Solved(
        plan=plan.to_json(),
        iterations=plan.iterations,
        unserved=tuple(UUID(one) for one in plan.unserved),
        cost_s=plan.cost,
        kernel=f"{plan.kernel} {darp.__version__}",
        problem_hash=problem.digest(),
        broken=tuple(str(one) for one in darp.check(problem, plan)),
    )


def stops_of(day: Day, solved: Solved) -> tuple[PlanStop, ...]:
    """The routes of a solved day as stops, in the order of the duties."""
    from darp import Plan  # noqa: PLC0415 - comes with the extra [dispatch]

    plan = Plan.from_json(solved.plan)
    trips = {str(trip.id): trip for trip in day.trips}
    found: list[PlanStop] = []
    for duty in day.duties:
        route = plan.route(str(duty.id))
        if route is not None:
            found += _stops(day, duty, route, trips)
    return tuple(found)


def _stops(day: Day, duty: Duty, route: "Route", trips: Mapping[str, Trip]) -> list[PlanStop]:
    begin = day.begins_at + timedelta(seconds=route.start)
    end = day.begins_at + timedelta(seconds=route.end)
    load = Load()
    stops = [_end(duty, StopKind.START, begin, 0)]
    for position, stop in enumerate(route.stops, 1):
        trip = trips[stop.request]
        picks_up = stop.kind == "pickup"
        sign, service_s = (1, trip.service_p_s) if picks_up else (-1, trip.service_d_s)
        load = Load(*(now + sign * change for now, change in zip(load, trip.requirement.load, strict=True)))
        at = day.begins_at + timedelta(seconds=stop.begin)
        stops.append(
            PlanStop(
                duty_id=duty.id,
                position=position,
                kind=StopKind.PICKUP if picks_up else StopKind.DROPOFF,
                place_id=trip.from_place_id if picks_up else trip.to_place_id,
                trip_id=trip.id,
                planned_at=at,
                leaves_at=at + timedelta(seconds=service_s),
                load=load,
            )
        )
    return [*stops, _end(duty, StopKind.END, end, len(stops))]


def _end(duty: Duty, kind: StopKind, at: datetime, position: int) -> PlanStop:
    return PlanStop(
        duty_id=duty.id,
        position=position,
        kind=kind,
        place_id=duty.place_id,
        trip_id=None,
        planned_at=at,
        leaves_at=at,
        load=Load(),
    )
