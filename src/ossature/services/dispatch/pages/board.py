"""The day board: who drives whom on a day, what is left over, and the plans of the day."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Self
from urllib.parse import urlencode
from uuid import UUID

from nicegui import ui
from nicegui.element import Element

from ossature.kernel import clock
from ossature.kernel.console import say
from ossature.kernel.console.parts import Refreshed, drawn, empty, link, panel, reading, svg, tabs, tag
from ossature.kernel.console.shell import heading
from ossature.kernel.console.visit import Visit
from ossature.kernel.context import Ctx
from ossature.kernel.db.listing import Filter, ListQuery
from ossature.kernel.i18n.words import Message, Words
from ossature.kernel.jobs.domain import JobNews
from ossature.services.dispatch.domain.plans import Plan, PlanState, Run
from ossature.services.dispatch.domain.states import TripState
from ossature.services.dispatch.domain.timeline import Lane
from ossature.services.dispatch.pages.chart import Scene, gantt
from ossature.services.dispatch.pages.city import city
from ossature.services.dispatch.pages.days import asked_day, chooser, long_day, zone_note
from ossature.services.dispatch.pages.planning import Desk
from ossature.services.dispatch.pages.states import PLANS
from ossature.services.dispatch.pages.stops import leftovers, stop_table
from ossature.services.dispatch.pages.versions import versions
from ossature.services.dispatch.store import plans as store
from ossature.services.dispatch.store.search import next_day
from ossature.services.dispatch.usecases.board import Board, read_board
from ossature.services.dispatch.usecases.planning import PLAN_DAY
from ossature.services.dispatch.usecases.timeline import read_lanes

WORDS = Words(
    "dispatch.board",
    {
        "title": "Day board",
        "nothing": "Nothing on this day",
        "nothing_text": "Bookings and shifts of the day stand here, and what a plan makes of them.",
        "next": "Go to {day}",
        "book": "New booking",
        "served": "In the plan",
        "served_note": Message("of {count} trip", plural="of {count} trips"),
        "left": "Left over",
        "left_note": "in no duty yet",
        "duties": "Duties used",
        "duties_note": "of {all}",
        "driven": "Driven",
        "waited": "Waiting",
        "hours": "h",
        "waited_note": "of all vehicles",
        "plan": "Day plan",
        "no_plan": "none yet",
        "chart": "Who drives whom",
        "chart_note": "Each bar is a ride and leads to its booking.",
        "map": "Where",
        "map_note": "North is up, ways are drawn straight. A dot is a pickup, a square a drop-off.",
        "view": "Chart and map",
        "table": "As a table",
        "all": "All duties",
        "one": "{driver}, {vehicle}",
        "no_duties": "Nobody is on duty on this day",
        "no_duties_text": "A shift takes a driver and a vehicle. Trips wait until there is one.",
        "old": "This is plan {number}, which does not hold any more.",
        "back": "Back to the one that holds",
        "gone": "Some stops of this plan belong to drivers or vehicles that are out of service now; they are not shown.",
    },
)

_SELDOM_S = 30.0
_LEFT_OVER = (TripState.REQUESTED, TripState.CONFIRMED, TripState.UNPLANNABLE)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """A day as it was read."""

    board: Board
    lanes: tuple[Lane, ...]
    plans: Sequence[Plan]
    runs: Sequence[Run]
    holds: Plan | None
    later: date | None

    @classmethod
    async def read(cls, ctx: Ctx, day: date, plan_id: UUID | None) -> Self:
        """Read it. Raises: PlanNotFound."""
        of_day = ListQuery(limit=20, filters=(Filter("day", "eq", day),))
        found = await read_board(ctx, day, plan_id=plan_id)
        return cls(
            board=found,
            lanes=await read_lanes(ctx, found),
            plans=(await store.list_plans(ctx.db, ctx.tenant.id, of_day)).items,
            runs=(await store.list_runs(ctx.db, ctx.tenant.id, of_day)).items,
            holds=found.plan if plan_id is None else await store.current_plan(ctx.db, ctx.tenant.id, day),
            later=await next_day(ctx.db, ctx.tenant.id, day),
        )


async def board(visit: Visit) -> None:
    """Draw the page. Raises: PlanNotFound."""
    await _Board(visit).open()


def board_path(day: date, **more: str) -> str:
    """Where a day is looked at."""
    return f"/dispatch/board?{urlencode({'day': day.isoformat(), **more})}"


class _Board:
    """The page while it is open."""

    def __init__(self, visit: Visit) -> None:
        self.visit = visit
        self.day = asked_day(visit)
        self.only = _id(visit.query.get("duty", ""))
        self.plan_id = _id(visit.query.get("plan", ""))
        self.as_table = visit.query.get("view") == "table"
        self.desk = Desk(visit, self.day, self.again)
        self.place: Refreshed | None = None

    async def open(self) -> None:
        """Draw everything, and keep it as it is."""
        held: list[Element] = []
        note = " \N{MIDDLE DOT} ".join(part for part in (long_day(self.day), zone_note(self.visit)) if part)
        heading(WORDS("title"), note=note, actions=lambda: held.append(tag("div", cls="o-actions")))
        with tag("div", cls="o-stack"):
            chooser(self.visit, self.day, board_path)
            self.desk.stand(held[0])
            self.place = await drawn(_SELDOM_S, self.draw)
        self.visit.feed.on_news(self.hear)
        ui.timer(1.0, self.desk.watch)

    async def again(self) -> None:
        """Draw the day anew."""
        if self.place is not None:
            await self.place.again()

    async def hear(self, newest: Sequence[JobNews], more: int) -> None:
        """Somebody has a day planned, perhaps this one."""
        if self.place is not None and (more or any(news.name == PLAN_DAY.name for news in newest)):
            self.place.soon()

    async def draw(self) -> None:
        """Draw the day as it is now."""
        async with self.visit.ctx("read:plans") as ctx:
            seen = await _Seen.read(ctx, self.day, self.plan_id)
        found = seen.board
        await self.desk.tell(seen.holds, seen.runs[0] if seen.runs else None, empty=not found.trips)
        with tag("div", cls="o-stack"):
            if not (found.duties or found.trips or seen.plans):
                self._nothing(seen.later)
                return
            _readings(seen)
            if seen.holds is not None and found.plan is not None and found.plan.id != seen.holds.id:
                self._old(found.plan)
            self._pictures(seen)
            versions(self.visit, seen.plans, seen.runs, self.plan_path)

    def _nothing(self, later: date | None) -> None:
        def onward() -> None:
            with tag("div", cls="o-row o-centred"):
                if later is not None:
                    link(WORDS("next", day=say.day(later)), board_path(later), "o-button o-main")
                if self.visit.may("write:bookings") and self.visit.may("read:clients"):
                    link(WORDS("book"), f"/dispatch/book?day={self.day}", "o-button")

        with panel():
            empty(WORDS("nothing"), WORDS("nothing_text"), onward)

    def _old(self, plan: Plan) -> None:
        with tag("div", cls="o-note-warn o-row"):
            tag("span", WORDS("old", number=plan.number))
            link(WORDS("back"), board_path(self.day))

    def _pictures(self, seen: _Seen) -> None:
        """The chart and the map, or the same as a table."""
        found, names = seen.board, self.names(seen.board)
        scene = Scene(
            lanes=seen.lanes,
            trips={trip.id: trip for trip in found.trips},
            names=names,
            zone=self.visit.tenant.zone,
            now=clock.now(),
        )
        if not seen.lanes:
            with panel(WORDS("chart")):
                empty(WORDS("no_duties"), WORDS("no_duties_text"))
        if len({stop.duty_id for stop in found.stops}) > len({lane.duty.id for lane in seen.lanes if lane.stops}):
            tag("div", WORDS("gone"), "o-note-warn")
        self._tabs(seen.lanes)
        left_out = [trip for trip in found.trips if trip.state in _LEFT_OVER] if self.only is None else []
        if self.as_table:
            stop_table(scene, found.places, self.only)
            leftovers(self.visit, found, left_out, names)
            return
        paths = {lane.duty.id: f"/console{self.path(duty=str(lane.duty.id))}" for lane in seen.lanes}
        if seen.lanes:
            with panel(WORDS("chart"), note=WORDS("chart_note")):
                svg(gantt(scene, paths, only=self.only))
        if self.only is None:
            leftovers(self.visit, found, left_out, names)
        drawing = city(scene, found.places, paths, left_out=left_out, only=self.only)
        if drawing:
            with panel(WORDS("map"), note=WORDS("map_note")):
                svg(drawing)

    def _tabs(self, lanes: Sequence[Lane]) -> None:
        if not any(lane.stops for lane in lanes):
            return
        with tag("div", cls="o-row"):
            views = [("", WORDS("view")), ("table", WORDS("table"))]
            tabs(views, "table" if self.as_table else "", lambda view: self.path(view=view))
            chosen = next((lane for lane in lanes if lane.duty.id == self.only), None)
            if chosen is not None:
                name = WORDS("one", driver=chosen.duty.driver, vehicle=chosen.duty.vehicle)
                tabs([("", WORDS("all")), (str(self.only), name)], str(self.only), lambda duty: self.path(duty=duty))

    def path(self, **changed: str) -> str:
        """This page with something else chosen."""
        known = {name: self.visit.query.get(name, "") for name in ("duty", "plan", "view")} | changed
        return board_path(self.day, **{name: value for name, value in known.items() if value})

    def plan_path(self, plan: Plan) -> str:
        """This page with another plan of the day."""
        return board_path(self.day, **({} if plan.state in _HOLD else {"plan": str(plan.id)}))

    def names(self, found: Board) -> Mapping[UUID, str]:
        """Who rides, by trip; the beginning of the booking's id for who may not see clients."""
        if not self.visit.may("read:clients"):
            return {trip.id: str(trip.booking_id)[-6:] for trip in found.trips}
        return {trip.id: found.clients[trip.client_id].name for trip in found.trips}


_HOLD = (PlanState.DRAFT, PlanState.PUBLISHED)


def _id(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _readings(seen: _Seen) -> None:
    """The day in figures."""
    found, lanes = seen.board, [lane for lane in seen.lanes if lane.stops]
    left = sum(trip.state in _LEFT_OVER for trip in found.trips)
    served = len({stop.trip_id for stop in found.stops if stop.trip_id is not None})
    with tag("div", cls="o-readings"):
        path, below = f"/dispatch/bookings?day={found.day}", f"{board_path(found.day)}#left-over"
        reading(WORDS("served"), say.count(served), note=WORDS("served_note", count=len(found.trips)), path=path)
        reading(WORDS("left"), say.count(left), note=WORDS("left_note"), tone="bad" if left else None, path=below)
        used = WORDS("duties_note", all=len(found.duties))
        reading(WORDS("duties"), say.count(len(lanes)), note=used)
        reading(WORDS("driven"), say.distance(sum(lane.distance_m for lane in lanes)))
        waited_h = sum(lane.waited_s for lane in lanes) / 3600
        reading(WORDS("waited"), say.decimal(waited_h, 1), unit=WORDS("hours"), note=WORDS("waited_note"))
        plan = found.plan
        said = say.NOTHING if plan is None else say.count(plan.number)
        reading(WORDS("plan"), said, note=WORDS("no_plan") if plan is None else PLANS(plan.state.value))
