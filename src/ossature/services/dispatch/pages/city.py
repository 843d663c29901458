"""The map of a day, drawn without tiles: routes as lines of their own colour and dashes, places, a scale.

Lines are SVG; what has a name or can be followed stands above them as HTML, so that it keeps its size on every screen.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from html import escape
from uuid import UUID

from ossature.kernel.console import say
from ossature.kernel.i18n.words import Message, Words
from ossature.services.dispatch.domain.bookings import Place, Trip
from ossature.services.dispatch.domain.places import Point, bounds, mercator_y
from ossature.services.dispatch.domain.plans import PlanStop, StopKind
from ossature.services.dispatch.domain.timeline import Lane
from ossature.services.dispatch.pages.chart import Scene, booking_path, hue
from ossature.services.dispatch.pages.states import TRIPS, reason_said

WORDS = Words(
    "dispatch.city",
    {
        "map": "Map",
        "route": "{driver}, {vehicle}: {trips}, {distance}",
        "trips": Message("{count} trip", plural="{count} trips"),
        "routes": "Routes",
        "unserved": "{who}: {state}. {reason}",
        "left_out": "in no route",
        "base": "base",
        "start": "begin",
        "end": "end",
        "pickup": "pickup",
        "dropoff": "drop-off",
        "stop": "{number}. {time} {what} {who}, {place}",
    },
)

_DASHES = ("", "10 4", "2 5", "14 4 2 4", "6 6")
_WIDE = 1000.0
_FLAT, _TALL = 0.5, 0.8
_METRES_PER_DEGREE = 111_195.0
"""Of a great circle, on a globe of the mean radius."""
_NAMED_MOST = 12
_NAMED_LEAST_STOPS = 4


@dataclass(frozen=True)
class _View:
    """A window on the globe. Corners in degrees of longitude and the Mercator heights that go with them."""

    west: float
    south: float
    east: float
    north: float
    lat: float

    @classmethod
    def around(cls, points: Sequence[Point]) -> "_View":
        """The window that holds all points, neither too flat nor too tall."""
        low, high = bounds(points, margin=0.08)
        west, east, south, north = low.lon, high.lon, mercator_y(low.lat), mercator_y(high.lat)
        ratio = (north - south) / (east - west)
        taller = max(0.0, _FLAT - ratio) * (east - west) / 2
        wider = max(0.0, ratio / _TALL - 1) * (east - west) / 2
        return cls(west - wider, south - taller, east + wider, north + taller, (low.lat + high.lat) / 2)

    @cached_property
    def tall(self) -> float:
        """Height where the width is `_WIDE`."""
        return _WIDE * (self.north - self.south) / (self.east - self.west)

    @cached_property
    def wide_m(self) -> float:
        """Metres from edge to edge."""
        return (self.east - self.west) * _METRES_PER_DEGREE * math.cos(math.radians(self.lat))

    def at(self, point: Point) -> tuple[float, float]:
        """Where a point is, from the upper left."""
        x = _WIDE * (point.lon - self.west) / (self.east - self.west)
        y = self.tall * (self.north - mercator_y(point.lat)) / (self.north - self.south)
        return x, y

    def style(self, point: Point) -> str:
        """The place of an element above the drawing."""
        x, y = self.at(point)
        return f"left: {100 * x / _WIDE:.2f}%; top: {100 * y / self.tall:.2f}%"


def city(
    scene: Scene,
    places: Mapping[UUID, Place],
    paths: Mapping[UUID, str],
    *,
    left_out: Sequence[Trip],
    only: UUID | None,
) -> str:
    """The map as markup. paths: where each duty is looked at alone; only: the duty that is looked at alone."""
    shown = [(n, lane) for n, lane in enumerate(scene.lanes) if lane.rides and only in (None, lane.duty.id)]
    seen = [stop.place_id for _, lane in shown for stop in lane.stops]
    seen += [place for trip in left_out for place in (trip.from_place_id, trip.to_place_id)]
    if not seen:
        return ""
    view = _View.around([places[one].point for one in seen])
    lines = [_line(view, places, hue(n), _DASHES[n % len(_DASHES)], lane.stops) for n, lane in shown]
    lines += [_way(view, places, trip) for trip in left_out]
    above = [_names(view, places, seen), _bases(view, places, [lane for _, lane in shown])]
    if only is None:
        above.append(_pins(view, places, shown, paths))
    else:
        above += [_stops(scene, view, places, lane, hue(n)) for n, lane in shown]
    above += [_left_out(scene, view, places, trip) for trip in left_out]
    return (
        f'<div class="o-map" role="group" aria-label="{_attribute(WORDS("map"))}" '
        f'style="aspect-ratio: {_WIDE:.0f} / {view.tall:.0f}">'
        f'<svg viewBox="0 0 {_WIDE:.0f} {view.tall:.0f}" aria-hidden="true">{_net(view)}{"".join(lines)}</svg>'
        f"{''.join(above)}{_scale(view)}</div>{_legend(shown, paths, left_out=bool(left_out))}"
    )


def _round_m(metres: float) -> float:
    """The largest of 1, 2, 5, 10, 20... that is not above."""
    power = 10.0 ** math.floor(math.log10(metres))
    return next((step * power for step in (5.0, 2.0) if step * power <= metres), power)


def _net(view: _View) -> str:
    """Lines of a round distance, so that distances can be judged."""
    step = _WIDE * _round_m(view.wide_m / 6) / view.wide_m
    across = "".join(f"M{n * step:.1f} 0V{view.tall:.1f}" for n in range(1, math.ceil(_WIDE / step)))
    down = "".join(f"M0 {view.tall - n * step:.1f}H{_WIDE:.0f}" for n in range(1, math.ceil(view.tall / step)))
    return f'<path class="o-net" d="{across}{down}"/>'


def _line(view: _View, places: Mapping[UUID, Place], cls: str, dash: str, stops: Sequence[PlanStop]) -> str:
    """A route: its line, a dot at each pickup and a square at each drop-off."""
    points = [view.at(places[stop.place_id].point) for stop in stops]
    line = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    dots = {
        kind: "".join(f"M{x:.1f} {y:.1f}h.01" for stop, (x, y) in zip(stops, points, strict=True) if stop.kind is kind)
        for kind in (StopKind.PICKUP, StopKind.DROPOFF)
    }
    return (
        f'<g class="o-route {cls}"><path d="M{line}" stroke-dasharray="{dash}"/>'
        f'<path class="o-dots" d="{dots[StopKind.PICKUP]}"/><path class="o-squares" d="{dots[StopKind.DROPOFF]}"/></g>'
    )


def _way(view: _View, places: Mapping[UUID, Place], trip: Trip) -> str:
    (x, y), (u, v) = (view.at(places[one].point) for one in (trip.from_place_id, trip.to_place_id))
    return f'<path class="o-unserved" d="M{x:.1f} {y:.1f}L{u:.1f} {v:.1f}"/>'


def _names(view: _View, places: Mapping[UUID, Place], seen: Sequence[UUID]) -> str:
    """The names of the places that most is about."""
    counts = {one: seen.count(one) for one in dict.fromkeys(seen)}
    often = sorted((one for one in counts if counts[one] >= _NAMED_LEAST_STOPS), key=lambda one: -counts[one])
    return "".join(
        f'<span class="o-map-name" style="{view.style(places[one].point)}" aria-hidden="true">'
        f"{escape(places[one].label)}</span>"
        for one in often[:_NAMED_MOST]
    )


def _bases(view: _View, places: Mapping[UUID, Place], lanes: Iterable[Lane]) -> str:
    bases = dict.fromkeys(lane.duty.place_id for lane in lanes)
    return "".join(
        f'<span class="o-map-base" style="{view.style(places[one].point)}" title="{_attribute(WORDS("base"))}: '
        f'{_attribute(places[one].label)}" aria-hidden="true"></span>'
        for one in bases
    )


def _pins(
    view: _View,
    places: Mapping[UUID, Place],
    shown: Sequence[tuple[int, Lane]],
    paths: Mapping[UUID, str],
) -> str:
    """The number of each route at the stop of it that is furthest from the numbers before."""
    taken: list[tuple[float, float]] = []
    pins = []
    for number, lane in shown:
        inner = [places[stop.place_id].point for stop in lane.stops[1:-1]] or [places[lane.duty.place_id].point]
        best = max(inner, key=lambda point: _room(view.at(point), taken))
        taken.append(view.at(best))
        pins.append(
            f'<a class="o-pin {hue(number)}" style="{view.style(best)}" href="{_attribute(paths[lane.duty.id])}" '
            f'title="{_attribute(_said(lane))}" aria-label="{number + 1}. {_attribute(_said(lane))}">{number + 1}</a>'
        )
    return "".join(pins)


def _room(here: tuple[float, float], taken: Sequence[tuple[float, float]]) -> float:
    return min((math.dist(here, one) for one in taken), default=0.0)


def _stops(scene: Scene, view: _View, places: Mapping[UUID, Place], lane: Lane, cls: str) -> str:
    """Each place of a route with the numbers of its stops there, which say what happens when."""
    at: dict[UUID, list[tuple[int, PlanStop]]] = {}
    for number, stop in enumerate(lane.stops):
        if stop.trip_id is not None:
            at.setdefault(stop.place_id, []).append((number, stop))
    found = []
    for place_id, stops in at.items():
        said = "\n".join(stop_said(scene, places, number, stop) for number, stop in stops)
        trip = scene.trips.get(stops[0][1].trip_id) if stops[0][1].trip_id is not None else None
        path = booking_path(trip) if trip is not None else ""
        numbers = ", ".join(str(number) for number, _ in stops)
        found.append(
            f'<a class="o-pin {cls}" style="{view.style(places[place_id].point)}" href="{_attribute(path)}" '
            f'title="{_attribute(said)}" aria-label="{_attribute(said)}">{numbers}</a>'
        )
    return "".join(found)


def stop_said(scene: Scene, places: Mapping[UUID, Place], number: int, stop: PlanStop) -> str:
    """`3. 07:40 pickup Client 3, North clinic`."""
    return WORDS(
        "stop",
        number=str(number),
        time=say.clock_time(stop.planned_at, scene.zone),
        what=WORDS(stop.kind.value),
        who=scene.names.get(stop.trip_id, "") if stop.trip_id is not None else "",
        place=places[stop.place_id].label,
    )


def _left_out(scene: Scene, view: _View, places: Mapping[UUID, Place], trip: Trip) -> str:
    who, state = scene.names.get(trip.id, ""), TRIPS(trip.state.value)
    said = WORDS("unserved", who=who, state=state, reason=reason_said(trip.reason)).strip()
    return (
        f'<a class="o-pin o-unserved" style="{view.style(places[trip.from_place_id].point)}" '
        f'href="{_attribute(booking_path(trip))}" title="{_attribute(said)}" aria-label="{_attribute(said)}">!</a>'
    )


def _scale(view: _View) -> str:
    metres = _round_m(view.wide_m / 5)
    return f'<span class="o-scale" style="width: {100 * metres / view.wide_m:.2f}%"><span>{escape(say.distance(metres))}</span></span>'


def _said(lane: Lane) -> str:
    trips = WORDS("trips", count=len(lane.rides))
    driver, vehicle = lane.duty.driver, lane.duty.vehicle
    return WORDS("route", driver=driver, vehicle=vehicle, trips=trips, distance=say.distance(lane.distance_m))


def _legend(shown: Sequence[tuple[int, Lane]], paths: Mapping[UUID, str], *, left_out: bool) -> str:
    items = [
        f'<li class="{hue(number)}">{_sample(_DASHES[number % len(_DASHES)], "o-route " + hue(number))}'
        f'<a href="{_attribute(paths[lane.duty.id])}">{number + 1}. {escape(_said(lane))}</a></li>'
        for number, lane in shown
    ]
    if left_out:
        items.append(f"<li>{_sample('', 'o-unserved')}{escape(WORDS('left_out'))}</li>")
    return f'<ul class="o-key" aria-label="{_attribute(WORDS("routes"))}">{"".join(items)}</ul>'


def _sample(dash: str, cls: str) -> str:
    return (
        f'<svg class="o-sample" viewBox="0 0 40 8" aria-hidden="true"><g class="{cls}">'
        f'<path class="{cls}" d="M0 4H40" stroke-dasharray="{dash}"/></g></svg>'
    )


def _attribute(text: str) -> str:
    return escape(text, quote=True)
