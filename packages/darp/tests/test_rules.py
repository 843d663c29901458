"""Each rule on an instance small enough to work out by hand, in both kernels."""

import math
from dataclasses import replace

import numpy as np
import pytest

import darp
from darp import LayoutChange, PinnedStop, Plan, PrefixError, Problem, Request, Stop, StopKind, Vehicle

PICKUP, DROPOFF = StopKind.PICKUP, StopKind.DROPOFF
STREET = np.abs(np.arange(6)[:, None] - np.arange(6)[None, :]) * 10.0
DEPOT = Stop(place=0, latest=1000)


def person(name: str, start: int, end: int, **more: object) -> Request:
    return Request(id=name, pickup=Stop(place=start, latest=900), dropoff=Stop(place=end, latest=900), **more)


def solved(problem: Problem, *, reference: bool) -> Plan:
    plan = darp.solve(problem, 30, max_iterations=80, reference=reference)
    assert darp.check(problem, plan) == []
    return plan


def street(requests: tuple[Request, ...], *vehicles: Vehicle, **more: object) -> Problem:
    return Problem(durations=STREET, requests=requests, vehicles=vehicles, **more)


def vehicle(name: str = "v", **more: object) -> Vehicle:
    return Vehicle(**{"id": name, "start": DEPOT, "end": DEPOT, "layouts": ((4,),), **more})


def test_people_share_a_vehicle_when_that_is_shorter(*, reference: bool) -> None:
    plan = solved(street((person("a", 1, 4), person("b", 2, 3)), vehicle("v"), vehicle("w")), reference=reference)

    assert plan.cost == 80.0
    assert len(plan.routes) == 1


def test_nobody_rides_longer_than_their_limit(*, reference: bool) -> None:
    # On the way from 1 to 5 and back the detour by 0 is 20; together a would ride 40 + 20.
    people = (person("a", 1, 2, max_ride=10.0), person("b", 1, 5, max_ride=40.0))
    plan = solved(street(people, vehicle(layouts=((1,),))), reference=reference)

    # One seat: one after the other. 1, 2, back to 1, 5, home: 10 + 10 + 10 + 40 + 50.
    assert plan.cost == 120.0
    assert plan.unserved == ()


def test_the_longest_duty_moves_the_start_not_only_the_end(*, reference: bool) -> None:
    late = Request(id="a", pickup=Stop(place=1, earliest=500, latest=510), dropoff=Stop(place=2, latest=900))
    plan = solved(street((late,), vehicle(max_duration=40.0)), reference=reference)

    route = plan.routes[0]
    assert route.end - route.start == pytest.approx(40.0)
    assert solved(street((late,), vehicle(max_duration=39.0)), reference=reference).unserved == ("a",)


@pytest.mark.parametrize(("seats", "served"), [(4, True), (5, False)])
def test_a_wheelchair_takes_the_place_of_seats(seats: int, served: bool, *, reference: bool) -> None:
    van = vehicle(layouts=((7, 0), (4, 1), (2, 2)), max_duration=100.0)
    ride = {"pickup": Stop(place=1, latest=30), "dropoff": Stop(place=5, latest=70)}
    people = (Request(id="chair", load=(0, 1), **ride), Request(id="group", load=(seats, 0), **ride))

    assert (solved(street(people, van), reference=reference).unserved == ()) is served
    # With two vehicles each takes what it holds.
    two = street(people, van, replace(van, id="w"))
    assert solved(two, reference=reference).unserved == ()


@pytest.mark.parametrize(
    ("change", "cost"),
    [(LayoutChange.ANYWHERE, 100.0), (LayoutChange.WHEN_EMPTY, 120.0), (LayoutChange.PER_ROUTE, math.inf)],
)
def test_when_a_vehicle_may_be_rearranged(change: LayoutChange, cost: float, *, reference: bool) -> None:
    # b needs no room and rides from 1 to 5; c and a, one after the other, need different layouts.
    layouts = ((2, 0), (1, 1))
    people = (
        person("b", 1, 5, load=(0, 0)),
        person("c", 1, 2, load=(2, 0)),
        person("a", 3, 4, load=(0, 1)),
    )
    problem = street(people, vehicle(layouts=layouts), layout_change=change)
    plan = solved(problem, reference=reference)

    if math.isinf(cost):
        assert plan.unserved
    else:
        assert (plan.cost, plan.unserved) == (cost, ())


def test_skills_and_lists_choose_the_vehicle(*, reference: bool) -> None:
    near, far = (
        vehicle("near"),
        vehicle("far", start=Stop(place=5, latest=1000), end=Stop(place=5, latest=1000), skills=0b110),
    )

    def taken_by(**more: object) -> str | None:
        plan = solved(street((person("a", 1, 2, **more),), near, far), reference=reference)
        return plan.routes[0].vehicle if plan.routes else None

    assert taken_by() == "near"
    assert taken_by(skills=0b010) == "far"
    assert taken_by(skills=0b001) is None
    assert taken_by(forbidden=frozenset({"near"})) == "far"
    assert taken_by(allowed=frozenset({"far"})) == "far"
    assert taken_by(allowed=frozenset()) is None
    # Near costs 40, far 80: a preference is worth its bonus, not more.
    assert taken_by(preferred=frozenset({"far"}), bonus=39.0) == "near"
    assert taken_by(preferred=frozenset({"far"}), bonus=41.0) == "far"


def test_a_reserve_vehicle_is_used_only_where_it_saves_its_fixed_cost(*, reference: bool) -> None:
    people = (person("a", 1, 2), person("b", 5, 4))
    there = Stop(place=5, latest=1000)
    regular = vehicle("regular", max_duration=200.0)

    def used(fixed: float) -> set[str]:
        reserve = vehicle("reserve", start=there, end=there, fixed_cost=fixed)
        return {route.vehicle for route in solved(street(people, regular, reserve), reference=reference).routes}

    # Alone the regular one drives 100, with the reserve 40 and 20.
    assert used(39.0) == {"regular", "reserve"}
    assert used(41.0) == {"regular"}


def test_a_shift_is_a_window_of_the_start_and_of_the_end(*, reference: bool) -> None:
    early = vehicle("early", end=Stop(place=0, latest=60))
    late = vehicle("late", start=Stop(place=0, earliest=100, latest=500), end=Stop(place=0, latest=600))
    people = tuple(
        Request(id=name, pickup=Stop(place=1, earliest=when, latest=when + 10), dropoff=Stop(place=2, latest=900))
        for name, when in (("morning", 10), ("noon", 110), ("night", 700))
    )
    plan = solved(street(people, early, late), reference=reference)

    assert {route.vehicle: route.requests for route in plan.routes} == {"early": ("morning",), "late": ("noon",)}
    assert plan.unserved == ("night",)


def test_the_lighter_penalty_stays_behind(*, reference: bool) -> None:
    ride = {"pickup": Stop(place=1, latest=10), "dropoff": Stop(place=5, latest=50)}
    people = (Request(id="can wait", penalty=100.0, **ride), Request(id="urgent", penalty=200.0, **ride))

    assert solved(street(people, vehicle(layouts=((1,),))), reference=reference).unserved == ("can wait",)


def test_a_pinned_stop_stays_where_it_is(*, reference: bool) -> None:
    people = (person("a", 5, 4), person("b", 1, 2))
    pinned = vehicle(prefix=(PinnedStop(request="a", kind=PICKUP),))
    plan = solved(street(people, pinned), reference=reference)

    # Free, b is first: 1, 2, 5, 4, home is 100. With the pickup of a first: 5, 4, 1, 2, home.
    assert (plan.routes[0].stops[0].request, plan.cost) == ("a", 120.0)
    assert solved(street(people, vehicle()), reference=reference).cost == 100.0


def test_who_is_on_board_is_brought_home_and_their_ride_has_begun(*, reference: bool) -> None:
    people = (person("aboard", 1, 5, max_ride=60.0), person("b", 2, 3))
    on_the_way = vehicle(started=95.0, prefix=(PinnedStop(request="aboard", kind=PICKUP, at=100.0),))
    plan = solved(street(people, on_the_way), reference=reference)

    first, *rest = plan.routes[0].stops
    assert (plan.routes[0].start, first.begin) == (95.0, 100.0)  # quicker than the matrix says: a fact
    arrived = next(stop.begin for stop in rest if stop.request == "aboard")
    assert arrived == 140.0
    assert plan.unserved == ()


def test_a_ride_that_can_no_longer_be_kept_is_said(*, reference: bool) -> None:
    people = (person("aboard", 1, 5, max_ride=30.0),)
    lost = vehicle(started=0.0, prefix=(PinnedStop(request="aboard", kind=PICKUP, at=10.0),))

    with pytest.raises(PrefixError, match="'aboard'"):
        darp.solve(street(people, lost), 5, max_iterations=3, reference=reference)


def test_who_rides_alone_meets_nobody(*, reference: bool) -> None:
    people = (person("a", 1, 4), person("b", 2, 3))
    alone = (people[0], replace(people[1], share_class="b"))
    plan = solved(street(alone, vehicle()), reference=reference)

    # Together 80 would do. One after the other: to 1, 4, back to 2, 3, home: 10 + 30 + 20 + 10 + 30.
    assert plan.unserved == ()
    assert plan.cost == 100.0
    # A class of several people is one: they may meet each other.
    ward = tuple(replace(one, share_class="ward") for one in people)
    assert solved(street(ward, vehicle()), reference=reference).cost == 80.0


def test_a_plan_in_which_strangers_meet_is_found_out_and_explained() -> None:
    people = (person("a", 1, 4, max_ride=30.0), person("b", 2, 3))
    plan = darp.solve(street(people, vehicle()), 5, max_iterations=20)
    alone = street((people[0], replace(people[1], share_class="b")), vehicle(max_duration=80.0))

    [broken] = darp.check(alone, plan)
    assert (broken.rule, broken.vehicle, broken.request, broken.amount) == (darp.Rule.APART, "v", "b", 1.0)
    fewer = darp.solve(replace(alone, requests=people[:1]), 5, max_iterations=20)
    [answer] = darp.explain(alone, fewer, "b")
    assert darp.Obstacle(rule=darp.Rule.APART, amount=1.0) in answer.obstacles


def test_who_is_on_board_already_meets_nobody_else(*, reference: bool) -> None:
    prefix = (PinnedStop(request="a", kind=PICKUP, at=10.0),)
    van = vehicle(prefix=prefix, started=0.0)
    people = (person("a", 1, 3), person("b", 2, 4, share_class="b"))
    plan = solved(street(people, van), reference=reference)

    [route] = plan.routes
    assert [(stop.request, stop.kind) for stop in route.stops] == [
        ("a", PICKUP), ("a", DROPOFF), ("b", PICKUP), ("b", DROPOFF)
    ]  # fmt: skip


def test_nobody_is_picked_up_before_their_release(*, reference: bool) -> None:
    problem = street((person("a", 1, 2, release=50.0),), vehicle())
    [route] = solved(problem, reference=reference).routes

    assert route.stops[0].begin == 50.0
    early = Plan(
        routes=(replace(route, stops=(replace(route.stops[0], begin=45.0), route.stops[1])),), unserved=(), cost=40.0
    )
    [broken] = darp.check(problem, early)
    assert (broken.rule, broken.request, broken.amount) == (darp.Rule.EARLY, "a", 5.0)
    # After the window has closed there is no time left.
    assert solved(street((person("a", 1, 2, release=901.0),), vehicle()), reference=reference).unserved == ("a",)
