"""Insertion is exact: the answer of trying every pair of positions."""

from collections.abc import Callable
from itertools import combinations_with_replacement

import numpy as np
import pytest

import darp
from darp import PlanError
from darp.engine import Engine
from darp.planning import Planner
from darp.synthetic import clinic_day, varied_day


def enumerated(planner: Planner, engine: Engine, vehicle: int, nodes: list[int], request: int) -> float | None:
    """Added cost of the cheapest of all places, by trying each."""
    if not np.isfinite(planner.values.assignment[request, vehicle]):
        return None
    first, n = len(planner.values.prefix[vehicle]), planner.n
    aboard = request in planner.values.prefix[vehicle]
    costs = []
    for i, j in combinations_with_replacement(range(first, len(nodes) - 1), 2):
        tried = [*nodes[: j + 1], request + n, *nodes[j + 1 :]]
        if not aboard:
            tried.insert(i + 1, request)
        if engine.earliest_times(vehicle, tried) is not None:
            costs.append(engine.cost(vehicle, tried) - engine.cost(vehicle, nodes))
    return min(costs, default=None)


def test_insertion_is_the_best_of_every_pair_of_positions(tries: Callable[[int], int], *, reference: bool) -> None:
    found = 0
    for seed in range(tries(1_000)):
        problem = varied_day(7, 2, seed)
        planner = Planner(problem, reference=reference)
        empty = [planner.empty(vehicle) for vehicle in range(2)]
        if any(planner.engine.earliest_times(vehicle, nodes) is None for vehicle, nodes in enumerate(empty)):
            continue
        routes, unserved, _, _ = planner.engine.search(10.0, darp.Clock.WALL, 3, seed, 1, empty)
        n = planner.n
        free = [
            request
            for request in range(n)
            if request not in unserved and all(request + n not in p for p in planner.values.prefix)
        ]
        out = free[0] if free else unserved[0]
        for vehicle, nodes in enumerate(routes):
            pinned = len(planner.values.prefix[vehicle]) + 1
            rest = nodes[:pinned] + [node for node in nodes[pinned:] if node % n != out or node >= 2 * n]
            answer = planner.engine.insertion(vehicle, rest, out)
            expected = enumerated(planner, planner.engine, vehicle, rest, out)
            assert (answer is None) == (expected is None)
            if answer is not None:
                found += 1
                assert answer[0] == pytest.approx(expected, abs=1e-7)

    assert found > 0


def test_offers_are_the_cheapest_vehicles_and_say_who_is_delayed(*, reference: bool) -> None:
    problem = clinic_day(12, 3, seed=2)
    plan = darp.solve(problem, 30, max_iterations=40, reference=reference)
    assert not plan.unserved
    without = problem.requests[:-1]
    fewer = darp.solve(
        darp.Problem(durations=problem.durations, requests=without, vehicles=problem.vehicles), 30, max_iterations=40
    )

    offers = darp.insert(problem, fewer, "r11", reference=reference)

    assert [offer.added_cost for offer in offers] == sorted(offer.added_cost for offer in offers)
    accepted = darp.accept(fewer, offers[0])
    assert darp.check(problem, accepted) == []
    assert accepted.cost == pytest.approx(fewer.cost + offers[0].added_cost)
    stops = offers[0].route.stops
    assert stops[offers[0].pickup_position].request == stops[offers[0].dropoff_position].request == "r11"
    before = {(s.request, s.kind): s.begin for route in fewer.routes for s in route.stops}
    for shift in offers[0].shifted:
        now = next(stop.begin for stop in stops if (stop.request, stop.kind) == (shift.request, shift.kind))
        assert now - before[shift.request, shift.kind] == pytest.approx(shift.delay)


def test_a_served_request_is_not_offered_again() -> None:
    problem = clinic_day(4, 2, seed=1)
    plan = darp.solve(problem, 10, max_iterations=5)

    with pytest.raises(PlanError, match="'r0' has a place already"):
        darp.insert(problem, plan, "r0")


def test_a_detour_that_shortens_the_way_makes_room_for_itself(*, reference: bool) -> None:
    """The direct way from b's drop-off at 2 to c's pickup at 5 takes all the time there is; over 4 it is quick."""
    durations = np.full((7, 7), 10.0)
    durations[2, 5], durations[2, 4], durations[4, 5] = 50.0, 5.0, 5.0
    home, later = darp.Stop(place=0, latest=300), {"latest": 200.0}
    people = (
        darp.Request(id="b", pickup=darp.Stop(place=1, latest=20), dropoff=darp.Stop(place=2, **later)),
        darp.Request(id="c", pickup=darp.Stop(place=5, latest=70), dropoff=darp.Stop(place=6, **later)),
        darp.Request(id="a", pickup=darp.Stop(place=3, latest=25), dropoff=darp.Stop(place=4, **later)),
    )
    problem = darp.Problem(
        durations=durations, requests=people, vehicles=(darp.Vehicle(id="v", start=home, end=home, layouts=((2,),)),)
    )
    planner = Planner(problem, reference=reference)
    route = [6, 0, 3, 1, 4, 7]

    added, _, dropoff_after = planner.engine.insertion(0, route, 2) or (0.0, 0, 0)

    # Picked up in front of b's drop-off, out after it: 10 more, and 40 less.
    assert (added, dropoff_after) == (-30.0, 2)
    assert enumerated(planner, planner.engine, 0, route, 2) == -30.0
