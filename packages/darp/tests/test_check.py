"""The checker finds each kind of violation in a plan that was good before."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

import darp
from darp import LayoutChange, PinnedStop, Plan, PlannedStop, Problem, Request, Route, Rule, Stop, StopKind, Vehicle

PICKUP, DROPOFF = StopKind.PICKUP, StopKind.DROPOFF


@pytest.fixture
def problem() -> Problem:
    """Two people along one street: places 0 to 4, ten minutes apart; 0 is the depot."""
    places = np.arange(5) * 10.0
    stops = [Stop(place=place, earliest=0, latest=100, service=1) for place in range(5)]
    depot = Stop(place=0, latest=200)
    return Problem(
        durations=np.abs(places[:, None] - places[None, :]),
        requests=(
            Request(id="a", pickup=stops[1], dropoff=stops[3], load=(1, 0), max_ride=40),
            Request(id="b", pickup=stops[2], dropoff=stops[4], load=(0, 1), max_ride=40),
        ),
        vehicles=(
            Vehicle(id="v", start=depot, end=depot, layouts=((2, 2),), max_duration=150),
            Vehicle(id="w", start=depot, end=depot, layouts=((2, 2),), max_duration=150),
        ),
    )


@pytest.fixture
def plan() -> Plan:
    """Both in one vehicle: out and back is 80 minutes, with four of service."""
    return Plan(
        routes=(
            Route(
                vehicle="v",
                start=0.0,
                stops=(
                    PlannedStop(request="a", kind=PICKUP, begin=10.0),
                    PlannedStop(request="b", kind=PICKUP, begin=21.0),
                    PlannedStop(request="a", kind=DROPOFF, begin=32.0),
                    PlannedStop(request="b", kind=DROPOFF, begin=43.0),
                ),
                end=84.0,
            ),
        ),
        unserved=(),
        cost=80.0,
    )


def test_a_good_plan_has_no_violation(problem: Problem, plan: Plan) -> None:
    assert darp.check(problem, plan) == []


def request_changes(name: str, **changes: object) -> Callable[[Problem], Problem]:
    def change(problem: Problem) -> Problem:
        return replace(
            problem, requests=tuple(replace(one, **changes) if one.id == name else one for one in problem.requests)
        )

    return change


def vehicle_changes(**changes: object) -> Callable[[Problem], Problem]:
    def change(problem: Problem) -> Problem:
        return replace(
            problem, vehicles=tuple(replace(one, **changes) if one.id == "v" else one for one in problem.vehicles)
        )

    return change


@pytest.mark.parametrize(
    ("rule", "amount", "change"),
    [
        (Rule.LATE, 2, request_changes("a", dropoff=Stop(place=3, latest=30, service=1))),
        (Rule.EARLY, 5, request_changes("a", pickup=Stop(place=1, earliest=15, latest=99, service=1))),
        (Rule.RIDE_TIME, 1, request_changes("b", max_ride=20)),
        (Rule.LOAD, 1, vehicle_changes(layouts=((1, 0),))),
        (Rule.LAYOUT, 1, vehicle_changes(layouts=((2, 0), (1, 1)))),
        (Rule.DURATION, 4, vehicle_changes(max_duration=80)),
        (Rule.SHIFT, 24, vehicle_changes(end=Stop(place=0, latest=60))),
        (Rule.SKILL, 2, request_changes("a", skills=0b101)),
        (Rule.FORBIDDEN, 1, request_changes("a", forbidden=frozenset({"v"}))),
        (Rule.FORBIDDEN, 1, request_changes("b", allowed=frozenset({"w"}))),
        (Rule.PREFIX, 1, vehicle_changes(prefix=(PinnedStop(request="b", kind=PICKUP),))),
        (Rule.PREFIX, 1, vehicle_changes(started=0.0, prefix=(PinnedStop(request="a", kind=PICKUP, at=11.0),))),
        (Rule.COST, 5, vehicle_changes(fixed_cost=5.0)),
    ],
)
def test_a_stricter_problem_is_broken_by_so_much(
    problem: Problem, plan: Plan, rule: Rule, amount: float, change: Callable[[Problem], Problem]
) -> None:
    changed = change(problem)
    if rule is Rule.LAYOUT:  # one of them fits at each moment, none for the whole stretch
        changed = request_changes("a", load=(1, 0))(changed)
        changed = replace(changed, layout_change=LayoutChange.PER_ROUTE)
        changed = vehicle_changes(layouts=((2, 0), (0, 2)))(changed)
        stops = plan.routes[0].stops
        apart = (stops[0], replace(stops[2], begin=32.0), replace(stops[1], begin=43.0), replace(stops[3], begin=64.0))
        plan = replace(plan, cost=100.0, routes=(replace(plan.routes[0], stops=apart, end=105.0),))

    found = darp.check(changed, plan)

    assert {one.rule for one in found} == {rule}
    assert [one.amount for one in found] == [pytest.approx(amount)] * len(found)


def test_stops_that_are_missing_doubled_or_turned_round_are_found(problem: Problem, plan: Plan) -> None:
    route = plan.routes[0]
    a_in, b_in, a_out, b_out = route.stops

    def rules(*stops: PlannedStop, **changes: object) -> set[Rule]:
        changed = replace(plan, routes=(replace(route, stops=stops),), **changes)
        return {one.rule for one in darp.check(problem, changed)}

    assert Rule.PAIRING in rules(a_in, b_in, a_out)
    assert Rule.PAIRING in rules(a_in, a_out)
    assert Rule.DUPLICATE in rules(*route.stops, unserved=("a",))
    assert Rule.PRECEDENCE in rules(replace(a_out, begin=30.0), replace(a_in, begin=51.0), b_in, b_out)
    assert Rule.TRAVEL in rules(a_in, replace(b_in, begin=20.0), a_out, b_out)
    assert Rule.PAIRING in rules(*route.stops, unserved=("nobody",))


def test_vehicles_that_are_unknown_doubled_or_left_out_are_found(problem: Problem, plan: Plan) -> None:
    route = plan.routes[0]

    def rules(changed: Problem, *routes: Route) -> set[Rule]:
        return {one.rule for one in darp.check(changed, replace(plan, routes=routes))}

    assert Rule.PAIRING in rules(problem, replace(route, vehicle="x"))
    assert Rule.DUPLICATE in rules(problem, route, replace(route, stops=()))
    pinned = vehicle_changes(prefix=(PinnedStop(request="a", kind=PICKUP),))(problem)
    assert Rule.PREFIX in rules(pinned, replace(route, vehicle="w"))
