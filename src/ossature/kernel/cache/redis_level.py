"""The second level in Redis: shared by all processes of all machines."""

import secrets
from collections.abc import Awaitable, Sequence
from typing import Any, TypeVar, cast

from redis.exceptions import ConnectionError, RedisError  # noqa: A004 - theirs is the one that is raised

from ossature.kernel.db.redis import RedisSettings, connect

_T = TypeVar("_T")

_TAG_LIFE_MARGIN_S = 60
_SCAN_COUNT = 500
_AT_HAND = 4
_YIELD = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end return 0"


class RedisLevel:
    """Entries as plain Redis strings; tags as sets of keys; leases as keys that expire."""

    name = "redis"

    def __init__(self, settings: RedisSettings, *, time_limit_s: float) -> None:
        """A level on the house's Redis; connections are made at the first use. Raises: Misconfigured."""
        self._prefix = f"{settings.prefix}cache:"
        patience = {
            "time_limit_s": min(settings.time_limit_s, time_limit_s),
            "connect_time_limit_s": min(settings.connect_time_limit_s, time_limit_s),
            "pool_wait_s": min(settings.pool_wait_s, time_limit_s),
        }
        self._redis: Any = connect(settings.model_copy(update=patience))
        self._pool: Any = self._redis.connection_pool
        self._at_hand: list[Any] = []

    async def get(self, key: str, /) -> bytes | None:
        """An entry. Raises: OSError."""
        try:
            return await self._got(self._prefix + key)
        except ConnectionError:
            # A kept connection that the server had closed; the client's own way opens new ones and tries again.
            return cast("bytes | None", await _told(self._redis.get(self._prefix + key)))
        except (RedisError, TimeoutError) as error:
            raise OSError(str(error)) from error

    async def _got(self, name: str) -> bytes | None:
        """GET on a connection that is kept at hand.

        The client's wrappers (retries, telemetry) and its pool's lock cost as much as the rest of a hit.
        """
        connection = self._at_hand.pop() if self._at_hand else await self._pool.get_connection()
        try:
            await connection.send_command("GET", name)
            entry = cast("bytes | None", await connection.read_response())
        except BaseException:
            # An answer that was not read would be taken for the next one's.
            await connection.disconnect(nowait=True)
            await self._pool.release(connection)
            raise
        if len(self._at_hand) < _AT_HAND:
            self._at_hand.append(connection)
        else:
            await self._pool.release(connection)
        return entry

    async def put(self, key: str, entry: bytes, /, *, lives_s: float, tags: Sequence[str]) -> None:
        """Keep an entry for a time. Raises: OSError."""
        lives_ms = max(1, int(lives_s * 1000))
        if not tags:
            await _told(self._redis.set(self._prefix + key, entry, px=lives_ms))
            return
        room, _, _ = key.partition(":")
        pipe = self._redis.pipeline(transaction=False)
        pipe.set(self._prefix + key, entry, px=lives_ms)
        for tag in tags:
            name = self._tag(f"{room}:", tag)
            pipe.sadd(name, key)
            # A tag lives as long as the longest of its entries; NX and GT only ever prolong it.
            life_s = int(lives_s) + _TAG_LIFE_MARGIN_S
            pipe.expire(name, life_s, nx=True)
            pipe.expire(name, life_s, gt=True)
        await _told(pipe.execute())

    async def claim(self, key: str, /, *, for_s: float) -> str | None:
        """The right to fetch this key; None while somebody else has it. Raises: OSError."""
        token = secrets.token_hex(8)
        taken = await _told(self._redis.set(self._lease(key), token, nx=True, px=max(1, int(for_s * 1000))))
        return token if taken else None

    async def yield_claim(self, key: str, token: str, /) -> None:
        """Give that right back, if it is still ours. Raises: OSError."""
        await _told(self._redis.eval(_YIELD, 1, self._lease(key), token))

    async def remove(self, keys: Sequence[str], /) -> int:
        """Forget entries. Raises: OSError."""
        return int(await _told(self._redis.unlink(*(self._prefix + key for key in keys)))) if keys else 0

    async def remove_tag(self, prefix: str, tag: str, /) -> int:
        """Forget what was kept under a tag. Raises: OSError."""
        name = self._tag(prefix, tag)
        members = cast("set[bytes]", await _told(self._redis.smembers(name)))
        removed = await self.remove([member.decode() for member in members])
        await _told(self._redis.srem(name, *members) if members else self._redis.unlink(name))
        return removed

    async def remove_like(self, pattern: str, /) -> int:
        """Forget keys that match. Raises: OSError."""
        removed = 0
        match = _literal(self._prefix) + _literal(pattern, wild=True)
        cursor = 0
        while True:
            cursor, names = await _told(self._redis.scan(cursor, match=match, count=_SCAN_COUNT))
            if names:
                removed += int(await _told(self._redis.unlink(*names)))
            if not cursor:
                return removed

    async def size(self, prefix: str, /) -> tuple[int, int]:
        """How many entries begin so, and their bytes by a sample of a hundred. Raises: OSError."""
        names: list[bytes] = []
        cursor = 0
        while True:
            match = _literal(self._prefix + prefix) + "*"
            cursor, found = await _told(self._redis.scan(cursor, match=match, count=_SCAN_COUNT))
            names.extend(found)
            if not cursor:
                break
        sample = names[:100]
        lengths = [int(await _told(self._redis.strlen(name))) for name in sample]
        return len(names), int(sum(lengths) / len(sample) * len(names)) if sample else 0

    async def close(self) -> None:
        """Give the connections back."""
        while self._at_hand:
            await self._pool.release(self._at_hand.pop())
        await self._redis.aclose()

    def _tag(self, prefix: str, tag: str) -> str:
        return f"{self._prefix.rstrip(':')}-tag:{prefix}{tag}"

    def _lease(self, key: str) -> str:
        return f"{self._prefix.rstrip(':')}-lease:{key}"


def _literal(text: str, *, wild: bool = False) -> str:
    special = "\\[]" if wild else "\\[]*?"
    return "".join(f"\\{letter}" if letter in special else letter for letter in text)


async def _told(reply: Awaitable[_T]) -> _T:
    """What Redis says; whatever goes wrong is an OSError."""
    try:
        return await reply
    except (RedisError, TimeoutError) as error:
        raise OSError(str(error)) from error
