"""A room of the cache: answers of one kind, found in memory, else in the second level, else fetched once for all.

prices = caches.room("prices", TypedPacking(Price))
found = await prices.get_or_fill("EUR/CHF", lambda: fetch("EUR", "CHF"), Keep(ttl_s=15, error_s=600))
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Generic, TypeVar, cast

import structlog

from ossature.kernel import clock, deadline
from ossature.kernel.cache import metrics
from ossature.kernel.cache.flight import Flights
from ossature.kernel.cache.memory import Entry
from ossature.kernel.cache.pack import Parcel
from ossature.kernel.cache.port import Filled, Found, Keep, Packing
from ossature.kernel.cache.shelf import Shelf
from ossature.kernel.errors import Problem
from ossature.kernel.observe import tracing

log = structlog.get_logger()

V = TypeVar("V")
Fill = Callable[[], Awaitable[V | Filled[V]]]

_FLUSH_EVERY = 256
_FIRST_LOOK_S = 0.01
_SLOWEST_LOOK_S = 0.25


@dataclass(slots=True)
class Counts:
    """What happened in a room since its process began."""

    memory_hits: int = 0
    level2_hits: int = 0
    misses: int = 0
    stale: int = 0
    bypasses: int = 0

    @property
    def ratio(self) -> float:
        """Share of questions answered fresh from the cache; 0 before the first."""
        hits = self.memory_hits + self.level2_hits
        asked = hits + self.misses + self.stale
        return hits / asked if asked else 0.0


class Room(Generic[V]):
    """Answers of one kind. None is an answer too: "there is none", kept for `negative_ttl_s`."""

    def __init__(
        self,
        name: str,
        *,
        shelf: Shelf,
        packing: Packing[V],
        stale_on: tuple[type[Exception], ...] = (Problem, OSError),
    ) -> None:
        """A room with that name on a shelf. stale_on: errors of a fetch that an old answer makes up for."""
        self.name = name
        self.counts = Counts()
        self._told = Counts()
        self._prefix = f"{name}:"
        self._shelf = shelf
        self._entries = shelf.memory.entries
        self._packing = packing
        self._stale_on = stale_on
        self._flights: Flights[Found[V]] = Flights()

    def peek(self, key: str) -> Found[V] | None:
        """A fresh answer that lies in this process, without waiting for anything."""
        full = self._prefix + key
        entry = self._entries.get(full)
        if entry is None or clock.now() >= entry[1]:
            return None
        self._entries.move_to_end(full)
        counts = self.counts
        counts.memory_hits += 1
        if not counts.memory_hits % _FLUSH_EVERY:
            self.flush()
        return cast("Found[V]", entry[0])

    async def get(self, key: str) -> Found[V] | None:
        """A fresh answer from either level, or None."""
        found = self.peek(key)
        if found is not None:
            return found
        with tracing.span("cache.get", attributes={"cache.name": self.name}):
            entry = await self._from_level2(self._prefix + key)
        if entry is None or clock.now() >= entry[1]:
            self.counts.misses += 1
            return None
        self.counts.level2_hits += 1
        return cast("Found[V]", entry[0])

    async def fresh_for_s(self, key: str) -> float:
        """For how many seconds the kept answer is still fresh; 0 where there is none."""
        full = self._prefix + key
        entry = self._entries.get(full) or await self._from_level2(full)
        return max(0.0, (entry[1] - clock.now()).total_seconds()) if entry is not None else 0.0

    async def put(self, key: str, value: V, keep: Keep, *, tags: Sequence[str] = ()) -> None:
        """Keep an answer that was had elsewhere."""
        await self._keep(self._prefix + key, Filled(value, tags=tuple(tags)), keep, None, made_at=clock.now())

    async def get_or_fill(self, key: str, fill: Fill[V], keep: Keep) -> Found[V]:
        """The answer: fresh if it is kept, else fetched by `fill`, by one caller of one process for all that wait.

        Raises: what `fill` raises, when no old answer may stand in.
        """
        found = self.peek(key)
        if found is not None:
            return found
        full = self._prefix + key
        old = self._within(self._entries.get(full), keep.revalidate_s)
        if old is not None:
            self._flights.start(full, lambda: self._renewed(full, old, fill, keep))
            self.counts.stale += 1
            return replace(cast("Found[V]", old[0]), how="stale")
        with tracing.span("cache.fill", attributes={"cache.name": self.name}):  # what it fetches is a part of it
            return await self._flights.join(full, lambda: self._obtained(full, fill, keep))

    async def bypass(self, key: str, fill: Fill[V], keep: Keep) -> Found[V]:
        """The answer fetched now, whatever is kept; it replaces that."""
        self.counts.bypasses += 1
        full = self._prefix + key
        return await self._fetched(full, fill, keep, old=self._entries.get(full))

    async def invalidate(self, *keys: str) -> int:
        """Forget answers, in every process; how many the shared level had (memory, if there is none)."""
        return await self._shelf.forget_keys([self._prefix + key for key in keys])

    async def invalidate_tag(self, tag: str) -> int:
        """Forget what was kept under a tag, in every process."""
        return await self._shelf.forget_tag(self._prefix, tag)

    async def invalidate_like(self, pattern: str) -> int:
        """Forget keys that match a pattern with `*` and `?`, in every process."""
        return await self._shelf.forget_like(self._prefix + pattern)

    def flush(self) -> None:
        """Hand the counts over to the metrics."""
        now, told = self.counts, self._told
        metrics.hits.labels(self.name, "memory").inc(now.memory_hits - told.memory_hits)
        if self._shelf.level2 is not None:
            metrics.hits.labels(self.name, self._shelf.level2.name).inc(now.level2_hits - told.level2_hits)
        metrics.misses.labels(self.name).inc(now.misses - told.misses)
        metrics.stale.labels(self.name).inc(now.stale - told.stale)
        metrics.bypasses.labels(self.name).inc(now.bypasses - told.bypasses)
        metrics.ratio.labels(self.name).set(now.ratio)
        self._told = replace(now)

    def _within(self, entry: Entry | None, seconds: float) -> Entry | None:
        """An entry whose freshness ended at most so long ago."""
        if entry is None or clock.now() >= min(entry[2], entry[1] + timedelta(seconds=seconds)):
            return None
        return entry

    async def _from_level2(self, full: str) -> Entry | None:
        """What the second level has, fresh or not; it is put into memory on the way."""
        parcel = await self._shelf.read(full)
        if parcel is None:
            return None
        try:
            value = self._packing.unpack(parcel.body)
        except ValueError:
            return None
        entry = self._entry(value, parcel)
        self._shelf.memory.put(full, entry)
        return entry

    async def _obtained(self, full: str, fill: Fill[V], keep: Keep) -> Found[V]:
        """The answer from the second level, from whoever else is fetching it, or fetched here."""
        shelf = self._shelf
        loop = asyncio.get_running_loop()
        # Whoever fetches may have been killed: at least half of the time that is left is for fetching it here.
        until = loop.time() + deadline.remaining_s(2 * shelf.lease_s) / 2
        look_s = _FIRST_LOOK_S
        while True:
            entry = await self._from_level2(full) if shelf.level2 is not None else None
            if entry is not None and clock.now() < entry[1]:
                self.counts.level2_hits += 1
                return cast("Found[V]", entry[0])
            token = await shelf.claim(full)
            if token is None and loop.time() < until:
                old = self._within(entry, keep.revalidate_s)
                if old is not None:
                    self.counts.stale += 1
                    return replace(cast("Found[V]", old[0]), how="stale")
                await asyncio.sleep(look_s)
                look_s = min(_SLOWEST_LOOK_S, look_s * 1.5)
                continue
            try:
                # Whoever had the claim before may have put the answer there since we looked.
                entry = (await self._from_level2(full) if token else None) or entry or self._entries.get(full)
                if entry is not None and clock.now() < entry[1]:
                    self.counts.level2_hits += 1
                    return cast("Found[V]", entry[0])
                return await self._fetched(full, fill, keep, old=entry)
            finally:
                if token:
                    await shelf.yield_claim(full, token)

    async def _renewed(self, full: str, old: Entry, fill: Fill[V], keep: Keep) -> Found[V]:
        """A newer answer than one that was just given: what another process has fetched meanwhile, or fetched here."""
        entry = await self._from_level2(full)
        if entry is not None and clock.now() < entry[1]:
            return cast("Found[V]", entry[0])
        token = await self._shelf.claim(full)
        if token is None:
            return cast("Found[V]", old[0])  # another process is at it; who asks next finds what it brings
        try:
            return await self._fetched(full, fill, keep, old=old)
        finally:
            if token:
                await self._shelf.yield_claim(full, token)

    async def _fetched(self, full: str, fill: Fill[V], keep: Keep, *, old: Entry | None) -> Found[V]:
        generation = self._shelf.generation
        try:
            given = await fill()
        except self._stale_on as error:
            usable = self._within(old, keep.error_s)
            if usable is None:
                self.counts.misses += 1
                raise
            self.counts.stale += 1
            log.info("cache.stale_given", cache=self.name, error=type(error).__name__)
            return replace(cast("Found[V]", usable[0]), how="stale")
        self.counts.misses += 1
        self.flush()
        filled = given if isinstance(given, Filled) else Filled(given)
        made_at = clock.now()
        if generation == self._shelf.generation:  # else it was told to forget while this was under way
            await self._keep(full, filled, keep, old, made_at=made_at)
        return Found(filled.value, "miss", made_at)

    async def _keep(self, full: str, filled: Filled[V], keep: Keep, old: Entry | None, *, made_at: datetime) -> None:
        body = self._packing.pack(filled.value)
        ttl_s = keep.negative_ttl_s if filled.value is None else self._ttl_s(body, keep, old)
        if filled.ttl_s is not None:
            ttl_s = min(ttl_s, filled.ttl_s)
        if ttl_s <= 0 or not filled.keep:
            return
        stale_s = 0.0 if filled.value is None else keep.longest_stale_s
        fresh_until = made_at + timedelta(seconds=ttl_s)
        parcel = Parcel(body, fresh_until, fresh_until + timedelta(seconds=stale_s), made_at, filled.tags)
        self._shelf.memory.put(full, self._entry(filled.value, parcel))
        # An adaptive answer is remembered past its use, to be compared with the next one.
        await self._shelf.write(full, parcel, lives_s=ttl_s + max(stale_s, keep.ttl_s if keep.adaptive else 0.0))

    def _ttl_s(self, body: bytes, keep: Keep, old: Entry | None) -> float:
        """Time of freshness: shorter for what was found changed, back towards the whole for what was not."""
        if not keep.adaptive or old is None:
            return keep.ttl_s
        before = cast("Found[V]", old[0])
        before_s = (old[1] - old[3]).total_seconds()
        if self._packing.pack(before.value) == body:
            return min(keep.ttl_s, before_s * 1.5)
        return max(keep.ttl_s / 4, before_s / 2)

    def _entry(self, value: V, parcel: Parcel) -> Entry:
        made_at: datetime = parcel.made_at
        found = Found(value, "hit", made_at)
        tags = tuple(self._prefix + tag for tag in parcel.tags)
        return (found, parcel.fresh_until, parcel.useful_until, made_at, len(parcel.body), tags)
