"""A duty as time passes in it, and the pictures that are drawn of it."""

import re
from datetime import datetime, timedelta
from uuid import UUID

import pytest

from ossature.kernel.console import say
from ossature.kernel.i18n.language import LANGUAGES, speaking
from ossature.services.dispatch.domain.bookings import Place, Trip
from ossature.services.dispatch.domain.loads import Load
from ossature.services.dispatch.domain.plans import PlanStop, StopKind
from ossature.services.dispatch.domain.states import Command, TripState, needs_reason
from ossature.services.dispatch.domain.timeline import Doing, Lane, lane_of
from ossature.services.dispatch.pages.chart import Scene, gantt
from ossature.services.dispatch.pages.city import city
from tests.services.dispatch.test_days import CLINIC, DEPOT, HOME, MIDNIGHT, PLACES, a_duty, a_trip

WAYS = {(DEPOT, HOME): (600.0, 5000.0), (HOME, CLINIC): (900.0, 7000.0), (CLINIC, DEPOT): (300.0, 2000.0)}


def _at(hour: float) -> datetime:
    return MIDNIGHT + timedelta(hours=hour)


def _stops(*visits: tuple[StopKind, UUID, Trip | None, float, Load]) -> list[PlanStop]:
    """Stops of one duty; service takes six minutes."""
    duty = a_duty()
    return [
        PlanStop(
            duty_id=duty.id,
            position=position,
            kind=kind,
            place_id=place,
            trip_id=trip.id if trip is not None else None,
            planned_at=_at(hour),
            leaves_at=_at(hour + (0.1 if trip is not None else 0)),
            load=load,
        )
        for position, (kind, place, trip, hour, load) in enumerate(visits)
    ]


def _one_ride(trip: Trip) -> Lane:
    stops = _stops(
        (StopKind.START, DEPOT, None, 7, Load()),
        (StopKind.PICKUP, HOME, trip, 8, Load(1)),
        (StopKind.DROPOFF, CLINIC, trip, 8.5, Load()),
        (StopKind.END, DEPOT, None, 9, Load()),
    )
    return lane_of(a_duty(), stops, lambda here, there: WAYS[here, there])


def test_a_vehicle_drives_at_once_and_waits_where_it_has_arrived() -> None:
    lane = _one_ride(a_trip())

    assert [(one.doing, one.begins_at, one.ends_at, one.load) for one in lane.stretches] == [
        (Doing.DRIVING, _at(7), _at(7) + timedelta(minutes=10), Load()),
        (Doing.WAITING, _at(7) + timedelta(minutes=10), _at(8), Load()),
        (Doing.PICKUP, _at(8), _at(8.1), Load(1)),
        (Doing.DRIVING, _at(8.1), _at(8.1) + timedelta(minutes=15), Load(1)),
        (Doing.WAITING, _at(8.1) + timedelta(minutes=15), _at(8.5), Load(1)),
        (Doing.DROPOFF, _at(8.5), _at(8.6), Load()),
        (Doing.DRIVING, _at(8.6), _at(8.6) + timedelta(minutes=5), Load()),
        (Doing.WAITING, _at(8.6) + timedelta(minutes=5), _at(9), Load()),
    ]
    assert (lane.driven_s, lane.distance_m) == (1800, 14000)
    assert lane.waited_s == pytest.approx(3000 + 540 + 1140)


def test_a_drive_that_takes_longer_now_than_when_it_was_planned_fills_its_time_and_no_more() -> None:
    stops = _stops((StopKind.START, DEPOT, None, 7, Load()), (StopKind.END, HOME, None, 7.1, Load()))

    lane = lane_of(a_duty(), stops, lambda here, there: WAYS[here, there])

    assert (lane.driven_s, lane.waited_s) == (pytest.approx(360), 0)


def test_rides_that_overlap_lie_above_each_other_and_a_free_row_is_used_again() -> None:
    first, second, third = a_trip(), a_trip(), a_trip()
    stops = _stops(
        (StopKind.PICKUP, HOME, first, 8, Load(1)),
        (StopKind.PICKUP, HOME, second, 8.2, Load(2)),
        (StopKind.DROPOFF, CLINIC, first, 8.4, Load(1)),
        (StopKind.PICKUP, CLINIC, third, 8.6, Load(2)),
        (StopKind.DROPOFF, CLINIC, second, 9, Load(1)),
        (StopKind.DROPOFF, CLINIC, third, 9.2, Load()),
    )

    lane = lane_of(a_duty(), stops, lambda *_: (60.0, 100.0))

    assert [(ride.trip_id, ride.row) for ride in lane.rides] == [(first.id, 0), (second.id, 1), (third.id, 0)]
    assert lane.rows == 2


def test_an_idle_duty_has_a_row_and_nothing_in_it() -> None:
    lane = lane_of(a_duty(), [], lambda *_: (0.0, 0.0))

    assert (lane.rows, lane.rides, lane.stretches) == (1, (), ())


@pytest.mark.parametrize(
    ("state", "command", "needed"),
    [
        (TripState.REQUESTED, Command.REJECT, True),
        (TripState.REQUESTED, Command.ACCEPT, False),
        (TripState.PLANNED, Command.CANCEL, True),
        (TripState.ONBOARD, Command.BREAKDOWN, True),
    ],
)
def test_what_takes_a_reason_is_known_before_it_is_asked(state: TripState, command: Command, needed: bool) -> None:
    assert needs_reason(state, command) is needed


NAMED = {
    place: Place(id=place, label=label, point=PLACES[place], source="pin", confidence=1.0)
    for place, label in ((HOME, '<b>"Home" & co</b>'), (CLINIC, "Clinic"), (DEPOT, "Depot"))
}
EVIL = '<script>alert("x")</script>'


def _scene(trip: Trip, lane: Lane) -> Scene:
    return Scene(lanes=[lane], trips={trip.id: trip}, names={trip.id: EVIL}, zone="Europe/Zurich", now=_at(8.25))


def test_the_chart_puts_a_ride_where_its_time_is_and_says_all_about_it() -> None:
    trip = a_trip()
    lane = _one_ride(trip)

    markup = gantt(_scene(trip, lane), {lane.duty.id: "/console/dispatch/board?duty=1"})

    assert re.findall(r'class="o-hours".*?</div></div>', markup)[0].count("<span") == 12  # from 6 to 18 UTC
    assert f'href="/console/dispatch/bookings/{trip.booking_id}#trip-1"' in markup
    # Two of twelve hours after the begin, 36 minutes long.
    assert "inset-inline-start: 16.667%; width: 5.000%" in markup
    assert "09:00 to 09:36: 1 seat. Confirmed." in markup  # an hour ahead of UTC
    assert '<i class="o-now" style="inset-inline-start: 18.75%"' in markup


def test_the_span_of_a_day_is_reckoned_once_however_much_is_drawn() -> None:
    trip = a_trip()
    scene = _scene(trip, _one_ride(trip))

    assert scene.span is scene.span


def test_what_others_said_is_text_in_every_picture_and_never_markup() -> None:
    trip = a_trip()
    lane = _one_ride(trip)
    scene, paths = _scene(trip, lane), {lane.duty.id: '/x"y'}
    left = a_trip(state=TripState.UNPLANNABLE, reason=EVIL)
    scene = Scene(
        lanes=scene.lanes,
        trips={**scene.trips, left.id: left},
        names={**scene.names, left.id: EVIL},
        zone=scene.zone,
        now=scene.now,
    )

    for only in (None, lane.duty.id):
        drawn = gantt(scene, paths, only=only) + city(scene, NAMED, paths, left_out=[left], only=only)
        assert "<script" not in drawn
        assert "<b>&quot;" not in drawn.replace("<b>Driver", "")
        assert "&lt;script&gt;" in drawn
        assert 'href="/x"y' not in drawn


def test_the_map_has_the_route_the_places_and_a_scale_in_their_proportions() -> None:
    trip = a_trip()
    lane = _one_ride(trip)
    paths = {lane.duty.id: "/console/dispatch/board?duty=1"}

    whole = city(_scene(trip, lane), NAMED, paths, left_out=[], only=None)
    alone = city(_scene(trip, lane), NAMED, paths, left_out=[], only=lane.duty.id)

    points = re.findall(r'<path d="M([0-9.]+) ([0-9.]+)L([0-9.]+) ([0-9.]+)L', whole)[0]
    (x, y), (u, v) = (float(points[0]), float(points[1])), (float(points[2]), float(points[3]))
    assert (u, v) < (x, y) or (u < x and v > y)  # the home is south-west of the depot
    assert 'aria-label="1. Driver, Van: 1 trip, 14 km"' in whole
    assert "500 m" in whole or "1 km" in whole
    assert re.findall(r'class="o-pin [^>]*aria-label="(\d)\. 09:00 pickup', alone) == ["1"]
    assert re.findall(r'class="o-pin [^>]*aria-label="(\d)\. 09:30 drop-off', alone) == ["2"]


def test_a_day_without_stops_and_trips_has_no_map() -> None:
    lane = lane_of(a_duty(), [], lambda *_: (0.0, 0.0))
    scene = Scene(lanes=[lane], trips={}, names={}, zone="UTC", now=_at(8))

    assert city(scene, {}, {lane.duty.id: "/"}, left_out=[], only=None) == ""
    assert "Nothing is planned for it." in gantt(scene, {lane.duty.id: "/"})


@pytest.mark.parametrize(
    ("metres", "said"), [(None, "\N{EN DASH}"), (0, "0 m"), (849.6, "850 m"), (4213, "4.2 km"), (363_317, "363 km")]
)
def test_distances_are_said_as_people_say_them(metres: float | None, said: str) -> None:
    with speaking(LANGUAGES["en"]):
        assert say.distance(metres) == said
