"""Service levels: what is promised about routes, and how much may still go wrong within 30 days."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from urllib.parse import quote

from ossature.kernel import clock
from ossature.kernel.console import say
from ossature.kernel.console.parts import Tone, drawn, empty, lamp, meter, panel, reading, svg, tabs, tag
from ossature.kernel.console.pictures import strip
from ossature.kernel.console.search import Hit, fits
from ossature.kernel.console.shell import heading
from ossature.kernel.console.table import Column, exports, table
from ossature.kernel.console.visit import Visit
from ossature.kernel.http.budgets import store
from ossature.kernel.http.budgets.domain import PERIOD, Counts, spent, together
from ossature.kernel.i18n.words import Message, Words
from ossature.kernel.observe.levels import MIN_BREACHES, OBJECTIVES
from ossature.kernel.service import Objective

WORDS = Words(
    "console.levels",
    {
        "title": "Service levels",
        "note": "What is promised about routes, and how much of what may go wrong within 30 days is left. Fewer than five misses say nothing yet.",
        "route": "Route",
        "service": "Service",
        "requests": "Requests",
        "latency": "Speed left",
        "errors": "Faults left",
        "availability": "Absence left",
        "course": "30 days",
        "promises": "Promises",
        "promises_note": Message("about one route", plural="about {count} routes"),
        "broken": "Broken",
        "broken_note": "too much has gone wrong",
        "tight": "Nearly spent",
        "tight_note": "less than a quarter is left",
        "asked": "Requests in 30 days",
        "asked_note": "to routes with a promise",
        "all": "All",
        "asked_only": "With requests",
        "none": "No requests yet",
        "none_text": "A promise is kept or broken by requests. They are counted here, and written down every minute.",
        "left": "{share} left",
        "nothing": "no requests",
        "day": "{day}: {missed} of {requests} requests missed a promise",
        "quiet": "{day}: no requests",
    },
)
_TIGHT = 0.75
_FAST = 3.0


@dataclass(frozen=True, slots=True)
class Level:
    """One route with a promise, and what it was asked within 30 days. days: by the day, UTC."""

    service: str
    objective: Objective
    days: dict[date, Counts]

    @property
    def whole(self) -> Counts:
        """All of it."""
        return together(self.days.values())

    def spent(self, kind: str) -> float | None:
        """The share of a budget that is used up."""
        return spent(self.objective, kind, self.whole)

    def is_told(self, kind: str) -> bool:
        """Whether so many missed it that it says something: on a quiet route a single failure is a high share."""
        return self.whole.missed(kind) >= MIN_BREACHES

    @property
    def worst(self) -> float:
        """The share of the budget that is used up most, of those that say something."""
        return max((self.spent(kind) or 0.0 for kind in OBJECTIVES if self.is_told(kind)), default=0.0)

    def tone(self, kind: str) -> Tone:
        """How a budget looks."""
        share = self.spent(kind)
        if share is None:
            return "off"
        return "good" if not self.is_told(kind) else "bad" if share >= 1 else "warn" if share > _TIGHT else "good"

    @property
    def path(self) -> str:
        """Its page."""
        return f"/levels/route?route={quote(self.objective.route)}"


async def levels(visit: Visit) -> None:
    """Draw the page. `?show=all|asked`."""
    show = visit.query.get("show", "asked")
    shown: list[Level] = []
    columns = _columns()
    heading(WORDS("title"), note=WORDS("note"), actions=lambda: exports("service-levels", lambda: shown, columns))

    async def draw() -> None:
        found = await read(visit)
        shown[:] = [one for one in found if show == "all" or one.whole.requests]
        with tag("div", cls="o-stack"):
            with tag("div", cls="o-readings"):
                _readings(found)
            with panel():
                with tag("div", cls="o-panel-head"):
                    choices = [("asked", WORDS("asked_only")), ("all", WORDS("all"))]
                    tabs(choices, show, lambda name: f"/levels?show={name}")
                if shown:
                    table(shown, columns)
                else:
                    empty(WORDS("none"), WORDS("none_text"))

    await drawn(30.0, draw, "o-stack")


async def find(visit: Visit, text: str) -> Sequence[Hit]:
    """Routes with a promise, by their names."""
    promised = [objective for service in visit.house.services for objective in service.slos]
    hits = [Level("", objective, {}) for objective in promised if text and fits(text, objective.route)]
    return [Hit(title=one.objective.route, path=one.path) for one in hits]


async def read(visit: Visit) -> list[Level]:
    """Every promise, the one whose budget is used up most first."""
    async with visit.ctx("read:platform", of_house=True) as ctx:
        found = await store.days(ctx.db, since=ctx.now - PERIOD)
    every = [
        Level(service.name, objective, found.get(objective.key, {}))
        for service in visit.house.services
        for objective in service.slos
    ]
    return sorted(every, key=lambda one: (-one.worst, -one.whole.requests, one.objective.route))


def left(share: float | None) -> str:
    """What is left of a budget of which this share is used up."""
    return say.NOTHING if share is None else say.share(max(1 - share, 0.0))


def course(level: Level) -> str:
    """A tile for each of the last 30 days, by how fast its requests used the budgets up."""
    today = clock.now().date()
    return strip([_tile(level, today - timedelta(days=back)) for back in range(PERIOD.days - 1, -1, -1)])


def _tile(level: Level, day: date) -> tuple[str, str]:
    counts = level.days.get(day, Counts())
    if not counts.requests:
        return "off", WORDS("quiet", day=say.day(day))
    told = [kind for kind in OBJECTIVES if counts.missed(kind) >= MIN_BREACHES]
    burns = max((spent(level.objective, kind, counts) or 0.0 for kind in told), default=0.0)
    missed = max(counts.missed(kind) for kind in OBJECTIVES)
    text = WORDS("day", day=say.day(day), missed=say.count(missed), requests=say.count(counts.requests))
    return "bad" if burns > _FAST else "warn" if burns > 1 else "good", text


def _readings(found: Sequence[Level]) -> None:
    tones = [one.tone(kind) for one in found for kind in OBJECTIVES]
    broken, tight = tones.count("bad"), tones.count("warn")
    asked = together(one.whole for one in found).requests
    reading(WORDS("promises"), say.count(len(tones)), note=WORDS("promises_note", count=len(found)))
    reading(WORDS("broken"), say.count(broken), tone="bad" if broken else None, note=WORDS("broken_note"))
    reading(WORDS("tight"), say.count(tight), tone="warn" if tight else None, note=WORDS("tight_note"))
    reading(WORDS("asked"), say.count(asked), note=WORDS("asked_note"))


def _columns() -> list[Column[Level]]:
    return [
        Column(WORDS("route"), lambda one: one.objective.route, path=lambda one: one.path),
        Column(WORDS("service"), lambda one: one.service),
        Column(WORDS("requests"), lambda one: say.count(one.whole.requests), numeric=True),
        *(_budget(kind) for kind in OBJECTIVES),
        Column(WORDS("course"), lambda one: left(one.worst), draw=lambda one: svg(course(one))),
    ]


def _budget(kind: str) -> Column[Level]:
    def draw(one: Level) -> None:
        share = one.spent(kind)
        if share is None:
            lamp("off", WORDS("nothing"))
            return
        said = WORDS("left", share=left(share))
        with tag("div", cls="o-row"):
            tone = one.tone(kind)
            lamp(tone, left(share)) if tone != "good" else tag("span", left(share), "o-mono")
            meter(1 - share, tone=tone, title=f"{WORDS(kind)}: {said}")

    return Column(WORDS(kind), lambda one: left(one.spent(kind)), draw=draw)
