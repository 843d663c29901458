"""Where rooms put their answers: memory first, then the level that processes share; and how all of them forget."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import structlog

from ossature.kernel.cache import metrics, pack
from ossature.kernel.cache.memory import Memory
from ossature.kernel.cache.pack import Parcel
from ossature.kernel.cache.port import Level2, Signals

log = structlog.get_logger()

TOPIC = "cache.forget"
_PAUSE_S = 1.0
_MOST_KEYS_PER_SIGNAL = 20


class Shelf:
    """Both levels of one process. A second level that cannot be reached is left alone for a second."""

    def __init__(
        self,
        memory: Memory,
        *,
        level2: Level2 | None = None,
        signals: Signals | None = None,
        compress_over_bytes: int = 0,
        lease_s: float = 30.0,
    ) -> None:
        self.memory = memory
        self.level2 = level2
        self.lease_s = lease_s
        self.generation = 0
        """Raised whenever something is forgotten: a fetch that began before must not be kept."""
        self._signals = signals
        self._compress_over_bytes = compress_over_bytes
        self._paused_until = 0.0
        self._stop: Callable[[], None] | None = None
        if signals is not None:
            self._stop = signals.subscribe(TOPIC, self._heard, lost=self._lost)

    async def read(self, key: str) -> Parcel | None:
        """What the second level has for a key."""
        if self._reachable() is None:
            return None
        try:
            entry = await self._level2.get(key)
        except OSError as error:
            self._fault(error)
            return None
        try:
            return None if entry is None else pack.read(entry)
        except ValueError:
            return None

    async def write(self, key: str, parcel: Parcel, *, lives_s: float) -> None:
        """Keep an entry in the second level."""
        if self._reachable() is None:
            return
        try:
            entry = pack.write(parcel, compress_over_bytes=self._compress_over_bytes)
            await self._level2.put(key, entry, lives_s=lives_s, tags=parcel.tags)
        except OSError as error:
            self._fault(error)

    async def claim(self, key: str) -> str | None:
        """The right to fetch a key, None while another process has it; without a second level everybody has it."""
        if self._reachable() is None:
            return ""
        try:
            return await self._level2.claim(key, for_s=self.lease_s)
        except OSError as error:
            self._fault(error)
            return ""

    async def yield_claim(self, key: str, token: str) -> None:
        """Give that right back."""
        try:
            await self._level2.yield_claim(key, token)
        except OSError as error:
            self._fault(error)

    async def forget_keys(self, keys: Sequence[str]) -> int:
        """Forget keys, everywhere. Raises: OSError when the second level cannot be told."""
        removed = self._forget("keys", list(keys))
        if self.level2 is not None:
            removed = await self.level2.remove(keys)
        for start in range(0, len(keys), _MOST_KEYS_PER_SIGNAL):
            self._tell("keys", list(keys[start : start + _MOST_KEYS_PER_SIGNAL]))
        return removed

    async def forget_tag(self, prefix: str, tag: str) -> int:
        """Forget what a room kept under a tag, everywhere. Raises: OSError."""
        removed = self._forget("tag", [prefix + tag])
        if self.level2 is not None:
            removed = await self.level2.remove_tag(prefix, tag)
        self._tell("tag", [prefix + tag])
        return removed

    async def forget_like(self, pattern: str) -> int:
        """Forget keys that match, everywhere. Raises: OSError."""
        removed = self._forget("like", [pattern])
        if self.level2 is not None:
            removed = await self.level2.remove_like(pattern)
        self._tell("like", [pattern])
        return removed

    async def close(self) -> None:
        """Stop listening and let go of the second level."""
        if self._stop is not None:
            self._stop()
            self._stop = None
        if self.level2 is not None:
            await self.level2.close()

    @property
    def _level2(self) -> Level2:
        if self.level2 is None:
            msg = "there is no second level"
            raise RuntimeError(msg)
        return self.level2

    def _reachable(self) -> Level2 | None:
        return self.level2 if time.monotonic() >= self._paused_until else None

    def _fault(self, error: OSError) -> None:
        metrics.faults.labels("all", self._level2.name).inc()
        if time.monotonic() >= self._paused_until:
            log.warning("cache.level2_away", level=self._level2.name, error=repr(error))
        self._paused_until = time.monotonic() + _PAUSE_S

    def _tell(self, how: str, what: list[str]) -> None:
        # Told after the second level has forgotten, so that nobody fetches the old entry from there again.
        if self._signals is not None:
            self._signals.publish(TOPIC, {"how": how, "what": what})
        self._forget(how, what)

    def _heard(self, payload: Mapping[str, Any]) -> None:
        self._forget(str(payload["how"]), [str(each) for each in payload["what"]])

    def _lost(self) -> None:
        self.generation += 1
        self.memory.clear()

    def _forget(self, how: str, what: list[str]) -> int:
        self.generation += 1
        match how:
            case "keys":
                return self.memory.drop_all(what)
            case "tag":
                return sum(self.memory.drop_tag(tag) for tag in what)
            case _:
                return sum(self.memory.drop_like(pattern) for pattern in what)
