"""Work of sync outside a request. Each may run twice: a plan of the same bytes is one plan, a run goes on where it stands."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from ossature.kernel.context import Ctx
from ossature.kernel.service import Every, Job
from ossature.services.sync.domain.values import PlanView
from ossature.services.sync.usecases import apply as applying
from ossature.services.sync.usecases import plan as planning
from ossature.services.sync.usecases import steering


async def make_plan(ctx: Ctx, pipelines: Sequence[str] = (), **asked: Any) -> dict[str, Any]:
    """Read both sides of pipelines and keep what would be written. asked: `only`, `keys`, `profile`, `author`."""
    view = await _planned(ctx, pipelines, asked)
    return {"plan": view.sha256, "state": view.state}


async def run_pipelines(ctx: Ctx, pipelines: Sequence[str] = (), **asked: Any) -> dict[str, Any]:
    """Plan, and have the plan applied unless it is empty or a guard forbids it."""
    view = await _planned(ctx, pipelines, asked)
    if view.state == "ready":
        await ctx.enqueue(START_RUN, {"sha256": view.sha256})
    return {"plan": view.sha256, "state": view.state}


async def start_run(ctx: Ctx, sha256: str) -> dict[str, Any]:
    """Open the run of a plan, and hand it over."""
    run = await steering.start(ctx, sha256)
    return {"run": str(run.id), "state": run.state}


async def apply_run(ctx: Ctx, run_id: str) -> dict[str, Any]:
    """Bring a run to its end."""
    run = await applying.work_on(ctx, UUID(run_id))
    return {"run": run_id, "state": run.state}


async def take_up_runs(ctx: Ctx) -> int:
    """Have the runs that their process left go on."""
    return await steering.take_up(ctx)


async def _planned(ctx: Ctx, pipelines: Sequence[str], asked: Mapping[str, Any]) -> PlanView:
    author = asked.get("author")
    by = None if author is None else planning.Author(author["name"], UUID(author["id"]) if author["id"] else None)
    return await planning.make_plan(ctx, pipelines, **{**asked, "author": by})


MAKE_PLAN = Job(name="sync.make_plan", run=make_plan, attempts=2, time_limit_s=3600)
RUN_PIPELINES = Job(name="sync.run_pipelines", run=run_pipelines, attempts=2, time_limit_s=3600)
START_RUN = Job(name="sync.start_run", run=start_run)
APPLY_RUN = Job(name=steering.APPLY, run=apply_run, time_limit_s=86_400, long=True, ordered_by="run_id")
TAKE_UP = Job(name="sync.take_up_runs", run=take_up_runs, every=Every(interval=timedelta(minutes=1)), attempts=1)
