"""The time chart of a day: a lane for each duty, with who rides when, and what the vehicle does meanwhile.

It is markup of our own with places in parts of a hundred, so that it is as sharp on a phone as on a wall; time runs in
the direction of reading.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from html import escape
from uuid import UUID

from ossature.kernel.console import say
from ossature.kernel.i18n.words import Message, Words
from ossature.services.dispatch.domain.bookings import Trip
from ossature.services.dispatch.domain.timeline import Doing, Lane, Ride, Stretch
from ossature.services.dispatch.pages.days import hour_of
from ossature.services.dispatch.pages.states import TONES, TRIPS, load_said, requirement_said

WORDS = Words(
    "dispatch.chart",
    {
        "chart": "Time chart",
        "trips": Message("{count} trip", plural="{count} trips"),
        "waits": "waits {span}",
        "reserve": "reserve",
        "idle": "Nothing is planned for it.",
        "deadhead": "drives empty",
        "driving": "drives with people on board; the thicker, the more",
        "waiting": "waits",
        "pickup": "pickup",
        "dropoff": "drop-off",
        "shift": "shift",
        "ride": "{who}, {begin} to {end}: {needs}. {state}.",
        "now": "now",
        "legend": "How to read it",
        "at": "{what}, {begin} to {end}, on board: {load}",
    },
)

HUES = 8
_ROW_PX, _STRIP_PX, _EDGE_PX = 24, 26, 6


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What the chart and the map of a day show. names: of who rides, by trip. zone: of the times."""

    lanes: Sequence[Lane]
    trips: Mapping[UUID, Trip]
    names: Mapping[UUID, str]
    zone: str
    now: datetime

    @cached_property
    def span(self) -> tuple[datetime, datetime]:
        """From the hour in which the first shift or stop begins to the end of the one in which the last ends."""
        begins = [lane.duty.earliest_start for lane in self.lanes]
        begins += [stretch.begins_at for lane in self.lanes for stretch in lane.stretches]
        ends = [lane.duty.latest_end for lane in self.lanes]
        ends += [stretch.ends_at for lane in self.lanes for stretch in lane.stretches]
        last = hour_of(max(ends) - timedelta(seconds=1), self.zone)
        return hour_of(min(begins), self.zone), last + timedelta(hours=1)


def hue(number: int) -> str:
    """The class of the colour of a route, by its place among the duties of the day."""
    return f"o-hue-{number % HUES + 1}"


def booking_path(trip: Trip) -> str:
    """Where the booking of a trip is looked at."""
    return f"/console/dispatch/bookings/{trip.booking_id}#trip-{trip.leg}"


def gantt(scene: Scene, paths: Mapping[UUID, str], *, only: UUID | None = None) -> str:
    """The lanes as markup. paths: where each duty is looked at alone; only: this duty."""
    begin, end = scene.span
    hours = round((end - begin).total_seconds() / 3600)
    shown = [(number, lane) for number, lane in enumerate(scene.lanes) if only in (None, lane.duty.id)]
    lanes = "".join(_lane(scene, number, lane, paths[lane.duty.id]) for number, lane in shown)
    return (
        f'<div class="o-gantt" role="region" tabindex="0" aria-label="{_attribute(WORDS("chart"))}">'
        f'<div class="o-gantt-sheet" style="--hours: {hours}">{_hours(scene, hours)}<ul>{lanes}</ul></div></div>{_legend()}'
    )


def _hours(scene: Scene, hours: int) -> str:
    begin, _ = scene.span
    marks = "".join(
        f'<span style="inset-inline-start: {100 * hour / hours:.2f}%">'
        f"{escape(say.clock_time(begin + timedelta(hours=hour), scene.zone))}</span>"
        for hour in range(hours)
    )
    return f'<div class="o-hours" aria-hidden="true"><div></div><div>{marks}</div></div>'


def _lane(scene: Scene, number: int, lane: Lane, path: str) -> str:
    duty = lane.duty
    said = [duty.vehicle, WORDS("trips", count=len(lane.rides))]
    said += [WORDS("waits", span=say.span(lane.waited_s))] if lane.waited_s else []
    said += [WORDS("reserve")] if duty.reserve else []
    height = lane.rows * _ROW_PX + _STRIP_PX + 2 * _EDGE_PX
    strip = "".join(_stretch(scene, stretch, _most(lane)) for stretch in lane.stretches)
    rides = "".join(_ride(scene, ride) for ride in lane.rides)
    idle = "" if lane.rides else f'<em class="o-dim">{escape(WORDS("idle"))}</em>'
    return (
        f'<li class="o-lane {hue(number)}"><div class="o-lane-head"><a href="{_attribute(path)}">'
        f'<span class="o-pin" aria-hidden="true">{number + 1}</span><b>{escape(duty.driver)}</b></a>'
        f'<span class="o-dim">{", ".join(f"<bdi>{escape(part)}</bdi>" for part in said)}</span></div>'
        f'<div class="o-track" style="height: {height}px">{_box(scene, "o-shift", duty.earliest_start, duty.latest_end)}'
        f'{_now(scene)}{rides}{idle}<div class="o-line" aria-hidden="true">{strip}</div></div></li>'
    )


def _ride(scene: Scene, ride: Ride) -> str:
    trip = scene.trips.get(ride.trip_id)
    who = scene.names.get(ride.trip_id, "")
    if trip is None:
        return _box(scene, "o-ride", ride.begins_at, ride.ends_at)
    said = WORDS(
        "ride",
        who=who,
        begin=say.clock_time(ride.begins_at, scene.zone),
        end=say.clock_time(ride.ends_at, scene.zone),
        needs=requirement_said(trip.requirement),
        state=TRIPS(trip.state.value),
    )
    top = _EDGE_PX + ride.row * _ROW_PX
    return (
        f'<a class="o-ride o-is-{TONES[trip.state]}" href="{_attribute(booking_path(trip))}" '
        f'style="{_place(scene, ride.begins_at, ride.ends_at)}; top: {top}px" '
        f'title="{_attribute(said)}" aria-label="{_attribute(said)}"><span dir="auto">{escape(who)}</span></a>'
    )


def _stretch(scene: Scene, stretch: Stretch, most: int) -> str:
    aboard = sum(stretch.load)
    kind = stretch.doing.value if aboard or stretch.doing is not Doing.DRIVING else "deadhead"
    style = _place(scene, stretch.begins_at, stretch.ends_at)
    if kind == "driving":
        style += f"; height: {25 + 75 * min(aboard, most) / most:.0f}%"
    said = WORDS(
        "at",
        what=WORDS(kind),
        begin=say.clock_time(stretch.begins_at, scene.zone),
        end=say.clock_time(stretch.ends_at, scene.zone),
        load=load_said(stretch.load),
    )
    return f'<i class="o-{kind}" style="{style}" title="{_attribute(said)}"></i>'


def _most(lane: Lane) -> int:
    """How many the vehicle holds, in the layout that holds most."""
    return max((sum(layout) for layout in lane.duty.layouts), default=1) or 1


def _now(scene: Scene) -> str:
    begin, end = scene.span
    if not begin <= scene.now < end:
        return ""
    share = 100 * (scene.now - begin) / (end - begin)
    return f'<i class="o-now" style="inset-inline-start: {share:.2f}%" title="{_attribute(WORDS("now"))}"></i>'


def _box(scene: Scene, cls: str, begins_at: datetime, ends_at: datetime) -> str:
    return f'<i class="{cls}" style="{_place(scene, begins_at, ends_at)}"></i>'


def _place(scene: Scene, begins_at: datetime, ends_at: datetime) -> str:
    begin, end = scene.span
    whole = end - begin
    return f"inset-inline-start: {100 * (begins_at - begin) / whole:.3f}%; width: {100 * (ends_at - begins_at) / whole:.3f}%"


def _legend() -> str:
    kinds = (
        ("o-shift", "shift"), ("o-deadhead", "deadhead"), ("o-driving", "driving"), ("o-waiting", "waiting"),
        ("o-pickup", "pickup"), ("o-dropoff", "dropoff"),
    )  # fmt: skip
    items = "".join(f'<li><i class="{cls}"></i>{escape(WORDS(key))}</li>' for cls, key in kinds)
    return f'<ul class="o-key o-hue-1" aria-label="{_attribute(WORDS("legend"))}">{items}</ul>'


def _attribute(text: str) -> str:
    return escape(text, quote=True)
