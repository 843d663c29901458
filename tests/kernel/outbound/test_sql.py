"""Foreign databases are read to the end, and never written."""

import asyncio
import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest

from ossature.kernel.db.engine import Database
from ossature.kernel.outbound.http import SentWhileWriting
from ossature.kernel.outbound.sql import ForeignPostgres, ForeignSqlite, Sql, SqlFailed

COUNTED = """
WITH RECURSIVE counted(number, name) AS (
    SELECT 1, 'one' UNION ALL SELECT number + 1, NULL FROM counted WHERE number < 2500
) SELECT number, name FROM counted ORDER BY number
"""


@pytest.fixture
def foreign(database_url: str, tmp_path: Path) -> Sql:
    if database_url.startswith("postgresql"):
        return ForeignPostgres(database_url.replace("+asyncpg", ""))
    file = tmp_path / "foreign.db"
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE there (number INTEGER)")
    return ForeignSqlite(file)


async def read(foreign: Sql, statement: str, *, time_limit_s: float = 20) -> tuple[list[str], list[tuple[Any, ...]]]:
    columns: list[str] = []
    rows: list[tuple[Any, ...]] = []
    async for names, some in foreign.read(statement, time_limit_s=time_limit_s):
        assert len(some) <= 1_000
        columns = list(names)
        rows += some
    return columns, rows


async def test_all_rows_come_in_batches_with_their_columns(foreign: Sql) -> None:
    columns, rows = await read(foreign, COUNTED)

    assert columns == ["number", "name"]
    assert (rows[0], rows[-1], len(rows)) == ((1, "one"), (2500, None), 2500)


async def test_an_answer_without_rows_still_says_its_columns(foreign: Sql) -> None:
    assert await read(foreign, "SELECT 1 AS one WHERE 1 = 0") == (["one"], [])


@pytest.mark.parametrize(
    "statement", ["DELETE FROM there", "  -- SELECT\n DROP TABLE there", "SELECT nothing FROM nowhere"]
)
async def test_what_is_not_one_statement_that_reads_is_refused(foreign: Sql, statement: str) -> None:
    with pytest.raises(SqlFailed):
        await read(foreign, statement)


async def test_a_write_that_begins_like_a_read_is_refused_by_the_database(foreign: Sql) -> None:
    with pytest.raises(SqlFailed, match=r"read-?only|syntax"):
        await read(foreign, "WITH gone AS (DELETE FROM tenants_project RETURNING 1) SELECT * FROM gone")


async def test_the_outside_is_not_read_while_our_own_write_is_open(foreign: Sql, database: Database) -> None:
    async with database.begin() as db:
        await db.write_text("DELETE FROM files_file")
        with pytest.raises(SentWhileWriting):
            await read(foreign, "SELECT 1")
        await db.rollback()


async def test_a_database_that_is_not_there_is_a_failure_in_words(tmp_path: Path) -> None:
    with pytest.raises(SqlFailed, match=r"gone\.db"):
        await read(ForeignSqlite(tmp_path / "gone.db"), "SELECT 1")
    with pytest.raises(SqlFailed):
        await read(ForeignPostgres("postgresql://nobody@127.0.0.1:1/none"), "SELECT 1")


async def test_the_time_limit_cancels_the_reading_and_never_its_reader(foreign: Sql) -> None:
    reading = foreign.read(COUNTED, time_limit_s=1)
    await anext(reading)
    await asyncio.sleep(1.5)  # the reader's own work

    with pytest.raises(SqlFailed, match="within 1 s"):
        await anext(reading)


async def test_a_statement_that_does_not_end_is_left_and_holds_nothing_up(foreign: Sql) -> None:
    endless = "WITH RECURSIVE counted(number) AS (SELECT 1 UNION ALL SELECT number + 1 FROM counted) SELECT max(number) FROM counted"
    turned = asyncio.Event()
    asyncio.get_running_loop().call_later(0.7, turned.set)

    with pytest.raises(SqlFailed, match=r"within 0\.5 s|statement timeout"):
        await read(foreign, endless, time_limit_s=0.5)
    await asyncio.wait_for(turned.wait(), 60)
    assert not [
        thread
        for thread in threading.enumerate()
        if thread.name.startswith("foreign-sqlite") and not await _ended(thread)
    ]


async def _ended(thread: threading.Thread) -> bool:
    await asyncio.to_thread(thread.join, 60)
    return not thread.is_alive()
