"""What the palette does about days: it leads to the board of one, and has one planned."""

from collections.abc import Sequence
from datetime import date, timedelta
from functools import partial

from nicegui import ui

from ossature.kernel.console import say
from ossature.kernel.console.search import Hit, fits
from ossature.kernel.console.visit import Visit
from ossature.kernel.i18n.words import Words
from ossature.services.dispatch.pages.days import day_of, long_day, today
from ossature.services.dispatch.usecases.planning import PLAN_DAY, request_plan

WORDS = Words(
    "dispatch.palette",
    {
        "today": "Board of today",
        "tomorrow": "Board of tomorrow",
        "board": "Board of {day}",
        "plan": "Plan {day}",
        "plan_note": "by the planner, as a draft",
    },
)


async def find_days(visit: Visit, text: str) -> Sequence[Hit]:
    """The boards of today, of tomorrow and of a day that is written out (2026-03-01), and planning them."""
    if not text:
        return []
    here = today(visit)
    named = [(WORDS("today"), here), (WORDS("tomorrow"), here + timedelta(days=1))]
    written = day_of(visit, text)
    if written is not None:
        named = [(WORDS("board", day=say.day(written)), written)]
    hits = [
        Hit(title=title, note=long_day(day), path=f"/dispatch/board?day={day}")
        for title, day in named
        if written is not None or fits(text, title)
    ]
    if visit.may("write:plans"):
        plans = [(WORDS("plan", day=say.day(day)), day) for _, day in named]
        hits += [
            Hit(title=title, note=WORDS("plan_note"), act=partial(_plan, visit, day))
            for title, day in plans
            if written is not None or fits(text, title)
        ]
    return hits


async def _plan(visit: Visit, day: date) -> None:
    """Have a day planned, and look at it meanwhile."""
    async with visit.ctx("write:plans") as ctx:
        run = await request_plan(ctx, day)
    if run.job_id is not None:
        visit.follow(run.job_id, PLAN_DAY.name)
    ui.navigate.to(f"/dispatch/board?day={day}")
