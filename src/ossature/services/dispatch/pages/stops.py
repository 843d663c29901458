"""The stops of a day as a table, and the trips that are in no duty."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from ossature.kernel.console import say
from ossature.kernel.console.parts import empty, lamp, link, panel, tag
from ossature.kernel.console.table import Column, exports, table
from ossature.kernel.console.visit import Visit
from ossature.kernel.i18n.words import Message, Words
from ossature.services.dispatch.domain.bookings import Place, Trip
from ossature.services.dispatch.domain.plans import PlanStop
from ossature.services.dispatch.domain.timeline import Lane
from ossature.services.dispatch.pages.chart import Scene
from ossature.services.dispatch.pages.days import window_said
from ossature.services.dispatch.pages.states import TONES, TRIPS, load_said, reason_said, requirement_said
from ossature.services.dispatch.usecases.board import Board

WORDS = Words(
    "dispatch.stops",
    {
        "stops": "Stops",
        "no_stops": "No stop is planned",
        "no_stops_text": "A plan gives every duty its stops.",
        "route": Message("Route", context="of a vehicle"),
        "driver": "Driver",
        "vehicle": "Vehicle",
        "number": "Stop",
        "at": "Planned",
        "leaves": "Leaves",
        "kind": "What",
        "start": "begin",
        "pickup": "pickup",
        "dropoff": "drop-off",
        "end": "end",
        "who": "Who",
        "where": "Where",
        "load": "On board afterwards",
        "left": "Left over",
        "left_note": "in no duty, with what stops it",
        "all_served": "Every trip of the day is in a duty.",
        "state": "State",
        "from": Message("From", context="place"),
        "to": Message("To", context="place"),
        "pickup_window": "Pickup",
        "needs": "Needs",
        "why": "Why",
        "to_accept": "It waits to be accepted.",
        "to_plan": "It waits for the next plan.",
    },
)


@dataclass(frozen=True, slots=True)
class _Row:
    route: int
    lane: Lane
    number: int
    stop: PlanStop


def stop_table(scene: Scene, places: Mapping[UUID, Place], only: UUID | None) -> None:
    """What the chart and the map show, stop by stop. only: of this duty."""
    rows = [
        _Row(route, lane, number, stop)
        for route, lane in enumerate(scene.lanes, 1)
        if only in (None, lane.duty.id)
        for number, stop in enumerate(lane.stops)
    ]
    columns = _stop_columns(scene, places)
    with panel(WORDS("stops"), actions=lambda: exports("stops", lambda: rows, columns)):
        if rows:
            table(rows, columns)
        else:
            empty(WORDS("no_stops"), WORDS("no_stops_text"))


def _stop_columns(scene: Scene, places: Mapping[UUID, Place]) -> list[Column[_Row]]:
    def who(row: _Row) -> str:
        return scene.names.get(row.stop.trip_id, "") if row.stop.trip_id is not None else ""

    def whose(row: _Row) -> None:
        trip = scene.trips.get(row.stop.trip_id) if row.stop.trip_id is not None else None
        if trip is not None:
            link(who(row), f"/dispatch/bookings/{trip.booking_id}")

    return [
        Column(WORDS("route"), lambda row: str(row.route), numeric=True),
        Column(WORDS("driver"), lambda row: row.lane.duty.driver),
        Column(WORDS("vehicle"), lambda row: row.lane.duty.vehicle),
        Column(WORDS("number"), lambda row: str(row.number), numeric=True),
        Column(WORDS("at"), lambda row: say.clock_time(row.stop.planned_at, scene.zone), numeric=True),
        Column(WORDS("leaves"), lambda row: say.clock_time(row.stop.leaves_at, scene.zone), numeric=True),
        Column(WORDS("kind"), lambda row: WORDS(row.stop.kind.value), tight=True),
        Column(WORDS("who"), who, whose),
        Column(WORDS("where"), lambda row: places[row.stop.place_id].label),
        Column(WORDS("load"), lambda row: load_said(row.stop.load)),
    ]


def leftovers(visit: Visit, board: Board, trips: Sequence[Trip], names: Mapping[UUID, str]) -> None:
    """The trips of a day that are in no duty, each with the reason."""
    columns = _left_columns(visit, board, names)
    with panel(
        WORDS("left"),
        note=WORDS("left_note") if trips else "",
        actions=(lambda: exports("left-over", lambda: trips, columns)) if trips else None,
    ) as section:
        section.props["id"] = "left-over"
        if trips:
            table(trips, columns)
            return
        with tag("div", cls="o-calm"):
            lamp("good", WORDS("all_served"))


def _left_columns(visit: Visit, board: Board, names: Mapping[UUID, str]) -> list[Column[Trip]]:
    zone = visit.tenant.zone
    return [
        Column(WORDS("who"), lambda trip: names[trip.id], path=lambda trip: f"/dispatch/bookings/{trip.booking_id}"),
        Column(
            WORDS("state"),
            lambda trip: TRIPS(trip.state.value),
            lambda trip: lamp(TONES[trip.state], TRIPS(trip.state.value)),
            tight=True,
        ),
        Column(WORDS("pickup_window"), lambda trip: window_said(trip.pickup, zone), tight=True),
        Column(WORDS("from"), lambda trip: board.places[trip.from_place_id].label),
        Column(WORDS("to"), lambda trip: board.places[trip.to_place_id].label),
        Column(WORDS("needs"), lambda trip: requirement_said(trip.requirement)),
        Column(WORDS("why"), _why),
    ]


def _why(trip: Trip) -> str:
    if trip.reason:
        return reason_said(trip.reason)
    return {"requested": WORDS("to_accept"), "confirmed": WORDS("to_plan")}.get(trip.state.value, "")
