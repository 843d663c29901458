"""Tables in which rows are only ever added, guarded by the database itself.

A table says so with `__table_args__ = {"info": APPEND_ONLY}`. Its triggers refuse UPDATE and DELETE (and TRUNCATE, and
SQLite's REPLACE, which deletes without firing a trigger) for every role. Alembic's batch mode on SQLite drops triggers
with the table that it rebuilds, so they are laid again after each revision.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from sqlalchemy import Connection, inspect
from sqlalchemy import Table as CoreTable

from ossature.kernel.db.table import Table

APPEND_ONLY: Final[Mapping[str, Any]] = {"append_only": True}
MESSAGE = "is append-only"

_FUNCTION = f"""
CREATE OR REPLACE FUNCTION ossature_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% {MESSAGE}', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$
"""


def tables() -> list[CoreTable]:
    """Every append-only table of what has been imported."""
    return [table for table in Table.metadata.sorted_tables if table.info.get("append_only")]


def statements(table: CoreTable, dialect: str) -> list[str]:
    """The SQL that lays the guards of a table; running it twice does no harm."""
    return _sqlite(table) if dialect == "sqlite" else _postgres(table.name)


def lay(connection: Connection) -> list[str]:
    """Lay the guards of all append-only tables that exist; their names."""
    present = set(inspect(connection).get_table_names())
    guarded = [table for table in tables() if table.name in present]
    if guarded and connection.dialect.name == "postgresql":
        connection.exec_driver_sql(_FUNCTION)
    for table in guarded:
        for statement in statements(table, connection.dialect.name):
            connection.exec_driver_sql(statement)
    return [table.name for table in guarded]


def missing(connection: Connection) -> list[str]:
    """The append-only tables whose guards are not all there (nor enabled): for checks and tests."""
    found = set(_triggers(connection))
    present = set(inspect(connection).get_table_names())
    kinds = _SQLITE_KINDS if connection.dialect.name == "sqlite" else _POSTGRES_KINDS
    return [
        table.name
        for table in tables()
        if table.name in present and not {f"{table.name}_{kind}" for kind in kinds} <= found
    ]


@contextmanager
def lifted(connection: Connection, table: CoreTable) -> Iterator[None]:
    """Take the guards of one table away for a block, inside the caller's transaction.

    Only for retention, which removes whole old stretches whose last hash is anchored.
    """
    kinds: Sequence[str]
    if connection.dialect.name == "sqlite":
        kinds, suffix = _SQLITE_KINDS, ""
    else:
        kinds, suffix = _POSTGRES_KINDS, f' ON "{table.name}"'
    for kind in kinds:
        connection.exec_driver_sql(f'DROP TRIGGER IF EXISTS "{table.name}_{kind}"{suffix}')
    yield
    for statement in statements(table, connection.dialect.name):
        connection.exec_driver_sql(statement)


_SQLITE_KINDS = ("no_update", "no_delete", "no_replace")
_POSTGRES_KINDS = ("no_change", "no_truncate")


def _sqlite(table: CoreTable) -> list[str]:
    name = table.name
    refuse = f"BEGIN SELECT RAISE(ABORT, '{name} {MESSAGE}'); END"
    same = " AND ".join(f'"{column.name}" = NEW."{column.name}"' for column in table.primary_key.columns)
    exists = f'EXISTS (SELECT 1 FROM "{name}" WHERE {same})'  # noqa: S608 - names of our own tables
    return [
        f'CREATE TRIGGER IF NOT EXISTS "{name}_no_update" BEFORE UPDATE ON "{name}" {refuse}',
        f'CREATE TRIGGER IF NOT EXISTS "{name}_no_delete" BEFORE DELETE ON "{name}" {refuse}',
        f'CREATE TRIGGER IF NOT EXISTS "{name}_no_replace" BEFORE INSERT ON "{name}" WHEN {exists} {refuse}',
    ]


def _postgres(name: str) -> list[str]:
    call = "EXECUTE FUNCTION ossature_refuse_change()"
    return [
        f'DROP TRIGGER IF EXISTS "{name}_no_change" ON "{name}"',
        f'CREATE TRIGGER "{name}_no_change" BEFORE UPDATE OR DELETE ON "{name}" FOR EACH ROW {call}',
        f'DROP TRIGGER IF EXISTS "{name}_no_truncate" ON "{name}"',
        f'CREATE TRIGGER "{name}_no_truncate" BEFORE TRUNCATE ON "{name}" FOR EACH STATEMENT {call}',
        # "Always" holds also where a session has replication's way of switching triggers off.
        f'ALTER TABLE "{name}" ENABLE ALWAYS TRIGGER "{name}_no_change"',
        f'ALTER TABLE "{name}" ENABLE ALWAYS TRIGGER "{name}_no_truncate"',
    ]


def _triggers(connection: Connection) -> list[str]:
    if connection.dialect.name == "sqlite":
        query = "SELECT name FROM sqlite_master WHERE type = 'trigger'"
    else:
        query = "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal AND tgenabled <> 'D'"
    return [row[0] for row in connection.exec_driver_sql(query)]
