"""One job: its life, its attempts, and what can be done about it."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from uuid import UUID

from nicegui.element import Element

from ossature.kernel import clock
from ossature.kernel.console import say
from ossature.kernel.console.pages.jobs import WORDS as STATES
from ossature.kernel.console.pages.jobs import look, took_s
from ossature.kernel.console.parts import (
    button,
    code,
    confirm,
    document,
    drawn,
    facts,
    lamp,
    meter,
    panel,
    svg,
    tag,
    toast,
)
from ossature.kernel.console.pictures import span_bar
from ossature.kernel.console.shell import heading
from ossature.kernel.console.visit import Visit
from ossature.kernel.console.work import TONES
from ossature.kernel.context import Ctx
from ossature.kernel.i18n.words import Words
from ossature.kernel.jobs.domain import OPEN, WAITING, JobNews, JobView, State
from ossature.kernel.jobs.queue import Jobs

WORDS = Words(
    "console.job",
    {
        "jobs": "Jobs",
        "cancel": "Cancel",
        "cancel_sure": "Cancel this job?",
        "cancel_text": "While it waits it ends at once; while it runs it is told to stop and ends within about a second.",
        "retry": "Run again",
        "pause": "Pause",
        "resume": "Resume",
        "done": "Done: {what}",
        "life": "Its life",
        "waited": "waited {span}",
        "ran": "ran {span}",
        "attempts": "Attempts",
        "of": "{begun} begun, {failures} failed, {most} at most",
        "state": "State",
        "queue": "Queue",
        "priority": "Priority",
        "created": "Handed over",
        "due": "Due",
        "started": "Last begun",
        "finished": "Ended",
        "request": "Request",
        "id": "Id",
        "arguments": "Arguments",
        "result": "Result",
        "error": "Last error",
        "progress": "Progress",
    },
)


_SELDOM_S = 60.0


async def job(visit: Visit, *, job_id: UUID) -> None:
    """Draw the page. Raises: JobNotFound."""
    found, of_house = await look(visit, job_id)
    held: list[Element] = []

    async def act(verb: str, do: Callable[[Ctx], Awaitable[object]]) -> None:
        async with visit.ctx("write:jobs", of_house=of_house) as ctx:
            await do(ctx)
            await ctx.audit(f"job.{verb}", f"job/{job_id}")
        if verb in {"retry", "resume"}:
            visit.follow(job_id, found.name)
        toast(WORDS("done", what=WORDS(verb).lower()), tone="good")
        await place.again()

    async def draw() -> None:
        async with visit.ctx("read:jobs", of_house=of_house) as ctx:
            present = await ctx.port(Jobs).get(ctx.db, ctx.tenant.id, job_id)
        _body(visit, present)
        if visit.may("write:jobs"):
            held[0].clear()
            with held[0]:
                _actions(present, visit, act)

    heading(found.name, trail=[(WORDS("jobs"), "/jobs")], actions=lambda: held.append(tag("div", cls="o-actions")))
    place = await drawn(_SELDOM_S, draw)

    async def hear(newest: Sequence[JobNews], more: int) -> None:
        if more or any(news.id == job_id for news in newest):
            place.soon()

    visit.feed.on_news(hear)


def _actions(
    present: JobView, visit: Visit, act: Callable[[str, Callable[[Ctx], Awaitable[object]]], Awaitable[None]]
) -> None:
    jobs = visit.house.port(Jobs)

    async def cancel() -> None:
        if await confirm(WORDS("cancel_sure"), WORDS("cancel_text"), WORDS("cancel")):
            await act("cancel", lambda ctx: jobs.cancel(ctx.db, ctx.tenant.id, present.id))

    async def retry() -> None:
        await act("retry", lambda ctx: jobs.retry(ctx.db, ctx.tenant.id, present.id))

    async def pause() -> None:
        await act("pause", lambda ctx: jobs.pause(ctx.db, ctx.tenant.id, present.id))

    async def resume() -> None:
        await act("resume", lambda ctx: jobs.resume(ctx.db, ctx.tenant.id, present.id))

    if present.state in {State.DEAD, State.CANCELLED}:
        button(WORDS("retry"), retry, kind="main")
    if present.state is State.PAUSED:
        button(WORDS("resume"), resume, kind="main")
    if present.state in WAITING:
        button(WORDS("pause"), pause)
    if present.state in OPEN:
        button(WORDS("cancel"), cancel, kind="danger")


def _body(visit: Visit, job: JobView) -> None:
    now = clock.now()
    with tag("div", cls="o-grid"):
        with tag("div", cls="o-stack o-w8"):
            with panel(WORDS("life"), note=_life_note(job)), tag("div", cls="o-stack"):
                _life(job, now)
                if job.percent is not None or job.message:
                    with tag("div"):
                        tag("div", f"{WORDS('progress')}: {job.message or ''}", "o-dim")
                        meter((job.percent or 0.0) / 100)
                if job.error:
                    tag("div", WORDS("error"), "o-label")
                    code(job.error)
            with panel(WORDS("arguments")):
                document(dict(job.arguments))
            if job.result is not None:
                with panel(WORDS("result")):
                    document(job.result)
        with panel(cls="o-w4"):
            facts(_facts(visit, job))


def _facts(visit: Visit, job: JobView) -> list[tuple[str, str | Callable[[], object]]]:
    return [
        (WORDS("state"), lambda: lamp(TONES[job.state], STATES(job.state.value))),
        (WORDS("attempts"), lambda: _attempts(job)),
        (WORDS("queue"), job.queue),
        (WORDS("priority"), str(job.priority)),
        (WORDS("created"), say.instant(job.created_at, visit.zone)),
        (WORDS("due"), say.instant(job.run_at, visit.zone)),
        (WORDS("started"), say.instant(job.started_at, visit.zone)),
        (WORDS("finished"), say.instant(job.finished_at, visit.zone)),
        (WORDS("request"), job.request_id or say.NOTHING),
        (WORDS("id"), str(job.id)),
    ]


def _attempts(job: JobView) -> None:
    with tag("div", title=WORDS("of", begun=job.attempt, failures=job.failures, most=job.attempts)):
        cells = ["bad"] * min(job.failures, 20)
        if job.state is State.SUCCEEDED:
            cells.append("good")
        elif job.state is State.LEASED:
            cells.append("info")
        cells += ["off"] * (min(job.attempts, 20) - len(cells))
        with tag("div", cls="o-strip"):
            for cell in cells:
                tag("i", cls=f"o-{cell}")
        tag("div", WORDS("of", begun=job.attempt, failures=job.failures, most=job.attempts), "o-dim")


def _life_note(job: JobView) -> str:
    ran = took_s(job)
    return "" if ran is None else WORDS("ran", span=say.span(ran))


def _life(job: JobView, now: datetime) -> None:
    """From the hand-over to the end (or now), as one bar: how long it waited, how long it ran."""
    end = job.finished_at or now
    waited_s = max(0.0, ((job.started_at or end) - job.created_at).total_seconds())
    ran_s = max(0.0, (end - job.started_at).total_seconds()) if job.started_at else 0.0
    whole_s = (waited_s + ran_s) or 1.0
    tone = {"good": "good", "bad": "bad", "warn": "warn"}.get(TONES[job.state], "info")
    waited, ran = WORDS("waited", span=say.span(waited_s)), WORDS("ran", span=say.span(ran_s))
    with tag("div"):
        svg(span_bar([(waited_s / whole_s, "rule", waited), (ran_s / whole_s, tone, ran)]))
        with tag("div", cls="o-row o-dim").style("justify-content: space-between"):
            tag("span", waited)
            tag("span", ran if job.started_at else "")
