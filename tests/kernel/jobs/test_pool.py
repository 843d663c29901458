import asyncio
import math
import os
import time
from collections.abc import AsyncIterator

import pytest

from ossature.kernel.jobs.pool import MemoryLimitReached, Pool, ProcessLost, TimeLimitReached, in_thread

MANY_BYTES = 1_500_000_000


@pytest.fixture
async def pool() -> AsyncIterator[Pool]:
    async with Pool(1, memory_most_bytes=1_000_000_000) as opened:
        yield opened


async def test_a_calculation_gives_its_result_and_its_process_is_kept(pool: Pool) -> None:
    assert await pool.run(math.factorial, 10, time_limit_s=60) == 3_628_800
    first = await pool.run(os.getpid, time_limit_s=60)
    assert first == await pool.run(os.getpid, time_limit_s=60)
    assert first != os.getpid()


async def test_what_a_calculation_raises_its_caller_gets(pool: Pool) -> None:
    with pytest.raises(ValueError, match="math domain error"):
        await pool.run(math.sqrt, -1, time_limit_s=60)


async def test_an_error_that_cannot_travel_is_named_all_the_same(pool: Pool) -> None:
    with pytest.raises(RuntimeError, match=r"ValueError: <function"):
        await pool.run(exec, "raise ValueError(lambda: 1)", time_limit_s=60)
    assert await pool.run(math.factorial, 3, time_limit_s=60) == 6


async def test_a_calculation_is_killed_at_its_time_limit_and_the_next_one_runs(pool: Pool) -> None:
    begun = time.monotonic()
    with pytest.raises(TimeLimitReached):
        await pool.run(time.sleep, 60, time_limit_s=0.1)
    assert await pool.run(math.factorial, 3, time_limit_s=60) == 6
    assert time.monotonic() - begun < 50


async def test_a_calculation_that_needs_too_much_memory_is_refused(pool: Pool) -> None:
    with pytest.raises(MemoryLimitReached):
        await pool.run(bytearray, MANY_BYTES, time_limit_s=60)
    assert await pool.run(math.factorial, 3, time_limit_s=60) == 6


async def test_a_process_that_crashes_is_replaced(pool: Pool) -> None:
    with pytest.raises(ProcessLost):
        await pool.run(os._exit, 3, time_limit_s=60)
    assert await pool.run(math.factorial, 3, time_limit_s=60) == 6


async def test_a_cancelled_calculation_is_killed(pool: Pool) -> None:
    pid = await pool.run(os.getpid, time_limit_s=60)
    call = asyncio.create_task(pool.run(time.sleep, 60, time_limit_s=60))
    await asyncio.sleep(0.05)
    call.cancel()
    await asyncio.wait([call], timeout=60)
    assert call.cancelled()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_a_thread_gives_its_result_or_is_left_behind_at_the_limit() -> None:
    assert await in_thread(math.factorial, 5, time_limit_s=60) == 120
    with pytest.raises(TimeLimitReached):
        await in_thread(time.sleep, 2, time_limit_s=0.02)
