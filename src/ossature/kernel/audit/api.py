"""The audit trail over HTTP: look, export, verify. Nothing here writes."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import orjson
from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict
from starlette.responses import StreamingResponse

from ossature.kernel.audit import store
from ossature.kernel.audit.domain import CHAIN, AuditEntryNotFound
from ossature.kernel.audit.trail import Trail
from ossature.kernel.context import CurrentCtx
from ossature.kernel.db import chain
from ossature.kernel.http.listing import Asked, Listing, answer, listing
from ossature.kernel.http.policy import policy

router = APIRouter(tags=["audit"])


class EntryOut(BaseModel):
    """Something that somebody did. before, after and facts are masked."""

    model_config = ConfigDict(from_attributes=True)

    seq: int
    at: datetime
    actor_kind: str
    actor_id: UUID | None
    actor: str
    action: str
    what: str
    result: str
    ip: str
    request_id: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    facts: dict[str, Any]
    hash: str


class FaultOut(BaseModel):
    """One thing that is not as it was written."""

    model_config = ConfigDict(from_attributes=True)

    seq: int
    where: str
    detail: str


class VerdictOut(BaseModel):
    """What a verification found."""

    model_config = ConfigDict(from_attributes=True)

    intact: bool
    checked: int
    last_seq: int
    faults: list[FaultOut]


class AnchorOut(BaseModel):
    """A stretch of the trail that was vouched for. root, head: SHA-256, hexadecimal."""

    first_seq: int
    last_seq: int
    root: str
    head: str
    at: datetime


class AnchorsOut(BaseModel):
    """All anchors of the trail, oldest first."""

    items: list[AnchorOut]


@router.get("")
@policy(allow="read:audit")
async def list_entries(ctx: CurrentCtx, query: Annotated[Asked, listing(store.ENTRIES, EntryOut)]) -> Listing[EntryOut]:
    """The tenant's trail, newest first."""
    return answer(await store.list_entries(ctx.db, ctx.tenant.id, query), EntryOut, query)


@router.get("/verify")
@policy(allow="read:audit", rate="export")
async def verify(ctx: CurrentCtx) -> VerdictOut:
    """Read the whole trail and find every alteration."""
    return VerdictOut.model_validate(await ctx.port(Trail).verify(ctx.db, ctx.tenant.id))


@router.get("/anchors")
@policy(allow="read:audit")
async def list_anchors(ctx: CurrentCtx) -> AnchorsOut:
    """What vouches for the trail: compare with what you kept."""
    anchors = await chain.anchors_of(ctx.db, ctx.tenant.id, CHAIN)
    return AnchorsOut(
        items=[
            AnchorOut(first_seq=a.first_seq, last_seq=a.last_seq, root=a.root.hex(), head=a.head.hex(), at=a.at)
            for a in anchors
        ]
    )


@router.get(
    "/export",
    response_class=StreamingResponse,
    responses={200: {"content": {"application/x-ndjson": {"schema": {"type": "string"}}}}},
)
@policy(allow="export:audit", rate="export")
async def export(ctx: CurrentCtx, query: Annotated[Asked, listing(store.ENTRIES, EntryOut)]) -> StreamingResponse:
    """All entries that pass the filters, oldest first, one JSON object per line, each with its hash."""
    await ctx.audit(
        "audit.exported", "audit:trail", filters=[f"{f.name} {f.operator} {f.value}" for f in query.filters]
    )
    headers = {"content-disposition": 'attachment; filename="audit.ndjson"'}
    return StreamingResponse(_lines(ctx, query), media_type="application/x-ndjson", headers=headers)


async def _lines(ctx: CurrentCtx, query: Asked) -> AsyncIterator[bytes]:
    async for batch in store.batches(ctx.db, ctx.tenant.id, query.filters):
        # Reading opened the view again, which was closed before the first line; a slow client must not hold it.
        await ctx.db.close()
        for entry in batch:
            yield orjson.dumps(EntryOut.model_validate(entry).model_dump(mode="json")) + b"\n"


@router.get("/{seq}")
@policy(allow="read:audit")
async def read_entry(ctx: CurrentCtx, seq: Annotated[int, Path(ge=1, lt=2**63)]) -> EntryOut:
    """One entry."""
    entry = await store.read_entry(ctx.db, ctx.tenant.id, seq)
    if entry is None:
        raise AuditEntryNotFound
    return EntryOut.model_validate(entry)
