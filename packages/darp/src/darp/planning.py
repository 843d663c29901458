"""Plans from problems: whole ones, and one request into a plan that stands."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Literal

from darp import comfort
from darp.arrays import arrays
from darp.engine import KERNEL, Engine, Routes, engine
from darp.errors import PlanError, PrefixError
from darp.model import Clock, StopKind
from darp.plan import Plan, PlannedStop, Route
from darp.problem import Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """A stop that would begin later than planned."""

    request: str
    kind: StopKind
    delay: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A place for a request in a plan.

    pickup_position, dropoff_position: among the stops of `route`, which is the vehicle's route with the request in it.
    """

    vehicle: str
    pickup_position: int
    dropoff_position: int
    added_cost: float
    route: Route
    shifted: tuple[Shift, ...]


class Objective(StrEnum):
    """Which times of a fixed order are wanted."""

    EARLIEST = "earliest"
    COMFORT = "comfort"


class Planner:
    """A problem with the kernel that works on it. reference: the Python kernel, whatever is installed."""

    def __init__(self, problem: Problem, *, reference: bool = False) -> None:
        self.problem = problem
        self.values = arrays(problem)
        self.kernel = "python" if reference else KERNEL
        self.engine: Engine = engine(self.values, reference=reference)
        self._request = {request.id: number for number, request in enumerate(problem.requests)}
        self._vehicle = {vehicle.id: number for number, vehicle in enumerate(problem.vehicles)}

    @property
    def n(self) -> int:
        """How many requests there are."""
        return len(self._request)

    def empty(self, vehicle: int) -> list[int]:
        """Nodes of the route with nothing but what is pinned."""
        start = 2 * (self.n + vehicle)
        return [start, *self.values.prefix[vehicle], start + 1]

    def nodes(self, plan: Plan) -> Routes:
        """The plan's routes as nodes, each with its prefix first; raises `PlanError` for what is not in the problem."""
        routes = [self.empty(vehicle) for vehicle in range(len(self._vehicle))]
        for route in plan.routes:
            vehicle, nodes = self.route_nodes(route)
            routes[vehicle] = nodes
        return routes

    def route_nodes(self, route: Route) -> tuple[int, list[int]]:
        """A route as its vehicle and nodes, with the prefix first."""
        if route.vehicle not in self._vehicle:
            raise PlanError(f"there is no vehicle {route.vehicle!r}")
        vehicle = self._vehicle[route.vehicle]
        pinned = {node for nodes in self.values.prefix for node in nodes}
        nodes = self.empty(vehicle)
        nodes[-1:-1] = [node for stop in route.stops if (node := self._node(stop)) not in pinned]
        return vehicle, nodes

    def _node(self, stop: PlannedStop) -> int:
        if stop.request not in self._request:
            raise PlanError(f"there is no request {stop.request!r}")
        return self._request[stop.request] + (self.n if stop.kind is StopKind.DROPOFF else 0)

    def kept(self, plan: Plan) -> Routes:
        """What can be kept of a plan as a start: routes that break a rule now, or repeat what another has, are emptied."""
        routes, seen = self.nodes(plan), set[int]()
        for vehicle, nodes in enumerate(routes):
            inner = nodes[1:-1]
            whole = {node for node in inner if node < self.n} == {node - self.n for node in inner if node >= self.n}
            repeats = len(set(inner)) < len(inner) or seen & set(inner)
            if not whole or repeats or self.engine.earliest_times(vehicle, nodes) is None:
                routes[vehicle] = self.empty(vehicle)
            seen |= set(routes[vehicle][1:-1])
        return routes

    def route(self, vehicle: int, nodes: Sequence[int], objective: Objective = Objective.EARLIEST) -> Route | None:
        """The route at its earliest or most comfortable times, `None` if it breaks a rule."""
        times = self.engine.earliest_times(vehicle, nodes)
        if times is None:
            return None
        if objective is Objective.COMFORT:
            times = comfort.improved(self.values, vehicle, nodes, times)
        kinds = (StopKind.PICKUP, StopKind.DROPOFF)
        stops = tuple(
            PlannedStop(request=self.problem.requests[node % self.n].id, kind=kinds[node >= self.n], begin=begin)
            for node, begin in zip(nodes[1:-1], times[1:-1], strict=True)
        )
        return Route(vehicle=self.problem.vehicles[vehicle].id, start=times[0], stops=stops, end=times[-1])

    def plan(self, routes: Routes, unserved: Sequence[int], objective: Objective = Objective.EARLIEST) -> Plan:
        """The plan of these routes at times of that aim; each must keep the rules."""
        made = []
        for vehicle, nodes in enumerate(routes):
            if len(nodes) > 2:
                route = self.route(vehicle, nodes, objective)
                if route is None:
                    raise PlanError(f"the route of {self.problem.vehicles[vehicle].id!r} breaks a rule")
                made.append(route)
        cost = sum(self.engine.cost(vehicle, nodes) for vehicle, nodes in enumerate(routes))
        names = tuple(self.problem.requests[request].id for request in sorted(unserved))
        return Plan(routes=tuple(made), unserved=names, cost=cost, kernel=self.kernel)

    def refuse_impossible_prefixes(self) -> None:
        """Raise `PrefixError` for a vehicle whose pinned stops cannot be kept."""
        for vehicle, nodes in enumerate(self.values.prefix):
            if nodes and self.engine.earliest_times(vehicle, self.empty(vehicle)) is None:
                raise PrefixError(f"vehicle {self.problem.vehicles[vehicle].id!r} cannot keep what is pinned")


def solve(  # noqa: PLR0913 - each is a choice of its own, all but two by keyword or default
    problem: Problem,
    time_limit_s: float,
    seed: int = 1,
    threads: int = 1,
    *,
    max_iterations: int | None = None,
    start: Plan | None = None,
    clock: Clock | Literal["wall", "cpu"] = Clock.WALL,
    objective: Objective | Literal["earliest", "comfort"] = Objective.EARLIEST,
    reference: bool = False,
) -> Plan:
    """The best plan found in the time; always one that `check` finds nothing wrong with, perhaps with unserved requests.

    With `max_iterations` and time enough the plan is a function of problem, seed and threads (independent searches, of
    which the best counts). start: a plan to improve; what no longer fits of it is planned anew. clock: what `time_limit_s`
    and the plan's `seconds` count; by the CPU every thread may compute for so long. objective: the times of the routes that
    were found, see `schedule`. reference: use the Python kernel. Raises `PrefixError` if what is pinned cannot be kept.
    """
    clock, objective = Clock(clock), Objective(objective)
    now = time.thread_time if clock is Clock.CPU else time.monotonic
    begun = now()
    planner = Planner(problem, reference=reference)
    planner.refuse_impossible_prefixes()
    first = planner.kept(start) if start else [planner.empty(vehicle) for vehicle in range(len(problem.vehicles))]
    left_s = max(0.0, time_limit_s - (now() - begun))
    routes, unserved, _, iterations = planner.engine.search(left_s, clock, max_iterations or 0, seed, threads, first)
    aboard = {stop.request for vehicle in problem.vehicles for stop in vehicle.prefix}
    plan = planner.plan(routes, unserved, objective)
    stranded = sorted(aboard & set(plan.unserved))
    if stranded:
        raise PrefixError(f"on board, and without a feasible drop-off: {', '.join(map(repr, stranded))}")
    return replace(plan, seed=seed, threads=threads, iterations=iterations, seconds=now() - begun)


def insert(problem: Problem, plan: Plan, request: str, *, n: int = 3, reference: bool = False) -> list[Offer]:
    """The n cheapest vehicles for a request that the plan does not serve, each with its cheapest feasible place, exactly.

    Raises `PlanError` if the plan serves it already or is not feasible for this problem, `KeyError` if there is no such
    request.
    """
    planner = Planner(problem, reference=reference)
    number = [one.id for one in problem.requests].index(problem.request(request).id)
    if any(stop.request == request for route in plan.routes for stop in route.stops):
        raise PlanError(f"{request!r} has a place already")
    routes = planner.nodes(plan)
    found = []
    for vehicle, nodes in enumerate(routes):
        place = planner.engine.insertion(vehicle, nodes, number)
        if place is not None:
            found.append((place[0], vehicle, place[1], place[2]))
    return [_offer(planner, routes[one[1]], number, one) for one in sorted(found)[:n]]


def _offer(planner: Planner, nodes: list[int], request: int, found: tuple[float, int, int, int]) -> Offer:
    added_cost, vehicle, pickup_after, dropoff_after = found
    with_it = [*nodes[: dropoff_after + 1], request + planner.n, *nodes[dropoff_after + 1 :]]
    with_it.insert(pickup_after + 1, request)
    before, after = planner.route(vehicle, nodes), planner.route(vehicle, with_it)
    if before is None or after is None:
        raise PlanError(f"the route of {planner.problem.vehicles[vehicle].id!r} breaks a rule")
    was = {(stop.request, stop.kind): stop.begin for stop in before.stops}
    delays = ((stop, stop.begin - was.get((stop.request, stop.kind), stop.begin)) for stop in after.stops)
    return Offer(
        vehicle=after.vehicle,
        pickup_position=pickup_after,
        dropoff_position=dropoff_after + 1,
        added_cost=added_cost,
        route=after,
        shifted=tuple(
            Shift(request=stop.request, kind=stop.kind, delay=delay) for stop, delay in delays if delay > 1e-6
        ),
    )


def accept(plan: Plan, offer: Offer) -> Plan:
    """The plan with an offer of `insert` in it, made for this plan."""
    request = offer.route.stops[offer.pickup_position].request
    routes = [route for route in plan.routes if route.vehicle != offer.vehicle]
    unserved = tuple(name for name in plan.unserved if name != request)
    return replace(plan, routes=(*routes, offer.route), unserved=unserved, cost=plan.cost + offer.added_cost)


def schedule(problem: Problem, route: Route, objective: Objective = Objective.EARLIEST) -> Route:
    """The same stops in the same order at other times; raises `PlanError` if there are none that keep the rules.

    `EARLIEST`: everyone as soon as can be. `COMFORT`: the least time on board for all together, then the latest pickups,
    then the latest start.
    """
    planner = Planner(problem)
    vehicle, nodes = planner.route_nodes(route)
    timed = planner.route(vehicle, nodes, objective)
    if timed is None:
        raise PlanError(f"the route of {route.vehicle!r} breaks a rule")
    return timed
