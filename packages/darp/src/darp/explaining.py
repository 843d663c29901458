"""Why a vehicle does or does not take a request: its added cost, or which single rule stands in the way and by how much."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from darp.checking import Rule
from darp.errors import PlanError
from darp.model import Request, Stop, Vehicle
from darp.plan import Plan, Route
from darp.planning import Planner
from darp.problem import Problem
from darp.validation import MOST_AMOUNT

_EXACT = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class Obstacle:
    """A rule that alone stands in the way. amount: the least by which it would have to give way, in its own unit."""

    rule: Rule
    amount: float


@dataclass(frozen=True, slots=True, kw_only=True)
class VehicleAnswer:
    """What one vehicle says.

    added_cost: of the cheapest place, `None` if there is none. obstacles: each rule that would be enough to relax, the one
    that a vehicle can do least about first; empty with no added cost means that several rules stand in the way together.
    """

    vehicle: str
    added_cost: float | None = None
    obstacles: tuple[Obstacle, ...] = ()


def explain(problem: Problem, plan: Plan, request: str) -> list[VehicleAnswer]:
    """What every vehicle says to a request that the plan does not serve, in the order of the problem.

    Times, rides and durations are found to a thousandth; relaxing one means moving the bound of all on board alike. Raises
    `PlanError` if the plan serves it, `KeyError` if there is no such request.
    """
    wanted = problem.request(request)
    if any(stop.request == request for route in plan.routes for stop in route.stops):
        raise PlanError(f"{request!r} has a place already")
    return [_Asked(problem, vehicle, plan.route(vehicle.id), wanted).answer() for vehicle in problem.vehicles]


class _Asked:
    """One vehicle with those that it serves and the request: a small problem that can be varied."""

    def __init__(self, problem: Problem, vehicle: Vehicle, route: Route | None, wanted: Request) -> None:
        served = set(route.requests) if route else set()
        self.route, self.wanted = route, wanted
        self.horizon = _horizon(problem)
        # Who is on board has been judged; of the request, lists and skills are judged apart.
        requests = [one for one in problem.requests if one.id in served or one.id == wanted.id]
        self.problem = replace(
            problem,
            vehicles=(vehicle,),
            requests=tuple(
                replace(one, allowed=None, forbidden=frozenset(), preferred=frozenset(), skills=0) for one in requests
            ),
        )
        self.bonus = wanted.bonus if vehicle.id in wanted.preferred else 0.0
        self.vehicle = vehicle

    def answer(self) -> VehicleAnswer:
        refused, added = self._lists(), self._added_cost(self.problem)
        if added is None:
            # With a refusal on top, no single rule would be enough.
            obstacles = () if refused else tuple(self._obstacles())
            return VehicleAnswer(vehicle=self.vehicle.id, obstacles=obstacles)
        if refused:
            return VehicleAnswer(vehicle=self.vehicle.id, obstacles=tuple(refused) if len(refused) == 1 else ())
        return VehicleAnswer(vehicle=self.vehicle.id, added_cost=added - self.bonus)

    def _lists(self) -> list[Obstacle]:
        found = []
        if missing := self.wanted.skills & ~self.vehicle.skills:
            found.append(Obstacle(rule=Rule.SKILL, amount=missing.bit_count()))
        listed = self.wanted.allowed is None or self.vehicle.id in self.wanted.allowed
        if not listed or self.vehicle.id in self.wanted.forbidden:
            found.append(Obstacle(rule=Rule.FORBIDDEN, amount=1.0))
        return found

    def _added_cost(self, problem: Problem) -> float | None:
        planner = Planner(problem)
        route = self.route or Route(vehicle=self.vehicle.id, start=0.0, stops=(), end=0.0)
        _, nodes = planner.route_nodes(route)
        number = [one.id for one in problem.requests].index(self.wanted.id)
        found = planner.engine.insertion(0, nodes, number)
        return None if found is None else found[0]

    def _obstacles(self) -> list[Obstacle]:
        found = []
        if self._added_cost(self._with_requests(lambda one: replace(one, share_class=""))) is not None:
            found.append(Obstacle(rule=Rule.APART, amount=1.0))
        relaxations: tuple[tuple[Rule, Callable[[float], Problem], float], ...] = (
            (Rule.LOAD, self._roomier, float(sum(sum(one.load) for one in self.problem.requests))),
            (Rule.RIDE_TIME, self._longer_rides, self.horizon),
            (Rule.LATE, self._later, self.horizon),
            (Rule.DURATION, self._longer_duty, self.horizon),
            (Rule.SHIFT, self._longer_shift, self.horizon),
        )
        for rule, relaxed, most in relaxations:
            whole = rule is Rule.LOAD
            amount = self._least(relaxed, math.ceil(most) if whole else most, 1.0 if whole else _EXACT)
            if amount is not None:
                found.append(Obstacle(rule=rule, amount=amount))
        return found

    def _least(self, relaxed: Callable[[float], Problem], most: float, exact: float) -> float | None:
        """The least amount that makes room for the request, by halving; `None` if even the most does not."""
        if most <= 0 or self._added_cost(relaxed(most)) is None:
            return None
        low, high = 0.0, most
        while high - low > exact:
            middle = (low + high) / 2 if exact < 1 else (low + high) // 2
            if self._added_cost(relaxed(middle)) is None:
                low = middle
            else:
                high = middle
        return high

    def _roomier(self, amount: float) -> Problem:
        layouts = tuple(
            tuple(min(MOST_AMOUNT, room + int(amount)) for room in layout) for layout in self.vehicle.layouts
        )
        return replace(self.problem, vehicles=(replace(self.vehicle, layouts=layouts),))

    def _longer_rides(self, amount: float) -> Problem:
        return self._with_requests(lambda one: replace(one, max_ride=one.max_ride + amount))

    def _later(self, amount: float) -> Problem:
        def later(stop: Stop) -> Stop:
            return replace(stop, latest=stop.latest + amount)

        return self._with_requests(lambda one: replace(one, pickup=later(one.pickup), dropoff=later(one.dropoff)))

    def _with_requests(self, change: Callable[[Request], Request]) -> Problem:
        return replace(self.problem, requests=tuple(change(one) for one in self.problem.requests))

    def _longer_duty(self, amount: float) -> Problem:
        return replace(self.problem, vehicles=(replace(self.vehicle, max_duration=self.vehicle.max_duration + amount),))

    def _longer_shift(self, amount: float) -> Problem:
        end = replace(self.vehicle.end, latest=self.vehicle.end.latest + amount)
        return replace(self.problem, vehicles=(replace(self.vehicle, end=end),))


def _horizon(problem: Problem) -> float:
    """More than any rule on times could have to give way."""
    stops = [stop for one in problem.requests for stop in (one.pickup, one.dropoff)]
    stops += [stop for one in problem.vehicles for stop in (one.start, one.end)]
    times = [time for stop in stops for time in (stop.earliest, stop.latest) if math.isfinite(time)]
    longest = float(problem.durations.max(initial=0.0)) + max((stop.service for stop in stops), default=0.0)
    return max(times, default=0.0) - min(times, default=0.0) + (len(stops) + 2) * longest + 1.0
