"""The ledger in SQLite: one writing thread per process, group commit, driver level.

Any number of processes share the file. A group is one `BEGIN IMMEDIATE ... COMMIT`, so what it read is still true when
it writes. The event loop never waits for a lock: the thread does.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, TypeVar
from uuid import UUID

import orjson

from ossature.kernel import clock
from ossature.kernel.db.wal import begin_wal
from ossature.kernel.outbound.http import Undelivered
from ossature.kernel.outbound.ledger import windows
from ossature.kernel.outbound.ledger.book import Ask, Book, Cell, End, Entry, Head, Need, window_names
from ossature.kernel.outbound.ledger.commit import GroupedLedger
from ossature.kernel.outbound.ledger.metrics import count_excess
from ossature.kernel.outbound.ledger.rows import archived, read_attempt, read_difference
from ossature.kernel.outbound.ledger.turns import Turns
from ossature.kernel.outbound.ledger.values import (
    Attempt,
    AttemptExists,
    AttemptState,
    Difference,
    LedgerUnavailable,
    Pruned,
    WindowSpec,
    WindowState,
)
from ossature.kernel.outbound.threads import Brink

_T = TypeVar("_T")

_CELLS = """SELECT name, starts_us, ends_us, kind, cap, used, reserved, outside FROM outbound_window
    WHERE name = ? AND starts_us BETWEEN ? AND ?"""
_HEAD = "SELECT name, next_us, held_until_us FROM outbound_pace WHERE name = ?"
_ENTRY = "SELECT state, takes FROM outbound_attempt WHERE id = ?"
_PUT_CELL = """INSERT INTO outbound_window (name, starts_us, ends_us, kind, cap, used, reserved, outside)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (name, starts_us) DO UPDATE
    SET cap = excluded.cap, used = excluded.used, reserved = excluded.reserved, outside = excluded.outside"""
_PUT_HEAD = """INSERT INTO outbound_pace (name, next_us, held_until_us) VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE
    SET next_us = excluded.next_us, held_until_us = excluded.held_until_us"""
_ADD = """INSERT INTO outbound_attempt
    (id, tenant_id, request_id, provider, operation, takes, state, created_us, expires_us)
    VALUES (?, ?, ?, ?, ?, ?, 'open', ?, ?)"""
# The second state is that of a late settlement, which leaves the state alone.
_END = """UPDATE outbound_attempt SET state = ?, takes = ?, outcome = ?, estimated = ?, finished_us = ?
    WHERE id = ? AND state IN ('open', ?)"""
_EXPIRED = "SELECT id FROM outbound_attempt WHERE state = 'open' AND expires_us < ? ORDER BY expires_us LIMIT ?"
_ATTEMPT = """SELECT id, request_id, tenant_id, provider, operation, state, outcome, estimated, takes, created_us,
    expires_us, finished_us FROM outbound_attempt WHERE tenant_id = ? AND id = ?"""
_SUMS = """WITH part AS (
        SELECT json_extract(take.value, '$[0]') AS name, json_extract(take.value, '$[1]') AS starts_us,
            sum(CASE WHEN attempt.state = 'open' THEN json_extract(take.value, '$[3]') ELSE 0 END) AS reserved,
            sum(json_extract(take.value, '$[4]')) AS used
        FROM outbound_attempt AS attempt, json_each(attempt.takes) AS take GROUP BY 1, 2)
    SELECT w.name, w.starts_us, w.used, coalesce(part.used, 0) + w.archived, w.reserved, coalesce(part.reserved, 0)
    FROM outbound_window AS w LEFT JOIN part ON part.name = w.name AND part.starts_us = w.starts_us
    WHERE w.used <> coalesce(part.used, 0) + w.archived OR w.reserved <> coalesce(part.reserved, 0)
    ORDER BY 1, 2"""
_MEND = "UPDATE outbound_window SET used = ?, reserved = ? WHERE name = ? AND starts_us = ?"
_OLD_ATTEMPTS = """DELETE FROM outbound_attempt WHERE id IN (
        SELECT id FROM outbound_attempt WHERE finished_us < ? LIMIT ?) RETURNING takes"""
_ARCHIVE = "UPDATE outbound_window SET archived = archived + ? WHERE name = ? AND starts_us = ?"
_OLD_WINDOWS = """DELETE FROM outbound_window WHERE (name, starts_us) IN (SELECT name, starts_us FROM outbound_window
    WHERE reserved = 0 AND ends_us < CASE WHEN kind = 'fixed' THEN ? ELSE ? END LIMIT ?)"""
_PRUNE_GROUP = 2_000
_REPAIR_LIMIT_S = 300.0


class SqliteLedger(GroupedLedger):
    """A ledger in a SQLite file that has the house's tables. Make one per process; `close()` it at the end.

    durability: `normal` survives kill -9 of any process, `full` also a power cut. busy_time_limit_s: how long another
    writer is waited for before the ledger counts as unavailable.
    """

    def __init__(
        self, path: Path, *, durability: Literal["normal", "full"] = "normal", busy_time_limit_s: float = 5.0
    ) -> None:
        super().__init__()
        self._path = path
        self._durability = durability
        self._busy_time_limit_s = busy_time_limit_s
        self._turns = Turns(path.with_name(f"{path.name}-ledger"))
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="ledger")
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="ledger-reader")
        self._writing: sqlite3.Connection | None = None
        self._reading: sqlite3.Connection | None = None

    async def states(self, specs: Sequence[WindowSpec], /) -> list[WindowState]:
        """How full windows are, in their order. Raises: LedgerUnavailable."""
        return await self._read(lambda c: _states(c, specs))

    async def attempt(self, tenant_id: UUID, attempt_id: UUID, /) -> Attempt | None:
        """A tenant's attempt, or None. Raises: LedgerUnavailable."""
        key = (tenant_id.hex, attempt_id.hex)
        row = await self._read(lambda c: c.execute(_ATTEMPT, key).fetchone())
        return None if row is None else read_attempt(row)

    async def verify(self) -> list[Difference]:
        """Every counter that is not the sum of its attempts. Raises: LedgerUnavailable."""
        return await self._read(_differences)

    async def repair(self) -> list[Difference]:
        """Set such counters to the sum of their attempts; what was mended. Raises: LedgerUnavailable."""
        return await self._write(_mend, time_limit_s=_REPAIR_LIMIT_S)

    async def prune(self, *, attempts_older_than: timedelta, windows_older_than: timedelta) -> Pruned:
        """Forget what ended long ago, in small transactions. Raises: LedgerUnavailable."""
        now = clock.now()
        attempts_us = windows.to_us(now - attempts_older_than)
        windows_us = windows.to_us(now - windows_older_than)
        attempts = cells = 0
        while True:
            gone = await self._write(lambda c: _forget(c, attempts_us, windows_us))
            attempts, cells = attempts + gone.attempts, cells + gone.windows
            if gone.attempts < _PRUNE_GROUP and gone.windows < _PRUNE_GROUP:
                return Pruned(attempts, cells)

    async def close(self) -> None:
        """Finish what was asked, and close the file."""
        await self._group.close()
        for thread, connection in ((self._writer, self._writing), (self._reader, self._reading)):
            if connection is not None:
                await asyncio.get_running_loop().run_in_executor(thread, connection.close)
            thread.shutdown(wait=False)
        self._turns.close()

    async def _run(self, asks: Sequence[Ask]) -> list[object]:
        book, answers = await self._write(lambda c: _decide(c, asks))
        count_excess(book.excess)
        return answers

    async def _expired(self, limit: int) -> list[UUID]:
        now_us = _now_us()
        return await self._read(lambda c: [UUID(row[0]) for row in c.execute(_EXPIRED, (now_us, limit))])

    async def _write(self, work: Callable[[sqlite3.Connection], _T], *, time_limit_s: float | None = None) -> _T:
        """Run in the writing thread. Who is told that there is no ledger can be sure that nothing is committed later."""
        brink = Brink()
        future = asyncio.get_running_loop().run_in_executor(self._writer, self._transaction, work, brink)
        try:
            async with asyncio.timeout(time_limit_s or 2 * self._busy_time_limit_s):
                return await asyncio.shield(future)
        except TimeoutError as error:
            if brink.leave():  # it is being committed
                return await asyncio.shield(future)
            future.add_done_callback(_heard)
            msg = "Another process has been writing for too long."
            raise LedgerUnavailable(msg) from error

    async def _read(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._reader, self._snapshot, work)

    def _transaction(self, work: Callable[[sqlite3.Connection], _T], brink: Brink) -> _T:
        """Run in the writing thread: all of `work`, or nothing."""
        try:
            with self._turns.turn():
                if brink.left:
                    raise LedgerUnavailable
                if self._writing is None:
                    self._writing = self._connect()
                return _bracketed(self._writing, "BEGIN IMMEDIATE", work, before_commit=brink.cross)
        except Undelivered as error:  # nobody waits for the answer any more
            raise LedgerUnavailable from error
        except sqlite3.IntegrityError as error:
            raise AttemptExists from error
        except (sqlite3.Error, OSError) as error:
            raise LedgerUnavailable from error

    def _snapshot(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        """Run in the reading thread: one consistent view, beside the writer."""
        try:
            if self._reading is None:
                self._reading = self._connect()
            return _bracketed(self._reading, "BEGIN", work)
        except sqlite3.Error as error:
            raise LedgerUnavailable from error

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"file:{self._path}?mode=rw", uri=True, isolation_level=None, check_same_thread=False
        )
        begin_wal(connection, busy_time_limit_s=self._busy_time_limit_s)
        connection.execute(f"PRAGMA synchronous = {self._durability}")
        return connection


def _heard(future: asyncio.Future[Any]) -> None:
    """Take note of an error that nobody waits for."""
    if not future.cancelled():
        future.exception()


def _nothing() -> None:
    """Nothing is to be done."""


def _bracketed(
    connection: sqlite3.Connection,
    begin: str,
    work: Callable[[sqlite3.Connection], _T],
    *,
    before_commit: Callable[[], None] = _nothing,
) -> _T:
    connection.execute(begin)
    try:
        done = work(connection)
        before_commit()
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return done


def _now_us() -> int:
    return windows.to_us(clock.now())


def _decide(connection: sqlite3.Connection, asks: Sequence[Ask]) -> tuple[Book, list[object]]:
    book = Book(_now_us())
    for ask in asks:
        if isinstance(ask, End) and ask.attempt_id not in book.attempts:
            row = connection.execute(_ENTRY, (ask.attempt_id.hex,)).fetchone()
            if row is not None:
                book.attempts[ask.attempt_id] = Entry(ask.attempt_id, AttemptState(row[0]), orjson.loads(row[1]))
    book.learn(_cells(connection, book.needs(asks)), _heads(connection, window_names(asks)))
    answers = book.decide(asks)
    _keep(connection, book)
    return book, answers


def _cells(connection: sqlite3.Connection, needs: Iterable[Need]) -> Iterable[Cell]:
    for need in needs:
        for row in connection.execute(_CELLS, (need.name, need.first_us, need.last_us)):
            yield Cell(*row)


def _heads(connection: sqlite3.Connection, names: Iterable[str]) -> Iterable[Head]:
    for name in names:
        for row in connection.execute(_HEAD, (name,)):
            yield Head(*row)


def _keep(connection: sqlite3.Connection, book: Book) -> None:
    """Write what a group changed."""
    connection.executemany(
        _PUT_CELL,
        [
            (c.name, c.starts_us, c.ends_us, c.kind, c.cap, c.used, c.reserved, c.outside)
            for c in book.changed_cells.values()
        ],
    )
    if book.changed_heads:
        heads = book.changed_heads.values()
        connection.executemany(_PUT_HEAD, [(h.name, h.next_us, h.held_until_us) for h in heads])
    if book.added:
        connection.executemany(_ADD, [_added(book, entry) for entry in book.added.values()])
    if book.ended:
        connection.executemany(
            _END,
            [
                (e.state, orjson.dumps(e.taken).decode(), e.outcome, e.estimated, book.now_us, e.id.hex, e.state)
                for e in book.ended.values()
            ],
        )


def _added(book: Book, entry: Entry) -> tuple[object, ...]:
    reservation = entry.reservation
    assert reservation is not None  # noqa: S101 - an entry is added by a reservation
    return (
        entry.id.hex,
        reservation.tenant_id.hex,
        reservation.request_id,
        reservation.provider,
        reservation.operation,
        orjson.dumps(entry.taken).decode(),
        book.now_us,
        windows.to_us(reservation.expires_at),
    )


def _states(connection: sqlite3.Connection, specs: Sequence[WindowSpec]) -> list[WindowState]:
    book = Book(_now_us())
    book.learn(_cells(connection, book.needs((), specs)), _heads(connection, {spec.name for spec in specs}))
    return [book.state(spec) for spec in specs]


def _differences(connection: sqlite3.Connection) -> list[Difference]:
    return [read_difference(row) for row in connection.execute(_SUMS)]


def _mend(connection: sqlite3.Connection) -> list[Difference]:
    differences = _differences(connection)
    connection.executemany(
        _MEND,
        [(d.used_by_attempts, d.reserved_by_attempts, d.window_name, windows.to_us(d.starts_at)) for d in differences],
    )
    return differences


def _forget(connection: sqlite3.Connection, attempts_us: int, windows_us: int) -> Pruned:
    gone = connection.execute(_OLD_ATTEMPTS, (attempts_us, _PRUNE_GROUP)).fetchall()
    charged = archived(orjson.loads(takes) for (takes,) in gone)
    connection.executemany(_ARCHIVE, [(units, name, cell_us) for (name, cell_us), units in charged.items()])
    cells = connection.execute(_OLD_WINDOWS, (windows_us, attempts_us, _PRUNE_GROUP)).rowcount
    return Pruned(len(gone), cells)
