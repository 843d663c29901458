"""One problem in the shapes that the Python kernel reads quickly: lists instead of arrays."""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from darp.model import Clock
from darp.reference import feasibility, insertion, search

if TYPE_CHECKING:
    from darp.arrays import Arrays


class Model:
    """The Python kernel; see `darp.engine.Engine` for what its methods promise."""

    WHEN_EMPTY, ANYWHERE, PER_ROUTE = range(3)

    def __init__(self, values: "Arrays") -> None:
        self.n, self.k = values.requests, values.vehicles
        self.duration: list[list[float]] = values.duration.tolist()
        self.arc: list[list[float]] = values.cost.tolist()
        self.earliest: list[float] = values.earliest.tolist()
        self.latest: list[float] = values.latest.tolist()
        self.service: list[float] = values.service.tolist()
        self.load: list[list[int]] = values.load.tolist()
        self.company: list[int] = values.company.tolist()
        self.dimensions: int = values.load.shape[1]
        self.max_ride: list[float] = values.max_ride.tolist()
        self.penalty: list[float] = values.penalty.tolist()
        self.assignment: list[list[float]] = values.assignment.tolist()
        self.max_duration: list[float] = values.max_duration.tolist()
        self.fixed_cost: list[float] = values.fixed_cost.tolist()
        begins = values.layout_begin.tolist()
        self.layouts: list[list[list[int]]] = [
            values.layouts[begins[k] : begins[k + 1]].tolist() for k in range(self.k)
        ]
        self.layout_change = values.layout_change
        self.prefix = values.prefix
        self.facts: list[int] = values.facts.tolist()
        self.nearness: list[list[float]] = values.nearness.tolist()
        self.pinned = {node: k for k, nodes in enumerate(self.prefix) for node in nodes}
        # A person on board has a pinned pickup: only the drop-off can be placed.
        self.aboard = [self.pinned.get(request, -1) for request in range(self.n)]

    def start(self, vehicle: int) -> int:
        """The node where the vehicle's route begins."""
        return 2 * (self.n + vehicle)

    def empty(self, vehicle: int) -> list[int]:
        """The route with nothing but what is pinned."""
        start = self.start(vehicle)
        return [start, *self.prefix[vehicle], start + 1]

    def holding(self, vehicle: int, load: Sequence[int]) -> int:
        """Bit mask of the vehicle's layouts that hold this load."""
        mask = 0
        for bit, layout in enumerate(self.layouts[vehicle]):
            if all(amount <= room for amount, room in zip(load, layout, strict=True)):
                mask |= 1 << bit
        return mask

    def earliest_times(self, vehicle: int, route: Sequence[int]) -> list[float] | None:
        """Least times where loads fit too, else `None`."""
        if not feasibility.loads_fit(self, vehicle, route):
            return None
        return feasibility.least_times(self, vehicle, route)

    def cost(self, vehicle: int, route: Sequence[int]) -> float:
        """See `Engine`."""
        if len(route) == 2:
            return 0.0
        arcs = sum(self.arc[route[index]][route[index + 1]] for index in range(len(route) - 1))
        served = (node for node in route[1:-1] if node < self.n)
        return arcs + self.fixed_cost[vehicle] + sum(self.assignment[node][vehicle] for node in served)

    def insertion(self, vehicle: int, route: Sequence[int], request: int) -> tuple[float, int, int] | None:
        """See `Engine`."""
        ahead = insertion.Ahead(self, vehicle, route)
        found = insertion.cheapest(self, ahead, request)
        return None if found is None else (found.cost, found.pickup_after, found.dropoff_after)

    def search(
        self, seconds: float, clock: Clock, iterations: int, seed: int, threads: int, start: Sequence[Sequence[int]]
    ) -> tuple[list[list[int]], list[int], float, int]:
        """See `Engine`. threads: not used; Python computes in one."""
        del threads
        return search.Search(
            self, seconds, seed, start, now=time.thread_time if clock is Clock.CPU else time.monotonic
        ).run(iterations)
