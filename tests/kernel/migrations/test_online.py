"""Migrations beside live requests: on a real PostgreSQL, with somebody else in the tables."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy import text

from ossature.kernel.db import migrate, review
from ossature.kernel.db.engine import Database
from ossature.kernel.db.settings import DatabaseSettings
from tests.kernel.migrations.test_migrate import FIRST, SECOND, write

ONLINE = """
from ossature.kernel.db import online

def upgrade():
    online.create_index("ix_demo_thing_name", "demo_thing", ["name"])

def downgrade():
    op.drop_index("ix_demo_thing_name", "demo_thing")
"""
UNIQUE = ONLINE.replace('["name"]', '["name"], unique=True')
TWO_TABLES = """op.create_table("demo_new", sa.Column("id"))
    with op.batch_alter_table("demo_new") as batch:
        batch.create_index("ix", ["id"])
    with op.batch_alter_table("demo_thing") as batch:
        batch.create_index("iy", ["id"])"""
SLOW = """
def upgrade():
    op.execute("SELECT pg_sleep(30)")

def downgrade():
    op.execute("SELECT 1")
"""


@pytest.fixture
async def hasty(empty_postgres_url: str) -> AsyncIterator[Database]:
    """An empty database whose migrations wait a second for a table, and take no longer than two."""
    limits = {"migration_lock_time_limit_s": 1, "migration_statement_time_limit_s": 2}
    database = Database(DatabaseSettings(url=empty_postgres_url, **limits))
    yield database
    await database.close()


@asynccontextmanager
async def somebody(url: str, statement: str) -> AsyncIterator[asyncpg.Connection]:
    """A transaction that has run a statement and does not end while the block runs."""
    connection = await asyncpg.connect(url.replace("+asyncpg", ""))
    try:
        async with connection.transaction():
            await connection.execute(statement)
            yield connection
    finally:
        await connection.close()


async def indexes(database: Database) -> dict[str, bool]:
    """The indexes of the table, and whether they can be used."""
    rows = text("SELECT indexrelid::regclass::text, indisvalid FROM pg_index WHERE indrelid = 'demo_thing'::regclass")
    async with database.begin() as db:
        return {row[0]: row[1] for row in await db.all(rows)}


async def test_a_migration_gives_up_before_others_have_to_wait_for_it(
    history: Path, hasty: Database, empty_postgres_url: str
) -> None:
    write(history, FIRST)
    await migrate.upgrade(hasty)
    write(history, FIRST, SECOND)

    async with somebody(empty_postgres_url, "LOCK TABLE demo_thing IN ACCESS SHARE MODE") as reader:
        with pytest.raises(migrate.MigrationsBusy, match="ALTER TABLE demo_thing"):
            await migrate.upgrade(hasty)
        assert await migrate.current(hasty) == "0001"
        # Who comes after it is not held up: nobody waits for the table any more.
        async with asyncio.timeout(1), hasty.begin() as db:
            assert await db.scalar(text("SELECT count(*) FROM demo_thing")) == 0
        assert await reader.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted") == 0

    assert await migrate.upgrade(hasty) == ["0002"]


async def test_a_statement_that_takes_too_long_is_undone_and_named(history: Path, hasty: Database) -> None:
    write(history, FIRST, SLOW)

    with pytest.raises(migrate.MigrationTooLong, match=r"MIGRATION_STATEMENT_TIME_LIMIT_S.*pg_sleep"):
        await migrate.upgrade(hasty)

    assert await migrate.current(hasty) == "0001"


async def test_an_index_is_built_while_others_write(history: Path, hasty: Database, empty_postgres_url: str) -> None:
    write(history, FIRST, ONLINE)
    await migrate.upgrade(hasty, "0001")

    async with somebody(empty_postgres_url, "INSERT INTO demo_thing (id, name) VALUES (1, 'one')"):
        building = asyncio.create_task(migrate.upgrade(hasty))
        # It waits for this transaction, longer than it would wait for a lock; others write meanwhile.
        await asyncio.sleep(2.5)
        assert not building.done()
        async with asyncio.timeout(1), hasty.begin() as db:
            await db.write_text("INSERT INTO demo_thing (id, name) VALUES (2, 'two')")

    assert await building == ["0002"]
    assert (await indexes(hasty))["ix_demo_thing_name"] is True


async def test_an_index_whose_building_failed_is_built_again(history: Path, hasty: Database) -> None:
    write(history, FIRST, UNIQUE)
    await migrate.upgrade(hasty, "0001")
    async with hasty.begin() as db:
        await db.write_text("INSERT INTO demo_thing (id, name) VALUES (1, 'same'), (2, 'same')")

    with pytest.raises(Exception, match="could not create unique index"):
        await migrate.upgrade(hasty)
    assert (await indexes(hasty))["ix_demo_thing_name"] is False

    async with hasty.begin() as db:
        await db.write_text("UPDATE demo_thing SET name = 'other' WHERE id = 2")
    assert await migrate.upgrade(hasty) == ["0002"]
    assert (await indexes(hasty))["ix_demo_thing_name"] is True


def test_processes_that_build_an_index_at_once_do_not_wait_for_each_other(
    history: Path, empty_postgres_url: str
) -> None:
    write(history, FIRST, ONLINE)
    code = (
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from ossature.kernel.db import migrate\n"
        "from ossature.kernel.db.engine import Database\n"
        "from ossature.kernel.db.settings import DatabaseSettings\n"
        "migrate.LOCATION = Path(sys.argv[2])\n"
        "print(*asyncio.run(migrate.upgrade(Database(DatabaseSettings(url=sys.argv[1])))))\n"
    )
    command = [sys.executable, "-c", code, empty_postgres_url, str(history)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]

    steps = [step for one in running for step in one.communicate(timeout=60)[0].split()]

    assert [one.returncode for one in running] == [0, 0, 0]
    assert sorted(steps) == ["0001", "0002"]


async def test_an_index_that_is_built_beside_goes_up_and_down_on_both(history: Path, empty: Database) -> None:
    write(history, FIRST, ONLINE)

    assert await migrate.upgrade(empty) == ["0001", "0002"]
    assert await migrate.downgrade(empty, "base") == ["0002", "0001"]
    assert await migrate.upgrade(empty) == ["0001", "0002"]


@pytest.mark.parametrize(
    ("body", "blocks"),
    [
        ('op.create_index("ix", "demo_thing", ["name"])', True),
        ('op.create_unique_constraint("uq", "demo_thing", ["name"])', True),
        ('with op.batch_alter_table("demo_thing") as batch:\n        batch.create_index("ix", ["name"])', True),
        ('online.create_index("ix", "demo_thing", ["name"])', False),
        ('op.create_table("demo_new", sa.Column("id"))\n    op.create_index("ix", "demo_new", ["id"])', False),
        (TWO_TABLES, True),
        ('op.add_column("demo_thing", sa.Column("a", sa.String))', False),
    ],
)
def test_an_index_that_would_shut_writers_out_is_found(history: Path, body: str, blocks: bool) -> None:
    write(history, f"def upgrade():\n    {body}\n\ndef downgrade():\n    op.drop_table('x')\n")
    [path] = (history / "versions").glob("*.py")

    assert bool(list(review.blocking(path))) is blocks
