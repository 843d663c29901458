"""Whether a plan keeps every rule of its problem: plain arithmetic on the plan's own times.

It shares no code with what makes plans, and knows none of their shortcuts: it reads the problem as it was stated.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

from darp.model import LayoutChange, Request, Stop, StopKind, Vehicle
from darp.plan import Plan, PlannedStop, Route
from darp.problem import Problem

TOLERANCE = 1e-6


class Rule(StrEnum):
    """What can be broken."""

    EARLY = "early"
    LATE = "late"
    TRAVEL = "travel"
    RIDE_TIME = "ride_time"
    LOAD = "load"
    LAYOUT = "layout"
    DURATION = "duration"
    SHIFT = "shift"
    SKILL = "skill"
    FORBIDDEN = "forbidden"
    APART = "apart"
    PAIRING = "pairing"
    PRECEDENCE = "precedence"
    DUPLICATE = "duplicate"
    PREFIX = "prefix"
    COST = "cost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """A rule that a plan breaks. amount: by how much, in the unit of the rule (1 where it has none)."""

    rule: Rule
    vehicle: str | None = None
    request: str | None = None
    amount: float = 1.0


def check(problem: Problem, plan: Plan) -> list[Violation]:
    """Every violation, empty for a good plan; unserved requests are none."""
    found = list(_accounts(problem, plan))
    vehicles = {vehicle.id: vehicle for vehicle in problem.vehicles}
    requests = {request.id: request for request in problem.requests}
    for route in plan.routes:
        if route.vehicle in vehicles and all(stop.request in requests for stop in route.stops):
            found += _Checked(problem, vehicles[route.vehicle], requests, route).violations()
    if not any(violation.rule in {Rule.PAIRING, Rule.DUPLICATE} for violation in found):
        found += _cost(problem, plan, vehicles, requests)
    return found


def _accounts(problem: Problem, plan: Plan) -> Iterator[Violation]:
    """Everyone and every vehicle exactly once."""
    requests = {request.id for request in problem.requests}
    vehicles = {vehicle.id for vehicle in problem.vehicles}
    picked = Counter(name for route in plan.routes for name in route.requests)
    dropped = Counter(s.request for route in plan.routes for s in route.stops if s.kind is StopKind.DROPOFF)
    for name in sorted(requests | set(picked) | set(dropped) | set(plan.unserved)):
        times = max(picked[name], dropped[name]) + (name in plan.unserved)
        if name not in requests or times == 0 or picked[name] != dropped[name]:
            yield Violation(rule=Rule.PAIRING, request=name)
        elif times > 1:
            yield Violation(rule=Rule.DUPLICATE, request=name, amount=times - 1)
    for name, times in Counter(route.vehicle for route in plan.routes).items():
        if name not in vehicles or times > 1:
            yield Violation(rule=Rule.DUPLICATE if name in vehicles else Rule.PAIRING, vehicle=name)
    used = {route.vehicle for route in plan.routes}
    for vehicle in problem.vehicles:
        if vehicle.prefix and vehicle.id not in used:
            yield Violation(rule=Rule.PREFIX, vehicle=vehicle.id)


def _cost(
    problem: Problem, plan: Plan, vehicles: dict[str, Vehicle], requests: dict[str, Request]
) -> Iterator[Violation]:
    total = 0.0
    for route in plan.routes:
        vehicle = vehicles[route.vehicle]
        if not route.stops:
            continue
        places = [vehicle.start.place, *(_stop(requests, stop).place for stop in route.stops), vehicle.end.place]
        total += sum(float(problem.arc_costs[a, b]) for a, b in pairwise(places))
        total += vehicle.fixed_cost
        total -= sum(requests[name].bonus for name in route.requests if vehicle.id in requests[name].preferred)
    if abs(total - plan.cost) > TOLERANCE * max(1.0, abs(total)):
        yield Violation(rule=Rule.COST, amount=abs(total - plan.cost))


def _stop(requests: dict[str, Request], stop: PlannedStop) -> Stop:
    request = requests[stop.request]
    return request.pickup if stop.kind is StopKind.PICKUP else request.dropoff


class _Checked:
    """One route under examination."""

    def __init__(self, problem: Problem, vehicle: Vehicle, requests: dict[str, Request], route: Route) -> None:
        self.problem, self.vehicle, self.requests, self.route = problem, vehicle, requests, route
        self.facts = sum(stop.at is not None for stop in vehicle.prefix)

    def violations(self) -> Iterator[Violation]:
        yield from self._prefix()
        yield from self._order()
        yield from self._times()
        yield from self._rides()
        yield from self._shift()
        yield from self._loads()
        yield from self._company()
        yield from self._assignments()

    def _broken(self, rule: Rule, amount: float = 1.0, request: str | None = None) -> Violation:
        return Violation(rule=rule, vehicle=self.vehicle.id, request=request, amount=amount)

    def _prefix(self) -> Iterator[Violation]:
        for number, pinned in enumerate(self.vehicle.prefix):
            stop = self.route.stops[number] if number < len(self.route.stops) else None
            if stop is None or (stop.request, stop.kind) != (pinned.request, pinned.kind):
                yield self._broken(Rule.PREFIX, request=pinned.request)
            elif pinned.at is not None and abs(stop.begin - pinned.at) > TOLERANCE:
                yield self._broken(Rule.PREFIX, abs(stop.begin - pinned.at), pinned.request)
        if self.vehicle.started is not None and abs(self.route.start - self.vehicle.started) > TOLERANCE:
            yield self._broken(Rule.PREFIX, abs(self.route.start - self.vehicle.started))

    def _order(self) -> Iterator[Violation]:
        met: set[str] = set()
        for stop in self.route.stops:
            if stop.kind is StopKind.PICKUP:
                met.add(stop.request)
            elif stop.request not in met:
                yield self._broken(Rule.PRECEDENCE, request=stop.request)

    def _times(self) -> Iterator[Violation]:
        """Windows and travel; what has happened is a fact and breaks nothing."""
        ready, place = self.route.start, self.vehicle.start.place
        for number, planned in enumerate(self.route.stops):
            stop = _stop(self.requests, planned)
            released = self.requests[planned.request].release if planned.kind is StopKind.PICKUP else stop.earliest
            if number >= self.facts:
                arrival = ready + float(self.problem.durations[place, stop.place])
                for rule, amount in (
                    (Rule.TRAVEL, arrival - planned.begin),
                    (Rule.EARLY, max(stop.earliest, released) - planned.begin),
                    (Rule.LATE, planned.begin - stop.latest),
                ):
                    if amount > TOLERANCE:
                        yield self._broken(rule, amount, planned.request)
            ready, place = planned.begin + stop.service, stop.place
        arrival = ready + float(self.problem.durations[place, self.vehicle.end.place])
        if self.route.stops and arrival - self.route.end > TOLERANCE:
            yield self._broken(Rule.TRAVEL, arrival - self.route.end)

    def _rides(self) -> Iterator[Violation]:
        left: dict[str, float] = {}
        for number, stop in enumerate(self.route.stops):
            request = self.requests[stop.request]
            if stop.kind is StopKind.PICKUP:
                left[stop.request] = stop.begin + request.pickup.service
            elif stop.request in left and number >= self.facts:
                excess = stop.begin - left[stop.request] - request.max_ride
                if excess > TOLERANCE:
                    yield self._broken(Rule.RIDE_TIME, excess, stop.request)

    def _shift(self) -> Iterator[Violation]:
        start, end = self.vehicle.start, self.vehicle.end
        moments = [(self.route.end, end)]
        if self.vehicle.started is None:
            moments.append((self.route.start, start))
        for moment, window in moments:
            amount = max(window.earliest - moment, moment - window.latest)
            if amount > TOLERANCE:
                yield self._broken(Rule.SHIFT, amount)
        excess = self.route.end - self.route.start - self.vehicle.max_duration
        if excess > TOLERANCE:
            yield self._broken(Rule.DURATION, excess)

    def _loads(self) -> Iterator[Violation]:
        stretch: list[tuple[int, ...]] = []
        stretches = [stretch]
        aboard: Counter[str] = Counter()
        for stop in self.route.stops:
            aboard[stop.request] += 1 if stop.kind is StopKind.PICKUP else -1
            on_board = [self.requests[name].load for name, times in aboard.items() if times > 0]
            change = self.problem.layout_change
            if change is LayoutChange.ANYWHERE or (change is LayoutChange.WHEN_EMPTY and not on_board):
                stretch = []
                stretches.append(stretch)
            if on_board:
                load = tuple(map(sum, zip(*on_board, strict=True)))
                stretch.append(load)
                least = min(self._excess(load, layout) for layout in self.vehicle.layouts)
                if least > 0:
                    yield self._broken(Rule.LOAD, least, stop.request)
        for loads in stretches:
            fits_each = all(any(not self._excess(one, way) for way in self.vehicle.layouts) for one in loads)
            fits_all = any(not any(self._excess(one, way) for one in loads) for way in self.vehicle.layouts)
            if fits_each and not fits_all:
                yield self._broken(Rule.LAYOUT)

    def _company(self) -> Iterator[Violation]:
        """Who boards states the share class of everyone who is there."""
        aboard: dict[str, str] = {}
        for stop in self.route.stops:
            own = self.requests[stop.request].share_class
            if stop.kind is StopKind.DROPOFF:
                aboard.pop(stop.request, None)
                continue
            strangers = sum(other != own for other in aboard.values())
            if strangers:
                yield self._broken(Rule.APART, strangers, stop.request)
            aboard[stop.request] = own

    @staticmethod
    def _excess(load: tuple[int, ...], layout: tuple[int, ...]) -> int:
        return max(0, *(amount - room for amount, room in zip(load, layout, strict=True)))

    def _assignments(self) -> Iterator[Violation]:
        pinned = {stop.request for stop in self.vehicle.prefix}
        for name in self.route.requests:
            request = self.requests[name]
            if name in pinned:
                continue
            if missing := request.skills & ~self.vehicle.skills:
                yield self._broken(Rule.SKILL, missing.bit_count(), name)
            allowed = request.allowed is None or self.vehicle.id in request.allowed
            if not allowed or self.vehicle.id in request.forbidden:
                yield self._broken(Rule.FORBIDDEN, request=name)
