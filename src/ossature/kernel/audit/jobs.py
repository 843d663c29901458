"""Scheduled work of the audit trail."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

import structlog

from ossature.kernel.audit.trail import Trail
from ossature.kernel.context import Ctx
from ossature.kernel.errors import Problem
from ossature.kernel.events.outbox import Outbox
from ossature.kernel.service import Every, Job
from ossature.kernel.tenants import store as tenants

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class AuditAnchored:
    """A stretch of a tenant's audit trail was vouched for; who keeps this outside can tell if it is ever rewritten."""

    chain_tenant_id: UUID
    first_seq: int
    last_seq: int
    root: str
    head: str


class TrailBroken(Problem):
    """Entries of an audit trail are missing, so it cannot be vouched for: `ossature audit verify` says which."""

    title = "Audit trail broken"


async def anchor_trails(ctx: Ctx) -> int:
    """Anchor every tenant's trail; how many had something new. Runs across tenants.

    Raises: TrailBroken, once all others are anchored.
    """
    anchored, broken = 0, []
    for tenant_id in await ctx.port(Trail).tenants(ctx.db):
        try:
            async with ctx.db.step():
                anchored += await _anchor(ctx, tenant_id)
        except ValueError:
            log.exception("audit.trail_broken", audit_tenant=str(tenant_id))
            broken.append(str(tenant_id))
    if broken:
        raise TrailBroken(f"Trails with missing entries: {', '.join(broken[:20])}", anchored=anchored)
    return anchored


async def _anchor(ctx: Ctx, tenant_id: UUID) -> bool:
    """Anchor one trail; whether it had something new. Raises: ValueError when an entry is missing."""
    made = await ctx.port(Trail).anchor(ctx.db, tenant_id)
    if made is None:
        return False
    fact = AuditAnchored(tenant_id, made.first_seq, made.last_seq, made.root.hex(), made.head.hex())
    # The fact is the tenant's own, so that it reaches its webhooks; a trail may outlive its tenant.
    if await tenants.tenant(ctx.db, tenant_id) is not None:
        await ctx.port(Outbox).record(ctx.db, fact, tenant_id=tenant_id, request_id=ctx.id)
    return True


ANCHOR: Final = Job(
    name="audit.anchor_trails",
    run=anchor_trails,
    every=Every(interval=timedelta(days=1)),
    time_limit_s=3600,
)
