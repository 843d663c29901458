"""Plans: best on tiny problems, always checked, the same for the same seed, within their time."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import darp
from darp import PrefixError, Request, Stop, Vehicle
from darp.planning import Planner
from darp.synthetic import clinic_day, varied_day


def best_value(problem: darp.Problem) -> float:
    """The least cost with penalties, over every way to give each request to a vehicle, or to none, in every order."""
    planner = Planner(problem, reference=True)
    n, k = planner.n, len(problem.vehicles)
    cheapest: dict[tuple[int, tuple[int, ...]], float] = {}

    def cost(vehicle: int, requests: tuple[int, ...]) -> float:
        if (vehicle, requests) not in cheapest:
            nodes = [node for request in requests for node in (request, request + n)]
            start, *pinned, end = planner.empty(vehicle)
            rest = [node for node in nodes if node not in pinned]
            routes = ([start, *pinned, *order, end] for order in permutations(rest) if _in_order([*pinned, *order], n))
            costs = (planner.engine.cost(vehicle, one) for one in routes if planner.engine.earliest_times(vehicle, one))
            cheapest[vehicle, requests] = min(costs, default=float("inf"))
        return cheapest[vehicle, requests]

    values = []
    for given_to in product(range(-1, k), repeat=n):
        groups = [tuple(request for request in range(n) if given_to[request] == vehicle) for vehicle in range(-1, k)]
        if all(np.isfinite(planner.values.assignment[r, v]) for v in range(k) for r in groups[v + 1]):
            penalties = sum(planner.values.penalty[request] for request in groups[0])
            values.append(penalties + sum(cost(vehicle, groups[vehicle + 1]) for vehicle in range(k)))
    return min(values)


def _in_order(nodes: list[int], n: int) -> bool:
    return all(nodes.index(node) < nodes.index(node + n) for node in nodes if node < n and node + n in nodes)


def test_tiny_problems_are_solved_to_the_optimum(tries: Callable[[int], int], *, reference: bool) -> None:
    for seed in range(tries(200)):
        problem = varied_day(3, 2, seed)
        expected = best_value(problem)
        penalty = dict(zip((one.id for one in problem.requests), Planner(problem).values.penalty, strict=True))
        try:
            plan = darp.solve(problem, 30, seed, max_iterations=600, reference=reference)
        except PrefixError:
            continue
        assert plan.cost + sum(penalty[name] for name in plan.unserved) == pytest.approx(expected, abs=1e-6)


@settings(deadline=None)
@given(requests=st.integers(0, 12), vehicles=st.integers(1, 4), seed=st.integers(0, 10_000))
def test_every_plan_passes_the_checker(requests: int, vehicles: int, seed: int) -> None:
    problem = varied_day(requests, vehicles, seed)
    for reference in (False, True):
        try:
            plan = darp.solve(problem, 30, seed, max_iterations=15, reference=reference)
        except PrefixError:
            continue
        assert darp.check(problem, plan) == []


def test_the_kernels_refuse_the_same_prefixes() -> None:
    refused = 0
    for seed in range(60):
        problem, verdicts = varied_day(2, 1, seed), set()
        for reference in (False, True):
            try:
                darp.solve(problem, 30, max_iterations=5, reference=reference)
                verdicts.add("planned")
            except PrefixError:
                verdicts.add("refused")
        assert len(verdicts) == 1
        refused += verdicts == {"refused"}

    assert 0 < refused < 60


def test_the_same_seed_and_iterations_give_the_same_plan(*, reference: bool) -> None:
    problem = clinic_day(20, 4, seed=3)

    def plan(seed: int, threads: int = 1) -> tuple[darp.Route, ...]:
        return darp.solve(problem, 60, seed, threads, max_iterations=60, reference=reference).routes

    assert plan(1) == plan(1)
    assert plan(1, 2) == plan(1, 2)


def test_threads_search_apart_and_the_best_one_counts() -> None:
    problem = clinic_day(40, 6, seed=5)

    alone = darp.solve(problem, 60, 1, max_iterations=50)
    together = darp.solve(problem, 60, 1, 3, max_iterations=50)

    assert together.cost <= alone.cost
    assert darp.check(problem, together) == []


def test_a_plan_to_improve_is_never_made_worse() -> None:
    problem = clinic_day(30, 5, seed=4)
    first = darp.solve(problem, 60, 1, max_iterations=200)

    second = darp.solve(problem, 60, 2, max_iterations=1, start=first)

    assert second.cost <= first.cost + 1e-9
    assert len(second.unserved) <= len(first.unserved)


def test_what_no_longer_fits_of_a_plan_is_planned_anew() -> None:
    problem = clinic_day(10, 3, seed=4)
    first = darp.solve(problem, 60, 1, max_iterations=50)
    used = first.routes[0].vehicle
    away = tuple(replace(v, end=replace(v.end, latest=1.0)) if v.id == used else v for v in problem.vehicles)

    changed = replace(problem, vehicles=away)
    second = darp.solve(changed, 60, 1, max_iterations=50, start=first)

    assert darp.check(changed, second) == []
    assert second.route(used) is None


def test_a_trivially_servable_instance_is_fully_served(*, reference: bool) -> None:
    stop = Stop(place=0)
    problem = darp.Problem(
        durations=np.zeros((1, 1)),
        requests=tuple(Request(id=str(number), pickup=stop, dropoff=stop) for number in range(3)),
        vehicles=(Vehicle(id="v", start=stop, end=stop),),
    )

    assert darp.solve(problem, 0.2, reference=reference).unserved == ()


@pytest.mark.parametrize(("requests", "vehicles"), [(0, 0), (0, 2), (3, 0)])
def test_nothing_to_do_or_nobody_to_do_it(requests: int, vehicles: int, *, reference: bool) -> None:
    problem = clinic_day(requests, vehicles)
    plan = darp.solve(problem, 0.1, reference=reference)

    assert len(plan.unserved) == requests
    assert darp.check(problem, plan) == []


@pytest.mark.usefixtures("compiled")
def test_other_threads_run_while_the_kernel_searches() -> None:
    problem, counted, done = clinic_day(40, 6), [0], threading.Event()

    def count() -> None:
        while not done.wait(0.005):
            counted[0] += 1

    other = threading.Thread(target=count)
    other.start()
    darp.solve(problem, 0.5)
    done.set()
    other.join()

    assert counted[0] > 10


@pytest.mark.slow
@pytest.mark.parametrize("size", [(30, 5), (200, 30), (500, 80)])
def test_the_time_limit_is_kept(size: tuple[int, int], *, reference: bool) -> None:
    problem, limit_s, taken_s = clinic_day(*size), 1.0, []
    for _ in range(3):  # caches are shared with whoever else is there
        begun = time.thread_time()
        darp.solve(problem, limit_s, clock="cpu", reference=reference)
        taken_s.append(time.thread_time() - begun)

    assert min(taken_s) <= limit_s + 0.05


@pytest.mark.slow
def test_published_instances_are_solved(instance: Callable[[str], darp.Problem]) -> None:
    for name, most in (("a2-16", 294.255), ("R1a", 190.025), ("a4-48", 675.5)):
        problem = instance(name)
        plan = darp.solve(problem, 5.0)
        assert darp.check(problem, plan) == []
        assert not plan.unserved
        assert plan.cost <= most


def test_a_limit_of_cpu_time_counts_what_is_computed(*, reference: bool) -> None:
    day = clinic_day(30, 5, 1)
    before = time.thread_time()
    plan = darp.solve(day, 0.3, 1, clock="cpu", reference=reference)
    computed = time.thread_time() - before

    # However busy the machine is: the search ends with its own time, and not with that of others.
    assert 0.3 <= plan.seconds <= computed
    assert computed < 2.0
    assert darp.check(day, plan) == []


@pytest.mark.usefixtures("compiled")
def test_each_thread_has_its_own_cpu_time() -> None:
    before = time.process_time()
    darp.solve(clinic_day(30, 5, 1), 0.3, 1, threads=3, clock="cpu")

    assert time.process_time() - before >= 0.8


def test_a_clock_that_there_is_not_is_refused() -> None:
    with pytest.raises(ValueError, match="sundial"):
        darp.solve(clinic_day(5, 1, 1), 0.1, clock="sundial")  # type: ignore[arg-type]
