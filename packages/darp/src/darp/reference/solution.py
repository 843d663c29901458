"""Routes that a search works on, each with a version that names its content."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from darp.reference.insertion import Ahead, Insertion, cheapest, inserted

if TYPE_CHECKING:
    from darp.reference.model import Model


class Route:
    """Nodes, their cost, and a version: two routes of a vehicle with the same version are the same."""

    __slots__ = ("cost", "nodes", "version")

    def __init__(self, nodes: list[int], cost: float, version: int) -> None:
        self.nodes, self.cost, self.version = nodes, cost, version


class Solution:
    """All routes, and who is in none of them. A route is never changed, only replaced: copies may share it."""

    def __init__(self, routes: list[Route], unserved: list[int]) -> None:
        self.routes, self.unserved = routes, unserved

    def copy(self) -> "Solution":
        """One that may be changed."""
        return Solution(list(self.routes), list(self.unserved))

    def served_cost(self) -> float:
        """Without penalties."""
        return sum(route.cost for route in self.routes)


class Insertions:
    """The cheapest insertion of each request into each route, remembered for the two last versions that were asked for."""

    def __init__(self, model: "Model") -> None:
        self.model = model
        self._versions = 0
        self._known: dict[tuple[int, int], list[tuple[int, Insertion | None]]] = {}
        self._ahead: list[tuple[int, Ahead] | None] = [None] * model.k

    def route(self, vehicle: int, nodes: list[int], cost: float | None = None) -> Route:
        """A new version."""
        self._versions += 1
        return Route(nodes, self.model.cost(vehicle, nodes) if cost is None else cost, self._versions)

    def find(self, request: int, vehicle: int, route: Route) -> Insertion | None:
        """The cheapest place of the request in this route of this vehicle."""
        known = self._known.setdefault((request, vehicle), [])
        for version, insertion in known:
            if version == route.version:
                return insertion
        ahead = self._ahead[vehicle]
        if ahead is None or ahead[0] != route.version:
            ahead = self._ahead[vehicle] = (route.version, Ahead(self.model, vehicle, route.nodes))
        insertion = cheapest(self.model, ahead[1], request)
        known.append((route.version, insertion))
        if len(known) > 2:
            del known[0]
        return insertion

    def insert(self, solution: Solution, request: int, vehicle: int, insertion: Insertion) -> None:
        """Put it there."""
        route = solution.routes[vehicle]
        nodes = inserted(self.model, route.nodes, request, insertion.pickup_after, insertion.dropoff_after)
        solution.routes[vehicle] = self.route(vehicle, nodes, route.cost + insertion.cost)

    def take_out(self, solution: Solution, requests: Iterable[int]) -> None:
        """Remove requests from their routes; what is pinned stays."""
        out = set(requests)
        n = self.model.n
        for vehicle, route in enumerate(solution.routes):
            first = len(self.model.prefix[vehicle]) + 1
            kept = [node for node in route.nodes[first:] if node >= 2 * n or node % n not in out]
            if len(kept) + first < len(route.nodes):
                solution.routes[vehicle] = self.route(vehicle, route.nodes[:first] + kept)
        solution.unserved += [request for request in out if request not in set(solution.unserved)]


def started(model: "Model", insertions: Insertions, start: Sequence[Sequence[int]]) -> Solution:
    """The solution that has these routes (nodes), else empty ones; whoever is in none of them is unserved."""
    routes = [
        insertions.route(vehicle, list(start[vehicle]) if start else model.empty(vehicle)) for vehicle in range(model.k)
    ]
    there = {node for route in routes for node in route.nodes}
    return Solution(routes, [request for request in range(model.n) if request + model.n not in there])
