"""What the database breaks off is done again, where that is known to be harmless."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import pytest
from sqlalchemy import bindparam, text

from ossature.kernel.db.engine import Database
from ossature.kernel.db.settings import DatabaseSettings
from ossature.kernel.db.transaction import CommitUnknown, Db, TransactionBroken
from ossature.kernel.errors import Unavailable
from ossature.kernel.retry import RETRIES
from tests.kernel.proxy import through_proxy

_KILL = text("SELECT pg_terminate_backend(:pid)").bindparams(bindparam("pid"))
_ME = text("SELECT pg_backend_pid()")


@pytest.fixture
async def postgres(postgres_url: str) -> AsyncIterator[Database]:
    opened = Database(DatabaseSettings(url=postgres_url))
    async with opened.begin() as db:
        await db.write_text("CREATE TABLE tally (name text PRIMARY KEY, count int NOT NULL)")
        await db.write_text("INSERT INTO tally VALUES ('a', 0), ('b', 0)")
    yield opened
    await opened.close()


async def _kill(database: Database, db: Db) -> None:
    """Take the connection of a view away from it."""
    pid = await db.scalar(_ME)
    async with database.begin() as other:
        await other.scalar(_KILL, {"pid": pid})


async def _counts(database: Database) -> dict[str, int]:
    async with database.begin() as db:
        return {row.name: row.count for row in await db.all(text("SELECT name, count FROM tally"))}


def _retries(policy: str) -> float:
    return sum(
        sample.value
        for metric in RETRIES.collect()
        for sample in metric.samples
        if sample.name.endswith("_total") and sample.labels["policy"] == policy
    )


async def test_a_lost_connection_is_not_noticed_by_who_only_reads(postgres: Database) -> None:
    before = _retries("database_read")
    async with postgres.begin() as db:
        assert await db.scalar(text("SELECT count(*) FROM tally")) == 2
        await _kill(postgres, db)
        assert await db.scalar(text("SELECT count(*) FROM tally")) == 2
    assert _retries("database_read") == before + 1


async def test_a_connection_that_is_used_in_the_moment_in_which_it_is_lost_is_a_lost_one(postgres_url: str) -> None:
    async with through_proxy(postgres_url, hides_ends=True) as (_, url):
        through, beside = Database(DatabaseSettings(url=url)), Database(DatabaseSettings(url=postgres_url))
        async with through.begin() as db:
            pid = await db.scalar(_ME)
            async with beside.begin() as other:
                await other.scalar(_KILL, {"pid": pid})
            await asyncio.sleep(0.1)  # the server's last words arrive, and that it hung up does not
            assert await db.scalar(_ME) != pid
    await through.close()
    await beside.close()


async def test_who_holds_a_lock_is_told_that_it_is_gone(postgres: Database) -> None:
    db = postgres.system()
    await db.all(text("SELECT name FROM tally WHERE name = 'a' FOR UPDATE"))
    await _kill(postgres, db)
    with pytest.raises(TransactionBroken):
        await db.scalar(text("SELECT count(*) FROM tally"))
    await db.close()


async def test_who_has_written_is_told_that_nothing_was_kept(postgres: Database) -> None:
    db = postgres.system()
    await db.write_text("UPDATE tally SET count = 1 WHERE name = 'a'")
    await _kill(postgres, db)
    with pytest.raises(TransactionBroken):
        await db.write_text("UPDATE tally SET count = 1 WHERE name = 'b'")
    await db.close()
    assert await _counts(postgres) == {"a": 0, "b": 0}


async def test_a_whole_transaction_is_done_again_when_its_connection_is_lost(postgres: Database) -> None:
    kills = [True]

    async def work(db: Db) -> None:
        await db.write_text("UPDATE tally SET count = count + 1 WHERE name = 'a'")
        if kills:
            kills.pop()
            await _kill(postgres, db)
        await db.write_text("UPDATE tally SET count = count + 1 WHERE name = 'b'")

    await postgres.transact(work)
    assert await _counts(postgres) == {"a": 1, "b": 1}


async def test_a_deadlock_ends_with_both_done(postgres: Database) -> None:
    both = asyncio.Barrier(2)
    met: set[str] = set()

    async def work(db: Db, first: str, second: str) -> None:
        change = "UPDATE tally SET count = count + 1 WHERE name = :name"
        await db.write_text(change, {"name": first})
        if first not in met:
            met.add(first)
            await both.wait()
        await db.write_text(change, {"name": second})

    await asyncio.gather(
        postgres.transact(lambda db: work(db, "a", "b")), postgres.transact(lambda db: work(db, "b", "a"))
    )
    assert await _counts(postgres) == {"a": 2, "b": 2}


async def test_transactions_that_cannot_be_put_in_an_order_are_done_one_after_the_other(postgres: Database) -> None:
    both = asyncio.Barrier(2)
    read: list[int] = []

    async def work(db: Db) -> None:
        await db.write_text("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE")
        count = await db.scalar(text("SELECT sum(count) FROM tally"))
        read.append(count)
        if len(read) <= 2:
            await both.wait()
        await db.write_text("UPDATE tally SET count = :count WHERE name = 'a'", {"count": count + 1})

    await asyncio.gather(postgres.transact(work), postgres.transact(work))
    assert await _counts(postgres) == {"a": 2, "b": 0}
    assert len(read) == 3


async def test_a_commit_whose_answer_is_lost_is_not_done_again(postgres: Database) -> None:
    done = 0

    async def work(db: Db) -> None:
        nonlocal done
        done += 1
        await db.write_text("UPDATE tally SET count = count + 1 WHERE name = 'a'")
        await _kill(postgres, db)

    with pytest.raises(CommitUnknown):
        await postgres.transact(work)
    assert done == 1


async def test_what_is_our_own_fault_is_not_tried_again(database: Database) -> None:
    done = 0

    async def work(_db: Db) -> None:
        nonlocal done
        done += 1
        raise LookupError(UUID(int=done))

    with pytest.raises(LookupError):
        await database.transact(work)
    assert done == 1


async def test_a_database_that_is_away_is_said_to_be() -> None:
    away = Database(DatabaseSettings(url="postgresql+asyncpg://nobody@127.0.0.1:1/nothing"))
    with pytest.raises(Unavailable):
        async with away.begin() as db:
            await db.scalar(text("SELECT 1"))
    await away.close()
