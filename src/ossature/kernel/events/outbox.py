"""Facts: published inside the transaction that makes them true, delivered to every listener at least once.

`publish` writes a row and, for each listener, a job; both become visible with the commit or not at all. A listener
handles a fact in the transaction that notes it as handled, so what it writes to our own database happens once even if
its job runs twice. Facts of one tenant with the same key reach a listener in the order of their publication.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol
from uuid import UUID

import msgspec
from prometheus_client import Counter

from ossature.kernel import clock
from ossature.kernel.db.transaction import Db
from ossature.kernel.events import store
from ossature.kernel.events.catalogue import Catalogue, arguments
from ossature.kernel.events.store import Lag, StoredFact
from ossature.kernel.observe import tracing
from ossature.kernel.service import Job

if TYPE_CHECKING:
    from ossature.kernel.context import Ctx

PUBLISHED = Counter("events_published_total", "Facts written to the outbox.", ["fact"])


class Queue(Protocol):
    """The queue of jobs, as far as facts need it."""

    async def enqueue(
        self, db: Db, job: Job, arguments: Mapping[str, Any], *, tenant_id: UUID, request_id: str, trace: str
    ) -> UUID:
        """Have a job run once the transaction of `db` is committed; its id."""


Tap = Callable[[Db, Sequence[StoredFact]], Awaitable[None]]
"""What is told of facts of one tenant inside their transaction, such as the fan-out to webhooks. It may enqueue, never call
out."""


class Outbox:
    """Where facts are published. One per process."""

    def __init__(self, jobs: Queue, catalogue: Catalogue) -> None:
        self.catalogue = catalogue
        self._jobs = jobs
        self._taps: list[Tap] = []

    def tap(self, tap: Tap) -> None:
        """Tell `tap` of all facts from now on."""
        self._taps.append(tap)

    async def publish(self, ctx: Ctx, fact: object, *, trace: str | None = None) -> int:
        """Write a fact down in the caller's transaction; its position. trace: of the present span unless given.

        Raises: Misconfigured for a type that no service declares.
        """
        return await self.record(ctx.db, fact, tenant_id=ctx.tenant.id, request_id=ctx.id, trace=trace)

    async def publish_all(self, ctx: Ctx, facts: Sequence[object]) -> None:
        """Write many facts down at once, in their order: as many statements as for one.

        Raises: Misconfigured for a type that no service declares.
        """
        if facts:
            await self._record(
                ctx.db, [self._stored(fact, tenant_id=ctx.tenant.id, request_id=ctx.id) for fact in facts]
            )

    async def record(
        self, db: Db, fact: object, *, tenant_id: UUID, request_id: str = "", trace: str | None = None
    ) -> int:
        """The same as `publish` without a `Ctx`, for those parts of the kernel that have none."""
        (position,) = await self._record(
            db, [self._stored(fact, tenant_id=tenant_id, request_id=request_id, trace=trace)]
        )
        return position

    def _stored(self, fact: object, *, tenant_id: UUID, request_id: str, trace: str | None = None) -> StoredFact:
        declared = self.catalogue.declared(type(fact))
        return StoredFact(
            position=0,
            tenant_id=tenant_id,
            at=clock.now(),
            wire=declared.wire,
            version=declared.version,
            key=None if declared.key is None else str(getattr(fact, declared.key)),
            payload=msgspec.to_builtins(fact, str_keys=True),
            request_id=request_id,
            trace=(tracing.traceparent() or "") if trace is None else trace,
        )

    async def _record(self, db: Db, facts: Sequence[StoredFact]) -> list[int]:
        """The positions of facts of one tenant, which are written down and handed to whoever listens."""
        tenant_id = facts[0].tenant_id
        positions = await store.add_facts(db, tenant_id, facts)
        stored = [replace(fact, position=position) for fact, position in zip(facts, positions, strict=True)]
        due = [(fact, job) for fact in stored for job in self.catalogue.listeners(fact.wire)]
        if due:
            await store.add_deliveries(db, tenant_id, [(fact.position, job.name) for fact, job in due])
        for fact, job in due:
            await self._deliver(db, job, fact)
        for tap in self._taps:
            await tap(db, stored)
        for fact in stored:
            PUBLISHED.labels(fact.wire).inc()
        return positions

    async def replay(
        self,
        db: Db,
        listener: str,
        *,
        after: int = 0,
        tenant_id: UUID | None = None,
        again: bool = False,
        limit: int = 500,
    ) -> tuple[int, int]:
        """Deliver stored facts once more, from behind a position on: (how many, position of the last one looked at).

        Facts that the listener has handled are left out unless `again`. Call it with the position that came back until
        that no longer grows. Raises: Misconfigured for a listener that does not exist.
        """
        job, wires = self.catalogue.delivery(listener)
        facts = await store.facts_after(db, tenant_id, after, wires=wires, limit=limit)
        done = set() if again else await store.handled_among(db, [fact.position for fact in facts], listener)
        due = [fact for fact in facts if fact.position not in done]
        if due:
            await store.reopen(db, listener, due)
        for fact in due:
            await self._deliver(db, job, fact)
        return len(due), facts[-1].position if facts else after

    async def lag(self, db: Db) -> list[Lag]:
        """How far each listener is behind. `db`: a view across tenants."""
        return await store.lags(db)

    async def purge(self, db: Db, *, keep_days: int, limit: int = 1000) -> int:
        """Forget old facts that everybody has handled, at most `limit`; how many. `db`: a view across tenants."""
        return await store.purge(db, clock.now(), keep_days=keep_days, limit=limit)

    async def _deliver(self, db: Db, job: Job, fact: StoredFact) -> None:
        await self._jobs.enqueue(
            db, job, arguments(fact), tenant_id=fact.tenant_id, request_id=fact.request_id, trace=fact.trace
        )
