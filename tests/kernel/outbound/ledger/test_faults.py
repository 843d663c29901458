"""What happens when the store cannot be asked, or whoever asked has left."""

import asyncio
import contextlib
import sqlite3
import threading
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest
from redis.asyncio import Redis

from ossature.kernel.outbound.ledger.postgres import PostgresLedger
from ossature.kernel.outbound.ledger.redis import RedisLedger
from ossature.kernel.outbound.ledger.sqlite import SqliteLedger
from ossature.kernel.outbound.ledger.turns import Turns
from ossature.kernel.outbound.ledger.values import Ledger, LedgerUnavailable, Reserved, Take

from .conftest import Open, SetClock, a_window, an_attempt, sqlite_path

pytestmark = pytest.mark.usefixtures("at")


async def test_a_reservation_nobody_waits_for_any_more_is_released(ledger: Ledger) -> None:
    window = a_window()
    await ledger.states([window])  # connected: the group below is under way when its asker leaves
    asking = asyncio.create_task(ledger.reserve(an_attempt(window)))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert isinstance(await ledger.reserve(an_attempt(Take(window, 5))), Reserved)
    (state,) = await ledger.states([window])
    assert state.reserved == 5
    assert await ledger.verify() == []


async def test_who_cancels_does_not_disturb_the_others_of_the_group(ledger: Ledger) -> None:
    window = a_window(limit=100)
    tasks = [asyncio.create_task(ledger.reserve(an_attempt(window))) for _ in range(20)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(each, Reserved) for each in answers[1::2])
    await ledger.reserve(an_attempt(window))
    (state,) = await ledger.states([window])
    assert state.reserved == 11


async def test_counters_that_somebody_wrote_past_the_ledger_are_found_and_mended(
    open_ledger: Open, store: tuple[str, str]
) -> None:
    ledger, window = await open_ledger(), a_window()
    attempt = an_attempt(Take(window, 3))
    await ledger.reserve(attempt)
    await ledger.settle(attempt.attempt_id, {})
    await ledger.reserve(an_attempt(Take(window, 2)))
    await _corrupt(*store, window.name)
    (difference,) = await ledger.verify()
    assert (difference.window_name, difference.used, difference.used_by_attempts) == (window.name, 9, 3)
    assert (difference.reserved, difference.reserved_by_attempts) == (7, 2)
    assert await ledger.repair() == [difference]
    assert await ledger.verify() == []
    (state,) = await ledger.states([window])
    assert (state.used, state.reserved) == (3, 2)


async def _corrupt(kind: str, url: str, name: str) -> None:
    statement = "UPDATE outbound_window SET used = 9, reserved = 7"
    if kind == "sqlite":
        with sqlite3.connect(sqlite_path(url)) as connection:
            connection.execute(statement)
    elif kind == "postgres":
        connection = await asyncpg.connect(url)
        await connection.execute(statement)
        await connection.close()
    else:
        async with Redis.from_url(url) as redis:
            async for key in redis.scan_iter(f"*:cell:{name}|*", count=10_000):
                await redis.hset(key, mapping={"used": 9, "reserved": 7})


async def test_a_locked_sqlite_file_makes_the_ledger_unavailable_and_changes_nothing(sqlite_url: str) -> None:
    ledger = SqliteLedger(sqlite_path(sqlite_url), busy_time_limit_s=0.05)
    blocker = sqlite3.connect(sqlite_path(sqlite_url), isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    with pytest.raises(LedgerUnavailable):
        await ledger.reserve(an_attempt(a_window()))
    blocker.execute("ROLLBACK")
    assert isinstance(await ledger.reserve(an_attempt(a_window())), Reserved)
    (state,) = await ledger.states([a_window()])
    assert state.reserved == 1
    await ledger.close()
    blocker.close()


async def test_what_was_told_to_be_unavailable_is_not_committed_later(sqlite_url: str) -> None:
    ledger, may_go_on = SqliteLedger(sqlite_path(sqlite_url)), threading.Event()

    def held_up(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO outbound_pace (name) VALUES ('late')")
        may_go_on.wait(60)

    with pytest.raises(LedgerUnavailable):
        await ledger._write(held_up, time_limit_s=0.2)
    may_go_on.set()
    await ledger._write(lambda _: None)  # behind it, in the same thread
    await ledger.close()

    with sqlite3.connect(sqlite_path(sqlite_url)) as connection:
        assert connection.execute("SELECT count(*) FROM outbound_pace").fetchone() == (0,)


async def test_a_process_that_never_ends_its_turn_makes_the_ledger_of_others_unavailable(sqlite_url: str) -> None:
    path = sqlite_path(sqlite_url)
    ledger, stuck = SqliteLedger(path, busy_time_limit_s=0.05), Turns(path.with_name(f"{path.name}-ledger"))
    with stuck.turn(), pytest.raises(LedgerUnavailable):
        await ledger.reserve(an_attempt(a_window()))
    assert isinstance(await ledger.reserve(an_attempt(a_window())), Reserved)
    (state,) = await ledger.states([a_window()])
    assert state.reserved == 1  # the one that was told no did not happen afterwards
    await ledger.close()
    stuck.close()


async def test_a_full_disk_makes_the_ledger_unavailable_and_leaves_nothing_half_written(sqlite_url: str) -> None:
    ledger = SqliteLedger(sqlite_path(sqlite_url))
    await ledger.reserve(an_attempt(a_window(limit=10**6)))
    await ledger._write(lambda connection: connection.execute("SELECT 1"))
    assert ledger._writing is not None
    pages = ledger._writing.execute("PRAGMA page_count").fetchone()[0]
    ledger._writing.execute(f"PRAGMA max_page_count = {pages + 2}")
    answers = await asyncio.gather(
        *(ledger.reserve(an_attempt(a_window(limit=10**6))) for _ in range(1_000)), return_exceptions=True
    )
    assert isinstance(answers[-1], LedgerUnavailable)
    assert await ledger.verify() == []
    await ledger.close()


async def test_a_missing_file_makes_the_ledger_unavailable(tmp_path: Path) -> None:
    ledger = SqliteLedger(tmp_path / "nothing.db")
    with pytest.raises(LedgerUnavailable):
        await ledger.reserve(an_attempt(a_window()))
    with pytest.raises(LedgerUnavailable):
        await ledger.states([a_window()])
    await ledger.close()
    assert not (tmp_path / "nothing.db").exists()


async def test_without_postgres_the_ledger_is_unavailable() -> None:
    ledger = PostgresLedger("postgresql://postgres@127.0.0.1:1/nothing", time_limit_s=1.0)
    with pytest.raises(LedgerUnavailable):
        await ledger.reserve(an_attempt(a_window()))
    await ledger.close()


async def test_after_a_lost_connection_the_postgres_ledger_comes_back(postgres_url: str) -> None:
    ledger = PostgresLedger(postgres_url, time_source="process")
    window = a_window()
    await ledger.reserve(an_attempt(window))
    other = await asyncpg.connect(postgres_url)
    await other.execute(
        "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE application_name = 'ossature-ledger'"
        " AND datname = current_database()"
    )
    await other.close()
    with contextlib.suppress(LedgerUnavailable):  # unless the driver heard of it before
        await ledger.settle(uuid4(), {})
    assert isinstance(await ledger.reserve(an_attempt(window)), Reserved)
    (state,) = await ledger.states([window])
    assert state.reserved == 2
    await ledger.close()


async def test_a_group_and_whoever_prunes_never_wait_for_each_other(postgres_url: str) -> None:
    ledger, pruning = PostgresLedger(postgres_url), await asyncpg.connect(postgres_url)
    first, second = sorted((a_window("upstream:a:1"), a_window("upstream:b:1")), key=lambda window: window.name)
    archive = "UPDATE outbound_window SET archived = archived WHERE name = $1"
    await ledger.reserve(an_attempt(second, first))

    async with pruning.transaction():  # window after window, in the order of their names
        await pruning.execute(archive, first.name)
        asking = asyncio.create_task(ledger.reserve(an_attempt(second, first)))
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'"
        while not await pruning.fetchval(waiting):  # noqa: ASYNC110 - the server says so
            await asyncio.sleep(0.01)
        await pruning.execute(archive, second.name)
    assert isinstance(await asking, Reserved)
    await pruning.close()
    await ledger.close()


async def test_postgres_counts_by_its_own_clock(postgres_url: str, at: SetClock) -> None:
    ledger = PostgresLedger(postgres_url)
    (state,) = await ledger.states([a_window(period="day")])
    assert state.resets_at is not None
    assert state.resets_at > at.at
    await ledger.close()


async def test_redis_counts_by_its_own_clock_even_where_calendars_are_worked_out_here(redis_url: str) -> None:
    ledger = RedisLedger(Redis.from_url(redis_url), prefix=f"test-{uuid4()}")
    window = a_window(period="day", limit=1)
    assert isinstance(await ledger.reserve(an_attempt(window)), Reserved)
    assert not isinstance(await ledger.reserve(an_attempt(window)), Reserved)
    await _forget(redis_url, ledger._prefix)
    await ledger.close()


async def test_without_redis_the_ledger_is_unavailable() -> None:
    ledger = RedisLedger(Redis.from_url("redis://127.0.0.1:1"), time_limit_s=1.0)
    with pytest.raises(LedgerUnavailable):
        await ledger.reserve(an_attempt(a_window()))
    await ledger.close()


async def test_a_redis_that_lost_the_counters_is_not_believed(redis_url: str) -> None:
    ledger = RedisLedger(Redis.from_url(redis_url), prefix=f"test-{uuid4()}", time_source="process")
    await ledger.reserve(an_attempt(a_window()))
    await _forget(redis_url, ledger._prefix)
    for _ in range(2):
        with pytest.raises(LedgerUnavailable, match="lost"):
            await ledger.reserve(an_attempt(a_window()))
    await ledger.close()


async def _forget(url: str, prefix: str) -> None:
    async with Redis.from_url(url) as redis:
        async for key in redis.scan_iter(f"{prefix}*", count=10_000):
            await redis.delete(key)
