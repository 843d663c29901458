"""Whether the tables of a database are what the code says, and whether the history may be applied while serving."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Column, Connection, Index, MetaData

from ossature.kernel.db import appendonly, metadata, migrate, review
from ossature.kernel.db.engine import Database


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong with the migrations, and what to do."""

    kind: Literal["behind", "drift", "destructive", "unguarded", "branches", "blocking"]
    what: str
    fix: str


def is_ours(connection: Connection) -> Callable[..., bool]:
    """The filter of autogenerate: children of partitioned tables come and go by themselves.

    On SQLite, indexes with an expression are left to `indexes_by_name`.
    """
    children: set[str] = set()
    unseen: set[str | None] = set()
    if connection.dialect.name == "postgresql":
        rows = connection.exec_driver_sql(
            "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid "
            "JOIN pg_class p ON p.oid = i.inhparent WHERE p.relkind = 'p'"
        )
        children = {row[0] for row in rows}
    else:
        unseen = {index.name for index in _with_expressions(metadata.load())}

    def include(_item: object, name: str | None, kind: str, reflected: bool, _compared: object) -> bool:  # noqa: FBT001 - Alembic's signature
        if kind == "index":
            return name not in unseen
        return not (kind == "table" and reflected and name in children)

    return include


def indexes_by_name(connection: Connection, tables: MetaData) -> Sequence[Index]:
    """SQLite: indexes with an expression that are not there. It cannot show them, so Alembic leaves them out."""
    if connection.dialect.name != "sqlite":
        return []
    present = {row[0] for row in connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'index'")}
    return [index for index in _with_expressions(tables) if index.name not in present]


def _with_expressions(tables: MetaData) -> Iterator[Index]:
    for table in tables.sorted_tables:
        for index in sorted(table.indexes, key=lambda one: str(one.name)):
            if not all(isinstance(part, Column) for part in index.expressions):
                yield index


def differences(connection: Connection, tables: MetaData) -> Sequence[str]:
    """What would have to change for the database to have these tables; empty when it has them."""
    context = MigrationContext.configure(
        connection, opts={"compare_type": True, "include_object": is_ours(connection), "target_metadata": tables}
    )
    with warnings.catch_warnings():
        # Said of every index with an expression; see `indexes_by_name`.
        warnings.filterwarnings("ignore", message="autogenerate skipping metadata-specified expression")
        found = compare_metadata(context, tables)
    found += [("add_index", index) for index in indexes_by_name(connection, tables)]
    return [_shown(difference) for difference in found]


async def check(database: Database) -> Sequence[Finding]:
    """Everything that is wrong: not at head, drift, steps that destroy or block, guards that are missing."""
    found = [
        Finding(
            "destructive",
            f"{revision.path.name} takes away: {what}",
            f'Expand first; when nobody uses the old form any more, say so in the file: {review.NOTE} = "..."',
        )
        for revision in migrate.history()
        for what in review.destructive(revision.path)
    ]
    found += [
        Finding(
            "blocking",
            f"{revision.path.name} shuts writers out: {what}",
            "In a revision of its own: from ossature.kernel.db import online; online.create_index(...)",
        )
        for revision in migrate.history()
        for what in review.blocking(revision.path)
    ]
    heads = migrate.scripts().get_heads()
    if len(heads) > 1:
        found.append(Finding("branches", f"the history has several heads: {', '.join(heads)}", "Rebase one of them."))
        return found
    at, newest = await migrate.current(database), migrate.head()
    if at != newest:
        return [*found, Finding("behind", f"the database is at {at}, the newest is {newest}", "ossature migrate up")]
    tables = metadata.load()
    drift, unguarded = await migrate.look(database, lambda c: (differences(c, tables), appendonly.missing(c)))
    found += [Finding("drift", what, 'make revision m="..."') for what in drift]
    found += [
        Finding("unguarded", f"{name} can be changed: its triggers are gone", "ossature migrate up")
        for name in unguarded
    ]
    return found


def _shown(difference: Any) -> str:  # noqa: ANN401 - Alembic's tuples, or lists of them
    if isinstance(difference, list):
        return "; ".join(_shown(one) for one in difference)
    return " ".join(str(getattr(part, "name", part)) for part in difference if part is not None)[:300]
