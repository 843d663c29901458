"""Foreign databases, read and never written: one statement, one snapshot, streamed, with a time limit.

SQLite by the standard library, PostgreSQL by asyncpg. What is read here is a source of records; the house's own rows are
read by `store` rooms through `kernel.db`.
"""

import asyncio
import re
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

from ossature.kernel.db.transaction import writing
from ossature.kernel.errors import UpstreamFailed
from ossature.kernel.outbound.http import SentWhileWriting

_T = TypeVar("_T")
Batch = tuple[Sequence[str], list[tuple[Any, ...]]]

_BATCH = 1_000
_CLOSE_LIMIT_S = 2.0
_LOOK_EVERY = 100_000  # steps of SQLite's machine between two looks whether anybody still waits
_STARTS = re.compile(r"^\s*(?:--[^\n]*\n\s*|/\*.*?\*/\s*)*(?:select|with)\b", re.IGNORECASE | re.DOTALL)


class SqlFailed(UpstreamFailed):
    """A foreign database could not be read to the end; `driver_code` is what it called the reason."""

    title = "Foreign database failed"


class Sql(Protocol):
    """A foreign database."""

    def read(self, statement: str, *, time_limit_s: float) -> AsyncIterator[Batch]:
        """The columns and some rows, again and again until all rows were given; at least once. Raises: SqlFailed."""


@dataclass(frozen=True, slots=True)
class ForeignSqlite:
    """A SQLite file, opened read-only."""

    path: Path

    async def read(self, statement: str, *, time_limit_s: float) -> AsyncIterator[Batch]:
        """The rows of one statement. Raises: SqlFailed."""
        refuse_unless_one_reads(statement)
        reading = _Reading(self.path, ends_at=asyncio.get_running_loop().time() + time_limit_s)
        try:
            columns = await reading.run(lambda: reading.begun(statement))
            first = True
            while (rows := await reading.run(reading.more)) or first:
                first = False
                yield columns, rows
        except sqlite3.Error as error:
            raise SqlFailed(f"{self.path.name}: {error}", driver_code=error.__class__.__name__) from error
        except TimeoutError:
            raise SqlFailed(f"{self.path.name} did not answer within {time_limit_s:g} s.") from None
        finally:
            reading.end()


class _Reading:
    """One reading of a SQLite file, in a thread of its own: nothing of it is waited for on the event loop."""

    def __init__(self, path: Path, *, ends_at: float) -> None:
        self._path = path
        self._ends_at = ends_at
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="foreign-sqlite")
        self._connection: sqlite3.Connection | None = None
        self._cursor: sqlite3.Cursor | None = None
        self._over = False

    async def run(self, step: Callable[[], _T]) -> _T:
        """What a step gives, by the end of the time. Raises: TimeoutError, sqlite3.Error."""
        # Around each step alone: in between the reader does its own work, which nothing here may cancel.
        async with asyncio.timeout_at(self._ends_at):
            return await asyncio.get_running_loop().run_in_executor(self._thread, step)

    def begun(self, statement: str) -> Sequence[str]:
        """Open the file and run a statement, in the thread; its columns."""
        address = f"{self._path.resolve().as_uri()}?mode=ro"
        self._connection = sqlite3.connect(address, uri=True, check_same_thread=False)
        self._connection.set_progress_handler(lambda: int(self._over), _LOOK_EVERY)
        self._connection.execute("PRAGMA query_only = ON")
        self._cursor = self._connection.execute(statement)
        return [str(column[0]) for column in self._cursor.description or ()]

    def more(self) -> list[tuple[Any, ...]]:
        """Some more rows, in the thread; none at the end."""
        return self._cursor.fetchmany(_BATCH) if self._cursor is not None else []

    def end(self) -> None:
        """Break off what still runs, and close the file behind everybody's back."""
        self._over = True
        self._thread.submit(self._close)
        self._thread.shutdown(wait=False)

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()


@dataclass(frozen=True, slots=True)
class ForeignPostgres:
    """A PostgreSQL database. url: with its password; it is never shown."""

    url: str = field(repr=False)

    async def read(self, statement: str, *, time_limit_s: float) -> AsyncIterator[Batch]:
        """The rows of one statement, in a read-only transaction with one snapshot. Raises: SqlFailed."""
        import asyncpg  # type: ignore[import-untyped] # noqa: PLC0415 - an extra without types: ossature[postgres]

        refuse_unless_one_reads(statement)
        ends_at = asyncio.get_running_loop().time() + time_limit_s
        connection: Any = None
        try:
            connection = await _by(ends_at, asyncpg.connect(self.url))
            # Never committed: the connection is closed at the end, and nothing was written.
            await _by(ends_at, connection.transaction(isolation="repeatable_read", readonly=True).start())
            prepared = await _by(ends_at, connection.prepare(statement))
            columns = [attribute.name for attribute in prepared.get_attributes()]
            cursor = await _by(ends_at, prepared.cursor())
            first = True
            while (rows := await _by(ends_at, cursor.fetch(_BATCH))) or first:
                first = False
                yield columns, [tuple(row.values()) for row in rows]
        except asyncpg.PostgresError as error:
            raise SqlFailed(str(error).splitlines()[0], driver_code=error.sqlstate) from error
        except (OSError, asyncpg.InterfaceError) as error:  # TimeoutError is an OSError
            raise SqlFailed(f"The database did not answer within {time_limit_s:g} s.") from error
        finally:
            if connection is not None:
                with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                    await connection.close(timeout=_CLOSE_LIMIT_S)


async def _by(ends_at: float, step: Awaitable[_T]) -> _T:
    """What a step gives, by that time of the event loop. Raises: TimeoutError."""
    # Around each step alone: in between the reader does its own work, which nothing here may cancel.
    async with asyncio.timeout_at(ends_at):
        return await step


def refuse_unless_one_reads(statement: str) -> None:
    """Refuse what is not one SELECT or WITH. The database is opened read-only as well; this says it in words.

    Raises: SqlFailed; SentWhileWriting.
    """
    if writing.get():
        raise SentWhileWriting("A write transaction is open; nothing is read from the outside meanwhile.")
    if not _STARTS.match(statement):
        raise SqlFailed("A source is read by one statement that begins with SELECT or WITH.")
