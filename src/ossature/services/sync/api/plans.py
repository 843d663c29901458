"""Plans over HTTP: made, looked at field by field, approved or rejected."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from ossature.kernel.context import CurrentCtx
from ossature.kernel.http.input import Input
from ossature.kernel.http.listing import Asked, Cursors, Listing, answer, listing
from ossature.kernel.http.policy import policy
from ossature.services.sync.api.shapes import (
    ApprovalIn,
    Key,
    Name,
    OperationOut,
    PlanIn,
    PlanOut,
    RejectionIn,
    Sha256,
    StartedOut,
)
from ossature.services.sync.domain.canonical import KEY_JOINT
from ossature.services.sync.domain.guards import Guard, demanded
from ossature.services.sync.domain.plan import Operation, Picks, read_page
from ossature.services.sync.domain.values import PlanView
from ossature.services.sync.store import plans as store
from ossature.services.sync.usecases import asking
from ossature.services.sync.usecases import plan as usecases

router = APIRouter(tags=["sync"])


class OpsQuery(Input):
    """Which operations of a plan. cursor: `next` of the page before. key: text that a part of the key holds."""

    limit: Annotated[int, Field(ge=1, le=200)] = 50
    cursor: Annotated[str, Field(max_length=200)] = ""
    pipeline: Name | None = None
    op: Annotated[str, Field(pattern=r"^[a-z]{1,20}$")] | None = None
    field: Annotated[str, Field(max_length=120)] | None = None
    key: Key | None = None


@router.post("/plans", status_code=202)
@policy(allow="plan:sync", rate="heavy")
async def request_plan(ctx: CurrentCtx, body: PlanIn, response: Response) -> StartedOut:
    """Have both sides read, and what would be written kept as a plan; the job's result names it."""
    job_id = await asking.request_plan(
        ctx, body.pipelines, only=list(body.only), keys=list(body.keys), profile=body.profile
    )
    response.headers["location"] = f"/v1/jobs/{job_id}"
    return StartedOut(job_id=job_id, run_id=None)


@router.get("/plans")
@policy(allow="read:sync")
async def list_plans(ctx: CurrentCtx, query: Annotated[Asked, listing(store.PLANS, PlanOut)]) -> Listing[PlanOut]:
    """The plans, newest first."""
    found = await store.list_plans(ctx.db, ctx.tenant.id, query)
    return answer(found.map(_shape), PlanOut, query)


@router.get("/plans/{sha256}")
@policy(allow="read:sync")
async def read_plan(ctx: CurrentCtx, sha256: Sha256) -> PlanOut:
    """One plan."""
    return _shape(await usecases.found(ctx, sha256))


@router.get("/plans/{sha256}/ops", summary="List the operations of a plan")
@policy(allow="read:sync")
async def list_plan_ops(
    ctx: CurrentCtx, request: Request, sha256: Sha256, query: Annotated[OpsQuery, Query()]
) -> Listing[OperationOut]:
    """What would be written, in its order, with the value of each field before and after."""
    view = await usecases.found(ctx, sha256)
    picks = Picks(pipeline=query.pipeline, op=query.op, field=query.field, key=query.key)
    cursors: Cursors = request.app.state.cursors
    about = f"sync.plan_ops {view.sha256} {picks}"
    after = int(cursors.decode(query.cursor, about, (int,))[0]) if query.cursor else 0
    found, following = read_page(await usecases.content(ctx, view), picks, after=after, limit=query.limit)
    more = None if following is None else cursors.encode((following,), about)
    return Listing(items=[_operation(one) for one in found], next=more)


@router.get(
    "/plans/{sha256}/file",
    summary="The bytes of a plan",
    response_class=Response,
    responses={200: {"content": {"application/x-ndjson": {"schema": {"type": "string"}}}}},
)
@policy(allow="read:sync", rate="export", cache="private, max-age=31536000, immutable")
async def read_plan_file(ctx: CurrentCtx, sha256: Sha256) -> Response:
    """The plan itself: JSON Lines whose SHA-256 is its name and its `ETag`."""
    view = await usecases.found(ctx, sha256)
    headers = {
        "etag": f'"{view.sha256}"',
        "content-disposition": f'attachment; filename="plan-{view.sha256[:12]}.ndjson"',
    }
    return Response(await usecases.content(ctx, view), media_type="application/x-ndjson", headers=headers)


@router.post("/plans/{sha256}/approve")
@policy(allow="approve:sync")
async def approve_plan(ctx: CurrentCtx, sha256: Sha256, body: ApprovalIn) -> PlanOut:
    """Let a plan be applied that a guard forbids, by repeating its numbers."""
    async with ctx.db.step():
        return _shape(await usecases.approve(ctx, sha256, allow=body.allow, reason=body.reason))


@router.post("/plans/{sha256}/reject")
@policy(allow="approve:sync")
async def reject_plan(ctx: CurrentCtx, sha256: Sha256, body: RejectionIn) -> PlanOut:
    """Have a plan never be applied."""
    async with ctx.db.step():
        return _shape(await usecases.reject(ctx, sha256, reason=body.reason))


def _shape(view: PlanView) -> PlanOut:
    guards = [Guard(**one) for one in view.guards]
    return PlanOut.model_validate(
        {
            **{name: getattr(view, name) for name in PlanOut.model_fields if name not in {"guards", "demands"}},
            "guards": guards,
            "demands": demanded(guards),
        }
    )


def _operation(one: Operation) -> OperationOut:
    return OperationOut.model_validate(
        {
            "n": one.n,
            "pipeline": one.pipeline,
            "op": one.op,
            "key": one.key.split(KEY_JOINT),
            "reason": one.reason,
            "fields": one.fields,
            "before": one.before,
            "after": one.after,
            "undoable": one.undoable,
        }
    )
