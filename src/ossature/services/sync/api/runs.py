"""Runs over HTTP: started, watched, paused, resumed, cancelled."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Response

from ossature.kernel.context import CurrentCtx
from ossature.kernel.errors import InvalidInput
from ossature.kernel.http.listing import Asked, Listing, answer, listing
from ossature.kernel.http.policy import policy
from ossature.services.sync.api.shapes import OpOut, RunIn, RunOut, StartedOut
from ossature.services.sync.domain.canonical import KEY_JOINT
from ossature.services.sync.domain.values import OpView
from ossature.services.sync.store import journal
from ossature.services.sync.usecases import asking, steering
from ossature.services.sync.usecases.apply import found_run

router = APIRouter(tags=["sync"])


@router.post("/runs", status_code=202)
@policy(allow="apply:sync", rate="heavy")
async def start_run(ctx: CurrentCtx, body: RunIn, response: Response) -> StartedOut:
    """Have a plan applied; or, with pipelines, have them planned and applied unless a guard forbids it."""
    if body.plan is not None and body.pipelines:
        raise InvalidInput("Name a plan or pipelines, not both.")
    if body.plan is None:
        job_id = await asking.request_run(ctx, body.pipelines)
        response.headers["location"] = f"/v1/jobs/{job_id}"
        return StartedOut(job_id=job_id, run_id=None)
    run = await steering.start(ctx, body.plan)
    response.headers["location"] = f"/v1/sync/runs/{run.id}"
    return StartedOut(job_id=None, run_id=run.id)


@router.get("/runs")
@policy(allow="read:sync")
async def list_runs(ctx: CurrentCtx, query: Annotated[Asked, listing(journal.RUNS, RunOut)]) -> Listing[RunOut]:
    """The runs, newest first."""
    return answer(await journal.list_runs(ctx.db, ctx.tenant.id, query), RunOut, query)


@router.get("/runs/{sync_run_id}")
@policy(allow="read:sync")
async def read_run(ctx: CurrentCtx, sync_run_id: UUID) -> RunOut:
    """One run."""
    return RunOut.model_validate(await found_run(ctx, sync_run_id))


@router.get("/runs/{sync_run_id}/ops", summary="List the operations of a run")
@policy(allow="read:sync")
async def list_run_ops(
    ctx: CurrentCtx, sync_run_id: UUID, query: Annotated[Asked, listing(journal.OPS, OpOut)]
) -> Listing[OpOut]:
    """The operations of a run in their order, each with its outcome and the proof of it."""
    await found_run(ctx, sync_run_id)
    found = await journal.list_ops(ctx.db, ctx.tenant.id, sync_run_id, query)
    return answer(found.map(_op), OpOut, query)


@router.post("/runs/{sync_run_id}/pause", status_code=202)
@policy(allow="apply:sync")
async def pause_run(ctx: CurrentCtx, sync_run_id: UUID) -> RunOut:
    """Have a run stop before its next operation until it is resumed."""
    return RunOut.model_validate(await steering.steer(ctx, sync_run_id, "pause"))


@router.post("/runs/{sync_run_id}/resume", status_code=202)
@policy(allow="apply:sync")
async def resume_run(ctx: CurrentCtx, sync_run_id: UUID) -> RunOut:
    """Have a run go on from where it stands."""
    return RunOut.model_validate(await steering.resume(ctx, sync_run_id))


@router.post("/runs/{sync_run_id}/cancel", status_code=202)
@policy(allow="apply:sync")
async def cancel_run(ctx: CurrentCtx, sync_run_id: UUID) -> RunOut:
    """Have a run end before its next operation; what was written stays."""
    return RunOut.model_validate(await steering.steer(ctx, sync_run_id, "cancel"))


def _op(one: OpView) -> OpOut:
    return OpOut.model_validate(
        {**{name: getattr(one, name) for name in OpOut.model_fields}, "key": one.key.split(KEY_JOINT)}
    )
