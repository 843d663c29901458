"""A problem as the flat arrays that a kernel works on.

Nodes: the pickup of request r is r, its drop-off n + r, the start of vehicle k is 2n + 2k and its end 2n + 2k + 1. A route
is a list of nodes with its vehicle's start and end. What may be derived is derived here, once, for both kernels: windows
tightened by each other, what it costs to give a request to a vehicle (infinity where a rule forbids it), penalties.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from darp.model import LayoutChange, Request, StopKind, Vehicle

if TYPE_CHECKING:
    from darp.problem import Problem

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int32]
CHANGES = {LayoutChange.WHEN_EMPTY: 0, LayoutChange.ANYWHERE: 1, LayoutChange.PER_ROUTE: 2}


@dataclass(frozen=True, slots=True)
class Arrays:
    """n requests, k vehicles, N = 2n + 2k nodes, d load dimensions.

    place: (N,), nodes with the same number are at the same place. duration, cost: (N, N). earliest, latest, service: (N,). load: (n, d). company: (n,), the same number for those who may be on board together. max_ride, penalty: (n,). assignment: (n, k).
    max_duration, fixed_cost: (k,). layouts: (layouts of all vehicles, d), those of k are rows layout_begin[k] to
    layout_begin[k + 1]. prefix: nodes pinned after the start. facts: (k,), how many nodes of the route, from the start,
    have a time that already happened (it stands in earliest and latest). nearness: (n, n), small for requests alike.
    """

    place: Integers
    duration: Floats
    cost: Floats
    earliest: Floats
    latest: Floats
    service: Floats
    load: Integers
    company: Integers
    max_ride: Floats
    penalty: Floats
    assignment: Floats
    max_duration: Floats
    fixed_cost: Floats
    layouts: Integers
    layout_begin: Integers
    layout_change: int
    prefix: list[list[int]]
    facts: Integers
    nearness: Floats

    @property
    def requests(self) -> int:
        """How many requests, n."""
        return len(self.max_ride)

    @property
    def vehicles(self) -> int:
        """How many vehicles, k."""
        return len(self.max_duration)


def arrays(problem: "Problem") -> Arrays:
    """The arrays of a problem."""
    requests, vehicles = problem.requests, problem.vehicles
    stops = [one.pickup for one in requests] + [one.dropoff for one in requests]
    stops += [stop for one in vehicles for stop in (one.start, one.end)]
    places = np.array([stop.place for stop in stops], dtype=np.intp)
    duration = np.ascontiguousarray(problem.durations[np.ix_(places, places)])
    cost = duration if problem.costs is None else np.ascontiguousarray(problem.costs[np.ix_(places, places)])
    earliest = np.array([stop.earliest for stop in stops], dtype=np.float64)
    for row, request in enumerate(requests):
        earliest[row] = max(earliest[row], request.release)
    latest = np.array([stop.latest for stop in stops], dtype=np.float64)
    service = np.array([stop.service for stop in stops], dtype=np.float64)
    max_ride = np.array([one.max_ride for one in requests], dtype=np.float64)
    prefix, facts = _pinned(problem, earliest, latest)
    _tighten(duration, earliest, latest, service, max_ride, _happened(prefix, facts))
    counts = [len(one.layouts) for one in vehicles]
    dimensions = len(requests[0].load) if requests else 1
    return Arrays(
        place=np.unique(places, return_inverse=True)[1].astype(np.int32),
        duration=duration,
        cost=cost,
        earliest=earliest,
        latest=latest,
        service=service,
        load=np.array([one.load for one in requests], dtype=np.int32).reshape(len(requests), dimensions),
        company=np.unique([one.share_class for one in requests], return_inverse=True)[1].astype(np.int32).reshape(-1),
        max_ride=max_ride,
        penalty=_penalties(problem, cost),
        assignment=_assignment(problem),
        max_duration=np.array([one.max_duration for one in vehicles], dtype=np.float64),
        fixed_cost=np.array([one.fixed_cost for one in vehicles], dtype=np.float64),
        layouts=np.array([layout for one in vehicles for layout in one.layouts], dtype=np.int32).reshape(
            -1, dimensions
        ),
        layout_begin=np.concatenate([[0], np.cumsum(counts)]).astype(np.int32),
        layout_change=CHANGES[problem.layout_change],
        prefix=prefix,
        facts=facts,
        nearness=_nearness(cost, earliest, latest, len(requests)),
    )


def _pinned(problem: "Problem", earliest: Floats, latest: Floats) -> tuple[list[list[int]], Integers]:
    """Prefixes as nodes, and facts; writes the times of facts into the windows."""
    number = {request.id: row for row, request in enumerate(problem.requests)}
    n = len(number)
    prefixes, facts = [], np.zeros(len(problem.vehicles), dtype=np.int32)
    for k, vehicle in enumerate(problem.vehicles):
        nodes = [number[stop.request] + (n if stop.kind is StopKind.DROPOFF else 0) for stop in vehicle.prefix]
        prefixes.append(nodes)
        times = [vehicle.started, *(stop.at for stop in vehicle.prefix)]
        for node, at in zip([2 * n + 2 * k, *nodes], times, strict=True):
            if at is None:
                break
            earliest[node] = latest[node] = at
            facts[k] += 1
    return prefixes, facts


def _happened(prefix: list[list[int]], facts: Integers) -> set[int]:
    return {node for nodes, count in zip(prefix, facts, strict=True) for node in nodes[: max(0, count - 1)]}


def _tighten(
    duration: Floats, earliest: Floats, latest: Floats, service: Floats, max_ride: Floats, happened: set[int]
) -> None:
    """Narrow the two windows of each request by what its own ride implies; no feasible time is lost."""
    n = len(max_ride)
    for p in range(n):
        d = n + p
        if p in happened or d in happened:
            continue
        direct = service[p] + duration[p, d]
        longest = service[p] + max_ride[p]
        earliest[p] = max(earliest[p], earliest[d] - longest)
        latest[p] = min(latest[p], latest[d] - direct)
        earliest[d] = max(earliest[d], earliest[p] + direct)
        latest[d] = min(latest[d], latest[p] + longest)


def may_serve(request: Request, vehicle: Vehicle) -> bool:
    """Whether skills, lists and layouts let the vehicle take this request alone."""
    if vehicle.id in request.forbidden or (request.allowed is not None and vehicle.id not in request.allowed):
        return False
    if request.skills & ~vehicle.skills:
        return False
    return any(all(map(int.__le__, request.load, layout)) for layout in vehicle.layouts)


def _assignment(problem: "Problem") -> Floats:
    costs = np.full((len(problem.requests), len(problem.vehicles)), np.inf)
    aboard = {stop.request: vehicle.id for vehicle in problem.vehicles for stop in vehicle.prefix}
    for row, request in enumerate(problem.requests):
        for column, vehicle in enumerate(problem.vehicles):
            pinned = aboard.get(request.id)
            if pinned == vehicle.id or (pinned is None and may_serve(request, vehicle)):
                costs[row, column] = -request.bonus if vehicle.id in request.preferred else 0.0
    return costs


def _penalties(problem: "Problem", cost: Floats) -> Floats:
    """A default penalty is above what any plan costs, so that serving one more is always better; who is on board is first."""
    most = float(cost.max(initial=0.0)) * (len(cost) + 1) + 1.0
    most += sum(one.fixed_cost for one in problem.vehicles) + sum(one.bonus for one in problem.requests)
    penalties = [most if one.penalty is None else one.penalty for one in problem.requests]
    aboard = {stop.request for vehicle in problem.vehicles for stop in vehicle.prefix}
    above = sum(penalties) + most
    return np.array(
        [above if one.id in aboard else own for one, own in zip(problem.requests, penalties, strict=True)],
        dtype=np.float64,
    )


def _nearness(cost: Floats, earliest: Floats, latest: Floats, n: int) -> Floats:
    """How unlike requests are: the way between their nearest stops, and the time between the two that are closest in it."""
    middle = np.where(np.isfinite(latest[: 2 * n]), (earliest[: 2 * n] + latest[: 2 * n]) / 2, earliest[: 2 * n])
    apart = np.abs(middle[:, None] - middle[None, :])
    # A typical distance in time counts as two typical ways: the best of what was tried on published instances.
    scale = 2.0 * float(cost[: 2 * n, : 2 * n].mean()) / max(float(apart.mean()), 1e-9) if n else 0.0
    return np.ascontiguousarray(_closest(cost, n) + scale * _closest(apart, n))


def _closest(between: Floats, n: int) -> Floats:
    """The least of the four values between the stops of two requests, shape (n, n)."""
    p, d = slice(0, n), slice(n, 2 * n)
    same, crossed = np.minimum(between[p, p], between[d, d]), np.minimum(between[p, d], between[p, d].T)
    return np.asarray(np.minimum(same, crossed))
