"""Schedules: when what will run."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

from nicegui import ui

from ossature.kernel import clock
from ossature.kernel.console import say
from ossature.kernel.console.parts import button, drawn, empty, panel, svg
from ossature.kernel.console.pictures import ruler
from ossature.kernel.console.search import Hit, fits
from ossature.kernel.console.shell import heading
from ossature.kernel.console.table import Column, exports, table
from ossature.kernel.console.visit import Visit
from ossature.kernel.i18n.words import Message, Words
from ossature.kernel.jobs import schedule
from ossature.kernel.jobs.domain import ScheduleView
from ossature.kernel.jobs.queue import Jobs
from ossature.kernel.service import Every

WORDS = Words(
    "console.schedules",
    {
        "title": "Schedules",
        "note": "Each start is delayed by a little chance, so that not everything knocks at once.",
        "ahead": "The next 24 hours",
        "ahead_note": Message(
            "one schedule", plural="{count} schedules; those that run more often than hourly show their next start only"
        ),
        "now": "now",
        "name": "Schedule",
        "plan": Message("Plan", context="schedule"),
        "next": "Next",
        "last": "Last",
        "last_job": "Last job",
        "run": "Run now",
        "none": "No schedules",
        "none_text": "A service brings schedules with its jobs. None of those that are installed has one.",
        "all": "All schedules",
        "open": "open",
        "every": "every {span}",
    },
)

_DAY = timedelta(hours=24)
_OFTEN = timedelta(hours=1)
_MARKS_MOST = 30


async def schedules(visit: Visit) -> None:
    """Draw the page."""
    heading(WORDS("title"), note=WORDS("note"))
    shown: list[ScheduleView] = []

    def run_button(one: ScheduleView) -> None:
        if visit.may("write:platform"):

            async def press() -> None:
                ui.navigate.to(f"/jobs/{await _run(visit, one.name)}")

            button(WORDS("run"), press, small=True)

    columns = [*_columns(visit), Column("", lambda _: "", run_button, tight=True)]

    async def draw() -> None:
        async with visit.ctx("read:platform", of_house=True) as ctx:
            shown[:] = await schedule.list_schedules(ctx.db)
        if not shown:
            with panel():
                empty(WORDS("none"), WORDS("none_text"))
            return
        with panel(WORDS("ahead"), note=WORDS("ahead_note", count=len(shown))):
            svg(_picture(visit, shown, clock.now()), "o-wide-pic")
        with panel(WORDS("all"), actions=lambda: exports("schedules", lambda: shown, columns)):
            table(sorted(shown, key=lambda one: one.fire_at), columns)

    await drawn(10.0, draw, "o-stack")


async def find(visit: Visit, text: str) -> Sequence[Hit]:
    """Schedules by name: to look at, and to run now."""
    if not text:
        return []
    names = [name for name in sorted(_plans(visit)) if fits(text, name, WORDS("run"))]
    if not visit.may("write:platform"):
        return [Hit(title=name, path="/schedules") for name in names]
    return [Hit(title=name, note=WORDS("run"), act=partial(_run, visit, name)) for name in names]


async def _run(visit: Visit, name: str) -> UUID:
    """Run a schedule now, and show how that goes; the id of its job."""
    async with visit.ctx("write:platform", of_house=True) as ctx:
        job_id = await schedule.run_now(ctx.port(Jobs), ctx.db, name)
        await ctx.audit("schedule.run", f"schedule/{name}")
    visit.follow(job_id, name)
    return job_id


def _columns(visit: Visit) -> list[Column[ScheduleView]]:
    plans = _plans(visit)

    def last_job(one: ScheduleView) -> str:
        return f"/jobs/{one.last_job_id}" if one.last_job_id else "/jobs"

    return [
        Column(WORDS("name"), lambda one: one.name),
        Column(WORDS("plan"), lambda one: _plan(one, plans.get(one.name))),
        Column(WORDS("next"), lambda one: say.ago(one.fire_at, clock.now()), numeric=True),
        Column(WORDS("last"), lambda one: say.instant(one.last_at, visit.zone), numeric=True),
        Column(
            WORDS("last_job"), lambda one: WORDS("open") if one.last_job_id else say.NOTHING, path=last_job, tight=True
        ),
    ]


def _plans(visit: Visit) -> Mapping[str, Every]:
    """What this process knows of the schedules' jobs, by name."""
    return {name: job.every for name, job in visit.house.port(Jobs).registry.items() if job.every is not None}


def _plan(one: ScheduleView, every: Every | None) -> str:
    if every is None or every.interval is None:
        return one.plan
    return WORDS("every", span=say.span(every.interval.total_seconds()))


def _picture(visit: Visit, shown: Sequence[ScheduleView], now: datetime) -> str:
    """Every start of the next day, each as a mark on one line of time."""
    plans = _plans(visit)
    marks = []
    for one in shown:
        for moment in _starts(one, plans.get(one.name), now):
            place = (moment - now) / _DAY
            marks.append((min(max(place, 0.0), 1.0), "accent", f"{one.name}, {say.clock_time(moment, visit.zone)}"))
    hours = [(hour / 24, say.clock_time(now + timedelta(hours=hour), visit.zone)) for hour in range(3, 25, 3)]
    return ruler(marks, [(0.0, WORDS("now")), *hours], title=WORDS("ahead"), height=96)


def _starts(one: ScheduleView, every: Every | None, now: datetime) -> Sequence[datetime]:
    if one.fire_at > now + _DAY:
        return []
    found = [max(one.fire_at, now)]
    if every is None or (every.interval is not None and every.interval < _OFTEN):
        return found
    moment = one.planned_at
    while len(found) < _MARKS_MOST:
        moment = schedule.next_after(every, moment)
        if moment > now + _DAY:
            break
        found.append(moment)
    return found
