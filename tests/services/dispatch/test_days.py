"""A day as a problem of the solver, and its answer as stops."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from uuid import UUID, uuid4

from ossature.services.dispatch.domain.bookings import Requirement, Trip, Wheelchair
from ossature.services.dispatch.domain.days import (
    Day,
    Solved,
    Weights,
    hopeless,
    problem_of,
    solve,
    stops_of,
    stranded,
)
from ossature.services.dispatch.domain.fleet import Duty
from ossature.services.dispatch.domain.loads import Load
from ossature.services.dispatch.domain.places import Point
from ossature.services.dispatch.domain.plans import PlanStop, StopKind
from ossature.services.dispatch.domain.roads import Speeds, direct
from ossature.services.dispatch.domain.states import TripState
from ossature.services.dispatch.domain.windows import Leg, TimeRule, Widths, Window, windows

MIDNIGHT = datetime(2026, 3, 2, tzinfo=UTC)
HOME, CLINIC, DEPOT = UUID(int=1), UUID(int=2), UUID(int=3)
PLACES = {HOME: Point(46.20, 6.14), CLINIC: Point(46.22, 6.16), DEPOT: Point(46.21, 6.15)}


def a_trip(hour: float = 9, **changes: object) -> Trip:
    at = MIDNIGHT + timedelta(hours=hour)
    found = windows(
        TimeRule.ARRIVE_BY, at, Leg(direct_s=600, service_p_s=300, service_d_s=600), now=at, widths=Widths()
    )
    assert found is not None
    values = {
        "id": uuid4(), "booking_id": uuid4(), "client_id": uuid4(), "leg": 1, "day": date(2026, 3, 2),
        "from_place_id": HOME, "to_place_id": CLINIC, "requirement": Requirement(), "time_rule": TimeRule.ARRIVE_BY,
        "at": at, "pickup": found.pickup, "dropoff": found.dropoff, "promised": None, "max_ride_s": found.max_ride_s,
        "service_p_s": 300, "service_d_s": 600, "priority": 0, "state": TripState.CONFIRMED, "duty_id": None,
        "arrived_at": None, "reason": "", "created_at": MIDNIGHT,
    }  # fmt: skip
    return Trip(**{**values, **changes})  # type: ignore[arg-type]


def a_duty(**changes: object) -> Duty:
    values = {
        "id": uuid4(), "driver_id": uuid4(), "driver": "Driver", "vehicle_id": uuid4(), "vehicle": "Van",
        "place_id": DEPOT, "earliest_start": MIDNIGHT + timedelta(hours=6),
        "latest_end": MIDNIGHT + timedelta(hours=18), "layouts": (Load(4), Load(2, 1)), "skills": frozenset(),
        "reserve": False,
    }  # fmt: skip
    return Duty(**{**values, **changes})  # type: ignore[arg-type]


def _planned(day: Day) -> tuple[Solved, tuple[PlanStop, ...]]:
    solved = solve(problem_of(day, direct(day.points, Speeds()), Weights()), 2.0, 1, 50)
    return solved, stops_of(day, solved)


def _day(trips: list[Trip], duties: list[Duty]) -> Day:
    return Day(begins_at=MIDNIGHT, trips=tuple(trips), duties=tuple(duties), places=PLACES)


def test_a_day_that_can_be_served_is_served_and_every_stop_has_its_time_and_load() -> None:
    trips = [a_trip(9), a_trip(9), a_trip(15)]

    solved, stops = _planned(_day(trips, [a_duty()]))

    assert solved.broken == ()
    assert solved.unserved == ()
    assert (stops[0].kind, stops[-1].kind) == (StopKind.START, StopKind.END)
    assert [stop.position for stop in stops] == list(range(8))
    for trip in trips:
        pickup, dropoff = (stop for stop in stops if stop.trip_id == trip.id)
        assert trip.pickup is not None
        assert trip.dropoff is not None
        assert trip.pickup.earliest <= pickup.planned_at <= trip.pickup.latest
        assert trip.dropoff.earliest <= dropoff.planned_at <= trip.dropoff.latest
        assert (dropoff.planned_at - pickup.leaves_at).total_seconds() <= trip.max_ride_s
        assert pickup.load.seats >= 1
    assert stops[-2].load == Load()


def test_more_trips_than_room_leave_some_unserved_and_break_no_rule() -> None:
    one_at_a_time = a_duty(layouts=(Load(1),))

    solved, stops = _planned(_day([a_trip(9) for _ in range(4)], [one_at_a_time]))

    assert solved.broken == ()
    assert 0 < len(solved.unserved) < 4
    assert max(stop.load.seats for stop in stops) == 1


def test_who_rides_alone_shares_with_nobody() -> None:
    alone = Requirement(rides_alone=True)

    solved, stops = _planned(_day([a_trip(9, requirement=alone), a_trip(9)], [a_duty(), a_duty()]))

    assert solved.unserved == ()
    assert max(stop.load.seats for stop in stops) == 1


def test_a_trip_that_was_told_to_its_driver_stays_with_them() -> None:
    near, told = a_duty(), a_duty()
    trip = a_trip(9, state=TripState.DISPATCHED, duty_id=told.id)

    _, stops = _planned(_day([trip], [near, told]))

    assert {stop.duty_id for stop in stops} == {told.id}


def test_who_was_told_and_who_matters_more_comes_first_where_not_all_have_a_place() -> None:
    duty = a_duty(layouts=(Load(1),))
    at_once = {"pickup": Window(MIDNIGHT + timedelta(hours=8), MIDNIGHT + timedelta(hours=8))}
    usual, important = a_trip(**at_once), a_trip(**at_once, priority=1)
    told = a_trip(**at_once, state=TripState.DISPATCHED, duty_id=duty.id)

    for trips, first in (([usual, important], important), ([important, usual], important), ([important, told], told)):
        _, stops = _planned(_day(trips, [duty]))
        assert {stop.trip_id for stop in stops} == {None, first.id}


def test_a_trip_that_was_told_is_stranded_once_its_duty_cannot_take_it() -> None:
    duty, other = a_duty(), a_duty()
    told = a_trip(state=TripState.DISPATCHED, duty_id=duty.id)
    chair = replace(told, requirement=Requirement(wheelchair=Wheelchair.ELECTRIC))
    planned = a_trip(state=TripState.PLANNED, duty_id=duty.id)

    assert stranded(_day([told, planned], [duty, other])) == ()
    assert stranded(_day([told, planned], [other])) == (told,)
    assert stranded(_day([chair], [duty])) == (chair,)


def test_a_plan_holds_while_what_it_was_made_of_is_as_it_was() -> None:
    trip, duty, parent = a_trip(), a_duty(), uuid4()
    day = replace(_day([trip], [duty]), parent_id=parent)

    assert day.still_holds(
        replace(day, trips=(trip, a_trip()), duties=(duty, a_duty()))
    )  # more waits for the next plan
    assert not day.still_holds(replace(day, parent_id=uuid4()))
    assert not day.still_holds(replace(day, trips=(replace(trip, version=2),)))
    assert not day.still_holds(replace(day, trips=()))
    assert not day.still_holds(replace(day, duties=()))
    assert not day.still_holds(replace(day, duties=(replace(duty, layouts=(Load(1),)),)))
    assert not day.still_holds(replace(day, places={**PLACES, HOME: Point(46.3, 6.2)}))


def test_a_reserve_driver_is_called_in_last() -> None:
    regular, reserve = a_duty(), a_duty(reserve=True)

    _, stops = _planned(_day([a_trip(9)], [reserve, regular]))

    assert {stop.duty_id for stop in stops} == {regular.id}


def test_what_no_duty_can_ever_take_is_said_with_its_reason_and_left_out_of_the_problem() -> None:
    electric = a_trip(requirement=Requirement(wheelchair=Wheelchair.ELECTRIC))
    oxygen = a_trip(requirement=Requirement(needs=frozenset({"oxygen"})))
    waits = a_trip(pickup=None, dropoff=None)
    day = _day([electric, oxygen, waits, a_trip()], [a_duty()])

    assert hopeless(day) == {electric.id: "no-room", oxygen.id: "no-skill", waits.id: "no-window"}
    assert len(problem_of(day, direct(day.points, Speeds()), Weights()).requests) == 1
    assert set(hopeless(_day([a_trip()], [])).values()) == {"no-duty"}


def test_nobody_is_fetched_so_early_that_they_wait_on_board() -> None:
    day = _day([a_trip(9), a_trip(12)], [a_duty()])

    _, stops = _planned(day)

    matrix = direct(day.points, Speeds())
    rows = {place: row for row, place in enumerate(day.places)}
    way_s = float(matrix.duration_s[rows[HOME], rows[CLINIC]])
    rides = [
        (dropoff.planned_at - pickup.leaves_at).total_seconds()
        for pickup, dropoff in pairwise(stops)
        if (pickup.kind, dropoff.kind) == (StopKind.PICKUP, StopKind.DROPOFF)
    ]
    assert rides == [way_s, way_s]
