"""The breakers and the health of all destinations of a process, shared with the other processes through a table.

What one process learns, the others know within two seconds. Nothing of it is waited for by a request.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy.exc import DBAPIError

from ossature.kernel import background, clock
from ossature.kernel.db import lease
from ossature.kernel.db.engine import Database
from ossature.kernel.db.transaction import Db
from ossature.kernel.errors import Unavailable
from ossature.kernel.outbound import metrics, store
from ossature.kernel.outbound.breaker import OPEN_S, Breaker, BreakerKey, BreakerState
from ossature.kernel.outbound.health import Health

log = structlog.get_logger()

SYNC_S = 1.0
_AWAY = (Unavailable, DBAPIError, OSError)
"""What a database says that cannot be asked just now: busy, gone, without room on its disk."""
Tell = Callable[[str, Mapping[str, Any]], None]


def _tell_nobody(_event: str, _facts: Mapping[str, Any]) -> None:
    """Nobody listens."""


class Board:
    """Breakers and health by destination. `start()` it to share them, `close()` it at the end.

    tell: hears of `provider.down` and `provider.up`, once per change and per process that saw it happen.
    """

    def __init__(self, database: Database | None = None, *, tell: Tell = _tell_nobody) -> None:
        self._database = database
        self._tell = tell
        self._breakers: dict[BreakerKey, Breaker] = {}
        self._health: dict[BreakerKey, Health] = {}
        self._changed: set[BreakerKey] = set()
        self._known_at: dict[BreakerKey, datetime] = {}
        self._seen_until: datetime | None = None
        self._task: asyncio.Task[None] | None = None
        self._probes: dict[BreakerKey, lease.Lease] = {}
        self._busy: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()

    def breaker(self, key: BreakerKey) -> Breaker:
        """The breaker of a destination."""
        found = self._breakers.get(key)
        if found is None:
            found = self._breakers[key] = Breaker(key)
        return found

    def health(self, key: BreakerKey) -> Health:
        """The health of a destination."""
        found = self._health.get(key)
        if found is None:
            found = self._health[key] = Health()
        return found

    async def enter(self, key: BreakerKey) -> bool:
        """Claim the right to make one call, the probe included, which is one over all processes. Follow it with `leave`."""
        breaker = self.breaker(key)
        if not breaker.enter():
            return False
        if not breaker.is_probing or self._database is None:
            return True
        try:
            has_probe = await self._has_probe(self._database, key)
        except BaseException:
            breaker.leave(failed=None)
            raise
        if not has_probe:
            breaker.open(for_s=SYNC_S)  # another process looks, and what it finds is known here by then
        return has_probe

    def leave(self, key: BreakerKey, *, failed: bool | None, ms: float, error: str = "") -> None:
        """Say how a call ended that `enter` let through."""
        breaker = self.breaker(key)
        before = breaker.state
        breaker.leave(failed=failed)
        probe = self._probes.pop(key, None)
        if probe is not None and not failed:
            self._behind(_given_back(probe))  # a failed one is kept: for as long nobody else need look
        if failed is not None:
            self.health(key).note(ok=not failed, ms=ms, error=error)
        self._note(breaker, before, error)

    def states(self) -> Iterator[tuple[BreakerKey, BreakerState, Health]]:
        """Every destination that was spoken to."""
        for key, breaker in self._breakers.items():
            yield key, breaker.state, self.health(key)

    async def start(self) -> None:
        """Begin to share."""
        if self._database is not None and self._task is None:
            self._task = background.start(self._share, "outbound.board")

    async def close(self) -> None:
        """Stop sharing."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        await asyncio.gather(*self._busy)

    async def _has_probe(self, database: Database, key: BreakerKey) -> bool:
        """Take the probe for all processes. Where the database cannot be asked, each looks for itself."""
        name = f"outbound.probe:{key.provider}/{key.group}/{key.credential}"
        try:
            taken = await lease.take(database, name, lasts_s=OPEN_S)
        except _AWAY as error:
            log.warning("outbound.probe_not_shared", error=repr(error))
            return True
        if taken is not None:
            self._probes[key] = taken
        return taken is not None

    def _behind(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, name="outbound.probe")
        self._busy.add(task)
        task.add_done_callback(self._busy.discard)

    async def sync(self) -> None:
        """Write what changed here, read what changed elsewhere. Raises: DatabaseBusy."""
        if self._database is None:
            return
        changed, self._changed = self._changed, set()
        now = clock.now()
        rows = [self._row(key, now) for key in changed]
        try:
            others = await self._database.transact(lambda db: self._exchanged(db, rows, now))
        except _AWAY:
            self._changed |= changed
            raise
        for other in others:
            self._seen_until = max(self._seen_until or other.updated_at, other.updated_at)
            known_at = self._known_at.get(other.key)
            if known_at is None or other.updated_at > known_at:
                self._known_at[other.key] = other.updated_at
                self._learn(other, now)

    async def _exchanged(self, db: Db, rows: Sequence[store.State], now: datetime) -> list[store.State]:
        if rows:
            await store.save(db, rows)
        return await store.changed_since(db, self._seen_until or now - timedelta(seconds=OPEN_S))

    def _note(self, breaker: Breaker, before: BreakerState, error: str) -> None:
        after = breaker.state
        if after is before:
            return
        key = breaker.key
        self._changed.add(key)
        self._known_at[key] = clock.now()
        self._wake.set()
        metrics.breaker_state.labels(key.provider, key.group).set(after is not BreakerState.CLOSED)
        facts = {"provider": key.provider, "group": key.group, "credential": key.credential, "error": error}
        if after is BreakerState.OPEN and before is BreakerState.CLOSED:
            log.warning("outbound.provider_down", **facts)
            self._tell("provider.down", facts)
        elif after is BreakerState.CLOSED:
            log.info("outbound.provider_up", **facts)
            self._tell("provider.up", facts)

    def _row(self, key: BreakerKey, now: datetime) -> store.State:
        breaker, health = self.breaker(key), self.health(key)
        is_open = breaker.state is BreakerState.OPEN
        return store.State(
            key=key,
            breaker="open" if is_open else "closed",
            open_until=now + timedelta(seconds=breaker.retry_after_s) if is_open else None,
            ewma_ms=health.ewma_ms,
            p95_ms=health.p95_ms,
            success=health.success,
            last_error_kind=health.last_error,
            updated_at=self._known_at.get(key, now),
        )

    def _learn(self, other: store.State, now: datetime) -> None:
        breaker = self.breaker(other.key)
        if other.breaker == "open" and other.open_until is not None:
            left_s = (other.open_until - now).total_seconds()
            if left_s > 0 and breaker.state is not BreakerState.OPEN:
                breaker.open(for_s=min(left_s, OPEN_S))
        elif other.breaker == "closed" and breaker.state is not BreakerState.CLOSED:
            breaker.close()
        metrics.breaker_state.labels(other.key.provider, other.key.group).set(breaker.state is not BreakerState.CLOSED)

    async def _share(self) -> None:
        while True:
            # What changed here is written at once; what changed elsewhere is read every second.
            with suppress(TimeoutError):
                async with asyncio.timeout(SYNC_S):
                    await self._wake.wait()
            self._wake.clear()
            try:
                await self.sync()
            except _AWAY as error:
                log.warning("outbound.board_not_shared", error=repr(error))


async def _given_back(probe: lease.Lease) -> None:
    try:
        await probe.release()
    except _AWAY as error:
        log.warning("outbound.probe_not_given_back", error=repr(error))  # it ends by itself
