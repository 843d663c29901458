"""The cheapest feasible place of a request in a route: every pair of positions, most of them ruled out cheaply.

What rules a pair out before the exact test is implied by the rules, without help of the triangle inequality, which road
matrices do not keep: so the answer is the one of plain enumeration.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from darp.reference.feasibility import NOBODY, TOLERANCE, company, least_times, loads_fit

if TYPE_CHECKING:
    from darp.reference.model import Model

_CHEAPER = 1e-9
NOWHERE = -1


class Insertion(NamedTuple):
    """A place in a route: added cost, and the positions after which the two nodes go (pickup NOWHERE: it is there)."""

    cost: float
    pickup_after: int
    dropoff_after: int


class Ahead:
    """What is known of a route before anything is put into it, for each position."""

    def __init__(self, model: "Model", vehicle: int, route: Sequence[int]) -> None:
        self.vehicle, self.route = vehicle, list(route)
        self.first = len(model.prefix[vehicle])
        self.arrival = self._arrivals(model)
        self.latest = self._latest(model)
        self.load = self._loads(model)
        self.company = company(model, self.route)
        # Nothing is paid for a vehicle that stays: its first request pays for the whole way, and for the vehicle.
        unused = len(route) == 2
        self.entry = model.arc[route[0]][route[-1]] + model.fixed_cost[vehicle] if unused else 0.0

    def _arrivals(self, model: "Model") -> list[float]:
        """Begin of service without rules on rides and duties: a lower bound."""
        times = [model.earliest[node] for node in self.route]
        for index in range(max(1, model.facts[self.vehicle]), len(self.route)):
            before, node = self.route[index - 1], self.route[index]
            times[index] = max(times[index], times[index - 1] + model.service[before] + model.duration[before][node])
        return times

    def _latest(self, model: "Model") -> list[float]:
        """Latest begin of service that leaves all later windows open: an upper bound."""
        times = [model.latest[node] for node in self.route]
        for index in range(len(self.route) - 2, -1, -1):
            node, after = self.route[index], self.route[index + 1]
            times[index] = min(times[index], times[index + 1] - model.service[node] - model.duration[node][after])
        return times

    def _loads(self, model: "Model") -> list[list[int]]:
        """What is on board after each position."""
        loads = [[0] * model.dimensions]
        for node in self.route[1:]:
            now = list(loads[-1])
            if node < 2 * model.n:
                sign, request = (1, node) if node < model.n else (-1, node - model.n)
                now = [have + sign * one for have, one in zip(now, model.load[request], strict=True)]
            loads.append(now)
        return loads


def cheapest(model: "Model", ahead: Ahead, request: int) -> Insertion | None:
    """The cheapest feasible insertion, `None` if there is none."""
    assigned = model.assignment[request][ahead.vehicle]
    if math.isinf(assigned):
        return None
    # Who is on board already is assigned, and the vehicle is used.
    constant = 0.0 if model.aboard[request] >= 0 else ahead.entry + assigned
    finder = _Finder(model, ahead, request)
    if model.aboard[request] >= 0:
        finder.place_dropoff()
    else:
        finder.place_both()
    if finder.best is None:
        return None
    return finder.best._replace(cost=finder.best.cost + constant)


class _Finder:
    """One scan."""

    def __init__(self, model: "Model", ahead: Ahead, request: int) -> None:
        self.model, self.ahead, self.request = model, ahead, request
        self.dropoff = request + model.n
        self.best: Insertion | None = None
        self.least = math.inf
        route, arc = ahead.route, model.arc
        self.detours = [arc[one][self.dropoff] + arc[self.dropoff][two] - arc[one][two] for one, two in pairwise(route)]

    def place_dropoff(self) -> None:
        """Every position after the prefix for the drop-off of someone on board."""
        for after in range(self.ahead.first, len(self.detours)):
            self._try(self.detours[after], NOWHERE, after)

    def place_both(self) -> None:
        """Every pair of positions."""
        model, ahead, request = self.model, self.ahead, self.request
        route, arc = ahead.route, model.arc
        cheapest_dropoff = min(self.detours)
        for index in range(ahead.first, len(route) - 1):
            node, after = route[index], route[index + 1]
            leave = ahead.arrival[index] + model.service[node]
            if leave > model.latest[request] + TOLERANCE:
                return
            begin = max(leave + model.duration[node][request], model.earliest[request])
            if begin > model.latest[request] + TOLERANCE or not self._holds(index):
                continue
            together = arc[node][request] + arc[request][self.dropoff] + arc[self.dropoff][after] - arc[node][after]
            self._try_together(together, index, begin)
            detour = arc[node][request] + arc[request][after] - arc[node][after]
            if detour + cheapest_dropoff < self.least - _CHEAPER:
                self._place_dropoff_after(index, detour, begin)

    def _try_together(self, cost: float, index: int, begin: float) -> None:
        model, dropoff = self.model, self.dropoff
        begin_there = begin + model.service[self.request] + model.duration[self.request][dropoff]
        if self._in_time(begin_there, index):
            self._try(cost, index, index)

    def _place_dropoff_after(self, pickup_after: int, detour: float, begin: float) -> None:
        """Go on from the pickup, carrying the request, as long as that keeps the bounds."""
        model, route = self.model, self.ahead.route
        after = route[pickup_after + 1]
        travel = model.duration[self.request][after]
        now, ride = begin + model.service[self.request] + travel, travel
        for index in range(pickup_after + 1, len(route) - 1):
            node = route[index]
            now = max(now, model.earliest[node])
            # Not `ahead.latest`: on roads without the triangle inequality a drop-off further on may shorten the way.
            if now > model.latest[node] + TOLERANCE or not self._holds(index):
                return
            if ride > model.max_ride[self.request] + TOLERANCE:
                return
            to_dropoff = model.service[node] + model.duration[node][self.dropoff]
            if ride + to_dropoff <= model.max_ride[self.request] + TOLERANCE and self._in_time(now + to_dropoff, index):
                self._try(detour + self.detours[index], pickup_after, index)
            step = model.service[node] + model.duration[node][route[index + 1]]
            ride += step
            now += step

    def _in_time(self, begin: float, index: int) -> bool:
        """Whether the drop-off, begun then after this position, leaves the rest of the route open."""
        model, ahead, dropoff = self.model, self.ahead, self.dropoff
        begin = max(begin, model.earliest[dropoff])
        if begin > model.latest[dropoff] + TOLERANCE:
            return False
        after = ahead.route[index + 1]
        return begin + model.service[dropoff] + model.duration[dropoff][after] <= ahead.latest[index + 1] + TOLERANCE

    def _holds(self, index: int) -> bool:
        """Whether some layout holds what is on board after this position, and the request, and they may meet."""
        if self.ahead.company[index] not in {NOBODY, self.model.company[self.request]}:
            return False
        load = [have + one for have, one in zip(self.ahead.load[index], self.model.load[self.request], strict=True)]
        return self.model.holding(self.ahead.vehicle, load) != 0

    def _try(self, cost: float, pickup_after: int, dropoff_after: int) -> None:
        """Keep this pair if it is cheaper than the best and the route with it keeps every rule."""
        if cost >= self.least - _CHEAPER:
            return
        model, vehicle = self.model, self.ahead.vehicle
        route = inserted(model, self.ahead.route, self.request, pickup_after, dropoff_after)
        # With one layout the scan has tested each stretch; on board for longer, someone may be in the way of others.
        if (len(model.layouts[vehicle]) > 1 or pickup_after == NOWHERE) and not loads_fit(model, vehicle, route):
            return
        if least_times(model, vehicle, route) is None:
            return
        self.least = cost
        self.best = Insertion(cost, pickup_after, dropoff_after)


def inserted(model: "Model", route: Sequence[int], request: int, pickup_after: int, dropoff_after: int) -> list[int]:
    """The route with the request's nodes after the two positions of the given one."""
    if pickup_after == NOWHERE:
        return [*route[: dropoff_after + 1], request + model.n, *route[dropoff_after + 1 :]]
    return [
        *route[: pickup_after + 1],
        request,
        *route[pickup_after + 1 : dropoff_after + 1],
        request + model.n,
        *route[dropoff_after + 1 :],
    ]
