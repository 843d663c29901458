"""What a view of the database promises, on SQLite and on PostgreSQL."""

import asyncio
import sys
from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Column, Integer, MetaData, String, Table, insert, select, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError, MultipleResultsFound, NoResultFound
from structlog.testing import capture_logs

from ossature.kernel.db.engine import Database
from ossature.kernel.db.settings import DatabaseSettings
from ossature.kernel.db.transaction import DatabaseBusy, Db, StorageFull, writing

THING = Table(
    "demo_thing",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("n", Integer, nullable=False),
    Column("name", String),
)
SLOW = {
    "sqlite": "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 500000000) SELECT max(x) FROM c",
    "postgresql": "SELECT pg_sleep(30)",
}


@pytest.fixture(autouse=True)
async def things(database: Database) -> None:
    async with database.begin() as db:
        await db.write_text(
            "CREATE TABLE demo_thing (id INTEGER PRIMARY KEY, n INTEGER NOT NULL CHECK (n >= 0), name TEXT)"
        )
        await db.execute(insert(THING).values(id=1, n=0))


@pytest.fixture
async def view(database: Database) -> AsyncIterator[Db]:
    db = database.system()
    yield db
    await db.close()


async def n(database: Database, thing: int = 1) -> int | None:
    async with database.begin() as db:
        value: int | None = await db.scalar(select(THING.c.n).where(THING.c.id == thing))
    return value


async def add_one(db: Db) -> None:
    value = await db.scalar(select(THING.c.n).where(THING.c.id == 1))
    await db.execute(update(THING).where(THING.c.id == 1).values(n=value + 1))


async def test_what_is_committed_stays_and_what_is_not_is_gone(database: Database) -> None:
    async with database.begin() as db:
        await db.execute(update(THING).values(n=1))
    with pytest.raises(ZeroDivisionError):  # noqa: PT012 - what fails is the block
        async with database.begin() as db:
            await db.execute(update(THING).values(n=2))
            raise ZeroDivisionError

    assert await n(database) == 1


async def test_a_view_that_is_closed_without_commit_wrote_nothing(database: Database) -> None:
    db = database.system()
    await db.execute(update(THING).values(n=5))
    await db.close()

    assert await n(database) == 0


async def test_rows_come_as_all_first_one_scalar(view: Db) -> None:
    await view.execute(insert(THING), [{"id": 2, "n": 2}, {"id": 3, "n": 2}])
    twos = select(THING.c.id).where(THING.c.n == 2).order_by(THING.c.id)

    assert [row.id for row in await view.all(twos)] == [2, 3]
    assert (await view.first(twos)).id == 2  # type: ignore[union-attr]
    assert (await view.one(select(THING).where(THING.c.id == 3))).n == 2
    assert await view.scalar(twos) == 2
    assert await view.execute(update(THING).where(THING.c.n == 2).values(n=3)) == 2
    assert await view.first(twos) is None
    assert await view.scalar(twos) is None
    with pytest.raises(NoResultFound):
        await view.one(twos)
    with pytest.raises(MultipleResultsFound):
        await view.one(select(THING))


async def test_a_statement_that_returns_rows_and_writes_is_a_write(database: Database) -> None:
    async with database.begin() as db:
        row = await db.one(insert(THING).values(id=9, n=9).returning(THING.c.n))
        assert db.is_writing

    assert row.n == 9
    assert await n(database, 9) == 9


async def test_reading_opens_no_write_transaction(view: Db) -> None:
    await view.all(select(THING))

    assert not view.is_writing
    assert not writing.get()
    await view.execute(update(THING).values(n=1))
    assert view.is_writing
    assert writing.get()
    await view.commit()
    assert not view.is_writing
    assert not writing.get()


async def test_a_view_can_be_used_again_after_its_commit(database: Database, view: Db) -> None:
    for _ in range(3):
        await add_one(view)
        await view.commit()

    assert await n(database) == 3


async def test_steps_that_read_decide_and_write_lose_no_update(database: Database) -> None:
    async def worker() -> None:
        async with database.begin() as db:
            for _ in range(5):
                async with db.step():
                    await db.scalar(
                        text("SELECT 1" if database.embedded else "SELECT 1 FROM demo_thing WHERE id = 1 FOR UPDATE")
                    )
                    await add_one(db)

    await asyncio.gather(*(worker() for _ in range(6)))

    assert await n(database) == 30


async def test_a_step_is_committed_before_what_follows(database: Database, view: Db) -> None:
    async with view.step():
        await add_one(view)

    assert await n(database) == 1
    await add_one(view)
    with pytest.raises(KeyError):  # noqa: PT012 - what fails is the block
        async with view.step():
            await add_one(view)
            raise KeyError
    assert await n(database) == 2


async def test_what_waits_for_the_commit_is_called_after_it_and_only_then(database: Database) -> None:
    seen: list[int | None] = []
    with pytest.raises(KeyError):  # noqa: PT012 - what fails is the block
        async with database.begin() as db:
            await add_one(db)
            db.after_commit(lambda: seen.append(-1))
            raise KeyError
    async with database.begin() as db:
        await add_one(db)
        db.after_commit(lambda: seen.append(1))
        assert seen == []

    assert seen == [1]


async def test_a_rule_of_the_database_comes_through_and_the_view_can_go_on(database: Database, view: Db) -> None:
    with pytest.raises(IntegrityError):
        await view.execute(update(THING).values(n=-1))
    await view.rollback()
    await add_one(view)
    await view.commit()

    assert await n(database) == 1


async def test_a_commit_that_fails_is_an_error_and_calls_nobody(database: Database) -> None:
    async with database.begin() as db:
        await db.write_text(
            "CREATE TABLE demo_part (id INTEGER PRIMARY KEY, thing INTEGER REFERENCES demo_thing(id) DEFERRABLE INITIALLY DEFERRED)"
        )
    seen: list[int] = []

    with pytest.raises(DBAPIError):  # noqa: PT012 - what fails is the commit
        async with database.begin() as db:
            await db.write_text("INSERT INTO demo_part (id, thing) VALUES (1, 4711)")
            db.after_commit(lambda: seen.append(1))

    assert seen == []
    assert not writing.get()
    async with database.begin() as db:
        assert await db.scalar(text("SELECT count(*) FROM demo_part")) == 0
        await add_one(db)
    assert await n(database) == 1


async def test_tasks_that_share_a_view_take_turns(database: Database) -> None:
    async with database.begin() as db:
        await asyncio.gather(*(db.execute(insert(THING).values(id=number, n=number)) for number in range(10, 40)))

        assert await db.scalar(text("SELECT count(*) FROM demo_thing")) == 31


async def test_a_statement_in_progress_is_stopped_when_its_task_is_cancelled(database: Database) -> None:
    async def ask() -> None:
        async with database.begin() as db:
            await db.all(text(SLOW[database.dialect]))

    task = asyncio.create_task(ask())
    await asyncio.sleep(0.2)
    started = asyncio.get_running_loop().time()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert asyncio.get_running_loop().time() - started < 20  # the statement itself would take longer
    await _every_connection_works(database)


async def test_a_writer_that_is_cancelled_leaves_nothing_and_lets_others_write(database: Database) -> None:
    async def write() -> None:
        async with database.begin() as db:
            await db.execute(update(THING).values(n=99))
            await db.all(text(SLOW[database.dialect]))

    for _ in range(database.size + 2):
        task = asyncio.create_task(write())
        await asyncio.sleep(0.03)
        task.cancel()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    assert await n(database) == 0
    async with database.begin() as db:
        await add_one(db)
    await _every_connection_works(database)


async def test_cancelling_at_any_moment_loses_no_connection(database: Database) -> None:
    async def work() -> None:
        async with database.begin() as db:
            await add_one(db)
            await db.all(select(THING))

    for step in range(60):
        task = asyncio.create_task(work())
        for _ in range(step % 20):
            await asyncio.sleep(0)
        await asyncio.sleep(0.0002 * (step // 20))
        task.cancel()
        await asyncio.wait([task])

    await _every_connection_works(database)
    assert database.in_use == 0


async def _every_connection_works(database: Database) -> None:
    """All connections of the pool are there, and none is in the middle of something."""
    views = [database.system() for _ in range(database.size)]
    assert await asyncio.gather(*(view.scalar(text("SELECT 1")) for view in views)) == [1] * database.size
    await asyncio.gather(*(view.close() for view in views))
    assert database.in_use == 0


async def test_who_finds_no_connection_in_time_is_told_to_come_again(database_url: str) -> None:
    small = Database(DatabaseSettings(url=database_url, pool_size=1, pool_wait_s=0.1))
    async with small.begin() as holder:
        await holder.scalar(text("SELECT 1"))
        async with small.begin() as late:
            with pytest.raises(DatabaseBusy) as refused:
                await late.scalar(text("SELECT 1"))
    await small.close()

    assert refused.value.status == 503
    assert refused.value.retry_after_s


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_writer_that_waits_too_long_for_another_is_told_to_come_again(
    database: Database, database_url: str
) -> None:
    impatient = Database(DatabaseSettings(url=database_url, busy_time_limit_s=0.1))
    async with database.begin() as other_process:
        await other_process.execute(update(THING).values(n=1))
        with pytest.raises(DatabaseBusy):
            async with impatient.begin() as db:
                await db.execute(update(THING).values(n=2))
        async with impatient.begin() as reader:
            assert await reader.scalar(select(THING.c.n)) == 0
    async with impatient.begin() as db:
        await db.execute(update(THING).values(n=2))
    await impatient.close()

    assert await n(database) == 2


async def test_two_processes_write_without_losing_anything(database: Database, database_url: str) -> None:
    code = (
        "import asyncio, sys\n"
        "from sqlalchemy import text\n"
        "from ossature.kernel.db.engine import Database\n"
        "from ossature.kernel.db.settings import DatabaseSettings\n"
        "async def main():\n"
        "    database = Database(DatabaseSettings(url=sys.argv[1]))\n"
        "    for _ in range(100):\n"
        "        async with database.begin() as db:\n"
        "            await db.write_text('UPDATE demo_thing SET n = n + 1')\n"
        "    await database.close()\n"
        "asyncio.run(main())\n"
    )

    children = [await asyncio.create_subprocess_exec(sys.executable, "-c", code, database_url) for _ in range(2)]

    assert [await child.wait() for child in children] == [0, 0]
    assert await n(database) == 200


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
async def test_each_transaction_belongs_to_one_tenant_and_the_next_to_nobody(database: Database) -> None:
    one, two = uuid4(), uuid4()
    setting = text("SELECT current_setting('ossature.tenant', true)")

    async def seen(tenant_id: UUID | None) -> str | None:
        async with database.begin(tenant_id) as db:
            first = await db.scalar(setting)
            await add_one(db)
            await db.commit()
            assert await db.scalar(setting) == first
        value: str | None = first
        return value or None

    assert [await seen(one), await seen(None), await seen(two), await seen(None)] == [str(one), None, str(two), None]


async def test_a_slow_statement_is_logged_with_its_plan_and_without_values(database_url: str) -> None:
    nervous = Database(DatabaseSettings(url=database_url, slow_statement_s=0.000001))
    with capture_logs() as lines:
        async with nervous.begin() as db:
            await db.all(select(THING).where(THING.c.name == "personal-value"))
            await db.write_text("UPDATE demo_thing SET n = 1")
    await nervous.close()

    slow = [line for line in lines if line["event"] == "db.slow_statement"]
    assert "demo_thing" in slow[0]["statement"]
    assert "demo_thing" in str(slow[0]["plan"])
    assert "personal-value" not in str(slow)


async def test_statements_are_counted_and_timed(view: Db) -> None:
    for number in range(3):
        await view.all(select(THING).where(THING.c.id == number))

    assert view.statistics.count == 3
    assert view.statistics.total_ms > 0
    assert list(view.statistics.alike.values()) == [3]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_full_disk_is_said_so_and_leaves_what_was_there(database: Database) -> None:
    async def write() -> None:
        async with database.begin() as db:
            await db.write_text("PRAGMA max_page_count = 1")  # no page more than there are
            await db.execute(update(THING).values(n=7))
            await db.execute(insert(THING).values(id=2, n=0, name="x" * 1_000_000))

    with pytest.raises(StorageFull):
        await write()
    assert await n(database) == 0
