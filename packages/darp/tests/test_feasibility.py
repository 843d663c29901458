"""Whether a route keeps the rules: two kernels, a linear program and the checker say the same of random routes."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import linprog

from darp import Plan, Problem, Rule, check
from darp.arrays import Arrays
from darp.planning import Planner
from darp.synthetic import varied_day

TIMES = {Rule.EARLY, Rule.LATE, Rule.TRAVEL, Rule.RIDE_TIME, Rule.DURATION, Rule.SHIFT}


def random_routes(count: int, *, requests: int = 4) -> Iterator[tuple[Problem, int, list[int]]]:
    """Problem, vehicle, nodes: people picked up and dropped off in a random order that suits the prefix."""
    for seed in range(count):
        random = np.random.default_rng(seed)
        problem = varied_day(requests, 2, seed)
        planner = Planner(problem)
        vehicle = int(random.integers(2))
        pinned = planner.values.prefix[vehicle]
        elsewhere = planner.values.prefix[1 - vehicle]
        route, waiting = list(pinned), [node for node in range(requests) if node not in (*pinned, *elsewhere)]
        waiting = [int(node) for node in random.permutation(waiting)[: int(random.integers(len(waiting) + 1))]]
        aboard = [node for node in pinned if node < requests and node + requests not in pinned]
        while waiting or aboard:
            if aboard and (not waiting or random.random() < 0.6):
                route.append(aboard.pop(int(random.integers(len(aboard)))) + requests)
            else:
                aboard.append(waiting.pop())
                route.append(aboard[-1])
        start, *_, end = planner.empty(vehicle)
        yield problem, vehicle, [start, *route, end]


@pytest.mark.usefixtures("compiled")
def test_both_kernels_say_the_same_of_every_route_and_every_time(tries: Callable[[int], int]) -> None:
    feasible = 0
    number = tries(10_000)
    for problem, vehicle, nodes in random_routes(number):
        compiled, reference = Planner(problem).engine, Planner(problem, reference=True).engine
        times = compiled.earliest_times(vehicle, nodes)
        expected = reference.earliest_times(vehicle, nodes)
        assert (times is None) == (expected is None)
        assert compiled.cost(vehicle, nodes) == pytest.approx(reference.cost(vehicle, nodes), abs=1e-9)
        if times is not None:
            feasible += 1
            assert times == pytest.approx(expected, abs=1e-6)

    assert 0.3 <= feasible / number <= 0.7


def linear_program(values: Arrays, vehicle: int, nodes: list[int]) -> np.ndarray | None:
    """The least times by a general solver: minimise their sum under every rule on times."""
    rows, bounds, n = [], [], values.requests
    place = {node: index for index, node in enumerate(nodes)}

    def at_least(later: int, earlier: int, apart: float) -> None:
        row = np.zeros(len(nodes))
        row[earlier] += 1
        row[later] -= 1
        rows.append(row)
        bounds.append(-apart)

    facts = int(values.facts[vehicle])
    for index in range(max(1, facts), len(nodes)):
        before, node = nodes[index - 1], nodes[index]
        at_least(index, index - 1, float(values.service[before] + values.duration[before, node]))
    if np.isfinite(values.max_duration[vehicle]):
        at_least(0, len(nodes) - 1, -float(values.max_duration[vehicle]))
    for request in range(n):
        if request in place and request + n in place:
            ride = float(values.service[request] + values.max_ride[request])
            at_least(place[request], place[request + n], -ride)
    limits = [(values.earliest[node], values.latest[node]) for node in nodes]
    found = linprog(np.ones(len(nodes)), A_ub=np.array(rows), b_ub=np.array(bounds), bounds=limits, method="highs")
    return found.x if found.success else None


def test_a_linear_program_finds_the_same_times(tries: Callable[[int], int]) -> None:
    for problem, vehicle, nodes in random_routes(tries(500)):
        # Loads, and who may meet, are no matter of times.
        light = tuple(replace(request, load=(0, 0), share_class="") for request in problem.requests)
        planner = Planner(replace(problem, requests=light))
        times = planner.engine.earliest_times(vehicle, nodes)
        expected = linear_program(planner.values, vehicle, nodes)

        assert (times is None) == (expected is None)
        if expected is not None:
            assert times == pytest.approx(expected.tolist(), abs=1e-5)


def test_the_checker_agrees_with_every_feasible_route_and_with_no_route_that_is_late(
    tries: Callable[[int], int],
) -> None:
    for problem, vehicle, nodes in random_routes(tries(2_000)):
        planner = Planner(problem)
        route = planner.route(vehicle, nodes)
        if route is None:
            continue
        found = check(problem, Plan(routes=(route,), unserved=(), cost=0.0))
        assert not {one.rule for one in found} & {*TIMES, Rule.LOAD, Rule.LAYOUT}

        served = [
            stop
            for stop, node in zip(route.stops, nodes[1:], strict=False)
            if node not in planner.values.prefix[vehicle]
        ]
        if served:
            late = replace(served[-1], begin=served[-1].begin + 10_000)
            stops = tuple(late if stop is served[-1] else stop for stop in route.stops)
            found = check(problem, Plan(routes=(replace(route, stops=stops),), unserved=(), cost=0.0))
            assert Rule.LATE in {one.rule for one in found}
