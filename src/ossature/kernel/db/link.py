"""Connections in one shape, whichever database answers.

SQLite is spoken to from threads of ours, one hop per statement: the usual asyncio driver takes four hops (cursor,
execute, fetch, close) and costs clearly more CPU (`python -m bench kernel-db`).
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from sqlalchemy import Connection, CursorResult, Engine, Executable, Row
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

Parameters = Mapping[str, Any] | Sequence[Mapping[str, Any]] | None
WRITES = "ossature_writes"

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Answer:
    """What one statement gave: its rows, how many it changed, and what was sent: SQL and values as the driver wants them."""

    rows: Sequence[Row[Any]]
    rowcount: int
    sql: str
    values: Any


class Link(Protocol):
    """A connection with an open transaction."""

    async def run(self, statement: Executable, parameters: Parameters) -> Answer:
        """Send one statement and read its whole answer."""

    async def plan(self, answer: Answer) -> Sequence[Row[Any]]:
        """The plan that the database has for what was sent; it is not run again."""

    async def commit(self) -> None:
        """End the transaction; what it wrote stays."""

    async def rollback(self) -> None:
        """End the transaction; what it wrote is gone."""

    async def close(self) -> None:
        """Give the connection back."""


def _answer(result: CursorResult[Any]) -> Answer:
    return Answer(
        rows=result.all() if result.returns_rows else (),
        rowcount=result.rowcount,
        sql=result.context.statement or "",
        values=result.context.parameters[0] if result.context.parameters else None,
    )


class ThreadLink:
    """A SQLite connection, driven from a thread."""

    def __init__(self, engine: Engine, threads: ThreadPoolExecutor, slots: asyncio.Semaphore, *, writes: bool) -> None:
        """A connection that begins with its first statement, IMMEDIATE if it `writes`. The caller took one of `slots`."""
        self._engine = engine
        self._connection: Connection | None = None
        self._threads = threads
        self._slots = slots
        self._writes = writes

    async def run(self, statement: Executable, parameters: Parameters) -> Answer:
        """Send one statement and read its whole answer, in one hop to the thread."""
        return await _finished(
            self._threads, lambda: _answer(self._begun().execute(statement, parameters)), self._interrupt
        )

    async def plan(self, answer: Answer) -> Sequence[Row[Any]]:
        """The plan that the database has for what was sent; it is not run again."""
        sql = f"EXPLAIN QUERY PLAN {answer.sql}"
        return await _finished(
            self._threads, lambda: self._begun().exec_driver_sql(sql, answer.values).all(), self._interrupt
        )

    async def commit(self) -> None:
        """End the transaction; what it wrote stays."""
        if self._connection is None:
            return
        if self._writes:
            await _finished(self._threads, self._commit)
        else:
            self._connection.commit()  # nothing to write: no need of a thread

    async def rollback(self) -> None:
        """End the transaction; what it wrote is gone."""
        if self._connection is None:
            return
        if self._writes:
            await _finished(self._threads, self._connection.rollback)
        else:
            self._connection.rollback()

    async def close(self) -> None:
        """Give the connection back."""
        try:
            if self._connection is not None:
                self._connection.close()
        finally:
            self._slots.release()

    def _begun(self) -> Connection:
        if self._connection is None:
            connection = self._engine.connect().execution_options(**{WRITES: self._writes})
            try:
                connection.begin()
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        return self._connection

    def _commit(self) -> None:
        connection = self._connection
        if connection is not None:
            try:
                connection.commit()
            except DBAPIError:
                # SQLite leaves the transaction open when a deferred rule fails; nobody else may get this connection.
                connection.invalidate()
                raise

    def _interrupt(self) -> None:
        driver = self._connection.connection.driver_connection if self._connection is not None else None
        if driver is not None:
            driver.interrupt()


async def _finished(
    threads: ThreadPoolExecutor, call: Callable[[], _T], interrupt: Callable[[], None] | None = None
) -> _T:
    """What `call` gives in a thread. Cancelled, it returns only when the thread is done with the connection.

    interrupt: has the thread stop early; without it (a commit, a rollback) the call is brought to its end.
    """
    future = asyncio.get_running_loop().run_in_executor(threads, call)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        if interrupt is not None and not future.done():
            interrupt()
        while not future.done():  # a second cancellation must not give away a connection that is still in use
            with suppress(asyncio.CancelledError):
                await asyncio.wait([future])
        raise


class AsyncLink:
    """A PostgreSQL connection."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def run(self, statement: Executable, parameters: Parameters) -> Answer:
        """Send one statement and read its whole answer."""
        return _answer(await self._connection.execute(statement, parameters))

    async def plan(self, answer: Answer) -> Sequence[Row[Any]]:
        """The plan that the database has for what was sent; it is not run again."""
        return (await self._connection.exec_driver_sql(f"EXPLAIN {answer.sql}", answer.values)).all()

    async def commit(self) -> None:
        """End the transaction; what it wrote stays."""
        await self._connection.commit()

    async def rollback(self) -> None:
        """End the transaction; what it wrote is gone."""
        await self._connection.rollback()

    async def close(self) -> None:
        """Give the connection back, also when this task is cancelled meanwhile."""
        await asyncio.shield(asyncio.create_task(self._connection.close()))
