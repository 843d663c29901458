"""Tenants seen from above: the view that work across tenants needs, and how others hear of a change."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from ossature.kernel.context import SYSTEM_TENANT_ID, Ctx
from ossature.kernel.db.engine import Database
from ossature.kernel.db.transaction import Db
from ossature.kernel.events.outbox import Outbox
from ossature.kernel.events.signals import Signals

FORGET = "auth.forget"
"""The signal that a key, session, user or tenant changed: every process drops what it remembers of `{kind: id}`."""


class Registry:
    """The door to all tenants, for platform administration and for telling who asks."""

    def __init__(self, database: Database, *, signals: Signals, outbox: Outbox) -> None:
        self.database = database
        self.signals = signals
        self._outbox = outbox

    @asynccontextmanager
    async def across(self, ctx: Ctx) -> AsyncIterator[Db]:
        """A view across all tenants for this request.

        It is the request's own view where nothing narrows that one, so that effect and audit are one transaction. With
        row-level security it is a transaction of its own, committed when the block ends well, before `ctx.db` writes.
        """
        if ctx.tenant.id == SYSTEM_TENANT_ID or not has_system_role(self.database):
            yield ctx.db
            return
        async with self.database.begin() as db:
            yield db

    async def publish(self, db: Db, fact: object, *, tenant_id: UUID, request_id: str) -> None:
        """Record a fact of a tenant that may be another than the caller's."""
        await self._outbox.record(db, fact, tenant_id=tenant_id, request_id=request_id)

    def forget_after(self, db: Db, kind: str, thing_id: UUID) -> None:
        """Have every process drop what it remembers of a `key`, `session`, `user` or `tenant`, after the commit."""
        self.signals.publish_after(db, FORGET, {kind: str(thing_id)})


def has_system_role(database: Database) -> bool:
    """Whether work across tenants uses a database role of its own, so that row-level security may be on."""
    return not database.embedded and bool(database.settings.system_url)
