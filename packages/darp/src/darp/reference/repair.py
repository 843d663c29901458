"""How those without a route get one: greedily in a random kind of order, or by regret."""

import math
from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING

from darp.reference.insertion import Insertion
from darp.reference.solution import Insertions, Solution

if TYPE_CHECKING:
    from darp.reference.model import Model

_BLINK = 0.02
_NOISE = 0.12


class Repair:
    """Puts the unserved of a solution back. over: whether time has run out, when the rest stays unserved."""

    def __init__(self, model: "Model", random: Random, insertions: Insertions, over: Callable[[], bool]) -> None:
        self.model, self.random, self.insertions, self.over = model, random, insertions, over

    def greedy(self, solution: Solution) -> None:
        """Each request where it is cheapest, now and then not looking at a vehicle."""
        left = []
        for request in self._ordered(solution.unserved):
            best, where = None, -1
            for vehicle, route in enumerate(solution.routes):
                if self.random.random() < _BLINK or self.over():
                    continue
                found = self.insertions.find(request, vehicle, route)
                if found is not None and (best is None or found.cost < best.cost):
                    best, where = found, vehicle
            if best is None:
                left.append(request)
            else:
                self.insertions.insert(solution, request, where, best)
        solution.unserved = left

    def _ordered(self, requests: list[int]) -> list[int]:
        """Who is on board first, then at random, by time, by how narrow their windows are, or by how far they go."""
        model, n = self.model, self.model.n
        start = model.start(0)
        draw = self.random.random()

        def key(request: int) -> float:
            if draw < 0.35:
                return self.random.random()
            if draw < 0.6:
                return model.earliest[request]
            if draw < 0.75:
                widths = (model.latest[node] - model.earliest[node] for node in (request, request + n))
                return sum(widths)
            away = model.arc[start][request]
            return -(away + model.arc[request][request + n]) if draw < 0.9 else away

        return sorted(requests, key=lambda request: (model.aboard[request] < 0, key(request)))

    def regret(self, solution: Solution) -> None:
        """Next whoever loses most if the best vehicle is not taken, against the 1, 2, 3 or all cheapest ones."""
        depth = self.random.choices((1, 2, 3, self.model.k), (1.0, 1.0, 1.0, 0.5))[0]
        noise = _NOISE if self.random.random() < 0.5 else 0.0
        waiting = list(solution.unserved)
        found = {request: self._row(solution, request) for request in waiting}
        while waiting and not self.over():
            scored = [(self._score(found[request], request, depth, noise), request) for request in waiting]
            score, request = max(scored)
            if score == -math.inf:
                break
            row = found[request]
            vehicle, insertion = min(
                ((k, one) for k, one in enumerate(row) if one is not None), key=lambda pair: pair[1].cost
            )
            self.insertions.insert(solution, request, vehicle, insertion)
            waiting.remove(request)
            for other in waiting:
                found[other][vehicle] = self.insertions.find(other, vehicle, solution.routes[vehicle])
        solution.unserved = waiting

    def _row(self, solution: Solution, request: int) -> list[Insertion | None]:
        """The cheapest insertion of a request for each vehicle."""
        return [
            None if self.over() else self.insertions.find(request, vehicle, route)
            for vehicle, route in enumerate(solution.routes)
        ]

    def _score(self, row: list[Insertion | None], request: int, depth: int, noise: float) -> float:
        costs = sorted(one.cost for one in row if one is not None)
        if not costs:
            return -math.inf
        most = self.model.penalty[request]
        least = costs[0]
        if depth == 1:
            score = -least
        else:
            others = costs[1:depth] + [most] * (min(depth, self.model.k) - len(costs))
            score = sum(min(cost, most) - least for cost in others)
        score -= 1e-3 * least
        return score + abs(score) * noise * (2 * self.random.random() - 1) if noise else score
