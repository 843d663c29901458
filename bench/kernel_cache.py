"""`kernel-cache`: what a hit costs, in memory and in Redis, against bare redis-py and against cashews in the same run.

CPU time of this process, all contenders interleaved round by round in one event loop, median of the rounds.
"""

import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import cashews
from pydantic import SecretStr
from redis.exceptions import RedisError

from ossature.kernel.cache.caches import Caches
from ossature.kernel.cache.pack import BytesPacking, JsonPacking
from ossature.kernel.cache.port import Keep
from ossature.kernel.cache.room import Room
from ossature.kernel.cache.settings import CacheSettings
from ossature.kernel.db.redis import RedisSettings, connect

TARGETS = {"l1_hit_us": {"most": 1.0}, "l2_hit_to_bare_redis": {"most": 1.10}}
_REDIS = os.environ.get("OSSATURE_TEST_REDIS", "redis://127.0.0.1:6379")
_VALUE = {"temperature_c": 21.5, "humidity_fraction": 0.61, "condition": "clear sky", "days": list(range(40))}
_KEEP = Keep(ttl_s=3600)

Contender = Callable[[int], Awaitable[None]]


def run(*, quick: bool) -> dict[str, Any]:
    """The result of the bench, as `bench.result` wants it."""
    metrics = asyncio.run(_measure(rounds=5 if quick else 25, times=400 if quick else 2000))
    return {"metrics": metrics, "targets": TARGETS, "environment": {}}


async def _measure(*, rounds: int, times: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        memory = Caches(CacheSettings(level2="none"))
        disk = Caches(CacheSettings(level2="disk"), var_dir=Path(folder))
        redis_settings = RedisSettings(url=SecretStr(_REDIS), prefix=f"bench-{uuid4().hex[:8]}:")
        redis = Caches(CacheSettings(level2="redis"), redis=redis_settings)
        bare = connect(redis_settings)
        inmemory = cashews.Cache()
        inmemory.setup("mem://")
        contenders = {
            "l1_hit": await _l1(memory.room("bench", JsonPacking())),
            "l1_peek": await _l1_peek(memory.room("bench", JsonPacking())),
            "cashews_l1": await _cashews(inmemory),
            "disk_hit": await _l2(disk, disk.room("bench", JsonPacking())),
        }
        try:
            await bare.ping()
        except (RedisError, OSError):
            pass  # its target is then not measured
        else:
            distant = cashews.Cache()
            distant.setup(_REDIS, client_side=False)
            contenders |= {
                "bare_redis": await _bare(bare, redis_settings.prefix),
                "l2_hit": await _l2(redis, redis.room("bench", BytesPacking())),
                "l2_hit_json": await _l2(redis, redis.room("json", JsonPacking())),
                "cashews_l2": await _cashews(distant),
            }
        try:
            return await _raced(contenders, rounds=rounds, times=times)
        finally:
            if "l2_hit" in contenders:
                await redis.clear()
                await bare.unlink(f"{redis_settings.prefix}bare")
            for caches in (memory, disk, redis):
                await caches.close()
            await bare.aclose()


async def _raced(contenders: dict[str, Contender], *, rounds: int, times: int) -> dict[str, Any]:
    """Median CPU per hit, and the median of the ratios within each round."""
    spent: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, contender in contenders.items():
            count = times * (50 if "l1" in name else 1)
            started = time.process_time()
            await contender(count)
            spent[name].append((time.process_time() - started) / count * 1e6)
    metrics: dict[str, Any] = {f"{name}_us": round(statistics.median(values), 3) for name, values in spent.items()}
    if "bare_redis" in spent:
        for name in ("l2_hit", "l2_hit_json", "cashews_l2"):
            ratios = [ours / bare for ours, bare in zip(spent[name], spent["bare_redis"], strict=True)]
            metrics[f"{name}_to_bare_redis"] = round(statistics.median(ratios), 3)
    return metrics


async def _l1(room: Room[Any]) -> Contender:
    async def never() -> Any:  # noqa: ANN401 - it is not called
        raise AssertionError

    await room.put("key", _VALUE, _KEEP)

    async def hits(count: int) -> None:
        get_or_fill = room.get_or_fill
        for _ in range(count):
            await get_or_fill("key", never, _KEEP)

    return hits


async def _l1_peek(room: Room[Any]) -> Contender:
    await room.put("key", _VALUE, _KEEP)

    async def hits(count: int) -> None:
        peek = room.peek
        for _ in range(count):
            peek("key")

    return hits


async def _l2(caches: Caches, room: Room[Any]) -> Contender:
    value = b"x" * 400 if room.name == "bench" and caches._shelf.level2 is not None else _VALUE  # noqa: SLF001 - as bare
    await room.put("key", value, _KEEP)
    memory = caches._memory  # noqa: SLF001 - every hit is to come from the second level

    async def hits(count: int) -> None:
        for _ in range(count):
            memory.clear()
            await room.get("key")

    return hits


async def _bare(redis: Any, prefix: str) -> Contender:  # noqa: ANN401 - redis-py's own generics
    await redis.set(f"{prefix}bare", b"x" * 400)

    async def hits(count: int) -> None:
        for _ in range(count):
            await redis.get(f"{prefix}bare")

    return hits


async def _cashews(cache: Any) -> Contender:  # noqa: ANN401 - cashews is typed loosely
    await cache.set("bench-cashews", b"x" * 400, expire=60)

    async def hits(count: int) -> None:
        for _ in range(count):
            await cache.get("bench-cashews")

    return hits
