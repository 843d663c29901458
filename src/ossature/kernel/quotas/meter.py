"""The one place where usage is metered: an append-only log, written in batches.

What a killed process may lose is said by how an event was handed over:
`await meter.write(event)` returns once the event is committed: it survives kill -9 (and a power cut if the database is
set to be that durable). `meter.note(event)` returns at once: up to `usage_flush_s` of such events may be lost by kill -9,
none by an orderly end. `add_usage` of the store writes it in the caller's own transaction.
"""

import asyncio
import itertools
import math
import sys
from collections import deque
from collections.abc import AsyncIterator
from collections.abc import Set as AbstractSet
from contextlib import asynccontextmanager
from decimal import Decimal
from uuid import UUID

import structlog
from prometheus_client import Counter, Gauge
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError

from ossature.kernel import background
from ossature.kernel.db.engine import Database
from ossature.kernel.db.transaction import Db
from ossature.kernel.errors import InvalidInput, Unavailable
from ossature.kernel.observe import metrics
from ossature.kernel.outbound.answer import Usage
from ossature.kernel.quotas import store
from ossature.kernel.quotas.domain import MeterFull, UsageEvent
from ossature.kernel.quotas.settings import QuotaSettings
from ossature.kernel.retry import WORTH_IT, Again, Retry
from ossature.kernel.tenants import store as tenants

log = structlog.get_logger()

WRITTEN = Counter("quotas_usage_written_total", "Usage events that were committed.")
UNWRITABLE = Counter("quotas_usage_unwritable_total", "Usage events that no database would keep; each is in the log.")
WAITING = Gauge("quotas_usage_waiting", "Usage events that wait to be written.", multiprocess_mode="livesum")


def _told(again: Again) -> None:
    log.warning("quotas.usage_not_written", attempt=again.number, error=repr(again.error))


_RETRY = Retry(
    "usage", attempts=sys.maxsize, waits_s=(0.1, 0.5, 1.0, 2.0), jitter="none", total_s=math.inf, on_retry=_told
)
# What stands in an event is wrong: a number beyond 64 bits, a letter that the database does not keep, an id given twice.
_UNWRITABLE = (InvalidInput, DataError, IntegrityError, OverflowError, TypeError, ValueError)
_WRITE_LIMIT_S = 15.0
_END_LIMIT_S = 10.0
_PAYERS_MOST = 10_000

_Waiting = tuple[UsageEvent, asyncio.Future[None] | None]


class Meter:
    """Gathers usage events and writes them in batches. One per process; `writing()` must be open while it works."""

    def __init__(self, database: Database, settings: QuotaSettings) -> None:
        self._database = database
        self._settings = settings
        self._waiting: deque[_Waiting] = deque()
        self._wake = asyncio.Event()
        self._ending = False
        self._payers: dict[UUID, str] = {}

    def note(self, event: UsageEvent) -> None:
        """Have an event written soon. Raises: MeterFull."""
        self._add(event, None)

    async def write(self, event: UsageEvent) -> None:
        """Return once an event is committed, together with all others that came meanwhile.

        Raises: MeterFull, also when it could not be written in good time; it may be written later all the same.
        """
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._add(event, done)
        self._wake.set()
        try:
            async with asyncio.timeout(_WRITE_LIMIT_S):
                await done
        except TimeoutError as error:
            raise MeterFull from error

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[None]:
        """While open, events are written; at the end those that still wait are."""
        task = background.start(self._write_for_ever, "quotas.meter")
        try:
            yield
        finally:
            self._ending = True
            self._wake.set()
            _, unfinished = await asyncio.wait([task], timeout=_END_LIMIT_S)
            for one in unfinished:
                one.cancel()
            if self._waiting:
                log.error("quotas.usage_lost", events=len(self._waiting))

    def _add(self, event: UsageEvent, done: asyncio.Future[None] | None) -> None:
        if len(self._waiting) >= self._settings.usage_waiting_most:
            raise MeterFull
        self._waiting.append((event, done))
        if len(self._waiting) >= self._settings.usage_batch:
            self._wake.set()

    async def _write_for_ever(self) -> None:
        while not (self._ending and not self._waiting):
            try:
                async with asyncio.timeout(self._settings.usage_flush_s):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()
            while self._waiting:
                await self._write_batch()

    async def _write_batch(self) -> None:
        """Write the oldest events, however often it takes: what was accepted is not dropped."""
        batch = list(itertools.islice(self._waiting, self._settings.usage_batch))
        WAITING.set(len(self._waiting))
        try:
            await self._persist([event for event, _ in batch])
        except _UNWRITABLE:
            for one in batch:  # whatever cannot be written must not keep the others from it
                await self._write_alone(*one)
        else:
            for event, done in batch:
                self._written(event, done)
        for _ in batch:
            self._waiting.popleft()
        WAITING.set(len(self._waiting))

    async def _write_alone(self, event: UsageEvent, done: asyncio.Future[None] | None) -> None:
        try:
            await self._persist([event], is_repeat=True)
        except _UNWRITABLE as error:
            facts = {"id": str(event.id), "what": event.what, "unit": event.unit, "tenant_id": str(event.tenant_id)}
            # Not `exception`: the statement with its rows would say less.
            log.error("quotas.usage_unwritable", **facts, error=repr(error)[:300])  # noqa: TRY400 - see above
            UNWRITABLE.inc()
            if done is not None and not done.done():
                done.set_exception(error)
        else:
            self._written(event, done)

    def _written(self, event: UsageEvent, done: asyncio.Future[None] | None) -> None:
        WRITTEN.inc()
        self._count(event)
        if done is not None and not done.done():
            done.set_result(None)

    async def _persist(self, events: list[UsageEvent], *, is_repeat: bool = False) -> None:
        """Commit events, however often it takes. Raises: one of _UNWRITABLE, when no repetition would help."""
        numbers = itertools.count()
        await _RETRY.run(
            lambda: self._commit(events, is_repeat=is_repeat or next(numbers) > 0),
            on=(Unavailable, DBAPIError, OSError),
            judge=lambda error: None if isinstance(error, _UNWRITABLE) else WORTH_IT,
        )

    async def _commit(self, events: list[UsageEvent], *, is_repeat: bool) -> None:
        async with self._database.begin() as db:
            payers = {event.project_id or event.tenant_id for event in events}
            if is_repeat:  # a commit whose answer was lost may have succeeded
                known = await store.known_usage(db, events)
                events = [event for event in events if event.id not in known]
            if events:
                await store.add_usage(db, events)
            await self._learn(db, payers)

    async def _learn(self, db: Db, payers: AbstractSet[UUID]) -> None:
        """Find the names of tenants and projects that were not met before."""
        new = payers - self._payers.keys()
        if new:
            if len(self._payers) > _PAYERS_MOST:
                self._payers.clear()
            self._payers.update(await tenants.payers(db, new))

    def _count(self, event: UsageEvent) -> None:
        """What the log says is what the metrics of the business say: a good answer, its cost, what it is worth."""
        metrics.count_business(
            str(event.facts.get("service") or event.what.partition(".")[0]),
            project=self._payers.get(event.project_id or event.tenant_id, "unknown"),
            requests=int(event.amount) if event.unit == "request" and event.facts.get("outcome", "ok") == "ok" else 0,
            cost=float(event.cost),
            value=float(event.amount) if event.unit == "money" else 0.0,
            currency=event.currency,
        )


def metered(usage: Usage, *, service: str) -> UsageEvent:
    """One attempt at the outside world as an event of the usage log; the attempt's id keeps it from counting twice.

    service: the one that the operation belongs to.
    """
    return UsageEvent(
        id=usage.attempt_id,
        tenant_id=usage.tenant_id,
        at=usage.at,
        what=usage.operation,
        unit="request",
        amount=Decimal(usage.units.get("requests", 1)),
        cost=Decimal(usage.cost_microusd) / 1_000_000,
        project_id=usage.project_id,
        key_id=usage.key_id,
        request_id=usage.request_id,
        facts={
            "service": service,
            "provider": usage.provider,
            "credential": usage.credential,
            "outcome": usage.outcome,
            "units": dict(usage.units),
            "latency_ms": round(usage.latency_ms, 1),
            "estimated": usage.estimated,
        },
    )
