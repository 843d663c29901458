"""The audit trail: who did what, in an order that nobody can change afterwards.

Entries are gathered during a transaction and chained right before its commit, so they exist exactly when what they
tell of does, and the end of the tenant's chain is held for a moment only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID

import structlog
from prometheus_client import Counter

from ossature.kernel.audit import store
from ossature.kernel.audit.domain import CHAIN, content
from ossature.kernel.db import chain
from ossature.kernel.db.chain import Anchor, Verdict
from ossature.kernel.db.transaction import Db

if TYPE_CHECKING:
    from ossature.kernel.context import Ctx

log = structlog.get_logger()

RECORDED = Counter("audit_entries_total", "Entries of the audit trail.", ["result"])


class Gathered:
    """The entries of one transaction, by tenant."""

    def __init__(self) -> None:
        self.contents: dict[UUID, list[Mapping[str, Any]]] = {}

    async def write(self, db: Db) -> None:
        """Chain the entries; tenants in a fixed order, so that two transactions never wait for each other."""
        for tenant_id in sorted(self.contents):
            await store.append(db, tenant_id, self.contents[tenant_id])


class Trail:
    """Where the house records what was done. One per process."""

    async def record(self, ctx: Ctx, action: str, what: str, *, result: str = "ok", **facts: Any) -> None:
        """Add an entry to the trail of the caller's tenant, in his transaction.

        action: `noun.verb`, such as `key.revoked`. what: the object, such as `key:ID`. facts: `before`, `after` and
        others. Raises: AuditEntryTooLarge.
        """
        actor = ctx.actor
        entry = content(
            at=ctx.now,
            actor_kind=actor.kind,
            actor_id=actor.id,
            actor=actor.name,
            action=action,
            what=what,
            result=result,
            ip=actor.ip,
            request_id=ctx.id,
            facts={name: value for name, value in facts.items() if value is not None},
        )
        gathered = ctx.db.at_commit("audit", Gathered)
        gathered.contents.setdefault(ctx.tenant.id, []).append(entry)
        RECORDED.labels(result).inc()

    async def verify(self, db: Db, tenant_id: UUID) -> Verdict:
        """Read a tenant's whole trail and find every alteration."""
        return await chain.verify(db, tenant_id, CHAIN, lambda: store.links(db, tenant_id))

    async def anchor(self, db: Db, tenant_id: UUID) -> Anchor | None:
        """Vouch for what was added to a tenant's trail since the last anchor; None when nothing was.

        The anchor also goes to the log, which is kept elsewhere. Raises: ValueError when an entry is missing.
        """
        anchors = await chain.anchors_of(db, tenant_id, CHAIN)
        first = anchors[-1].last_seq + 1 if anchors else 1
        made = await chain.anchor(db, tenant_id, CHAIN, store.links(db, tenant_id, after=first - 1), first_seq=first)
        if made is not None:
            log.info(
                "audit.anchored",
                audit_tenant=str(tenant_id),
                first_seq=made.first_seq,
                last_seq=made.last_seq,
                root=made.root.hex(),
                head=made.head.hex(),
            )
        return made

    async def tenants(self, db: Db) -> list[UUID]:
        """The tenants that have a trail. `db`: a view across tenants."""
        return await chain.chains(db, CHAIN)
