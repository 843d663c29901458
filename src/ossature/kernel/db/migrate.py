"""Moves a database along the one line of revisions in `ossature/migrations/versions`, which ships in the package.

Two processes may upgrade at once: one works, the other waits and finds nothing left to do (an advisory lock on
PostgreSQL, the write lock on SQLite). On SQLite a whole upgrade is one transaction; on PostgreSQL each revision is, with
short limits on waiting for the lock of a table and on holding one, so that a migration gives up before live requests have
to wait for it. What takes longer is done beside them: see `kernel.db.online`.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, TypeVar

from alembic.config import Config as AlembicConfig
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from sqlalchemy import URL, Connection, NullPool, create_engine, event, make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

from ossature.kernel.db.engine import Database
from ossature.kernel.db.settings import DatabaseSettings
from ossature.kernel.errors import Conflict, NotFound, Unavailable

LOCATION = files("ossature.migrations")
LOCK = 0x6F73736174757265 & 0x7FFFFFFFFFFFFFFF  # "ossature"
WAIT_FOR_OTHERS_S = 120
_CONNECT_LIMIT_S = 5
_LOOK_AGAIN_S = 0.2
_BUSY = frozenset({"55P03", "40P01"})  # lock not available, deadlock detected
_CANCELLED = "57014"

_T = TypeVar("_T")
Direction = Literal["up", "down"]
# Alembic's `op` and `context` are globals of the process.
_one_at_a_time = threading.Lock()


class MigrationsBusy(Unavailable):
    """Another process migrates this database, or live statements hold a table for too long; try again."""

    title = "Migrations busy"


class MigrationTooLong(Unavailable):
    """A statement of a migration would have held its table for too long; its revision was undone."""

    title = "Migration too long"


class RevisionUnknown(NotFound):
    """No revision of that name is in this version of the package."""

    title = "Revision unknown"


class RoleUnknown(NotFound):
    """A role that stands in the settings of the database is not there, so it cannot be granted anything."""

    title = "Role unknown"


class BrokenReferences(Conflict):
    """The migration left rows that refer to rows which are not there; nothing was changed."""

    title = "Broken references"


@dataclass(frozen=True, slots=True)
class Revision:
    """One step of the history. message: its first line. path: the file."""

    id: str
    down: str | None
    message: str
    path: Path


def configuration() -> AlembicConfig:
    """Alembic's configuration: there is no file of it, so that the wheel migrates like the checkout."""
    config = AlembicConfig()
    config.set_main_option("script_location", str(LOCATION).replace("%", "%%"))
    config.set_main_option("file_template", "%%(rev)s_%%(slug)s")
    config.set_main_option("timezone", "UTC")
    return config


def scripts() -> ScriptDirectory:
    """Alembic's view of the revisions that ship with this package."""
    return ScriptDirectory.from_config(configuration())


def history() -> Sequence[Revision]:
    """Every revision, oldest first."""
    found = [
        Revision(script.revision, _one(script.down_revision), script.doc.splitlines()[0], Path(script.path))
        for script in scripts().walk_revisions()
    ]
    return found[::-1]


def head() -> str | None:
    """The newest revision; None when there is none yet."""
    return scripts().get_current_head()


async def current(database: Database) -> str | None:
    """The revision that the database is at; None before the first."""
    return await _run(database, lambda connection: MigrationContext.configure(connection).get_current_revision())


async def upgrade(database: Database, revision: str = "head") -> Sequence[str]:
    """Bring the database up to a revision; the ids of the steps that were taken, none if it is there already.

    On PostgreSQL the roles of the settings that do not migrate are granted what they need.

    Raises: MigrationsBusy, RevisionUnknown, RoleUnknown, BrokenReferences.
    """
    return await _move(database, "up", lambda directory, rev: directory._upgrade_revs(revision, rev))  # noqa: SLF001 - as alembic.command


async def downgrade(database: Database, revision: str) -> Sequence[str]:
    """Take the database back to a revision (`base` for none, `-1` for one step); the ids of the steps undone.

    Raises: MigrationsBusy, RevisionUnknown, BrokenReferences.
    """
    return await _move(database, "down", lambda directory, rev: directory._downgrade_revs(revision, rev))  # noqa: SLF001 - as alembic.command


async def look(database: Database, work: Callable[[Connection], _T]) -> _T:
    """What `work` reads on a connection of the role that migrates."""
    return await _run(database, work)


Steps = Callable[[ScriptDirectory, Any], Any]


async def _move(database: Database, direction: Direction, steps: Steps) -> Sequence[str]:
    taken: list[str] = []

    def work(connection: Connection) -> None:
        directory = scripts()

        def choose(rev: Any, _context: MigrationContext) -> Any:  # noqa: ANN401 - Alembic's own types
            chosen = list(steps(directory, rev))
            taken.extend(step.revision.revision for step in chosen)
            return chosen

        with environment_for(directory, connection, direction=direction, roles=_roles(database), fn=choose):
            directory.run_env()

    try:
        await _run(database, work, exclusive=True)
    except CommandError as error:
        raise RevisionUnknown(str(error)) from error
    return taken


def environment_for(
    directory: ScriptDirectory,
    connection: Connection,
    *,
    direction: Direction | None = None,
    roles: Collection[str] = (),
    **options: Any,
) -> EnvironmentContext:
    """The context in which `ossature/migrations/env.py` runs on this connection.

    direction: where the command moves the database; guards, policies and grants are laid at its end. None: it only
    looks. roles: of PostgreSQL, which the processes of this installation use.
    """
    config = AlembicConfig(attributes={"connection": connection, "direction": direction, "roles": roles})
    config.set_main_option("script_location", str(directory.dir).replace("%", "%%"))
    return EnvironmentContext(config, directory, **options)


def _roles(database: Database) -> Collection[str]:
    """The roles under which processes of this installation come to PostgreSQL."""
    urls = () if database.embedded else (database.settings.url, database.settings.system_url)
    return {name for url in urls if url and (name := make_url(url).username)}


def other_roles(connection: Connection, roles: Collection[str]) -> list[str]:
    """Those of the roles that are not the one of this connection, which owns what it makes. Raises: RoleUnknown."""
    own = connection.exec_driver_sql("SELECT current_user").scalar_one()
    known = {row[0] for row in connection.exec_driver_sql("SELECT rolname FROM pg_roles")}
    others = sorted(set(roles) - {own})
    for role in others:
        if role not in known:
            raise RoleUnknown(f"Make it first: CREATE ROLE \"{role}\" LOGIN PASSWORD '...'.", role=role)
    return others


async def _run(database: Database, work: Callable[[Connection], _T], *, exclusive: bool = False) -> _T:
    url = database.direct
    if not database.embedded and not database.pooled and database.settings.system_url:
        url = make_url(database.settings.system_url)
    try:
        if database.embedded:
            return await asyncio.to_thread(on_sqlite, url, work, exclusive=exclusive)
        return await asyncio.to_thread(on_postgres, url, work, settings=database.settings, exclusive=exclusive)
    except DBAPIError as error:
        state = getattr(error.orig, "sqlstate", None)
        if "database is locked" in str(error.orig) or state in _BUSY:
            held = f" Waited for it: {error.statement.strip()[:200]}" if error.statement and state in _BUSY else ""
            raise MigrationsBusy(f"{MigrationsBusy.__doc__}{held}") from error
        if state == _CANCELLED:
            limit = DatabaseSettings.variable("migration_statement_time_limit_s")
            raise MigrationTooLong(
                f"This took longer than {limit} allows: {(error.statement or '').strip()[:200]}"
            ) from error
        raise


def on_sqlite(url: URL, work: Callable[[Connection], _T], *, exclusive: bool) -> _T:
    """What `work` gives on a connection of its own, in one transaction that holds the write lock if `exclusive`."""
    engine = create_engine(
        url.set(drivername="sqlite"), poolclass=NullPool, connect_args={"timeout": WAIT_FOR_OTHERS_S}
    )

    def connected(connection: Any, _record: Any) -> None:  # noqa: ANN401 - SQLAlchemy's event signature
        connection.isolation_level = None
        # Rebuilding a table drops the old one; enforced references would delete what refers to it.
        connection.execute("PRAGMA foreign_keys = OFF")

    def begun(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if exclusive else "BEGIN")

    event.listen(engine, "connect", connected)
    event.listen(engine, "begin", begun)
    with _one_at_a_time, engine.connect() as connection, connection.begin():
        result = work(connection)
        broken = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchmany(5) if exclusive else ()
        if broken:
            raise BrokenReferences(f"Rows without what they refer to: {[tuple(row) for row in broken]}")
        return result


def on_postgres(url: URL, work: Callable[[Connection], _T], *, settings: DatabaseSettings, exclusive: bool) -> _T:
    """What `work` gives on a connection of its own, which holds the advisory lock of migrations if `exclusive`."""

    def locked(connection: Connection) -> _T:
        if exclusive:
            _wait_for_others(connection)
        connection.exec_driver_sql(f"SET lock_timeout = '{settings.migration_lock_time_limit_s}s'")
        connection.exec_driver_sql(f"SET statement_timeout = '{settings.migration_statement_time_limit_s}s'")
        connection.commit()
        result = work(connection)
        connection.commit()
        return result

    async def connect() -> _T:
        engine = create_async_engine(url, poolclass=NullPool, connect_args={"timeout": _CONNECT_LIMIT_S})
        try:
            async with engine.connect() as connection:
                return await connection.run_sync(locked)
        finally:
            await engine.dispose()

    with _one_at_a_time:
        return asyncio.run(connect())


def _wait_for_others(connection: Connection) -> None:
    """Take the lock of migrations. Raises: MigrationsBusy.

    By asking again and again: who waits inside of a statement has a snapshot, and whoever holds the lock and builds an
    index concurrently would wait for its end for ever.
    """
    limit = time.monotonic() + WAIT_FOR_OTHERS_S
    while not connection.exec_driver_sql(f"SELECT pg_try_advisory_lock({LOCK})").scalar_one():
        connection.commit()
        if time.monotonic() > limit:
            raise MigrationsBusy
        time.sleep(_LOOK_AGAIN_S)
    connection.commit()


def _one(revision: Any) -> str | None:  # noqa: ANN401 - Alembic allows several; this house has one line
    return str(revision) if revision else None
