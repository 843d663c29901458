"""Every revision that ships in this package: up, down and up again, with rows in every table."""

from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from sqlalchemy import Connection, MetaData

from ossature.kernel.db import migrate, review
from ossature.kernel.db.engine import Database

HISTORY = migrate.history()
MOMENT = datetime(2026, 3, 1, 12, tzinfo=UTC)


def value_of(column: sa.Column[Any], dialect: str) -> Any:
    """Some value that the column can hold."""
    kind = column.type
    samples: list[tuple[type, Any]] = [
        (sa.Boolean, True),
        (sa.DateTime, MOMENT.replace(tzinfo=None) if dialect == "sqlite" else MOMENT),
        (sa.Date, date(2026, 3, 1)),
        (sa.Uuid, UUID(int=7)),
        (sa.LargeBinary, b"x"),
        (sa.JSON, {}),
        (sa.Integer, 7),
        (sa.Numeric, 7),
        (sa.Float, 7.0),
    ]
    return next(
        (sample for of, sample in samples if isinstance(kind, of)), "x" * min(getattr(kind, "length", None) or 7, 7)
    )


def fill(connection: Connection) -> int:
    """Add a row to every table that takes one; how many did."""
    found = MetaData()
    found.reflect(connection)
    filled = 0
    for table in found.sorted_tables:
        if table.name == "alembic_version":
            continue
        row = {c.name: value_of(c, connection.dialect.name) for c in table.columns if not c.nullable}
        for key in table.foreign_keys:
            parent = connection.execute(sa.select(key.column)).first()
            if parent is not None:
                row[key.parent.name] = parent[0]
        before = connection.begin_nested()
        try:
            connection.execute(table.insert().values(row))
            before.commit()
            filled += 1
        except sa.exc.IntegrityError:  # a rule of the table that a made-up row does not know
            before.rollback()
    return filled


async def rows(database: Database, *, adds: bool) -> int:
    """How many rows all tables have; `adds`: after one more was put into each."""

    def work(connection: Connection) -> int:
        if adds:
            fill(connection)
        found = MetaData()
        found.reflect(connection)
        tables = [table for table in found.sorted_tables if table.name != "alembic_version"]
        return sum(connection.execute(sa.select(sa.func.count()).select_from(t)).scalar_one() for t in tables)

    return await migrate.look(database, work)


@pytest.mark.parametrize("one", HISTORY, ids=lambda one: one.id)
async def test_a_revision_goes_up_down_and_up_again_with_rows_in_every_table(
    one: migrate.Revision, empty: Database
) -> None:
    if one.down is not None:
        await migrate.upgrade(empty, one.down)
        assert await rows(empty, adds=True) > 0
    before = await rows(empty, adds=False)

    await migrate.upgrade(empty, one.id)
    assert await rows(empty, adds=True) >= max(before, 1)  # a revision of columns alone adds no row
    await migrate.downgrade(empty, one.down or "base")
    await migrate.upgrade(empty, one.id)

    assert await migrate.current(empty) == one.id
    assert await rows(empty, adds=False) >= before


@pytest.mark.parametrize("one", HISTORY, ids=lambda one: one.id)
def test_a_revision_takes_nothing_away_without_a_note(one: migrate.Revision) -> None:
    assert list(review.destructive(one.path)) == list(review.blocking(one.path)) == []


def test_the_history_is_one_line() -> None:
    assert len(migrate.scripts().get_heads()) <= 1
    assert [one.down for one in HISTORY] == [None, *(one.id for one in HISTORY[:-1])][: len(HISTORY)]
