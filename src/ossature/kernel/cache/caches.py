"""All rooms of the cache in one process, and what an operator asks of them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from ossature.kernel.cache import metrics
from ossature.kernel.cache.disk import DiskLevel
from ossature.kernel.cache.memory import Memory
from ossature.kernel.cache.port import Level2, Packing, Signals
from ossature.kernel.cache.room import Counts, Room
from ossature.kernel.cache.settings import CacheSettings
from ossature.kernel.cache.shelf import Shelf
from ossature.kernel.db.redis import RedisSettings
from ossature.kernel.errors import Problem

V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class RoomStats:
    """One room as `ossature cache stats` shows it: counts of this process, size of the level that all share."""

    name: str
    counts: Counts
    level2_entries: int
    level2_bytes: int


@dataclass(frozen=True, slots=True)
class Stats:
    """The whole cache of a process."""

    memory_entries: int
    memory_bytes: int
    evictions: int
    level2: str
    rooms: tuple[RoomStats, ...]


class Caches:
    """The cache of a process: `room()` gives or makes a room, `close()` ends it."""

    def __init__(
        self,
        settings: CacheSettings,
        *,
        redis: RedisSettings | None = None,
        var_dir: Path = Path("var"),
        signals: Signals | None = None,
    ) -> None:
        """Rooms as the settings say. Raises: Misconfigured when Redis is asked for and there is none."""
        self._memory = Memory(settings.memory_bytes)
        self._shelf = Shelf(
            self._memory,
            level2=_level2(settings, redis or RedisSettings(), var_dir),
            signals=signals,
            compress_over_bytes=settings.compress_over_bytes,
            lease_s=settings.lease_s,
        )
        self._rooms: dict[str, Room[Any]] = {}
        self._told_evictions = 0

    def room(
        self, name: str, packing: Packing[V], *, stale_on: tuple[type[Exception], ...] = (Problem, OSError)
    ) -> Room[V]:
        """The room of that name. Raises: ValueError for a name that patterns or keys could mistake."""
        if not name.replace("_", "").replace(".", "").isalnum():
            msg = f"cache room {name!r}: letters, digits, _ and ."
            raise ValueError(msg)
        if name not in self._rooms:
            self._rooms[name] = Room(name, shelf=self._shelf, packing=packing, stale_on=stale_on)
        return self._rooms[name]

    async def invalidate(self, pattern: str) -> int:
        """Forget keys (`room:key`) that match a pattern with `*` and `?`, in every process. Raises: OSError."""
        return await self._shelf.forget_like(pattern)

    async def clear(self) -> int:
        """Forget everything, in every process. Raises: OSError."""
        return await self._shelf.forget_like("*")

    async def stats(self) -> Stats:
        """How full it is and how well it does. Raises: OSError."""
        self.flush()
        level2 = self._shelf.level2
        rooms = []
        for name, room in sorted(self._rooms.items()):
            entries, size = await level2.size(f"{name}:") if level2 is not None else (0, 0)
            rooms.append(RoomStats(name, room.counts, entries, size))
        return Stats(
            len(self._memory.entries),
            self._memory.bytes,
            self._memory.evictions,
            level2.name if level2 is not None else "none",
            tuple(rooms),
        )

    def flush(self) -> None:
        """Hand all counts over to the metrics; called before they are read."""
        for room in self._rooms.values():
            room.flush()
        metrics.size_bytes.labels("all").set(self._memory.bytes)
        metrics.evictions.labels("all").inc(self._memory.evictions - self._told_evictions)
        self._told_evictions = self._memory.evictions

    async def close(self) -> None:
        """Let go of everything."""
        await self._shelf.close()


def _level2(settings: CacheSettings, redis: RedisSettings, var_dir: Path) -> Level2 | None:
    if settings.level2 == "redis" or (settings.level2 == "auto" and redis.configured):
        from ossature.kernel.cache.redis_level import RedisLevel  # noqa: PLC0415 - redis is an extra

        return RedisLevel(redis, time_limit_s=settings.time_limit_s)
    if settings.level2 == "none":
        return None
    return DiskLevel(var_dir / "cache.db", most_bytes=settings.disk_bytes, time_limit_s=settings.time_limit_s)
