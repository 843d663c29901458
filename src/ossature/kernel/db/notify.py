"""PostgreSQL LISTEN and NOTIFY on a connection of their own that comes back by itself."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import structlog
from sqlalchemy import URL

from ossature.kernel import background
from ossature.kernel.errors import Misconfigured

if TYPE_CHECKING:
    from asyncpg import Connection  # type: ignore[import-untyped] # it has no types

log = structlog.get_logger()

Heard = Callable[[str | None], None]
"""Called with a payload, or with None after a gap in which some may have been missed."""

_RECONNECT_FIRST_S = 0.1
_RECONNECT_MOST_S = 5.0
_TIME_LIMIT_S = 5.0
_PROBE_S = 15.0
_PAYLOAD_MOST_BYTES = 7999
_WAITING_MOST = 10_000


class Notifier:
    """Both ends of PostgreSQL's notifications for one process.

    Nothing here is durable: a notification that is sent while nobody listens is gone, so listeners look at a table
    when they are called with None. The connection must not pass through a transaction pooler.
    """

    def __init__(self, url: URL) -> None:
        self._dsn = url.set(drivername="postgresql").render_as_string(hide_password=False)
        self._heard: dict[str, list[Heard]] = {}
        self._connection: Connection | None = None
        self._waiting: dict[tuple[str, str], None] = {}
        self._work = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Connect, now and again whenever the connection is lost. Returns after the first attempt."""
        try:
            import asyncpg  # noqa: F401, PLC0415 - optional: only PostgreSQL needs it
        except ImportError as error:
            raise Misconfigured("PostgreSQL needs the extra: pip install 'ossature[postgres]'.") from error
        if self._task is None:
            first = asyncio.Event()
            self._task = background.start(partial(self._stay_connected, first), "db.notifier")
            await first.wait()

    async def close(self) -> None:
        """Let go of the connection; what was not sent is dropped."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None

    def subscribe(self, channel: str, heard: Heard) -> Callable[[], None]:
        """Call `heard` on the event loop for each notification of a channel; gives back what ends that."""
        self._heard.setdefault(channel, []).append(heard)
        self._work.set()

        def end() -> None:
            self._heard[channel].remove(heard)

        return end

    def send(self, channel: str, payload: str = "") -> None:
        """Send soon, from the background; equal ones that have not left yet are sent once.

        Raises: ValueError for a payload above PostgreSQL's limit of 7,999 bytes.
        """
        if len(payload.encode()) > _PAYLOAD_MOST_BYTES:
            msg = f"a notification carries at most {_PAYLOAD_MOST_BYTES} bytes"
            raise ValueError(msg)
        if len(self._waiting) < _WAITING_MOST:
            self._waiting[channel, payload] = None
        self._work.set()

    async def _stay_connected(self, first: asyncio.Event) -> None:
        import asyncpg  # noqa: PLC0415 - see start()

        # The last is said when a connection is used in the very moment in which it is lost.
        faults = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
        pause_s = _RECONNECT_FIRST_S
        while True:
            try:
                self._connection = await asyncpg.connect(
                    self._dsn, timeout=_TIME_LIMIT_S, command_timeout=_TIME_LIMIT_S
                )
                pause_s = _RECONNECT_FIRST_S
                await self._serve(self._connection, first)
            except (OSError, TimeoutError, *faults) as error:
                log.warning("db.notifier_disconnected", error=type(error).__name__, again_in_s=pause_s)
            finally:
                first.set()
                await self._drop()
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, _RECONNECT_MOST_S)

    async def _serve(self, connection: "Connection", first: asyncio.Event) -> None:
        listening: set[str] = set()
        while True:
            self._work.clear()
            for channel in self._heard.keys() - listening:
                await connection.add_listener(channel, self._receive)
                listening.add(channel)
                self._tell(channel, None)
            first.set()
            await self._flush(connection)
            try:
                async with asyncio.timeout(_PROBE_S):
                    await self._work.wait()
            except TimeoutError:
                await connection.fetchval("SELECT 1")  # a connection that died silently is noticed here

    async def _flush(self, connection: "Connection") -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, {}
            try:
                await connection.execute(
                    "SELECT pg_notify(c, p) FROM unnest($1::text[], $2::text[]) AS t(c, p)",
                    [channel for channel, _ in batch],
                    [payload for _, payload in batch],
                )
            except BaseException:
                self._waiting = batch | self._waiting
                raise

    def _receive(self, _connection: object, _pid: int, channel: str, payload: object) -> None:
        self._tell(channel, str(payload))

    def _tell(self, channel: str, payload: str | None) -> None:
        for heard in list(self._heard.get(channel, ())):
            heard(payload)

    async def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(OSError, TimeoutError):
                connection.terminate()
