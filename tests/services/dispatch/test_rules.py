"""Windows, ride times, loads, clocks and travel: the arithmetic of a booking."""

from datetime import UTC, date, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ossature.kernel.errors import InvalidInput
from ossature.services.dispatch.domain.bookings import Requirement, Wheelchair, check_needs
from ossature.services.dispatch.domain.clocks import LocalTimeAmbiguous, instant
from ossature.services.dispatch.domain.loads import Load, fits, layouts_for
from ossature.services.dispatch.domain.places import Point
from ossature.services.dispatch.domain.roads import Speeds, direct, great_circle_m
from ossature.services.dispatch.domain.windows import (
    Leg,
    TimeRule,
    Widths,
    Window,
    WindowImpossible,
    longest_ride_s,
    promise,
    windows,
)

NINE = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
LEG = Leg(direct_s=600, service_p_s=300, service_d_s=600)
VAN = (Load(7, 0, 0, 0, 2), Load(4, 1, 0, 0, 2), Load(2, 2, 0, 0, 0))


def _at(minutes: float) -> datetime:
    return NINE + timedelta(minutes=minutes)


def test_who_must_be_there_by_nine_is_dropped_off_between_half_past_eight_and_five_to() -> None:
    found = windows(TimeRule.ARRIVE_BY, NINE, LEG, now=NINE, widths=Widths())

    assert found is not None
    assert found.max_ride_s == 1800
    assert found.dropoff == Window(_at(-30), _at(-5))
    assert found.pickup == Window(_at(-30 - 30 - 5), _at(-5 - 10 - 5))


def test_who_is_picked_up_at_nine_is_there_in_time_for_the_longest_ride() -> None:
    found = windows(TimeRule.PICK_UP_AT, NINE, LEG, now=NINE, widths=Widths())

    assert found is not None
    assert found.pickup == Window(_at(-5), _at(15))
    assert found.dropoff == Window(_at(-5 + 5 + 10), _at(15 + 5 + 30))


def test_an_urgent_trip_begins_within_half_an_hour_and_one_on_call_has_no_window() -> None:
    urgent = windows(TimeRule.AS_SOON_AS_POSSIBLE, None, LEG, now=NINE, widths=Widths())

    assert urgent is not None
    assert urgent.pickup == Window(NINE, _at(30))
    assert windows(TimeRule.ON_CALL, None, LEG, now=NINE, widths=Widths()) is None


def test_the_longest_ride_grows_with_the_way_and_a_client_may_lower_it() -> None:
    far = Leg(direct_s=3600, service_p_s=0, service_d_s=0)

    assert longest_ride_s(LEG, Widths()) == 1800
    assert longest_ride_s(far, Widths()) == 5400
    assert longest_ride_s(Leg(direct_s=600, service_p_s=0, service_d_s=0, max_ride_s=900), Widths()) == 900


def test_a_trip_longer_than_its_longest_ride_is_refused_with_both_numbers() -> None:
    too_far = Leg(direct_s=2000, service_p_s=0, service_d_s=0, max_ride_s=1500)

    with pytest.raises(WindowImpossible) as refused:
        windows(TimeRule.ARRIVE_BY, NINE, too_far, now=NINE, widths=Widths())

    assert refused.value.facts == {"direct_s": 2000, "max_ride_s": 1500}


def test_a_rule_about_an_instant_needs_one_and_an_empty_window_says_by_how_much() -> None:
    with pytest.raises(WindowImpossible):
        windows(TimeRule.PICK_UP_AT, None, LEG, now=NINE, widths=Widths())
    with pytest.raises(WindowImpossible) as refused:
        Window(_at(2), NINE)
    assert refused.value.facts["short_by_s"] == 120


@given(
    direct_s=st.integers(1, 7200),
    service_s=st.integers(0, 1200),
    rule=st.sampled_from([TimeRule.ARRIVE_BY, TimeRule.PICK_UP_AT, TimeRule.AS_SOON_AS_POSSIBLE]),
)
def test_each_end_of_a_window_can_be_reached_from_the_other(direct_s: int, service_s: int, rule: TimeRule) -> None:
    leg = Leg(direct_s=direct_s, service_p_s=service_s, service_d_s=0)
    found = windows(rule, NINE, leg, now=NINE, widths=Widths())

    assert found is not None
    shortest, longest = timedelta(seconds=service_s + direct_s), timedelta(seconds=service_s + found.max_ride_s)
    assert found.pickup.latest + shortest <= found.dropoff.latest
    assert found.pickup.earliest + longest >= found.dropoff.earliest


def test_a_promise_is_a_quarter_of_an_hour_inside_the_hard_window() -> None:
    hard = Window(NINE, _at(60))

    assert promise(_at(30), hard, width_s=900) == Window(_at(22.5), _at(37.5))
    assert promise(NINE, hard, width_s=900) == Window(NINE, _at(15))
    assert promise(_at(60), hard, width_s=900) == Window(_at(45), _at(60))
    assert promise(NINE, Window(NINE, _at(5)), width_s=900) == Window(NINE, _at(5))


def test_a_wheelchair_with_five_seats_is_refused_and_taken_when_it_is_split() -> None:
    assert not fits(Load(5, 1), VAN)
    assert fits(Load(4, 1), VAN)
    assert fits(Load(5), VAN)
    assert layouts_for(Load(2, 1), VAN) == VAN[1:]


def test_who_rides_in_a_chair_or_lies_takes_no_seat() -> None:
    assert Requirement(escorts=1).load == Load(seats=2)
    assert Requirement(wheelchair=Wheelchair.MANUAL, escorts=1).load == Load(seats=1, wheelchairs=1)
    assert Requirement(wheelchair=Wheelchair.ELECTRIC).load == Load(electric_wheelchairs=1)
    assert Requirement(stretcher=True, wheelchair=Wheelchair.MANUAL).load == Load(stretchers=1)
    assert Requirement(passengers=2, child_seats=1).load == Load(seats=1, child_seats=1)


def test_a_need_that_does_not_exist_is_named() -> None:
    assert check_needs(["oxygen"], "/needs") == {"oxygen"}
    with pytest.raises(InvalidInput) as refused:
        check_needs(["oxygen", "magic"], "/needs")
    assert refused.value.errors[0].message.startswith("magic")


def test_a_local_time_that_exists_twice_or_never_is_refused_with_both_readings() -> None:
    assert instant(date(2026, 3, 2), time(9, 15), "Europe/Zurich") == datetime(2026, 3, 2, 8, 15, tzinfo=UTC)
    for day in (date(2026, 3, 29), date(2026, 10, 25)):
        with pytest.raises(LocalTimeAmbiguous) as refused:
            instant(day, time(2, 30), "Europe/Zurich")
        assert len(refused.value.facts["instants"]) == 2  # type: ignore[arg-type]


def test_distances_over_the_globe_are_those_of_the_tables() -> None:
    bern, geneva = Point(46.9480, 7.4474), Point(46.2044, 6.1432)

    metres = great_circle_m([bern, geneva])

    assert metres[0, 1] == pytest.approx(129_400, rel=0.01)
    assert metres[0, 1] == metres[1, 0]
    assert metres[0, 0] == 0


def test_without_roads_a_drive_is_a_detour_at_thirty_kilometres_an_hour() -> None:
    here, there = Point(46.20, 6.14), Point(46.21, 6.14)

    found = direct([here, there], Speeds())

    assert found.source == "haversine"
    assert found.distance_m[0, 1] == pytest.approx(1.3 * 1111.95, rel=0.001)
    assert found.duration_s[0, 1] == -(-found.distance_m[0, 1] // 8.3)


@pytest.mark.parametrize(("lat", "lon"), [(91, 0), (0, 181), (120.0, 46.0)])
def test_a_position_that_is_not_on_the_globe_is_refused(lat: float, lon: float) -> None:
    with pytest.raises(ValueError, match="latitude comes first"):
        Point(lat, lon)
