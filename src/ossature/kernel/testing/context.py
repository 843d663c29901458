"""A `Ctx` for tests, over a real database, with as much of a house behind it as the test hands over."""

from collections.abc import Mapping
from typing import Any, TypeVar, cast
from uuid import UUID

from ossature.kernel import clock
from ossature.kernel.audit.trail import Trail
from ossature.kernel.config import Config
from ossature.kernel.context import SYSTEM, SYSTEM_TENANT, Actor, Ctx, Tenant
from ossature.kernel.db.transaction import Db
from ossature.kernel.errors import Misconfigured
from ossature.kernel.events.outbox import Outbox
from ossature.kernel.jobs.queue import Jobs
from ossature.kernel.service import Job

_P = TypeVar("_P")


class SmallHouse:
    """The doors of a `Ctx`, each open only if the test brought what is behind it."""

    def __init__(
        self,
        *,
        settings: Config | None = None,
        jobs: Jobs | None = None,
        outbox: Outbox | None = None,
        trail: Trail | None = None,
        ports: Mapping[type, Any] | None = None,
    ) -> None:
        self.settings = settings or Config([])
        self._jobs = jobs
        self._outbox = outbox
        self._trail = trail or Trail()
        self._ports = dict(ports or {})

    def port(self, promise: type[_P]) -> _P:
        """What the test brought for a promise. Raises: Misconfigured."""
        if promise not in self._ports:
            raise Misconfigured(f"This test brought nobody who keeps {promise.__name__}.")
        return cast("_P", self._ports[promise])

    async def ask(self, ctx: Ctx, operation: str, query: object, **options: Any) -> Any:  # noqa: ANN401 - as `Doors` has it
        """Nothing is outside a small house. Raises: Misconfigured."""
        del ctx, query, options
        raise Misconfigured(f"A small house asks nobody for {operation}.")

    async def publish(self, ctx: Ctx, fact: object) -> None:
        """Write a fact to the test's outbox, if there is one."""
        if self._outbox is not None:
            await self._outbox.publish(ctx, fact)

    async def enqueue(self, ctx: Ctx, job: Job, arguments: Mapping[str, Any], **options: Any) -> UUID:
        """Enqueue a job. Raises: Misconfigured without a queue."""
        if self._jobs is None:
            raise Misconfigured(f"This test brought no queue for {job.name}.")
        return await self._jobs.enqueue(ctx.db, job, arguments, tenant_id=ctx.tenant.id, request_id=ctx.id, **options)

    async def audit(self, ctx: Ctx, action: str, what: str, **facts: Any) -> None:
        """Record in the trail."""
        await self._trail.record(ctx, action, what, **facts)

    def ctx(self, db: Db, *, tenant: Tenant = SYSTEM_TENANT, actor: Actor = SYSTEM, request_id: str = "test") -> Ctx:
        """A context at the clock's present."""
        return Ctx(self, tenant=tenant, actor=actor, now=clock.now(), id=request_id, db=db)
