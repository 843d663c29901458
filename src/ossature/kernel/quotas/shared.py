"""Windows that all processes share, counted in Redis in slices.

A process takes a slice of a window (a hundredth of its limit, at least one) in one call for all windows of a request,
and spends it without asking. A slice counts as used when it is taken: callers together never get more than the limit,
and up to a slice per process less.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from redis.exceptions import NoScriptError, RedisError

from ossature.kernel import clock

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from ossature.kernel.quotas.window import Window

_SLICES = 100

_TAKE = """
local t = redis.call('TIME')
local now = tonumber(t[1]) + tonumber(t[2]) / 1000000
local used, rooms, out = {}, {}, {}
local closed = false
for i = 1, #KEYS do
  local limit, seconds, want = tonumber(ARGV[3*i-2]), tonumber(ARGV[3*i-1]), tonumber(ARGV[3*i])
  local index = math.floor(now / seconds)
  local v = redis.call('HMGET', KEYS[i], 'i', 'c', 'p')
  local at, count, before = tonumber(v[1] or '-9'), tonumber(v[2] or '0'), tonumber(v[3] or '0')
  if at ~= index then
    if at == index - 1 then before = count else before = 0 end
    count = 0
  end
  local room = math.floor(limit - count - before * (1 - (now / seconds - index)))
  if want > 0 and room < 1 then closed = true end
  used[i] = {index, count, before}
  rooms[i] = room
end
for i = 1, #KEYS do
  local seconds, want = tonumber(ARGV[3*i-1]), tonumber(ARGV[3*i])
  local index, count, before = used[i][1], used[i][2], used[i][3]
  local given = 0
  if not closed and want > 0 then
    given = math.min(want, rooms[i])
    redis.call('HSET', KEYS[i], 'i', index, 'c', count + given, 'p', before)
    redis.call('EXPIRE', KEYS[i], 2 * seconds + 1)
  end
  out[#out+1] = given
  out[#out+1] = count + given
  out[#out+1] = before
  out[#out+1] = math.floor((now - index * seconds) * 1000)
end
return out
"""


@dataclass(slots=True)
class Slice:
    """What this process took of a window and did not spend yet; good until `ends_s`."""

    left: int = 0
    ends_s: float = 0.0


class SharedWindows:
    """Takes slices of windows from Redis."""

    faults: tuple[type[Exception], ...] = (RedisError, OSError, TimeoutError)
    """What `take` raises when Redis is away."""

    def __init__(
        self, redis: "Redis", *, prefix: str, time_limit_s: float, time_s: Callable[[], float] = clock.unix_s
    ) -> None:
        self._redis = redis
        self._prefix = f"{prefix}rate:"
        self._time_limit_s = time_limit_s
        self._time_s = time_s
        self._sha: str | None = None
        self._slices: dict[tuple[str, str], Slice] = {}

    def spend(self, windows: Sequence["Window"]) -> bool:
        """Spend one of each window's slice; False, and nothing is spent, when one of them has none left."""
        now_s = self._time_s()
        slices = []
        for window in windows:
            one = self._slices.get((window.spec.key, window.spec.name))
            if one is None or one.left < 1 or one.ends_s <= now_s:
                return False
            slices.append(one)
        for one in slices:
            one.left -= 1
        return True

    async def take(self, windows: Sequence["Window"]) -> bool:
        """Take slices where none is left and spend one of each; False when a window is used up.

        Raises: RedisError, OSError, TimeoutError when Redis did not answer in time.
        """
        now_s = self._time_s()
        arguments: list[int] = []
        for window in windows:
            one = self._slices.get((window.spec.key, window.spec.name))
            lacking = one is None or one.left < 1 or one.ends_s <= now_s
            arguments += [window.limit, window.seconds, max(1, window.limit // _SLICES) if lacking else 0]
        answer = await self._call([self._name(window) for window in windows], arguments)
        for place, window in enumerate(windows):
            given, count, before, passed_ms = answer[4 * place : 4 * place + 4]
            self._note(window, given=given, count=count, before=before, passed_s=passed_ms / 1000)
        return self.spend(windows)

    def drop_old(self) -> None:
        """Forget slices that are over."""
        now_s = self._time_s()
        self._slices = {key: one for key, one in self._slices.items() if one.ends_s > now_s}

    def _note(self, window: "Window", *, given: int, count: int, before: int, passed_s: float) -> None:
        """Take over what Redis said; the window in memory follows, so that headers can be told from it."""
        now_s = self._time_s()
        window.follow(now_s, count=count, before=before)
        if given:
            one = self._slices.setdefault((window.spec.key, window.spec.name), Slice())
            one.left = given + (one.left if one.ends_s > now_s else 0)
            one.ends_s = now_s + window.seconds - passed_s

    def _name(self, window: "Window") -> str:
        return f"{self._prefix}{window.spec.key}:{window.spec.name}"

    async def _call(self, keys: list[str], arguments: list[int]) -> list[int]:
        async with asyncio.timeout(self._time_limit_s):
            if self._sha is None:
                self._sha = await self._redis.script_load(_TAKE)
            try:
                answer: list[int] = await self._redis.evalsha(self._sha, len(keys), *keys, *arguments)
            except NoScriptError:  # Redis was restarted
                answer = await self._redis.eval(_TAKE, len(keys), *keys, *arguments)
        return answer
