"""What `bench.darp_quality` runs in the peer's environment: OR-Tools on one instance, read as JSON from the standard input."""

import json
import sys
import time
from collections.abc import Callable
from itertools import count
from typing import Any

SCALE = 1000  # OR-Tools computes in whole numbers
PENALTY = 10_000


def main() -> None:
    """Print the routes (node numbers without depots) that OR-Tools finds within the seconds of CPU time of the first argument."""
    from ortools.constraint_solver import pywrapcp, routing_enums_pb2  # type: ignore[import-not-found]  # noqa: PLC0415 - in the peer's environment only

    given = json.load(sys.stdin)
    nodes = len(given["travel"])
    manager = pywrapcp.RoutingIndexManager(
        nodes, given["vehicles"], [0] * given["vehicles"], [nodes - 1] * given["vehicles"]
    )
    routing = pywrapcp.RoutingModel(manager)
    travel: list[list[int]] = [[round(SCALE * value) for value in row] for row in given["travel"]]
    service: list[int] = [round(SCALE * value) for value in given["service"]]

    def node(index: int) -> int:
        return int(manager.IndexToNode(index))

    def arc(from_index: int, to_index: int) -> int:
        return travel[node(from_index)][node(to_index)]

    def step(from_index: int, to_index: int) -> int:
        return arc(from_index, to_index) + service[node(from_index)]

    def load(index: int) -> int:
        return int(given["load"][node(index)])

    routing.SetArcCostEvaluatorOfAllVehicles(routing.RegisterTransitCallback(arc))
    horizon = round(SCALE * max(given["latest"]))
    routing.AddDimension(routing.RegisterTransitCallback(step), horizon, horizon, False, "time")  # noqa: FBT003 - its own shape
    routing.AddDimension(routing.RegisterUnaryTransitCallback(load), 0, given["capacity"], True, "load")  # noqa: FBT003 - as above
    _constrain(routing, manager, given, service)
    parameters = pywrapcp.DefaultRoutingSearchParameters()
    parameters.first_solution_strategy = routing_enums_pb2.FirstSolutionStrategy.PARALLEL_CHEAPEST_INSERTION
    parameters.local_search_metaheuristic = routing_enums_pb2.LocalSearchMetaheuristic.GUIDED_LOCAL_SEARCH
    routing.AddSearchMonitor(routing.solver().CustomLimit(_computed_for(float(sys.argv[1]))))
    begun = time.process_time()
    found = routing.SolveWithParameters(parameters)
    cpu_s = time.process_time() - begun
    routes = _routes(routing, manager, found, given["vehicles"]) if found else []
    print(json.dumps({"routes": routes, "cpu_s": cpu_s}))


def _computed_for(seconds: float) -> Callable[[], bool]:
    """Whether this process has computed for so long from now on; the clock is read at every 64th question."""
    until, asked = time.process_time() + seconds, count(1)
    return lambda: next(asked) % 64 == 0 and time.process_time() >= until


def _constrain(routing: Any, manager: Any, given: dict[str, Any], service: list[int]) -> None:  # noqa: ANN401 - it has no types
    """Windows, pairs, rides, duties; whoever is left out costs a penalty."""
    time, solver = routing.GetDimensionOrDie("time"), routing.solver()
    n = (len(given["travel"]) - 2) // 2
    windows = [(round(SCALE * a), round(SCALE * b)) for a, b in zip(given["earliest"], given["latest"], strict=True)]
    for node in range(1, 2 * n + 1):
        time.CumulVar(manager.NodeToIndex(node)).SetRange(*windows[node])
    for vehicle in range(given["vehicles"]):
        time.CumulVar(routing.Start(vehicle)).SetRange(*windows[0])
        time.CumulVar(routing.End(vehicle)).SetRange(*windows[-1])
        time.SetSpanUpperBoundForVehicle(round(SCALE * given["max_duration"]), vehicle)
    for pickup in range(1, n + 1):
        a, b = manager.NodeToIndex(pickup), manager.NodeToIndex(n + pickup)
        routing.AddPickupAndDelivery(a, b)
        solver.Add(routing.VehicleVar(a) == routing.VehicleVar(b))
        solver.Add(time.CumulVar(a) <= time.CumulVar(b))
        solver.Add(time.CumulVar(b) - time.CumulVar(a) <= service[pickup] + round(SCALE * given["max_ride"]))
        for index in (a, b):
            routing.AddDisjunction([index], SCALE * PENALTY // 2)
        solver.Add(routing.ActiveVar(a) == routing.ActiveVar(b))


def _routes(routing: Any, manager: Any, found: Any, vehicles: int) -> list[list[int]]:  # noqa: ANN401 - it has no types
    routes = []
    for vehicle in range(vehicles):
        index, nodes = found.Value(routing.NextVar(routing.Start(vehicle))), []
        while not routing.IsEnd(index):
            nodes.append(manager.IndexToNode(index))
            index = found.Value(routing.NextVar(index))
        routes.append(nodes)
    return routes


if __name__ == "__main__":
    main()
