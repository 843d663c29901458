"""Problems say what is wrong with them, and survive being written down."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import darp
from darp import PinnedStop, Plan, PlanError, Problem, ProblemError, Request, Stop, StopKind, UnsupportedError, Vehicle
from darp.synthetic import clinic_day, varied_day


@pytest.mark.parametrize("seed", range(20))
def test_a_problem_is_the_same_after_json(seed: int) -> None:
    problem = varied_day(5, 3, seed)
    again = Problem.from_json(problem.to_json())

    assert (again.requests, again.vehicles, again.layout_change) == (
        problem.requests,
        problem.vehicles,
        problem.layout_change,
    )
    assert np.array_equal(again.durations, problem.durations)
    assert np.array_equal(again.arc_costs, problem.arc_costs)
    assert again.digest() == problem.digest()


def test_a_plan_is_the_same_after_json() -> None:
    plan = darp.solve(clinic_day(6, 2), 10, max_iterations=5)

    assert Plan.from_json(plan.to_json()) == plan
    with pytest.raises(PlanError, match="not a plan"):
        Plan.from_json("[]")


def a_request(problem: Problem, **changes: Any) -> Problem:
    return replace(problem, requests=(problem.requests[0], replace(problem.requests[1], **changes)))


def a_vehicle(problem: Problem, **changes: Any) -> Problem:
    return replace(problem, vehicles=(replace(problem.vehicles[0], **changes),))


PICKUP = StopKind.PICKUP


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("durations", lambda p: replace(p, durations=np.zeros((2, 3)))),
        ("durations[1][0]", lambda p: replace(p, durations=np.where(np.arange(81).reshape(9, 9) == 9, -1, p.durations))),
        ("costs", lambda p: replace(p, costs=np.zeros((2, 2)))),
        ("requests[1].id", lambda p: a_request(p, id="r0")),
        ("requests[1].pickup.place", lambda p: a_request(p, pickup=Stop(place=99))),
        ("requests[1].dropoff.latest", lambda p: a_request(p, dropoff=Stop(place=1, earliest=5, latest=4))),
        ("requests[1].dropoff.service", lambda p: a_request(p, dropoff=Stop(place=1, service=-1))),
        ("requests[1].pickup.earliest", lambda p: a_request(p, pickup=Stop(place=1, earliest=float("-inf")))),
        ("requests[1].load", lambda p: a_request(p, load=(1, 1))),
        ("requests[1].load", lambda p: a_request(p, load=(-1,))),
        ("requests[1].load", lambda p: a_request(p, load=(2**31,))),
        ("requests[1].max_ride", lambda p: a_request(p, max_ride=float("nan"))),
        ("requests[1].skills", lambda p: a_request(p, skills=-1)),
        ("requests[1].bonus", lambda p: a_request(p, bonus=-1.0)),
        ("requests[1].penalty", lambda p: a_request(p, penalty=float("inf"))),
        ("requests[1].forbidden", lambda p: a_request(p, forbidden=frozenset({"nobody"}))),
        ("vehicles[0].layouts", lambda p: a_vehicle(p, layouts=())),
        ("vehicles[0].layouts[1]", lambda p: a_vehicle(p, layouts=((1,), (1, 2)))),
        ("vehicles[0].layouts[0]", lambda p: a_vehicle(p, layouts=((-1,),))),
        ("vehicles[0].layouts[0]", lambda p: a_vehicle(p, layouts=((2**31,),))),
        ("vehicles[0].started", lambda p: a_vehicle(p, started=float("nan"))),
        ("vehicles[0].skills", lambda p: a_vehicle(p, skills=-1)),
        ("vehicles[0].max_duration", lambda p: a_vehicle(p, max_duration=-1.0)),
        ("vehicles[0].fixed_cost", lambda p: a_vehicle(p, fixed_cost=-1.0)),
        ("vehicles[0].prefix[0].request", lambda p: a_vehicle(p, prefix=(PinnedStop(request="x", kind=PICKUP),))),
        ("vehicles[0].prefix[1]", lambda p: a_vehicle(p, prefix=(PinnedStop(request="r0", kind=PICKUP),) * 2)),
        ("vehicles[0].prefix[0]", lambda p: a_vehicle(p, prefix=(PinnedStop(request="r0", kind=StopKind.DROPOFF),))),
        ("vehicles[0].prefix[0].at", lambda p: a_vehicle(p, prefix=(PinnedStop(request="r0", kind=PICKUP, at=5.0),))),
    ],
)  # fmt: skip
def test_a_contradiction_is_refused_by_the_name_of_its_field(field: str, change: Callable[[Problem], Problem]) -> None:
    with pytest.raises(ProblemError) as refused:
        change(clinic_day(2, 1))

    assert [reason.partition(": ")[0] for reason in refused.value.reasons] == [field]


@pytest.mark.parametrize(
    ("fleet", "loads", "field"),
    [(1, ((), ()), "requests[0].load"), (0, ((), ()), "requests[0].load"), (0, ((1,), (1, 1)), "requests[1].load")],
)
def test_loads_have_the_same_dimensions_and_one_at_least(
    fleet: int, loads: tuple[tuple[int, ...], ...], field: str
) -> None:
    problem = clinic_day(2, fleet)
    people = tuple(replace(one, load=load) for one, load in zip(problem.requests, loads, strict=True))

    with pytest.raises(ProblemError) as refused:
        replace(problem, requests=people)

    assert field in [reason.partition(": ")[0] for reason in refused.value.reasons]


def test_every_fault_is_told_at_once() -> None:
    with pytest.raises(ProblemError) as refused:
        Problem(
            durations=np.zeros((1, 1)),
            requests=(Request(id="a", pickup=Stop(place=7), dropoff=Stop(place=0, service=-1)),),
            vehicles=(Vehicle(id="v", start=Stop(place=0), end=Stop(place=9)),),
        )

    assert len(refused.value.reasons) == 3


def test_json_that_is_no_problem_is_refused_by_path() -> None:
    document = json.loads(clinic_day(2, 1).to_json())

    def refused(kind: type[ProblemError] = ProblemError, **changes: Any) -> str:
        with pytest.raises(kind) as error:
            Problem.from_json(json.dumps({**document, **changes}))
        return str(error.value)

    request, vehicle = document["requests"][0], document["vehicles"][0]
    assert refused(extra=1) == "problem.extra: there is no such field"
    assert refused(requests=[{**request, "max_ride": "1"}]).startswith("requests[0].max_ride: '1' cannot be read")
    assert refused(requests=[{"id": "a"}]).startswith("requests[0].dropoff: is missing")
    assert refused(vehicles={}) == "vehicles: must be a list"
    assert refused(layout_change="never").startswith("layout_change: 'never' cannot be read")
    assert refused(UnsupportedError, schema=2) == "schema: this version reads 1"
    for text in ("{", "[" * 100_000):
        with pytest.raises(ProblemError, match="not JSON"):
            Problem.from_json(text)
    huge = int("9" * 400)
    assert refused(requests=[{**request, "max_ride": huge}]).startswith("requests[0].max_ride: 999")
    assert refused(durations=[[huge]]).startswith("durations: ")
    # A rule that would be lost is refused, not forgotten; stated as empty it changes nothing.
    breaks = {**vehicle, "breaks": [{"after": 1}]}
    assert refused(UnsupportedError, vehicles=[breaks]) == "vehicles[0].breaks: this version does not plan it"
    assert (
        Problem.from_json(json.dumps({**document, "vehicles": [{**vehicle, "breaks": []}]})).digest()
        == clinic_day(2, 1).digest()
    )


def test_matrices_cannot_change_behind_a_problem() -> None:
    with pytest.raises(ValueError, match="read-only"):
        clinic_day(2, 1).durations[0, 0] = 5.0
