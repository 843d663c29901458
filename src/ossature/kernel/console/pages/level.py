"""One service level: what is promised about a route, what is left of each budget, and when it was used up."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from ossature.kernel import clock
from ossature.kernel.console import say
from ossature.kernel.console.charts import lines, stacked
from ossature.kernel.console.pages.levels import Level, left
from ossature.kernel.console.parts import drawn, empty, facts, panel, reading, tag
from ossature.kernel.console.shell import heading
from ossature.kernel.console.table import Column, exports, table
from ossature.kernel.console.visit import Visit
from ossature.kernel.errors import NotFound
from ossature.kernel.http.budgets import store
from ossature.kernel.http.budgets.domain import PERIOD, Counts, allowed, spent, together
from ossature.kernel.i18n.words import Words
from ossature.kernel.observe.levels import MIN_BREACHES, OBJECTIVES, SLOW_SHARE
from ossature.kernel.service import Objective

WORDS = Words(
    "console.level",
    {
        "unknown": "Nothing is promised about {route}.",
        "of": "of the service {service}",
        "latency": "Speed",
        "errors": "Faults",
        "availability": "Absence",
        "left": "left",
        "note": "{missed} of {allowed} that may miss it",
        "no_requests": "no requests in 30 days",
        "burns": "Burns today",
        "burns_note": "1 uses a budget up in exactly 30 days",
        "promise": "The promise",
        "promise_latency": "Of 100 answers {share} take no longer than {time}.",
        "promise_errors": "Of the answers, at most {share} have a status of 500 or more.",
        "promise_availability": "Of the answers, at most {share} are 502, 503 or 504.",
        "course": "What was left of 30 days",
        "course_note": "of each budget at the end of the day (UTC), of what the requests of these 30 days allow",
        "answers": "Answers by the day",
        "answers_note": "the most that missed one part of the promise, and the others",
        "kept": "kept it",
        "missed": "missed it",
        "hours": "The last 48 hours",
        "hour": "Hour",
        "requests": "Requests",
        "slow": "Too slow",
        "failed": "Failed (5xx)",
        "away": "Away",
        "none": "No requests in 48 hours",
        "none_text": "What comes is written down every minute.",
    },
)
_RECENT = timedelta(hours=48)


@dataclass(frozen=True, slots=True)
class _Hour:
    at: datetime
    counts: Counts


async def level(visit: Visit) -> None:
    """Draw the page. `?route=GET%20/v1/things`. Raises: NotFound."""
    route = visit.query.get("route", "")
    service, objective = _promise(visit, route)
    recent: list[_Hour] = []
    columns = _columns(visit.zone)
    heading(route, note=WORDS("of", service=service), actions=lambda: exports("hours", lambda: recent, columns))

    async def draw() -> None:
        async with visit.ctx("read:platform", of_house=True) as ctx:
            found = await store.hours(ctx.db, objective.key, since=ctx.now - PERIOD)
            now = ctx.now
        days = _by_day(found)
        recent[:] = [_Hour(hour, counts) for hour, counts in reversed(found.items()) if hour > now - _RECENT]
        with tag("div", cls="o-stack"):
            with tag("div", cls="o-readings"):
                _readings(Level(service, objective, days))
            with tag("div", cls="o-grid"):
                _charts(objective, days)
            _promised(objective)
            with panel(WORDS("hours")):
                if recent:
                    table(recent, columns)
                else:
                    empty(WORDS("none"), WORDS("none_text"))

    await drawn(30.0, draw, "o-stack")


def _promise(visit: Visit, route: str) -> tuple[str, Objective]:
    for service in visit.house.services:
        for objective in service.slos:
            if objective.route == route:
                return service.name, objective
    raise NotFound(WORDS("unknown", route=route))


def _by_day(found: dict[datetime, Counts]) -> dict[date, Counts]:
    days: dict[date, Counts] = {}
    for hour, counts in found.items():
        days[hour.date()] = days.get(hour.date(), Counts()).plus(counts)
    return days


def _readings(one: Level) -> None:
    whole = one.whole
    for kind in OBJECTIVES:
        share = one.spent(kind)
        most = allowed(one.objective, kind, whole.requests)
        # Half a request cannot go wrong.
        note = WORDS("note", missed=say.count(whole.missed(kind)), allowed=say.count(int(most)))
        if share is None:
            note = WORDS("no_requests")
        tone = one.tone(kind)
        reading(WORDS(kind), left(share), unit=WORDS("left"), note=note, tone=None if tone == "off" else tone)
    today = one.days.get(clock.now().date(), Counts())
    rates = [spent(one.objective, kind, today) for kind in OBJECTIVES]
    told = any(today.missed(kind) >= MIN_BREACHES for kind in OBJECTIVES)
    fastest = max((rate for rate in rates if rate is not None), default=None)
    said = say.NOTHING if fastest is None else say.decimal(fastest, 1)
    reading(WORDS("burns"), said, note=WORDS("burns_note"), tone="bad" if told and fastest and fastest > 1 else None)


def _charts(objective: Objective, days: dict[date, Counts]) -> None:
    last = clock.now().date()
    dates = [last - timedelta(days=back) for back in range(PERIOD.days - 1, -1, -1)]
    times = [say.day(one) for one in dates]
    with panel(WORDS("course"), note=WORDS("course_note"), cls="o-w6"):
        tones = zip(OBJECTIVES, ("accent", "bad", "warn"), strict=True)
        lines(times, [(WORDS(kind), tone, _left(objective, kind, days, dates)) for kind, tone in tones], "%")
    missed = [max(days.get(one, Counts()).missed(kind) for kind in OBJECTIVES) for one in dates]
    kept = [days.get(one, Counts()).requests - gone for one, gone in zip(dates, missed, strict=True)]
    with panel(WORDS("answers"), note=WORDS("answers_note"), cls="o-w6"):
        stacked(times, [(WORDS("kept"), "accent", kept), (WORDS("missed"), "bad", missed)])


def _left(objective: Objective, kind: str, days: dict[date, Counts], dates: Sequence[date]) -> list[float | None]:
    """What was left of a budget at the end of each day, in per cent; nothing before the first request."""
    most = allowed(objective, kind, together(days.values()).requests)
    course: list[float | None] = []
    gone, begun = 0, False
    for one in dates:
        counts = days.get(one, Counts())
        begun = begun or counts.requests > 0
        gone += counts.missed(kind)
        part = 1 - gone / most if most else float(not gone)
        course.append(round(max(part, 0.0) * 100, 1) if begun else None)
    return course


def _promised(objective: Objective) -> None:
    time = say.latency(objective.p95_ms)
    said = {
        "latency": WORDS("promise_latency", share=round(100 * (1 - SLOW_SHARE)), time=time),
        "errors": WORDS("promise_errors", share=say.share(objective.error_rate, 1)),
        "availability": WORDS("promise_availability", share=say.share(1 - objective.availability, 1)),
    }
    with panel(WORDS("promise")):
        facts((WORDS(kind), said[kind]) for kind in OBJECTIVES)


def _columns(zone: str) -> list[Column[_Hour]]:
    return [
        Column(WORDS("hour"), lambda one: say.instant(one.at, zone, length="short")),
        Column(WORDS("requests"), lambda one: say.count(one.counts.requests), numeric=True),
        Column(WORDS("slow"), lambda one: say.count(one.counts.slow), numeric=True),
        Column(WORDS("failed"), lambda one: say.count(one.counts.failed), numeric=True),
        Column(WORDS("away"), lambda one: say.count(one.counts.unavailable), numeric=True),
    ]
