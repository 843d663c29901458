"""Large neighbourhood search with annealing: take a few requests out, put them back, keep what is better, or now and then worse."""

import math
from collections.abc import Callable, Sequence
from random import Random
from typing import TYPE_CHECKING

from darp.reference.removal import Removal
from darp.reference.repair import Repair
from darp.reference.solution import Insertions, Solution, started

if TYPE_CHECKING:
    from darp.reference.model import Model

_STRINGS = 0.8
_WARM, _COLD = 0.35, 0.02
_BETTER = 1e-9


class Search:
    """One run over one problem. seed: the only source of chance. start: routes to improve, or none. now: the clock, in seconds."""

    def __init__(
        self, model: "Model", seconds: float, seed: int, start: Sequence[Sequence[int]], *, now: Callable[[], float]
    ) -> None:
        self.now = now
        self.begun = now()
        self.seconds = seconds
        self.model = model
        self.random = Random(seed)  # noqa: S311 - a search is no secret
        self.insertions = Insertions(model)
        self.repair = Repair(model, self.random, self.insertions, self._over)
        self.current = started(model, self.insertions, start)
        self.near = [sorted(range(model.n), key=row.__getitem__) for row in model.nearness]

    def _over(self) -> bool:
        return self.now() - self.begun >= self.seconds

    def run(self, iterations: int) -> tuple[list[list[int]], list[int], float, int]:
        """Search; returns the fields of `darp.engine.Found`."""
        possible = self.model.n > 0 and self.model.k > 0
        if possible and self.current.unserved:
            self.repair.greedy(self.current)
        best = self.current.copy()
        best_value = value = self._value(self.current)
        done = 0
        while possible and not self._over() and not 0 < iterations <= done:
            share = done / iterations if iterations else (self.now() - self.begun) / self.seconds
            temperature = _WARM * best.served_cost() / self.model.n * _COLD**share
            done += 1
            candidate = self._neighbour()
            new = self._value(candidate)
            if new < value - _BETTER or self.random.random() < _chance(value - new, temperature):
                self.current, value = candidate, new
                if new < best_value - _BETTER:
                    best, best_value = candidate.copy(), new
        return [route.nodes for route in best.routes], best.unserved, best.served_cost(), done

    def _neighbour(self) -> Solution:
        candidate = self.current.copy()
        removal = Removal(self.model, self.random, candidate)
        by_strings = self.random.random() < _STRINGS
        self.insertions.take_out(candidate, removal.strings(self.near) if by_strings else removal.classic())
        if by_strings:
            self.repair.greedy(candidate)
        else:
            self.repair.regret(candidate)
        return candidate

    def _value(self, solution: Solution) -> float:
        return solution.served_cost() + sum(self.model.penalty[request] for request in solution.unserved)


def _chance(gain: float, temperature: float) -> float:
    """How likely a change is accepted that gains this much (a loss: below 0)."""
    return math.exp(min(0.0, gain / temperature)) if temperature > 0 else 0.0
