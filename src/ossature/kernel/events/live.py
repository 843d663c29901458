"""Live frames: numbered per tenant, carried to every process, and kept for a while so that a client can resume.

Redis numbers, keeps and carries them in one step. Without Redis the database numbers and keeps them, and a signal says
to the other processes that there is something to read. A frame is not a fact: what it tells must also be readable.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any
from uuid import UUID

import structlog

from ossature.kernel import background, clock
from ossature.kernel.db.engine import Database
from ossature.kernel.db.transaction import Db, writing
from ossature.kernel.errors import Misconfigured, Unavailable
from ossature.kernel.events import store
from ossature.kernel.events.settings import EventSettings
from ossature.kernel.events.signals import Payload, Signals
from ossature.kernel.events.store import LiveFrame

log = structlog.get_logger()

Receive = Callable[[LiveFrame], None]

_TOPIC = "events.live"
_BATCH = 500
_PRUNE_EVERY = 100


class Reader:
    """One tenant's subscribers in this process, fed in order of `seq` by one task."""

    def __init__(
        self,
        read: Callable[[int], Awaitable[Sequence[LiveFrame]]],
        newest: Callable[[], Awaitable[int]],
        last: int,
    ) -> None:
        """A reader that begins behind frame `last`; `read` gives the frames behind a number, `newest` the last number."""
        self._read = read
        self._newest = newest
        self._last = last
        self._doubts = False
        self._news = asyncio.Event()
        self.receivers: list[Receive] = []
        self._task = background.start(self._run, "live.reader")

    def notice(self) -> None:
        """There may be something to read."""
        self._news.set()

    def look_again(self) -> None:
        """There may be something to read, and what numbers the frames may have forgotten how far it was."""
        self._doubts = True
        self._news.set()

    async def close(self) -> None:
        """Stop reading."""
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    async def _run(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            try:
                await self._catch_up()
            except Unavailable as error:
                log.warning("live.read_again", error=str(error))
                await asyncio.sleep(0.2)
                self._news.set()

    async def _catch_up(self) -> None:
        if self._doubts:
            newest = await self._newest()
            if newest < self._last:
                log.warning("live.numbers_began_anew", seen=self._last, newest=newest)
                self._last = 0
            self._doubts = False
        while frames := await self._read(self._last):
            for frame in frames:
                self._last = frame.seq
                for receive in tuple(self.receivers):
                    receive(frame)


class Readers:
    """The readers of all tenants that somebody here listens to."""

    def __init__(
        self,
        read: Callable[[UUID, int], Awaitable[Sequence[LiveFrame]]],
        last: Callable[[UUID], Awaitable[int]],
    ) -> None:
        """`read` gives a tenant's frames behind a number, `last` the number of its newest."""
        self._read = read
        self._last = last
        self._open: dict[UUID, Reader] = {}
        self._opening = asyncio.Lock()

    async def add(self, tenant_id: UUID, receive: Receive) -> Callable[[], Awaitable[None]]:
        """Feed `receive` with the frames of a tenant; call the result to stop."""
        async with self._opening:
            reader = self._open.get(tenant_id)
            if reader is None:
                reader = Reader(
                    lambda seq: self._read(tenant_id, seq),
                    lambda: self._last(tenant_id),
                    await self._last(tenant_id),
                )
                self._open[tenant_id] = reader
                reader.notice()
            reader.receivers.append(receive)

        async def stop() -> None:
            reader.receivers.remove(receive)
            if not reader.receivers and self._open.get(tenant_id) is reader:
                del self._open[tenant_id]
                await reader.close()

        return stop

    def notice(self, tenant_id: UUID) -> None:
        """There may be something to read for a tenant."""
        reader = self._open.get(tenant_id)
        if reader is not None:
            reader.notice()

    def notice_all(self) -> None:
        """There may be something to read for anybody."""
        for reader in self._open.values():
            reader.notice()

    def look_again(self) -> None:
        """As `notice_all`, after the way was cut: the numbers may have begun anew."""
        for reader in self._open.values():
            reader.look_again()

    async def close(self) -> None:
        """Stop reading."""
        for reader in self._open.values():
            await reader.close()
        self._open.clear()


class Later:
    """Frames that are sent once a transaction is committed."""

    def __init__(self) -> None:
        self._sending: set[asyncio.Future[int]] = set()

    def after(self, db: Db, publish: Callable[[], Coroutine[Any, Any, int]]) -> None:
        """Publish when `db` commits, in a task of its own."""

        def send() -> None:
            sending = asyncio.get_running_loop().create_task(publish(), name="live.publish")
            self._sending.add(sending)
            sending.add_done_callback(self._sent)

        db.after_commit(send)

    async def finish(self) -> None:
        """Return when all are sent."""
        await asyncio.gather(*self._sending, return_exceptions=True)

    def _sent(self, sending: asyncio.Future[int]) -> None:
        self._sending.discard(sending)
        if not sending.cancelled() and (error := sending.exception()) is not None:
            log.warning("live.frame_not_sent", error=repr(error))


class DatabaseFanout:
    """Live frames by the database and signals."""

    def __init__(self, database: Database, signals: Signals, settings: EventSettings) -> None:
        self._database = database
        self._signals = signals
        self._settings = settings
        self._readers = Readers(self._read, self.last)
        self._later = Later()
        self._stop = signals.subscribe(_TOPIC, self._heard, lost=self._readers.notice_all)

    async def publish(
        self,
        tenant_id: UUID,
        *,
        topic: str,
        type: str,  # noqa: A002 - the frame's own word
        data: Mapping[str, Any],
        coalesce: str | None = None,
    ) -> int:
        """Send a frame to all processes; its number.

        Raises: Misconfigured inside a write transaction, which it would wait for: use `publish_after` there.
        """
        if writing.get():
            raise Misconfigured("A live frame is sent after the transaction: use publish_after(ctx.db, ...).")
        frame = LiveFrame(
            tenant_id=tenant_id, seq=0, at=clock.now(), topic=topic, type=type, data=data, coalesce=coalesce
        )
        async with self._database.begin(tenant_id) as db:
            seq = await store.add_frame(db, frame)
            if seq % _PRUNE_EVERY == 0:
                oldest = frame.at - timedelta(seconds=self._settings.live_keep_s)
                up_to = seq - self._settings.live_keep_frames
                await store.forget_frames(db, tenant_id, before=oldest, up_to=up_to)
        self._signals.publish(_TOPIC, {"tenant": tenant_id.hex})
        return seq

    def publish_after(
        self,
        db: Db,
        tenant_id: UUID,
        *,
        topic: str,
        type: str,  # noqa: A002 - the frame's own word
        data: Mapping[str, Any],
        coalesce: str | None = None,
    ) -> None:
        """Send a frame once the transaction of `db` is committed; never if it is not."""
        self._later.after(db, lambda: self.publish(tenant_id, topic=topic, type=type, data=data, coalesce=coalesce))

    async def subscribe(self, tenant_id: UUID, receive: Receive) -> Callable[[], Awaitable[None]]:
        """Have `receive` called in this loop with every frame of a tenant, in order of `seq`; call the result to stop."""
        return await self._readers.add(tenant_id, receive)

    async def since(self, tenant_id: UUID, seq: int) -> Sequence[LiveFrame] | None:
        """The frames after `seq`, oldest first; None when some of them are no longer kept."""
        async with self._database.begin(tenant_id) as db:
            last = await store.last_frame(db, tenant_id)
            if seq == last:
                return []
            frames = await store.frames_after(db, tenant_id, seq, limit=self._settings.live_keep_frames + 1)
        return kept(frames, seq, self._settings)

    async def last(self, tenant_id: UUID) -> int:
        """The number of the newest frame of a tenant; 0 when there was none."""
        async with self._database.begin(tenant_id) as db:
            return await store.last_frame(db, tenant_id)

    async def close(self) -> None:
        """Send what waits and stop reading."""
        self._stop()
        await self._later.finish()
        await self._readers.close()

    async def _read(self, tenant_id: UUID, seq: int) -> Sequence[LiveFrame]:
        async with self._database.begin(tenant_id) as db:
            return await store.frames_after(db, tenant_id, seq, limit=_BATCH)

    def _heard(self, payload: Payload) -> None:
        self._readers.notice(UUID(hex=payload["tenant"]))


def kept(frames: Sequence[LiveFrame], seq: int, settings: EventSettings) -> Sequence[LiveFrame] | None:
    """The frames behind `seq`, or None when they are not all there, or are more than a client may ask for."""
    oldest = clock.now() - timedelta(seconds=settings.live_keep_s)
    if not frames or frames[0].seq != seq + 1 or frames[0].at < oldest or len(frames) > settings.live_keep_frames:
        return None
    return frames
