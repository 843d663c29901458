"""A plan of a benchmark file as its node numbers: pickup i is i, its drop-off n + i, depots left out."""

import json
from collections.abc import Sequence
from pathlib import Path

from darp.errors import PlanError
from darp.model import StopKind
from darp.plan import Plan, PlannedStop, Route
from darp.planning import Planner
from darp.problem import Problem


def numbers(problem: Problem, plan: Plan) -> list[list[int]]:
    """Node numbers of each used vehicle."""
    n = len(problem.requests)
    return [
        [int(stop.request) + (n if stop.kind is StopKind.DROPOFF else 0) for stop in route.stops]
        for route in plan.routes
    ]


def read_plan(problem: Problem, path: str | Path) -> Plan:
    """Read what `darp solve --json` printed, or `Plan.to_json`; raises `PlanError`.

    Node numbers have no times: each route gets its earliest ones, and where a rule makes them impossible those of going on
    as soon as windows open, so that `check` can say what is broken.
    """
    try:
        text = Path(path).read_text()
        document = json.loads(text)
        routes = document["routes"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise PlanError(f"{path}: not a plan: {error}") from None
    if not isinstance(routes, list):
        raise PlanError(f"{path}: not a plan: its routes are no list")
    if any(isinstance(route, dict) for route in routes):
        return Plan.from_json(text)
    if not all(isinstance(route, list) and all(type(node) is int for node in route) for route in routes):
        raise PlanError(f"{path}: not a plan: a route is a list of node numbers")
    return timed(problem, routes)


def timed(problem: Problem, lists: Sequence[Sequence[int]]) -> Plan:
    """The plan whose vehicles visit these node numbers, at the times that `read_plan` tells; raises `PlanError`."""
    n, planner = len(problem.requests), Planner(problem)
    if len(lists) > len(problem.vehicles) or any(not 1 <= number <= 2 * n for nodes in lists for number in nodes):
        raise PlanError("there are not so many vehicles or nodes")
    made, cost = [], 0.0
    for vehicle, nodes in enumerate(lists):
        inner = [number - 1 for number in nodes]
        route = [planner.empty(vehicle)[0], *inner, planner.empty(vehicle)[-1]]
        once = len(set(inner)) == len(inner)
        made.append((planner.route(vehicle, route) if once else None) or _forward(problem, vehicle, nodes))
        cost += planner.engine.cost(vehicle, route) if once else 0.0
    served = {name for route in made for name in route.requests}
    unserved = tuple(request.id for request in problem.requests if request.id not in served)
    return Plan(routes=tuple(made), unserved=unserved, cost=cost)


def _forward(problem: Problem, vehicle: int, nodes: Sequence[int]) -> Route:
    """Times of a vehicle that is at each stop as early as it can, whatever that breaks."""
    n, of = len(problem.requests), problem.vehicles[vehicle]
    now, place, stops = of.start.earliest, of.start.place, []
    for number in nodes:
        request = problem.requests[(number - 1) % n]
        stop = request.pickup if number <= n else request.dropoff
        begin = max(stop.earliest, now + float(problem.durations[place, stop.place]))
        kind = StopKind.PICKUP if number <= n else StopKind.DROPOFF
        stops.append(PlannedStop(request=request.id, kind=kind, begin=begin))
        now, place = begin + stop.service, stop.place
    end = max(of.end.earliest, now + float(problem.durations[place, of.end.place]))
    return Route(vehicle=of.id, start=of.start.earliest, stops=tuple(stops), end=end)
