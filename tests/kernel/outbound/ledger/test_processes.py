"""Real processes that share a store, and are killed at random moments."""

import asyncio
import random
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from ossature.kernel.outbound.ledger.values import Ledger

from .worker import open_ledger, windows

WORKER = Path(__file__).with_name("worker.py")


@pytest.fixture
def prefix(store: tuple[str, str]) -> str:
    return f"test-{uuid4().hex}" if store[0] == "redis" else ""


def start(
    mode: str, store: tuple[str, str], prefix: str, *, limit: int, times: int, reached: Path
) -> subprocess.Popen[str]:
    arguments = [mode, *store, prefix, str(limit), str(times), str(reached)]
    return subprocess.Popen(
        [sys.executable, str(WORKER), *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def go(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    assert process.stdin is not None
    assert process.stdout.readline() == "ready\n"
    process.stdin.write("go\n")
    process.stdin.flush()


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


async def forget(store: tuple[str, str], prefix: str) -> None:
    if store[0] == "redis":
        async with Redis.from_url(store[1]) as redis:
            async for key in redis.scan_iter(f"*{prefix}*", count=10_000):
                await redis.delete(key)


async def test_processes_that_race_get_exactly_the_limit(store: tuple[str, str], prefix: str, tmp_path: Path) -> None:
    reached = tmp_path / "reached"
    workers = [start("race", store, prefix, limit=100, times=60, reached=reached) for _ in range(4)]
    for worker in workers:
        go(worker)
    given = [int(worker.communicate(timeout=300)[0]) for worker in workers]
    assert (sum(given), reached.stat().st_size) == (100, 100)
    ledger: Ledger = open_ledger(*store, prefix)
    state, *_ = await ledger.states(windows(100))
    assert (state.used, state.reserved) == (100, 0)
    assert await ledger.verify() == []
    await ledger.close()
    await forget(store, prefix)


async def test_processes_killed_at_random_never_pass_the_cap(
    store: tuple[str, str], prefix: str, tmp_path: Path
) -> None:
    reached, chance, limit, kills = tmp_path / "reached", random.Random(7), 100_000, 3
    workers = [start("loop", store, prefix, limit=limit, times=0, reached=reached) for _ in range(2)]
    for _ in range(kills):
        doomed = workers.pop(0)
        workers.append(start("loop", store, prefix, limit=limit, times=0, reached=reached))
        before_bytes = _size(reached)
        go(doomed)
        while _size(reached) == before_bytes:  # noqa: ASYNC110 - another process, which is at work from here on
            await asyncio.sleep(0.005)
        await asyncio.sleep(chance.uniform(0, 0.15))
        doomed.kill()
        doomed.communicate(timeout=60)
    for worker in workers:
        worker.kill()
        worker.communicate(timeout=60)
    ledger: Ledger = open_ledger(*store, prefix)
    before, *_ = await ledger.states(windows(limit))
    assert await ledger.verify() == []
    await asyncio.sleep(1.1)
    reaped = await ledger.reap()
    state, *_ = await ledger.states(windows(limit))
    assert (state.used, state.reserved) == (before.used + before.reserved, 0)
    assert reaped == before.reserved <= kills * 8 + 16
    assert reached.stat().st_size <= state.used
    assert state.used > 0
    assert await ledger.verify() == []
    await ledger.close()
    await forget(store, prefix)


async def test_a_cap_that_is_reached_while_processes_die_is_never_passed(
    store: tuple[str, str], prefix: str, tmp_path: Path
) -> None:
    reached, limit = tmp_path / "reached", 200
    first = start("loop", store, prefix, limit=limit, times=0, reached=reached)
    rest = [start("loop", store, prefix, limit=limit, times=0, reached=reached) for _ in range(2)]
    go(first)
    await asyncio.sleep(0.02)
    first.kill()
    first.communicate(timeout=60)
    for worker in rest:
        go(worker)
    for worker in rest:
        worker.communicate(timeout=300)
    ledger: Ledger = open_ledger(*store, prefix)
    state, *_ = await ledger.states(windows(limit))
    assert state.used + state.reserved == limit
    assert limit - 8 <= reached.stat().st_size <= limit
    await ledger.close()
    await forget(store, prefix)
