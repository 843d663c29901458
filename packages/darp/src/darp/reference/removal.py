"""Whom to take out of a solution, in five ways."""

from collections.abc import Sequence
from random import Random
from typing import TYPE_CHECKING

from darp.reference.solution import Solution

if TYPE_CHECKING:
    from darp.reference.model import Model

MOST = 12
LONGEST_STRING = 8.0
# random, related, worst, whole route
_WEIGHTS = (1.0, 2.0, 1.0, 0.6)


class Removal:
    """Chooses requests of one solution; only those that may leave their route."""

    def __init__(self, model: "Model", random: Random, solution: Solution) -> None:
        self.model, self.random, self.solution = model, random, solution
        self.vehicle = [-1] * model.n
        for k, route in enumerate(solution.routes):
            for node in route.nodes[len(model.prefix[k]) + 1 : -1]:
                if node >= model.n:
                    self.vehicle[node - model.n] = k
        self.served = [request for request in range(model.n) if self.vehicle[request] >= 0]
        self.chosen: dict[int, None] = {}

    def strings(self, near: Sequence[Sequence[int]]) -> list[int]:
        """Strings of stops out of routes that pass near a random request (Christiaens and Vanden Berghe, SISR)."""
        random = self.random
        average = 2.0 * len(self.served) / max(1, self.model.k)
        longest = max(1.0, min(LONGEST_STRING, average))
        routes = 1 + int(random.random() * max(1.0, 4.0 * MOST / (1.0 + longest) - 1.0))
        cut: set[int] = set()
        for request in near[random.randrange(self.model.n)]:
            if len(cut) >= routes or len(self.chosen) >= MOST:
                break
            k = self.vehicle[request]
            if k >= 0 and k not in cut and request not in self.chosen:
                cut.add(k)
                self._cut(k, request, longest)
        return list(self.chosen)

    def _cut(self, vehicle: int, request: int, longest: float) -> None:
        """Choose a string around a stop of the request; half of the strings keep some stops in their middle."""
        random, n = self.random, self.model.n
        first = len(self.model.prefix[vehicle]) + 1
        stops = self.solution.routes[vehicle].nodes[first:-1]
        centre = stops.index(request if random.random() < 0.5 and request in stops else request + n)
        length = 1 + int(random.random() * min(float(len(stops)), longest))
        begin = max(0, min(centre - random.randrange(length), len(stops) - length))
        kept: range = range(0)
        if length > 2 and random.random() < 0.5:
            keep = 1 + random.randrange(length // 2)
            kept_from = begin + random.randrange(length - keep)
            kept = range(kept_from, kept_from + keep)
            length = min(len(stops) - begin, length + keep)
        for index in range(begin, begin + length):
            if index not in kept and self.vehicle[stops[index] % n] >= 0:
                self.chosen[stops[index] % n] = None

    def classic(self) -> list[int]:
        """One of the four ways of adaptive large neighbourhood search."""
        if not self.served:
            return []
        count = min(len(self.served), 2 + self.random.randrange(MOST - 1))
        way = self.random.choices((self._any, self._related, self._worst, self._route), _WEIGHTS)[0]
        way(count)
        return list(self.chosen)

    def _any(self, count: int) -> None:
        self.chosen = dict.fromkeys(self.random.sample(self.served, count))

    def _related(self, count: int) -> None:
        """Those like one already chosen, the likest most often."""
        self.chosen[self.random.choice(self.served)] = None
        while len(self.chosen) < count:
            near = self.model.nearness[self.random.choice(list(self.chosen))]
            others = sorted((one for one in self.served if one not in self.chosen), key=near.__getitem__)
            self.chosen[others[int(self.random.random() ** 6 * len(others))]] = None

    def _worst(self, count: int) -> None:
        """Those whose removal saves most, with some noise."""
        saved = self._savings()
        ranking = sorted(self.served, key=lambda one: -saved[one] * (0.8 + 0.4 * self.random.random()))
        while len(self.chosen) < count:
            self.chosen[ranking[int(self.random.random() ** 3 * len(ranking))]] = None

    def _savings(self) -> list[float]:
        model, saved = self.model, [0.0] * self.model.n
        for route in self.solution.routes:
            nodes = route.nodes
            for before, node, after in zip(nodes, nodes[1:], nodes[2:], strict=False):
                saved[node % model.n] += model.arc[before][node] + model.arc[node][after] - model.arc[before][after]
        return saved

    def _route(self, count: int) -> None:
        """Everyone of one vehicle."""
        del count
        vehicle = self.vehicle[self.random.choice(self.served)]
        self.chosen = dict.fromkeys(one for one in self.served if self.vehicle[one] == vehicle)
