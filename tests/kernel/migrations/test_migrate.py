"""The machinery of migrations, on a history made for the test."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from ossature.kernel.db import appendonly, drift, metadata, migrate, review, revision
from ossature.kernel.db.engine import Database
from ossature.kernel.tenants import rls

HEADER = '''"""{message}."""

import sqlalchemy as sa
from alembic import op

revision = "{id}"
down_revision = {down!r}
branch_labels = None
depends_on = None
'''

FIRST = """
def upgrade():
    op.create_table("demo_thing", sa.Column("id", sa.Integer, primary_key=True), sa.Column("name", sa.String, nullable=False))

def downgrade():
    op.drop_table("demo_thing")
"""
SECOND = """
def upgrade():
    with op.batch_alter_table("demo_thing") as batch:
        batch.add_column(sa.Column("zone", sa.String, nullable=False, server_default="UTC"))

def downgrade():
    with op.batch_alter_table("demo_thing") as batch:
        batch.drop_column("zone")
"""
BROKEN = """
def upgrade():
    op.create_table("demo_half", sa.Column("id", sa.Integer, primary_key=True))
    op.execute("SELECT no_such_function()")

def downgrade():
    op.drop_table("demo_half")
"""


def write(folder: Path, *bodies: str) -> None:
    down = None
    for number, body in enumerate(bodies, 1):
        name = f"{number:04d}"
        text_of = HEADER.format(message=f"Step {number}", id=name, down=down) + body
        (folder / "versions" / f"{name}_step.py").write_text(text_of)
        down = name


async def tables(database: Database) -> set[str]:
    catalogue = (
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        if database.embedded
        else "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
    )
    async with database.begin() as db:
        return {row[0] for row in await db.all(text(catalogue))} - {"alembic_version"}


async def test_a_database_goes_up_and_down_and_keeps_its_rows(history: Path, empty: Database) -> None:
    write(history, FIRST, SECOND)

    assert await migrate.current(empty) is None
    assert await migrate.upgrade(empty, "0001") == ["0001"]
    async with empty.begin() as db:
        await db.write_text("INSERT INTO demo_thing (id, name) VALUES (1, 'one')")
    assert await migrate.upgrade(empty) == ["0002"]
    assert await migrate.upgrade(empty) == []
    assert await migrate.current(empty) == migrate.head() == "0002"
    async with empty.begin() as db:
        assert tuple(await db.one(text("SELECT id, name, zone FROM demo_thing"))) == (1, "one", "UTC")
    assert await migrate.downgrade(empty, "-1") == ["0002"]
    async with empty.begin() as db:
        assert tuple(await db.one(text("SELECT * FROM demo_thing"))) == (1, "one")
    assert await migrate.downgrade(empty, "base") == ["0001"]
    assert await tables(empty) == set()


async def test_a_revision_that_fails_leaves_nothing_behind(history: Path, empty: Database) -> None:
    write(history, FIRST)
    await migrate.upgrade(empty)
    write(history, FIRST, BROKEN)

    with pytest.raises(DBAPIError):
        await migrate.upgrade(empty)

    assert await migrate.current(empty) == "0001"
    assert await tables(empty) == {"demo_thing"}


async def test_an_unknown_revision_is_refused(history: Path, empty: Database) -> None:
    write(history, FIRST)

    with pytest.raises(migrate.RevisionUnknown):
        await migrate.upgrade(empty, "0815")


def test_processes_that_upgrade_at_once_take_each_step_once(history: Path, empty_url: str) -> None:
    write(history, FIRST, SECOND)
    code = (
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from ossature.kernel.db import migrate\n"
        "from ossature.kernel.db.engine import Database\n"
        "from ossature.kernel.db.settings import DatabaseSettings\n"
        "migrate.LOCATION = Path(sys.argv[2])\n"
        "print(*asyncio.run(migrate.upgrade(Database(DatabaseSettings(url=sys.argv[1])))))\n"
    )

    running = [
        subprocess.Popen([sys.executable, "-c", code, empty_url, str(history)], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]

    outputs = sorted(one.communicate(timeout=60)[0].split() for one in running)
    assert [one.returncode for one in running] == [0, 0]
    assert sorted(step for steps in outputs for step in steps) == ["0001", "0002"]


async def test_tasks_that_upgrade_at_once_take_each_step_once(history: Path, empty: Database) -> None:
    write(history, FIRST, SECOND)

    steps = await asyncio.gather(*(migrate.upgrade(empty) for _ in range(3)))

    assert sorted(step for taken in steps for step in taken) == ["0001", "0002"]


@pytest.mark.parametrize(
    ("statement", "taken"),
    [
        ('op.add_column("demo_thing", sa.Column("a", sa.String))', False),
        ('op.create_index("ix", "demo_thing", ["name"])', False),
        ('op.drop_index("ix")', False),
        ('op.drop_table("demo_thing")', True),
        ('op.drop_column("demo_thing", "name")', True),
        ('op.rename_table("demo_thing", "demo_other")', True),
        ('op.alter_column("demo_thing", "name", nullable=True)', False),
        ('op.alter_column("demo_thing", "name", nullable=False)', True),
        ('op.alter_column("demo_thing", "name", new_column_name="title")', True),
        ('op.alter_column("demo_thing", "name", type_=sa.Integer)', True),
        ('op.execute("DELETE FROM demo_thing")', True),
        ('op.execute("UPDATE demo_thing SET name = 1")', False),
    ],
)
def test_what_takes_something_away_is_found(history: Path, statement: str, taken: bool) -> None:
    write(history, f"def upgrade():\n    {statement}\n\ndef downgrade():\n    op.drop_table('x')\n")
    [path] = (history / "versions").glob("*.py")

    assert bool(list(review.destructive(path))) is taken


def test_what_is_explained_may_take_something_away(history: Path) -> None:
    body = (
        'contract = "zone is read since 0001, nobody reads name"\n\ndef upgrade():\n    op.drop_column("t", "name")\n'
    )
    write(history, body)
    [path] = (history / "versions").glob("*.py")

    assert list(review.destructive(path)) == []


@pytest.mark.usefixtures("history")
async def test_the_written_revision_makes_exactly_the_tables_of_the_code(empty: Database) -> None:
    path = await asyncio.to_thread(revision.make, "the first tables")

    assert path.name == "0001_the_first_tables.py"
    assert list(review.destructive(path)) == []
    assert await migrate.upgrade(empty) == ["0001"]
    assert await drift.check(empty) == []
    assert await tables(empty) == set(metadata.load().tables)
    assert await migrate.look(empty, appendonly.missing) == []
    async with empty.begin() as db:
        assert await db.scalar(text("SELECT slug FROM tenants_tenant")) == "system"
        if not empty.embedded:
            walled = {row[0] for row in await db.all(text("SELECT relname FROM pg_class WHERE relforcerowsecurity"))}
            assert walled == {t.name for t in metadata.load().sorted_tables if rls.tenant_column(t)}
    await migrate.downgrade(empty, "base")
    assert await tables(empty) == set()
    assert await migrate.upgrade(empty) == ["0001"]
    with pytest.raises(revision.NothingChanged):
        await asyncio.to_thread(revision.make, "again")


@pytest.mark.usefixtures("history")
async def test_guards_that_somebody_took_away_are_missed_and_laid_again(empty: Database) -> None:
    await asyncio.to_thread(revision.make, "the first tables")
    await migrate.upgrade(empty)
    name = appendonly.tables()[0].name
    trigger = f"{name}_no_update" if empty.embedded else f'{name}_no_change" ON "{name}'
    async with empty.begin() as db:
        await db.write_text(f'DROP TRIGGER "{trigger}"')

    found = await drift.check(empty)
    await migrate.upgrade(empty)

    assert [one.kind for one in found] == ["unguarded"]
    assert await drift.check(empty) == []


@pytest.mark.usefixtures("history")
async def test_a_table_that_differs_from_the_code_is_found(empty: Database) -> None:
    await asyncio.to_thread(revision.make, "the first tables")
    await migrate.upgrade(empty)
    async with empty.begin() as db:
        await db.write_text("ALTER TABLE tenants_project ADD COLUMN surprise TEXT")

    [found] = await drift.check(empty)

    assert (found.kind, "surprise" in found.what) == ("drift", True)


async def test_a_database_that_is_behind_is_found(history: Path, empty: Database) -> None:
    write(history, FIRST, SECOND)
    await migrate.upgrade(empty, "0001")

    [found] = await drift.check(empty)

    assert (found.kind, found.fix) == ("behind", "ossature migrate up")
