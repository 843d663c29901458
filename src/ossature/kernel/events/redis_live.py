"""Live frames by Redis alone: numbered, kept and carried in one step, so publishers never wait for each other."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import structlog

from ossature.kernel import background, clock
from ossature.kernel.db.redis import end_if_cancelled
from ossature.kernel.db.transaction import Db
from ossature.kernel.errors import Unavailable
from ossature.kernel.events.live import Later, Readers, Receive, kept
from ossature.kernel.events.settings import EventSettings
from ossature.kernel.events.store import LiveFrame

if TYPE_CHECKING:
    from redis.asyncio import Redis

log = structlog.get_logger()

# KEYS: counter, stream. ARGV: frame, most frames, seconds to keep, channel, tenant. The counter outlives the stream.
_PUBLISH = """
local seq = redis.call('INCR', KEYS[1])
redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[2], seq .. '-0', 'f', ARGV[1])
redis.call('EXPIRE', KEYS[2], ARGV[3])
redis.call('PUBLISH', ARGV[4], ARGV[5])
return seq
"""
_BATCH = 500
_LISTEN_S = 5.0
_AGAIN_S = 0.5


class RedisFanout:
    """Live frames of all tenants on one Redis. `close()` it at the end; the client stays the caller's."""

    def __init__(self, redis: "Redis", prefix: str, settings: EventSettings) -> None:
        self._redis = redis
        self._prefix = f"{prefix}live:"
        self._settings = settings
        self._publish = redis.register_script(_PUBLISH)
        self._readers = Readers(lambda tenant_id, seq: self._read(tenant_id, seq, _BATCH), self.last)
        self._listener: asyncio.Task[None] | None = None
        self._listening = asyncio.Event()
        self._later = Later()

    async def publish(
        self,
        tenant_id: UUID,
        *,
        topic: str,
        type: str,  # noqa: A002 - the frame's own word
        data: Mapping[str, Any],
        coalesce: str | None = None,
    ) -> int:
        """Send a frame to all processes; its number. Raises: Unavailable when Redis does not take it."""
        text = json.dumps([clock.now().isoformat(), topic, type, data, coalesce], separators=(",", ":"))
        keep = (self._settings.live_keep_frames, int(self._settings.live_keep_s))
        keys = [self._counter(tenant_id), self._stream(tenant_id)]
        return int(await _answer(self._publish(keys=keys, args=[text, *keep, f"{self._prefix}news", tenant_id.hex])))

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
        await self._listen()
        return await self._readers.add(tenant_id, receive)

    async def since(self, tenant_id: UUID, seq: int) -> Sequence[LiveFrame] | None:
        """The frames after `seq`, oldest first; None when some of them are no longer kept. Raises: Unavailable."""
        if seq == await self.last(tenant_id):
            return []
        return kept(await self._read(tenant_id, seq, self._settings.live_keep_frames + 1), seq, self._settings)

    async def last(self, tenant_id: UUID) -> int:
        """The number of the newest frame of a tenant; 0 when there was none. Raises: Unavailable."""
        return int(await _answer(self._redis.get(self._counter(tenant_id))) or 0)

    async def close(self) -> None:
        """Send what waits and stop listening."""
        await self._later.finish()
        await self._readers.close()
        if self._listener is not None:
            self._listener.cancel()
            with suppress(asyncio.CancelledError):
                await self._listener

    async def _read(self, tenant_id: UUID, seq: int, limit: int) -> Sequence[LiveFrame]:
        # The client's own types allow for answers in other forms than the one that it was asked for.
        behind = self._redis.xrange(self._stream(tenant_id), f"{seq + 1}-0", "+", count=limit)
        entries: Any = await _answer(behind)
        return [_frame(tenant_id, entry_id, fields) for entry_id, fields in entries]

    async def _listen(self) -> None:
        if self._listener is None:
            self._listener = background.start(self._hear, "live.listener")
        await self._listening.wait()

    async def _hear(self) -> None:
        from redis.exceptions import RedisError  # noqa: PLC0415 - an extra

        while True:
            try:
                await self._hear_until_cut()
            except (RedisError, OSError, TimeoutError) as error:
                log.warning("live.cut", error=repr(error))
            end_if_cancelled()
            self._listening.set()  # who subscribes meanwhile is fed once the way is open again
            await asyncio.sleep(_AGAIN_S)

    async def _hear_until_cut(self) -> None:
        async with self._redis.pubsub() as pubsub:
            await pubsub.subscribe(f"{self._prefix}news")
            while True:
                message = await pubsub.get_message(timeout=_LISTEN_S)
                end_if_cancelled()
                if message is None:
                    continue
                if message["type"] == "subscribe":
                    self._listening.set()
                    self._readers.look_again()
                else:
                    self._readers.notice(UUID(hex=message["data"].decode()))

    def _counter(self, tenant_id: UUID) -> str:
        return f"{self._prefix}{{{tenant_id.hex}}}:seq"

    def _stream(self, tenant_id: UUID) -> str:
        return f"{self._prefix}{{{tenant_id.hex}}}:frames"


async def _answer(asked: Awaitable[Any]) -> Any:  # noqa: ANN401 - whatever Redis answers
    """What Redis answers. Raises: Unavailable when it does not."""
    from redis.exceptions import RedisError  # noqa: PLC0415 - an extra

    try:
        answer = await asked
    except (RedisError, OSError, TimeoutError) as error:
        end_if_cancelled()
        raise Unavailable("Redis does not carry live frames now.") from error
    end_if_cancelled()
    return answer


def _frame(tenant_id: UUID, entry_id: bytes, fields: Mapping[bytes, bytes]) -> LiveFrame:
    at, topic, kind, data, coalesce = json.loads(fields[b"f"])
    return LiveFrame(
        tenant_id=tenant_id,
        seq=int(entry_id.partition(b"-")[0]),
        at=datetime.fromisoformat(at),
        topic=topic,
        type=kind,
        data=data,
        coalesce=coalesce,
    )
