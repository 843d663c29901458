"""Comfortable times are those of a linear program, and keep every rule."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy.optimize import linprog

import darp
from darp import Objective, PlanError, PrefixError
from darp.comfort import bounds, gains
from darp.planning import Planner
from darp.synthetic import clinic_day, varied_day


def test_comfort_is_the_optimum_of_a_linear_program(tries: Callable[[int], int]) -> None:
    compared = 0
    for seed in range(tries(500)):
        problem = varied_day(6, 2, seed)
        planner = Planner(problem)
        try:
            plan = darp.solve(problem, 10, seed, max_iterations=20)
        except PrefixError:
            continue
        for route in plan.routes:
            timed = darp.schedule(problem, route, Objective.COMFORT)
            vehicle, nodes = planner.route_nodes(route)
            worth = np.array(gains(planner.values, nodes))
            rules = [rule for rule in bounds(planner.values, vehicle, nodes) if np.isfinite(rule.apart)]
            rows = np.zeros((len(rules), len(nodes)))
            for row, rule in zip(rows, rules, strict=True):
                row[rule.earlier], row[rule.later] = 1, -1
            limits = [(planner.values.earliest[node], planner.values.latest[node]) for node in nodes]
            best = linprog(-worth, A_ub=rows, b_ub=[-rule.apart for rule in rules], bounds=limits, method="highs")
            times = [timed.start, *(stop.begin for stop in timed.stops), timed.end]
            assert worth @ np.array(times) == pytest.approx(-best.fun, rel=1e-9, abs=1e-2)
            compared += 1
        comfortable = darp.Plan(
            routes=tuple(darp.schedule(problem, route, Objective.COMFORT) for route in plan.routes),
            unserved=plan.unserved,
            cost=plan.cost,
        )
        assert darp.check(problem, comfortable) == []

    assert compared > 0


def on_board(plan: darp.Plan, problem: darp.Problem) -> float:
    begins = {(stop.request, stop.kind): stop.begin for route in plan.routes for stop in route.stops}
    return sum(begins[name, "dropoff"] - begins[name, "pickup"] for name in (one.id for one in problem.requests))


def test_nobody_waits_on_board_for_a_window_that_is_not_open_yet() -> None:
    problem = clinic_day(20, 4)
    plan = darp.solve(problem, 20, max_iterations=200)
    assert not plan.unserved

    comfortable = darp.Plan(
        routes=tuple(darp.schedule(problem, route, Objective.COMFORT) for route in plan.routes),
        unserved=(),
        cost=plan.cost,
    )

    assert on_board(comfortable, problem) < on_board(plan, problem)
    assert all(late.start >= early.start for late, early in zip(comfortable.routes, plan.routes, strict=True))
    assert tuple(darp.schedule(problem, route, Objective.EARLIEST) for route in comfortable.routes) == plan.routes


def test_a_whole_plan_is_made_with_comfortable_times_at_once() -> None:
    problem = clinic_day(20, 4)
    early = darp.solve(problem, 20, max_iterations=50)

    comfortable = darp.solve(problem, 20, max_iterations=50, objective="comfort")

    assert comfortable.routes == tuple(darp.schedule(problem, route, Objective.COMFORT) for route in early.routes)
    assert comfortable.cost == early.cost
    assert darp.check(problem, comfortable) == []


def test_an_order_that_breaks_a_rule_has_no_times() -> None:
    problem = clinic_day(4, 1)
    plan = darp.solve(problem, 10, max_iterations=30)
    turned = darp.Route(vehicle="v0", start=0, stops=plan.routes[0].stops[::-1], end=0)

    with pytest.raises(PlanError, match="'v0' breaks a rule"):
        darp.schedule(problem, turned)
