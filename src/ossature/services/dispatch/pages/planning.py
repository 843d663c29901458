"""What a dispatcher does with the plan of a day: have one made, see how far that is, stop it, publish it, throw it away."""

from collections.abc import Awaitable, Callable
from datetime import date

from nicegui.element import Element

from ossature.kernel.console import say
from ossature.kernel.console.parts import button, confirm, lamp, panel, tag, toast
from ossature.kernel.console.visit import Visit
from ossature.kernel.console.work import ProgressBar
from ossature.kernel.i18n.words import Words
from ossature.kernel.jobs.domain import JobView, State
from ossature.services.dispatch.domain.plans import Plan, PlanState, Run, RunState
from ossature.services.dispatch.usecases import planning
from ossature.services.dispatch.usecases.progress import UnderWay, run_under_way

WORDS = Words(
    "dispatch.planning",
    {
        "plan": "Plan this day",
        "again": "Plan it again",
        "publish": "Publish",
        "publish_sure": "Publish plan {number}?",
        "publish_text": "The drivers are told their trips, and what clients are promised is fixed.",
        "published": "Plan {number} is published",
        "discard": "Discard",
        "discard_sure": "Discard plan {number}?",
        "discard_text": "Its trips wait to be planned again.",
        "discarded": "Plan {number} is discarded",
        "stop": "Stop planning",
        "stopped": "Planning was stopped; nothing of it is kept.",
        "under_way": "The day is being planned",
        "progress": "Progress of the plan",
        "waits": "waits for its turn",
        "begins": "begins",
        "matrix": "measures the ways",
        "solving": "looks for the best plan",
        "storing": "checks it and stores it",
        "failed": "The last attempt to plan this day failed: {reason}",
    },
)

Again = Callable[[], Awaitable[None]]

_STEPS = ("matrix", "solving", "storing")
"""What the job says of itself."""


class Desk:
    """The actions of a day board, and the run that is under way. again: draws the day anew."""

    def __init__(self, visit: Visit, day: date, again: Again) -> None:
        self._visit = visit
        self._day = day
        self._again = again
        self._under_way: UnderWay | None = None
        self._actions: Element | None = None
        self._strip: Element | None = None
        self._told: Element | None = None
        self._bar: ProgressBar | None = None

    def stand(self, actions: Element) -> None:
        """Stand here; the buttons go to `actions`."""
        self._actions = actions
        self._strip = tag("div")

    async def tell(self, plan: Plan | None, last: Run | None, *, empty: bool) -> None:
        """Show what can be done with the plan that holds, and how the last run went. empty: the day has no trips."""
        self._under_way = await self._look()
        if self._actions is not None:
            self._actions.clear()
            with self._actions:
                self._buttons(plan, empty=empty)
        if self._strip is None:
            return
        self._strip.clear()
        with self._strip:
            if self._under_way is not None:
                self._run(self._under_way)
            elif last is not None and last.state is RunState.FAILED:
                tag("div", WORDS("failed", reason=last.reason), "o-note-bad", role="status")

    async def watch(self) -> None:
        """Look how far the run is, if there is one; draw the day anew when it has ended."""
        if self._under_way is None:
            return
        before, self._under_way = self._under_way, await self._look()
        if self._under_way is not None and self._under_way.run.id == before.run.id:
            self._advance(self._under_way)
            return
        await self._again()

    async def _look(self) -> UnderWay | None:
        async with self._visit.ctx("read:plans") as ctx:
            return await run_under_way(ctx, self._day)

    def _run(self, now: UnderWay) -> None:
        with panel(WORDS("under_way")), tag("div", cls="o-stack"):
            self._told = tag("div", cls="o-row", aria_live="polite")
            self._bar = ProgressBar(WORDS("progress"))
        self._advance(now)

    def _advance(self, now: UnderWay) -> None:
        if self._told is None or self._bar is None or self._bar.is_deleted:
            return
        job = now.job
        self._told.clear()
        with self._told:
            lamp("busy", _said(job))
            if job.percent is not None:
                tag("span", say.share(job.percent / 100), "o-mono o-dim")
        self._bar.show(now.job.news)

    def _buttons(self, plan: Plan | None, *, empty: bool) -> None:
        if not self._visit.may("write:plans"):
            return
        if self._under_way is not None:
            button(WORDS("stop"), self.stop, kind="danger")
            return
        draft = plan is not None and plan.state is PlanState.DRAFT
        if plan is None and empty:
            return
        button(WORDS("plan" if plan is None else "again"), self.plan, kind="main" if plan is None else "")
        if plan is not None and draft:
            button(WORDS("discard"), lambda: self.discard(plan), kind="danger")
            button(WORDS("publish"), lambda: self.publish(plan), kind="main")

    async def plan(self) -> None:
        """Have the day planned."""
        async with self._visit.ctx("write:plans") as ctx:
            run = await planning.request_plan(ctx, self._day)
        if run.job_id is not None:
            self._visit.follow(run.job_id, planning.PLAN_DAY.name)
        await self._again()

    async def stop(self) -> None:
        """Stop the run."""
        if self._under_way is not None:
            async with self._visit.ctx("write:plans") as ctx:
                await planning.cancel_run(ctx, self._under_way.run.id)
            toast(WORDS("stopped"))
        await self._again()

    async def publish(self, plan: Plan) -> None:
        """Tell the drivers."""
        if await confirm(WORDS("publish_sure", number=plan.number), WORDS("publish_text"), WORDS("publish")):
            async with self._visit.ctx("write:plans") as ctx:
                await planning.publish_plan(ctx, plan.id)
            toast(WORDS("published", number=plan.number), tone="good")
            await self._again()

    async def discard(self, plan: Plan) -> None:
        """Throw a draft away."""
        if await confirm(WORDS("discard_sure", number=plan.number), WORDS("discard_text"), WORDS("discard")):
            async with self._visit.ctx("write:plans") as ctx:
                await planning.discard_plan(ctx, plan.id)
            toast(WORDS("discarded", number=plan.number), tone="good")
            await self._again()


def _said(job: JobView) -> str:
    if job.state is not State.LEASED:
        return WORDS("waits")
    return WORDS(job.message) if job.message in _STEPS else WORDS("begins")
