"""Engine, column types and statistics."""

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Column, Integer, MetaData, Table, insert, select, text
from sqlalchemy.exc import StatementError
from structlog.testing import capture_logs

from ossature.kernel.db.engine import Database
from ossature.kernel.db.settings import DatabaseSettings
from ossature.kernel.db.statistics import StatementsRepeat, Statistics, profile_db
from ossature.kernel.db.types import Json, Utc
from ossature.kernel.errors import Misconfigured

MOMENT = Table(
    "demo_moment", MetaData(), Column("id", Integer, primary_key=True), Column("at", Utc()), Column("doc", Json)
)


@pytest.fixture
async def moments(database: Database) -> Database:
    kind = "TIMESTAMP" if database.embedded else "TIMESTAMPTZ"
    document = "JSON" if database.embedded else "JSONB"
    async with database.begin() as db:
        await db.write_text(f"CREATE TABLE demo_moment (id INTEGER PRIMARY KEY, at {kind}, doc {document})")
    return database


async def kept(database: Database, value: Any, column: str = "at") -> Any:
    async with database.begin() as db:
        await db.write_text("DELETE FROM demo_moment")
        await db.execute(insert(MOMENT).values(id=1, **{column: value}))
        return await db.scalar(select(MOMENT.c[column]))


async def test_an_instant_comes_back_as_the_same_instant_in_utc(moments: Database) -> None:
    tokyo = datetime(2026, 3, 1, 9, 30, 15, 123456, tzinfo=timezone(timedelta(hours=9)))

    found = await kept(moments, tokyo)

    assert found == tokyo
    assert found.tzinfo is UTC
    assert await kept(moments, None) is None


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.datetimes(min_value=datetime(1900, 1, 1), max_value=datetime(2900, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001 - Hypothesis wants naive bounds
async def test_no_instant_is_changed_by_the_database(moments: Database, at: datetime) -> None:
    assert await kept(moments, at) == at


async def test_an_instant_without_a_zone_is_refused(moments: Database) -> None:
    with pytest.raises(StatementError, match="has no zone"):
        await kept(moments, datetime(2026, 3, 1))  # noqa: DTZ001 - what is tried


async def test_instants_sort_by_time(moments: Database) -> None:
    early = datetime(2026, 3, 1, tzinfo=UTC)
    async with moments.begin() as db:
        await db.execute(
            insert(MOMENT), [{"id": n, "at": early + timedelta(seconds=s)} for n, s in ((1, 5), (2, 0.5), (3, 0))]
        )
        rows = await db.all(select(MOMENT.c.id).order_by(MOMENT.c.at))

    assert [row.id for row in rows] == [3, 2, 1]


async def test_a_document_comes_back_as_it_was(moments: Database) -> None:
    document = {"a": [1, 2.5, None, True, "é\u2028"], "b": {"c": {}}}

    assert await kept(moments, document, "doc") == document


def test_the_embedded_database_lies_in_the_var_folder(tmp_path: Path) -> None:
    database = Database(DatabaseSettings(), var_dir=tmp_path / "deep" / "var")

    assert database.embedded
    assert database.url.database == str(tmp_path / "deep" / "var" / "ossature.db")
    assert (tmp_path / "deep" / "var").is_dir()


def test_another_kind_of_database_is_refused() -> None:
    with pytest.raises(Misconfigured, match="use sqlite or postgresql"):
        Database(DatabaseSettings(url="mysql://x/y"))


async def test_sqlite_keeps_rules_and_waits(tmp_path: Path) -> None:
    database = Database(DatabaseSettings(url=f"sqlite:///{tmp_path / 'x.db'}", durability="full"))
    async with database.begin() as db:
        seen = {
            name: await db.scalar(text(f"PRAGMA {name}"))
            for name in ("journal_mode", "foreign_keys", "synchronous", "busy_timeout")
        }
    await database.close()

    assert seen == {"journal_mode": "wal", "foreign_keys": 1, "synchronous": 2, "busy_timeout": 5000}


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
async def test_postgresql_cancels_a_statement_that_takes_too_long(database_url: str) -> None:
    database = Database(DatabaseSettings(url=database_url, statement_time_limit_s=0.1))
    async with database.begin() as db:
        with pytest.raises(Exception) as refused:  # noqa: PT011 - its kind is what is looked at
            await db.all(text("SELECT pg_sleep(5)"))
    await database.close()

    assert type(refused.value).__name__ == "DatabaseBusy"


async def test_the_pool_says_how_full_it_is(database: Database) -> None:
    async with database.begin() as db:
        await db.scalar(text("SELECT 1"))
        during = database.in_use

    assert (during, database.in_use, database.size) == (1, 0, 10)


def test_statements_that_repeat_are_an_error_in_tests_and_a_line_in_production() -> None:
    statistics = Statistics()
    for _ in range(5):
        statistics.note("SELECT name FROM demo WHERE id = ?", 1.0)
    statistics.note("SELECT 1", 9.0)

    statistics.check_repeats(limit=6, mode="raise")
    with pytest.raises(StatementsRepeat, match="5 times: SELECT name"):
        statistics.check_repeats(limit=5, mode="raise")
    with capture_logs() as lines:
        statistics.check_repeats(limit=5, mode="warn")

    assert [(line["event"], line["times"]) for line in lines] == [("db.statements_repeat", 5)]
    assert (statistics.count, statistics.total_ms, statistics.slowest, statistics.slowest_ms) == (
        6,
        14.0,
        "SELECT 1",
        9.0,
    )


def test_many_different_statements_are_no_pattern() -> None:
    statistics = Statistics()
    for number in range(50):
        statistics.note(f"SELECT {number}", 1.0)

    statistics.check_repeats(limit=2, mode="raise")


def test_a_profile_shows_what_a_block_added() -> None:
    one, two = Statistics(), Statistics()
    one.note("before", 5.0)

    with profile_db(one, two) as seen:
        one.note("a", 1.0)
        two.note("a", 2.0)

    assert (seen.count, seen.total_ms, dict(seen.alike)) == (2, 3.0, {"a": 2})
