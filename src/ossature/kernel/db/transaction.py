"""One request's or job's view of the database: reads until the first write, then one short transaction."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast
from uuid import UUID

import structlog
from sqlalchemy import Executable, Row, text
from sqlalchemy.exc import DBAPIError, MultipleResultsFound, NoResultFound, StatementError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from ossature.kernel.crypto.ring import KeyRing
from ossature.kernel.db.explain import EXPLAINABLE, plan_of
from ossature.kernel.db.link import Answer, Link, Parameters
from ossature.kernel.db.statistics import Statistics
from ossature.kernel.errors import InvalidInput, Unavailable
from ossature.kernel.observe import tracing
from ossature.kernel.retry import WORTH_IT, Retry, Verdict

if TYPE_CHECKING:
    from ossature.kernel.db.engine import Database

log = structlog.get_logger()

_PLAN_LINES = 40
_STATEMENT_CHARS = 2000
_SET_TENANT = text("SELECT set_config('ossature.tenant', :tenant, true)")
_SET_DURABLE = text("SET LOCAL synchronous_commit = on")
_SET_TIME_LIMIT = text("SELECT set_config('statement_timeout', :limit_ms, true)")

writing: ContextVar[bool] = ContextVar("ossature_db_writing", default=False)
"""True while this task holds a write transaction; `kernel.outbound` refuses to call out meanwhile."""


class DatabaseBusy(Unavailable):
    """The database did not answer in time: every connection is taken, or another writer held it too long."""

    title = "Database busy"
    retry_after_s = 1.0


class TransactionBroken(Unavailable):
    """The database broke the transaction off: it collided with another one, or the connection was lost.

    Nothing of it was kept, so the same request may be made again.
    """

    title = "Transaction broken off"
    retry_after_s = 1.0


class CommitUnknown(Unavailable):
    """The connection was lost while the transaction was being committed: look whether it was, before doing it again."""

    title = "Commit unknown"


class StorageFull(Unavailable):
    """The disk of the database is full, so nothing can be written. An operator must make room; nothing of it was kept."""

    title = "Storage full"
    retry_after_s = 60.0


class LastWrite(Protocol):
    """Something that gathers rows during a transaction and writes them at its end."""

    async def write(self, db: "Db") -> None:
        """Write what was gathered."""


_W = TypeVar("_W", bound=LastWrite)


class OutOfRange(InvalidInput):
    """A number or an instant lies beyond what can be stored: 64 bits, and the years 1 to 9999 in UTC."""

    title = "Out of range"


class Db:
    """A view of the database, opened at first use.

    Statements that read share a read transaction until the first one that writes: from there on all of them share one
    write transaction, which the edge (HTTP or worker) commits. Nobody else commits, except through `step()`.
    What was read before the first write may have changed since: a use case that must read, decide and write does so
    inside `step()`.
    """

    def __init__(self, database: "Database", tenant_id: UUID | None, *, durable: bool = False) -> None:
        self._database = database
        self._tenant_id = tenant_id
        self._durable = durable
        self._link: Link | None = None
        self._writes = False
        self._holds_writer = False
        self._holds_nothing = True
        self._after_commit: list[Callable[[], None]] = []
        self._last_writes: dict[str, LastWrite] = {}
        self.fence: LastWrite | None = None
        """Asked before each commit of something that was written, those of `step()` too; what it raises undoes it."""
        self._lock = asyncio.Lock()
        self.statistics = Statistics()

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        return self._database.dialect

    @property
    def ring(self) -> KeyRing:
        """What seals secret columns, see `kernel.db.sealed`."""
        return self._database.ring

    @property
    def is_writing(self) -> bool:
        """Whether there is something to commit: a write transaction is open, or will be."""
        return self._writes or bool(self._last_writes)

    async def all(self, statement: Executable, parameters: Parameters = None) -> Sequence[Row[Any]]:
        """Every row of the answer."""
        return (await self._run(statement, parameters)).rows

    async def first(self, statement: Executable, parameters: Parameters = None) -> Row[Any] | None:
        """The first row, or None."""
        rows = (await self._run(statement, parameters)).rows
        return rows[0] if rows else None

    async def one(self, statement: Executable, parameters: Parameters = None) -> Row[Any]:
        """The only row. Raises: sqlalchemy.exc.NoResultFound, MultipleResultsFound."""
        rows = (await self._run(statement, parameters)).rows
        if len(rows) != 1:
            raise MultipleResultsFound if rows else NoResultFound
        return rows[0]

    async def scalar(self, statement: Executable, parameters: Parameters = None) -> Any:  # noqa: ANN401 - a column's value
        """The first column of the first row, or None."""
        rows = (await self._run(statement, parameters)).rows
        return rows[0][0] if rows else None

    async def execute(self, statement: Executable, parameters: Parameters = None) -> int:
        """Run a statement; the number of rows that it changed."""
        return (await self._run(statement, parameters)).rowcount

    async def write_text(self, sql: str, parameters: Parameters = None) -> int:
        """Run a statement that is written out as SQL and that changes something; the number of rows."""
        async with self._lock:
            await self._open_for_writing()
        return (await self._run(text(sql), parameters)).rowcount

    def after_commit(self, call: Callable[[], None]) -> None:
        """Call this once the transaction is committed; never if it is not."""
        self._after_commit.append(call)

    def at_commit(self, key: str, make: Callable[[], _W]) -> _W:
        """What is to be written right before the commit, under a key of its owner; made at the first mention.

        For rows that many transactions contend for, such as the head of a chain: taken last, they are held shortest
        and always in the same order. Gone with a rollback.
        """
        if key not in self._last_writes:
            self._last_writes[key] = make()
        return cast("_W", self._last_writes[key])

    @asynccontextmanager
    async def step(self) -> AsyncIterator[None]:
        """A write transaction of its own, committed when the block ends well.

        For use cases that read, decide and write, and for those that call out or compute between two writes.
        What was written before the step began is committed first.
        """
        await self.commit()
        async with self._lock:
            await self._open_for_writing()
        try:
            yield
        except BaseException:
            await self.rollback()
            raise
        await self.commit()

    async def commit(self) -> None:
        """Make what was written durable and tell those who asked. Only for the edge that opened this view."""
        for key in sorted(self._last_writes):
            await self._last_writes.pop(key).write(self)
        if self._writes and self.fence is not None:
            await self.fence.write(self)
        link, calls = self._link, self._after_commit
        self._after_commit = []
        if link is not None:
            try:
                await link.commit()
            except DBAPIError as error:
                if self._writes or not _is_lost(error):  # who only read loses nothing
                    raise (CommitUnknown() if _is_lost(error) else _translated(error)) from error
            finally:
                await self._release()
        for call in calls:
            call()

    async def rollback(self) -> None:
        """Undo what was written since the last commit."""
        self._after_commit = []
        self._last_writes = {}
        if self._link is not None:
            try:
                await self._link.rollback()
            finally:
                await self._release()

    async def close(self) -> None:
        """Give the connection back; what is not committed is undone."""
        await self.rollback()

    async def _run(self, statement: Executable, parameters: Parameters) -> Answer:
        async with self._lock:  # a connection answers one statement at a time, whoever gathers
            if getattr(statement, "is_dml", False):
                await self._open_for_writing()
            started, started_ns = time.perf_counter(), time.time_ns()
            link, answer = await _READ_AGAIN.run(
                lambda: self._answered(statement, parameters), on=(TransactionBroken,), judge=self._may_read_again
            )
            took_s = time.perf_counter() - started
            if took_s > self._database.settings.slow_statement_s:
                await self._tell_slow(link, statement, parameters, answer=answer, took_s=took_s)
        self.statistics.note(answer.sql, took_s * 1000)
        if tracing.is_recording():
            attributes = {"db.system.name": self.dialect, "db.query.text": answer.sql}  # no values: they are parameters
            tracing.note("db.query", started_ns=started_ns, attributes=attributes)
        return answer

    async def _answered(self, statement: Executable, parameters: Parameters) -> tuple[Link, Answer]:
        try:
            link = self._link or await self._open(writes=False)
            answer = await link.run(statement, parameters)
        except (StatementError, PoolTimeoutError, OverflowError, OSError) as error:  # TimeoutError is an OSError
            broken = _translated(error)
            if isinstance(broken, TransactionBroken) and self._only_reads:
                await self._release()
            raise broken from error
        if not self._writes and _HOLDS.search(answer.sql):
            self._holds_nothing = False
        return link, answer

    @property
    def _only_reads(self) -> bool:
        return not self._writes and self._holds_nothing

    def _may_read_again(self, _: TransactionBroken) -> Verdict | None:
        """A lost connection is replaced where nothing was written and no lock was held: what was read stays as true."""
        return WORTH_IT if self._only_reads else None

    async def _tell_slow(
        self, link: Link, statement: Executable, parameters: Parameters, *, answer: Answer, took_s: float
    ) -> None:
        """Log a slow statement with the plan that the database has for it; neither with values."""
        plan: list[str] = []
        reads = answer.sql.lstrip()[:6].upper().startswith(EXPLAINABLE) and not getattr(statement, "is_dml", False)
        if reads and not isinstance(parameters, list):
            plan = plan_of(await link.plan(answer))[:_PLAN_LINES]
        log.warning("db.slow_statement", ms=round(took_s * 1000, 1), statement=answer.sql[:_STATEMENT_CHARS], plan=plan)

    async def _open_for_writing(self) -> None:
        if self._writes:
            return
        try:
            if self._database.writer is not None:
                await self._release()  # ends the read transaction
                async with asyncio.timeout(self._database.settings.busy_time_limit_s):
                    await self._database.writer.acquire()
                self._holds_writer = True
            if self._link is None:
                await self._open(writes=True)
        except BaseException as error:
            await self._release()
            raise _translated(error) from error
        self._writes = True
        writing.set(True)

    async def _open(self, *, writes: bool) -> Link:
        system = self._tenant_id is None
        link = await self._database.connect(system=system, writes=writes, durable=self._durable)
        self._link = link
        try:
            if self._durable and not self._database.embedded:
                await link.run(_SET_DURABLE, None)
            if self._database.pooled:
                await link.run(_SET_TIME_LIMIT, {"limit_ms": str(self._database.settings.statement_time_limit_ms)})
            if not system and not self._database.embedded:
                await link.run(_SET_TENANT, {"tenant": str(self._tenant_id)})
        except BaseException:
            await self._release()  # a connection that does not know its tenant must not be asked
            raise
        return link

    async def _release(self) -> None:
        link, self._link = self._link, None
        self._holds_nothing = True
        if self._writes:
            self._writes = False
            writing.set(False)
        try:
            if link is not None:
                await link.close()
        finally:
            if self._holds_writer and self._database.writer is not None:
                self._holds_writer = False
                self._database.writer.release()


def _out_of_range(driver: BaseException | None) -> bool:
    """Whether PostgreSQL or its driver says so; the driver refuses what its wire format cannot carry."""
    if getattr(driver, "sqlstate", None) in _RANGE_SQLSTATES:
        return True
    said = str(driver)
    return "invalid input for query argument" in said and "out of" in said


def _is_lost(error: BaseException) -> bool:
    """Whether the connection itself went away, with whatever was under way on it."""
    if isinstance(error, DBAPIError):
        return error.connection_invalidated or getattr(error.orig, "sqlstate", None) in _LOST_SQLSTATES
    return isinstance(error, OSError) and not isinstance(error, TimeoutError)


_READ_AGAIN = Retry("database_read", attempts=3, first_s=0.05, most_s=1.0)
_HOLDS = re.compile(r"\bFOR (?:UPDATE|SHARE|NO KEY UPDATE|KEY SHARE)\b|pg_(?:try_)?advisory", re.IGNORECASE)
_RANGE_SQLSTATES = frozenset({"22003", "22008"})
_COLLIDED_SQLSTATES = frozenset({"40001", "40P01"})
_LOST_SQLSTATES = frozenset({"08000", "08003", "08006", "57P01", "57P02"})
_DISK_FULL = "53100"
_BUSY_SQLSTATES = frozenset({"55P03", "57014", "53300", "57P03"})


def _translated(error: BaseException) -> BaseException:
    """The refusal that a driver's error means; errors that are our own fault stay what they are."""
    if isinstance(error, (PoolTimeoutError, TimeoutError)):
        return DatabaseBusy("No database connection was free in time.")
    driver = getattr(error, "orig", None)
    if isinstance(error, OverflowError) or isinstance(driver, OverflowError) or _out_of_range(driver):
        return OutOfRange()
    if "database is locked" in str(driver) or getattr(driver, "sqlstate", None) in _BUSY_SQLSTATES:
        return DatabaseBusy()
    if "database or disk is full" in str(driver) or getattr(driver, "sqlstate", None) == _DISK_FULL:
        return StorageFull()
    if getattr(driver, "sqlstate", None) in _COLLIDED_SQLSTATES or _is_lost(error):
        return TransactionBroken()
    return error
