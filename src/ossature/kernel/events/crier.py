"""Facts that are noticed where there is no transaction: published beside whoever noticed, never in its way."""

import asyncio
from uuid import UUID

import structlog

from ossature.kernel.db.engine import Database
from ossature.kernel.errors import Unavailable
from ossature.kernel.events.outbox import Outbox
from ossature.kernel.jobs.domain import HOUSE_TENANT_ID

log = structlog.get_logger()


class Crier:
    """Publishes facts of the house, or of a tenant, in transactions of their own. `close()` it at the end.

    Such a fact is news, not an effect of anything: while the database is away it is dropped with a line in the log.
    """

    def __init__(self, database: Database, outbox: Outbox) -> None:
        self._database = database
        self._outbox = outbox
        self._busy: set[asyncio.Task[None]] = set()

    def __call__(self, fact: object, *, tenant_id: UUID = HOUSE_TENANT_ID, request_id: str = "") -> None:
        """Publish soon."""
        task = asyncio.get_running_loop().create_task(self._publish(fact, tenant_id, request_id), name="events.crier")
        self._busy.add(task)
        task.add_done_callback(self._busy.discard)

    async def close(self) -> None:
        """Let what was begun end."""
        await asyncio.gather(*self._busy, return_exceptions=True)

    async def _publish(self, fact: object, tenant_id: UUID, request_id: str) -> None:
        view = None if tenant_id == HOUSE_TENANT_ID else tenant_id
        try:
            async with self._database.begin(view) as db:
                await self._outbox.record(db, fact, tenant_id=tenant_id, request_id=request_id)
        except Unavailable as error:
            log.warning("events.fact_not_published", fact=type(fact).__name__, error=str(error))
