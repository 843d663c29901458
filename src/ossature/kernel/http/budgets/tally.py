"""`Tally`: writes what this process answered to routes with a promise into the table of hours."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

import structlog
from sqlalchemy.exc import DBAPIError

from ossature.kernel import background, clock
from ossature.kernel.db.engine import Database
from ossature.kernel.errors import Unavailable
from ossature.kernel.http.budgets import store
from ossature.kernel.http.budgets.domain import Counts
from ossature.kernel.observe import metrics

log = structlog.get_logger()


class Tally:
    """Counts on in memory while the database is away. One per process.

    A kill loses what was counted since the last time. Where the answer to a commit is lost, its counts may be added twice.
    """

    def __init__(self, database: Database, requests: metrics.Requests, *, every_s: float) -> None:
        self._database = database
        self._requests = requests
        self._every_s = every_s
        self._waiting: dict[tuple[datetime, str, str], Counts] = {}

    @asynccontextmanager
    async def keeping(self) -> AsyncIterator[None]:
        """While open, what is counted is written; at the end once more."""
        task = background.start(self._write_for_ever, "http.budgets")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await self.write()

    async def write(self) -> None:
        """Write what was counted since the last time, by the present hour; it is kept where the database is away."""
        hour = clock.now().replace(minute=0, second=0, microsecond=0)
        for (method, endpoint), kept in self._requests.drain().items():
            key, counts = (hour, method, endpoint), Counts(kept.requests, kept.slow, kept.failed, kept.unavailable)
            self._waiting[key] = self._waiting.get(key, Counts()).plus(counts)
        if not self._waiting:
            return
        try:
            async with self._database.begin() as db:
                await store.add(db, self._waiting)
        except (Unavailable, DBAPIError, OSError) as error:
            log.warning("http.budgets_not_written", rows=len(self._waiting), error=repr(error)[:300])
        else:
            self._waiting.clear()

    async def _write_for_ever(self) -> None:
        while True:
            await asyncio.sleep(self._every_s)
            await self.write()
