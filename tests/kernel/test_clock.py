import asyncio
import os
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from itertools import chain
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ossature.kernel import clock

START = datetime(2026, 3, 1, tzinfo=UTC)


def test_now_is_aware_and_in_utc() -> None:
    assert clock.now().tzinfo is UTC
    assert abs(clock.now().timestamp() - time.time()) < 1


async def test_a_replayed_clock_starts_where_it_is_told_and_runs_faster() -> None:
    with clock.using(clock.ReplayClock(START, 1000)):
        before = clock.now()
        await clock.sleep(20)
        after = clock.now()

    assert START <= before < START + timedelta(minutes=5)
    assert timedelta(seconds=20) <= after - before < timedelta(minutes=10)


def test_a_start_in_another_zone_is_the_same_instant() -> None:
    tokyo = START.astimezone(timezone(timedelta(hours=9)))

    assert abs(clock.ReplayClock(tokyo, 1).now() - START) < timedelta(seconds=1)


@pytest.mark.parametrize(("start", "speed"), [(START.replace(tzinfo=None), 1), (START, 0), (START, -1)])
def test_a_clock_that_cannot_be_is_refused(start: datetime, speed: float) -> None:
    with pytest.raises(ValueError, match="replay"):
        clock.ReplayClock(start, speed)


def test_the_old_clock_is_back_after_the_block_even_when_it_fails() -> None:
    seen = []

    with pytest.raises(ZeroDivisionError), clock.using(clock.ReplayClock(START, 1)):
        seen.append(1 / clock.is_real())

    assert clock.is_real()


def test_the_command_line_names_a_clock() -> None:
    assert isinstance(clock.parse("real"), clock.SystemClock)
    replay = clock.parse("replay:2026-03-01T00:00:00Z:60")
    assert abs(replay.now() - START) < timedelta(seconds=10)


@pytest.mark.parametrize(
    "spec", ["", "replay", "replay:60", "replay:tomorrow:60", "replay:2026-03-01T00:00:00Z:fast", "fake:1:2"]
)
def test_an_unreadable_clock_is_refused(spec: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - each says something else
        clock.parse(spec)


def test_ids_are_version_7_and_in_order_of_time() -> None:
    with clock.using(clock.ReplayClock(START, 1)):
        early = clock.new_id()
    with clock.using(clock.ReplayClock(START + timedelta(seconds=1), 1)):
        late = clock.new_id()

    assert (early.version, early.variant) == (7, "specified in RFC 4122")
    assert early < late
    assert early.int >> 80 >= int(START.timestamp() * 1000)


def test_ids_do_not_repeat() -> None:
    assert len({clock.new_id() for _ in range(10_000)}) == 10_000


@given(st.datetimes(min_value=datetime(1971, 1, 1), max_value=datetime(9000, 1, 1)))  # noqa: DTZ001 - Hypothesis wants naive bounds
def test_an_id_tells_its_time(moment: datetime) -> None:
    moment = moment.replace(tzinfo=UTC)
    with clock.using(clock.ReplayClock(moment, 0.001)):
        made = clock.new_id()

    assert abs((made.int >> 80) - moment.timestamp() * 1000) < 1000


async def test_sleep_gives_way_to_others() -> None:
    seen = []

    async def other() -> None:
        seen.append(1)

    task = asyncio.create_task(other())
    await clock.sleep(0)
    await task

    assert seen == [1]


def test_ids_are_drawn_once_in_threads_and_in_forked_children() -> None:
    clock.new_id()
    with ThreadPoolExecutor(8) as threads:
        here = list(chain.from_iterable(threads.map(lambda _: [clock.new_id() for _ in range(2_000)], range(8))))
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, b"".join(clock.new_id().bytes for _ in range(1_000)))
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        drawn = pipe.read()
    os.waitpid(child, 0)
    there = [UUID(bytes=drawn[at : at + 16]) for at in range(0, len(drawn), 16)]
    again = [clock.new_id() for _ in range(1_000)]

    assert len(there) == 1_000
    assert len({one.int & 0x3FFFFFFFFFFFFFFF for one in (*here, *there, *again)}) == 18_000
