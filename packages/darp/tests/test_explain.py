"""Every vehicle says what it would cost, or which rule stands in the way and by how much."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

import darp
from darp import Obstacle, Plan, PlanError, PrefixError, Problem, Request, Rule, Stop, Vehicle, VehicleAnswer
from darp.explaining import _Asked
from darp.synthetic import clinic_day, varied_day

STREET = np.abs(np.arange(6)[:, None] - np.arange(6)[None, :]) * 10.0


def test_each_vehicle_names_its_own_rule() -> None:
    depot = Stop(place=0, latest=500)
    ride = Request(
        id="a", pickup=Stop(place=1, latest=400), dropoff=Stop(place=4, latest=200), load=(2,), skills=0b11, forbidden=frozenset({"forbidden"})
    )  # fmt: skip

    def vehicle(name: str, **more: object) -> Vehicle:
        return Vehicle(**{"id": name, "start": depot, "end": depot, "layouts": ((3,),), "skills": 0b11, **more})

    far = Stop(place=0, earliest=165, latest=500)
    vehicles = (
        vehicle("free"),
        vehicle("small", layouts=((1,),)),
        vehicle("late", start=far),
        vehicle("short", max_duration=73.0),
        vehicle("home early", end=Stop(place=0, latest=70)),
        vehicle("unskilled", skills=0b01),
        vehicle("forbidden"),
        vehicle("hopeless", skills=0, layouts=((1,),)),
    )
    problem = Problem(durations=STREET, requests=(ride,), vehicles=vehicles)
    nobody = Plan(routes=(), unserved=("a",), cost=0.0)

    answers = {answer.vehicle: answer for answer in darp.explain(problem, nobody, "a")}

    def obstacle(rule: Rule, amount: float) -> tuple[Obstacle, ...]:
        return (Obstacle(rule=rule, amount=pytest.approx(amount, abs=2e-3)),)

    assert answers["free"] == VehicleAnswer(vehicle="free", added_cost=80.0)
    assert answers["small"].obstacles == obstacle(Rule.LOAD, 1)
    assert answers["late"].obstacles == obstacle(Rule.LATE, 5)
    assert answers["short"].obstacles == obstacle(Rule.DURATION, 7)
    assert answers["home early"].obstacles == obstacle(Rule.SHIFT, 10)
    assert answers["unskilled"].obstacles == obstacle(Rule.SKILL, 1)
    assert answers["forbidden"].obstacles == obstacle(Rule.FORBIDDEN, 1)
    assert answers["hopeless"].obstacles == ()
    with pytest.raises(KeyError):
        darp.explain(problem, nobody, "nobody")


def test_a_ride_is_too_long_by_its_detour() -> None:
    depot = Stop(place=0, latest=500)
    # b rides from 1 to 5 with no minute to lose, a must be fetched at 3 while b is on board, and needs the only seat left.
    b = Request(id="b", pickup=Stop(place=1, earliest=10, latest=10), dropoff=Stop(place=5, latest=400), max_ride=47.0)
    a = Request(id="a", pickup=Stop(place=2, latest=20), dropoff=Stop(place=1, latest=30))
    problem = Problem(
        durations=STREET, requests=(b, a), vehicles=(Vehicle(id="v", start=depot, end=depot, layouts=((2,),)),)
    )
    plan = darp.solve(replace(problem, requests=(b,)), 5, max_iterations=5)

    (answer,) = darp.explain(problem, plan, "a")

    # 1, 2, back to 1, on to 5: 60 on board instead of 47.
    assert Obstacle(rule=Rule.RIDE_TIME, amount=pytest.approx(13, abs=2e-3)) in answer.obstacles


def test_a_served_request_needs_no_explanation() -> None:
    problem = clinic_day(4, 2)
    plan = darp.solve(problem, 10, max_iterations=20)

    with pytest.raises(PlanError, match="has a place already"):
        darp.explain(problem, plan, "r1")


def test_the_amount_is_enough_and_no_less_would_be(tries: Callable[[int], int]) -> None:
    explained = 0
    for seed in range(tries(200)):
        problem = varied_day(6, 2, seed)
        try:
            plan = darp.solve(problem, 10, seed, max_iterations=20)
        except PrefixError:
            continue
        for name in plan.unserved:
            offers = {offer.vehicle: offer.added_cost for offer in darp.insert(problem, plan, name)}
            for answer in darp.explain(problem, plan, name):
                assert answer.added_cost == pytest.approx(offers.get(answer.vehicle))
                asked = _Asked(
                    problem, problem.vehicle(answer.vehicle), plan.route(answer.vehicle), problem.request(name)
                )
                change = {Rule.RIDE_TIME: asked._longer_rides, Rule.LATE: asked._later, Rule.SHIFT: asked._longer_shift}
                for obstacle in answer.obstacles:
                    if obstacle.rule in change:
                        explained += 1
                        assert asked._added_cost(change[obstacle.rule](obstacle.amount)) is not None
                        assert asked._added_cost(change[obstacle.rule](obstacle.amount - 2e-3)) is None

    assert explained > 0
