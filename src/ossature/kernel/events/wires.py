"""The ways that signals take between processes: Redis, PostgreSQL, or a table that is polled on SQLite."""

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from ossature.kernel import clock
from ossature.kernel.db.engine import Database
from ossature.kernel.db.notify import Notifier
from ossature.kernel.db.redis import end_if_cancelled
from ossature.kernel.errors import Unavailable
from ossature.kernel.events import store
from ossature.kernel.events.settings import EventSettings

if TYPE_CHECKING:
    from redis.asyncio import Redis

_CHANNEL = "ossature_signals"
_NOTIFY = text("SELECT pg_notify(:channel, :text)")
_LISTEN_S = 5.0
_SEND_LIMIT_S = 5.0


class RedisWire:
    """Signals over Redis pub/sub."""

    def __init__(self, redis: "Redis", prefix: str) -> None:
        """Signals on the channel `{prefix}signals`; the client stays the caller's to close."""
        self._redis = redis
        self._channel = f"{prefix}signals"

    @property
    def faults(self) -> tuple[type[Exception], ...]:
        """Redis' own errors, and those of the network."""
        from redis.exceptions import RedisError  # noqa: PLC0415 - an extra

        return (RedisError, OSError, TimeoutError)

    async def send(self, texts: Sequence[str]) -> None:
        """Publish texts in one round trip."""
        async with asyncio.timeout(_SEND_LIMIT_S):
            pipeline = self._redis.pipeline(transaction=False)
            for text in texts:
                pipeline.publish(self._channel, text)
            await pipeline.execute()

    async def receive(self, deliver: Callable[[str], None], ready: Callable[[], None]) -> None:
        """Listen on a connection of its own; the client pings it when it is silent."""
        async with self._redis.pubsub() as pubsub:
            await pubsub.subscribe(self._channel)
            while True:
                message = await pubsub.get_message(timeout=_LISTEN_S)
                end_if_cancelled()
                if message is None:
                    continue
                if message["type"] == "subscribe":
                    # Also after the client reconnected by itself: it subscribes again.
                    ready()
                elif message["type"] == "message":
                    deliver(message["data"].decode())


class PostgresWire:
    """Signals over LISTEN and NOTIFY."""

    def __init__(self, database: Database, notifier: Notifier) -> None:
        """Sent through the pool of `database`, heard by a notifier that lives as long as somebody listens."""
        self._database = database
        self._notifier = notifier

    @property
    def faults(self) -> tuple[type[Exception], ...]:
        """What a database that is away or too busy raises."""
        return (Unavailable, DBAPIError, OSError)

    async def send(self, texts: Sequence[str]) -> None:
        """Send texts in their order; they leave with the commit."""
        async with self._database.begin() as db:
            for one in texts:
                await db.execute(_NOTIFY, {"channel": _CHANNEL, "text": one})

    async def receive(self, deliver: Callable[[str], None], ready: Callable[[], None]) -> None:
        """Listen until cancelled."""
        await self._notifier.start()
        stop = self._notifier.subscribe(_CHANNEL, lambda heard: ready() if heard is None else deliver(heard))
        try:
            await asyncio.Event().wait()
        finally:
            stop()
            await self._notifier.close()


class TableWire:
    """Signals over a table of SQLite: `PRAGMA data_version` says for a few microseconds that somebody wrote."""

    def __init__(self, database: Database, settings: EventSettings) -> None:
        self._database = database
        self._settings = settings

    @property
    def faults(self) -> tuple[type[Exception], ...]:
        """What a database that is too busy raises."""
        return (Unavailable, DBAPIError, sqlite3.Error, OSError)

    async def send(self, texts: Sequence[str]) -> None:
        """Write texts down, and forget those that everybody has had time to read."""
        now = clock.now()
        async with self._database.begin() as db:
            await store.add_signals(db, texts)
            await store.forget_signals(db, now - timedelta(seconds=self._settings.signal_keep_s))

    async def receive(self, deliver: Callable[[str], None], ready: Callable[[], None]) -> None:
        """Look every `poll_s` whether anybody wrote, on a connection and a thread of its own."""
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(1, thread_name_prefix="signals") as thread:
            reader = await loop.run_in_executor(thread, _Reader, str(self._database.url.database))
            try:
                ready()
                while True:
                    for one in await loop.run_in_executor(thread, reader.news):
                        deliver(one)
                    await asyncio.sleep(self._settings.poll_s)
            finally:
                await asyncio.shield(loop.run_in_executor(thread, reader.close))


class _Reader:
    """Reads new signals over a raw connection, which only one thread uses."""

    def __init__(self, path: str) -> None:
        self._connection = sqlite3.connect(path, timeout=1.0, isolation_level=None)
        self._last = self._newest()
        self._version = self._data_version()

    def news(self) -> list[str]:
        """Signals that were written since the last call."""
        version = self._data_version()
        if version == self._version:
            return []
        self._version = version
        rows = self._connection.execute(store.SIGNALS_AFTER, (self._last,)).fetchall()
        if rows:
            self._last = rows[-1][0]
        return [row[1] for row in rows]

    def close(self) -> None:
        """Give the connection back."""
        self._connection.close()

    def _newest(self) -> int:
        return int(self._connection.execute(store.LAST_SIGNAL).fetchone()[0])

    def _data_version(self) -> int:
        return int(self._connection.execute("PRAGMA data_version").fetchone()[0])
