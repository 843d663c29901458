"""No broker: the database itself says when there is work. The default."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from uuid import UUID

from ossature.kernel.db.engine import Database
from ossature.kernel.db.notify import Notifier
from ossature.kernel.jobs.settings import JobSettings
from ossature.kernel.jobs.transport.port import Wake

CHANNEL = "ossature_jobs"


class SqliteTransport:
    """Asks SQLite every few milliseconds whether another process wrote: one number, read without a lock."""

    def __init__(self, database: Database, settings: JobSettings) -> None:
        self._path = database.url.database or ":memory:"
        self._poll_s = settings.sqlite_poll_s

    def send(self, queue: str, jobs: Sequence[UUID]) -> None:
        """Nothing to do: the commit changed the number."""

    @asynccontextmanager
    async def listen(self, queues: Sequence[str], wake: Wake, has_room: Callable[[], bool]) -> AsyncIterator[None]:
        """Wake at every change of the file by another connection."""
        del queues, has_room
        connection = sqlite3.connect(self._path, isolation_level=None)
        watch = asyncio.create_task(self._watch(connection, wake), name="sqlite watch")
        try:
            yield
        finally:
            watch.cancel()
            await asyncio.wait([watch])
            connection.close()

    async def close(self) -> None:
        """Nothing is held."""

    async def _watch(self, connection: sqlite3.Connection, wake: Wake) -> None:
        cursor = connection.cursor()
        seen = None
        while True:
            version = cursor.execute("PRAGMA data_version").fetchone()
            if version != seen:
                seen = version
                wake()
            await asyncio.sleep(self._poll_s)


class PostgresTransport:
    """LISTEN and NOTIFY, in a connection of their own. One notification per queue, however many jobs were enqueued."""

    def __init__(self, database: Database) -> None:
        self._notifier = Notifier(database.direct)
        self._starting: asyncio.Task[None] | None = None

    def send(self, queue: str, jobs: Sequence[UUID]) -> None:
        """Notify the workers of a queue."""
        del jobs
        if self._starting is None:
            self._starting = asyncio.create_task(self._notifier.start())
        self._notifier.send(CHANNEL, queue)

    @asynccontextmanager
    async def listen(self, queues: Sequence[str], wake: Wake, has_room: Callable[[], bool]) -> AsyncIterator[None]:
        """Wake at notifications for these queues, and after each reconnection."""
        del has_room
        wanted = frozenset(queues)
        end = self._notifier.subscribe(CHANNEL, lambda queue: wake() if queue is None or queue in wanted else None)
        await self._notifier.start()
        try:
            yield
        finally:
            end()

    async def close(self) -> None:
        """Disconnect."""
        if self._starting is not None:
            await self._starting
        await self._notifier.close()
