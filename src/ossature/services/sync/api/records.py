"""What is known of records, rows in quarantine and targets, over HTTP."""

from typing import Annotated, Any

from fastapi import APIRouter, Query

from ossature.kernel.context import CurrentCtx
from ossature.kernel.http.listing import Asked, Listing, answer, listing
from ossature.kernel.http.policy import policy
from ossature.services.sync.api.shapes import (
    HeldOut,
    Key,
    Name,
    PastOut,
    RecordOut,
    StatusOut,
)
from ossature.services.sync.domain.canonical import KEY_JOINT
from ossature.services.sync.domain.values import HeldView
from ossature.services.sync.store import state
from ossature.services.sync.usecases import asking

router = APIRouter(tags=["sync"])


@router.get("/status")
@policy(allow="read:sync")
async def read_status(ctx: CurrentCtx) -> StatusOut:
    """How every pipeline and target stands."""
    return StatusOut.model_validate(await asking.status(ctx))


@router.get("/quarantine")
@policy(allow="read:sync")
async def list_quarantine(
    ctx: CurrentCtx, query: Annotated[Asked, listing(state.QUARANTINE, HeldOut)]
) -> Listing[HeldOut]:
    """The rows of sources that cannot become records."""
    found = await state.list_held(ctx.db, ctx.tenant.id, query)
    return answer(found.map(_held), HeldOut, query)


@router.get("/records", summary="One record's history")
@policy(allow="read:sync")
async def read_record(
    ctx: CurrentCtx,
    pipeline: Annotated[Name, Query()],
    key: Annotated[list[Key], Query(min_length=1, max_length=10, description="The fields of the key, in their order.")],
) -> RecordOut:
    """What is known of a record, and the newest operations on it."""
    found = await asking.history(ctx, pipeline, key)
    past = [
        PastOut.model_validate({**_fields(op, PastOut), "run_id": run_id, "key": op.key.split(KEY_JOINT)})
        for run_id, op in found.operations
    ]
    return RecordOut(
        pipeline=found.pipeline,
        key=found.key.split(KEY_JOINT),
        owner=None if found.record is None else found.record.owner,
        missing_reads=0 if found.record is None else found.record.missing_reads,
        missing_since=None if found.record is None else found.record.missing_since,
        operations=past,
    )


def _held(one: HeldView) -> HeldOut:
    return HeldOut.model_validate({**_fields(one, HeldOut), "key": one.key.split(KEY_JOINT)})


def _fields(one: object, shape: type[Any]) -> dict[str, Any]:
    return {name: getattr(one, name, None) for name in shape.model_fields}
