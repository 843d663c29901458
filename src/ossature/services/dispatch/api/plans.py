"""Plans, runs and the board over HTTP."""

from datetime import date
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter

from ossature.kernel.context import CurrentCtx
from ossature.kernel.http.listing import Asked, Listing, answer, listing
from ossature.kernel.http.policy import policy
from ossature.services.dispatch.api.shapes.bookings import TripOut
from ossature.services.dispatch.api.shapes.plans import BoardOut, LaneOut, PlaceOut, PlanIn, PlanOut, RunOut, StopOut
from ossature.services.dispatch.store import plans as store
from ossature.services.dispatch.usecases import planning as usecases
from ossature.services.dispatch.usecases.board import Board, read_board

router = APIRouter(tags=["dispatch"])


@router.post("/plans", status_code=202)
@policy(allow="write:plans")
async def request_plan(ctx: CurrentCtx, body: PlanIn) -> RunOut:
    """Have a day planned; the run says how far that is, and which plan came of it."""
    made = await usecases.request_plan(ctx, body.day, time_limit_s=body.time_limit_s, seed=body.seed)
    return RunOut.model_validate(made)


@router.get("/plans")
@policy(allow="read:plans")
async def list_plans(ctx: CurrentCtx, query: Annotated[Asked, listing(store.PLANS, PlanOut)]) -> Listing[PlanOut]:
    """The plans, newest first."""
    return answer(await store.list_plans(ctx.db, ctx.tenant.id, query), PlanOut, query)


@router.get("/plans/{plan_id}")
@policy(allow="read:plans")
async def read_plan(ctx: CurrentCtx, plan_id: UUID) -> PlanOut:
    """One plan."""
    return PlanOut.model_validate(await usecases.read_plan(ctx, plan_id))


@router.post("/plans/{plan_id}/publish")
@policy(allow="write:plans")
async def publish_plan(ctx: CurrentCtx, plan_id: UUID) -> PlanOut:
    """Tell the drivers: trips are dispatched, and what clients are promised is fixed."""
    return PlanOut.model_validate(await usecases.publish_plan(ctx, plan_id))


@router.post("/plans/{plan_id}/discard")
@policy(allow="write:plans")
async def discard_plan(ctx: CurrentCtx, plan_id: UUID) -> PlanOut:
    """Throw a draft away."""
    return PlanOut.model_validate(await usecases.discard_plan(ctx, plan_id))


@router.get("/runs")
@policy(allow="read:plans")
async def list_runs(ctx: CurrentCtx, query: Annotated[Asked, listing(store.RUNS, RunOut)]) -> Listing[RunOut]:
    """The runs, newest first."""
    return answer(await store.list_runs(ctx.db, ctx.tenant.id, query), RunOut, query)


@router.get("/runs/{run_id}")
@policy(allow="read:plans")
async def read_run(ctx: CurrentCtx, run_id: UUID) -> RunOut:
    """One run."""
    return RunOut.model_validate(await usecases.read_run(ctx, run_id))


@router.post("/runs/{run_id}/cancel")
@policy(allow="write:plans")
async def cancel_run(ctx: CurrentCtx, run_id: UUID) -> RunOut:
    """Stop a run; nothing of it is kept."""
    return RunOut.model_validate(await usecases.cancel_run(ctx, run_id))


@router.get("/board")
@policy(allow="read:plans")
async def board(ctx: CurrentCtx, day: date) -> BoardOut:
    """A day as it stands."""
    return _board(await read_board(ctx, day))


def _board(found: Board) -> BoardOut:
    lanes = [
        LaneOut(
            duty_id=duty.id,
            driver=duty.driver,
            vehicle=duty.vehicle,
            earliest_start=duty.earliest_start,
            latest_end=duty.latest_end,
            reserve=duty.reserve,
            stops=[StopOut.model_validate(stop) for stop in found.stops_of(duty.id)],
        )
        for duty in found.duties
    ]
    places = [
        PlaceOut(id=one.id, label=one.label, lat=one.point.lat, lon=one.point.lon, source=one.source)
        for one in found.places.values()
    ]
    return BoardOut(
        day=found.day,
        plan=None if found.plan is None else PlanOut.model_validate(found.plan),
        duties=lanes,
        trips=[TripOut.model_validate(trip) for trip in found.trips],
        places=places,
    )
