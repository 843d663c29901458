"""The ledger in PostgreSQL: one connection per process that writes, group commit, below SQLAlchemy.

A group locks the attempts that it ends in the order of their ids, then the heads of all its windows in the order of
their names: no two groups can wait for each other. What it reads after that is true until it commits. The time is the
database's, so that processes with different clocks count in the same windows.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, Literal
from uuid import UUID

import asyncpg  # type: ignore[import-untyped] # asyncpg ships no types
import orjson

from ossature.kernel import clock
from ossature.kernel.outbound.ledger import windows
from ossature.kernel.outbound.ledger.book import Ask, Book, Cell, End, Entry, Head, Need, window_names
from ossature.kernel.outbound.ledger.commit import GroupedLedger
from ossature.kernel.outbound.ledger.metrics import count_excess
from ossature.kernel.outbound.ledger.rows import archived, read_attempt, read_difference
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

_NOW = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
_ENTRIES = "SELECT id, state, takes FROM outbound_attempt WHERE id = ANY ($1) ORDER BY id FOR UPDATE"
_NEW_HEADS = """INSERT INTO outbound_pace (name) SELECT name FROM unnest($1::text[]) AS name ORDER BY name
    ON CONFLICT DO NOTHING"""
_HEADS = "SELECT name, next_us, held_until_us FROM outbound_pace WHERE name = ANY ($1)"
_LOCKED_HEADS = _HEADS + " ORDER BY name FOR UPDATE"
_CELLS = """SELECT w.name, w.starts_us, w.ends_us, w.kind, w.cap, w.used, w.reserved, w.outside
    FROM unnest($1::text[], $2::bigint[], $3::bigint[]) AS need (name, first_us, last_us)
    JOIN outbound_window AS w ON w.name = need.name AND w.starts_us BETWEEN need.first_us AND need.last_us"""
_PUT_CELLS = """INSERT INTO outbound_window (name, starts_us, ends_us, kind, cap, used, reserved, outside)
    SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[])
    ON CONFLICT (name, starts_us) DO UPDATE
    SET cap = excluded.cap, used = excluded.used, reserved = excluded.reserved, outside = excluded.outside"""
_PUT_HEADS = """UPDATE outbound_pace AS head SET next_us = new.next_us, held_until_us = new.held_until_us
    FROM unnest($1::text[], $2::bigint[], $3::bigint[]) AS new (name, next_us, held_until_us) WHERE head.name = new.name"""
_ADD = """INSERT INTO outbound_attempt
    (id, tenant_id, request_id, provider, operation, takes, expires_us, created_us, state)
    SELECT new.*, $8::bigint, 'open' FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::jsonb[], $7::bigint[])
    AS new"""
_END = """UPDATE outbound_attempt AS attempt SET state = new.state, takes = new.takes, outcome = new.outcome,
        estimated = new.estimated, finished_us = $6::bigint
    FROM unnest($1::uuid[], $2::text[], $3::jsonb[], $4::text[], $5::boolean[]) AS new (id, state, takes, outcome, estimated)
    WHERE attempt.id = new.id AND attempt.state IN ('open', new.state)"""
_EXPIRED = "SELECT id FROM outbound_attempt WHERE state = 'open' AND expires_us < $1 ORDER BY expires_us LIMIT $2"
_ATTEMPT = """SELECT id, request_id, tenant_id, provider, operation, state, outcome, estimated, takes, created_us,
    expires_us, finished_us FROM outbound_attempt WHERE tenant_id = $1 AND id = $2"""
_SUMS = """WITH part AS (
        SELECT take ->> 0 AS name, (take ->> 1)::bigint AS starts_us,
            sum(CASE WHEN attempt.state = 'open' THEN (take ->> 3)::bigint ELSE 0 END) AS reserved,
            sum((take ->> 4)::bigint) AS used
        FROM outbound_attempt AS attempt, jsonb_array_elements(attempt.takes) AS take GROUP BY 1, 2)
    SELECT w.name, w.starts_us, w.used, coalesce(part.used, 0) + w.archived, w.reserved, coalesce(part.reserved, 0)
    FROM outbound_window AS w LEFT JOIN part ON part.name = w.name AND part.starts_us = w.starts_us
    WHERE w.used <> coalesce(part.used, 0) + w.archived OR w.reserved <> coalesce(part.reserved, 0)
    ORDER BY 1, 2"""
_MEND = "UPDATE outbound_window SET used = $1, reserved = $2 WHERE name = $3 AND starts_us = $4"
_OLD_ATTEMPTS = """DELETE FROM outbound_attempt WHERE id IN (
        SELECT id FROM outbound_attempt WHERE finished_us < $1 LIMIT $2 FOR UPDATE SKIP LOCKED) RETURNING takes"""
_ARCHIVE = "UPDATE outbound_window SET archived = archived + $1 WHERE name = $2 AND starts_us = $3"
_OLD_WINDOWS = """WITH gone AS (DELETE FROM outbound_window WHERE (name, starts_us) IN (
            SELECT name, starts_us FROM outbound_window
            WHERE reserved = 0 AND ends_us < CASE WHEN kind = 'fixed' THEN $1::bigint ELSE $2::bigint END
            LIMIT $3 FOR UPDATE SKIP LOCKED) RETURNING 1)
    SELECT count(*) FROM gone"""
_PRUNE_GROUP = 2_000

_Connection = Any
"""An asyncpg connection; asyncpg ships no types."""


class PostgresLedger(GroupedLedger):
    """A ledger in a PostgreSQL database that has the house's tables. One per process and event loop; `close()` it.

    url: of a role that row-level security does not narrow, straight to the server: prepared statements are kept, so not
    through a pooler of transactions. durability: `full` waits for the disk at each commit; `normal` does not, and a
    crash of the server (not of a process of ours) may forget the last fraction of a second. time_source: `process` takes
    the house's clock instead of the server's, for simulated time.
    """

    def __init__(
        self,
        url: str,
        *,
        durability: Literal["normal", "full"] = "normal",
        time_source: Literal["server", "process"] = "server",
        time_limit_s: float = 5.0,
    ) -> None:
        super().__init__()
        self._url = url.replace("postgresql+asyncpg://", "postgresql://", 1)
        self._durability = durability
        self._server_time = time_source == "server"
        self._time_limit_s = time_limit_s
        self._known: set[str] = set()
        self._writing: _Connection | None = None
        self._reading: _Connection | None = None
        self._reader = asyncio.Lock()

    async def states(self, specs: Sequence[WindowSpec], /) -> list[WindowState]:
        """How full windows are, in their order. Raises: LedgerUnavailable."""
        async with self._snapshot() as connection:
            book = Book(await self._now_us(connection))
            cells = await _cells(connection, book.needs((), specs))
            heads = await connection.fetch(_HEADS, [spec.name for spec in specs])
        book.learn(cells, (Head(*row) for row in heads))
        return [book.state(spec) for spec in specs]

    async def attempt(self, tenant_id: UUID, attempt_id: UUID, /) -> Attempt | None:
        """A tenant's attempt, or None. Raises: LedgerUnavailable."""
        async with self._snapshot() as connection:
            row = await connection.fetchrow(_ATTEMPT, tenant_id, attempt_id)
        return None if row is None else read_attempt(row)

    async def verify(self) -> list[Difference]:
        """Every counter that is not the sum of its attempts. Raises: LedgerUnavailable."""
        async with self._snapshot() as connection:
            return [read_difference(row) for row in await connection.fetch(_SUMS)]

    async def repair(self) -> list[Difference]:
        """Set such counters to the sum of their attempts; what was mended. Raises: LedgerUnavailable."""
        async with self._snapshot() as connection:
            await connection.execute("LOCK TABLE outbound_pace IN EXCLUSIVE MODE")  # no group may be at work
            found = [read_difference(row) for row in await connection.fetch(_SUMS)]
            await connection.executemany(
                _MEND,
                [
                    (d.used_by_attempts, d.reserved_by_attempts, d.window_name, windows.to_us(d.starts_at))
                    for d in found
                ],
            )
        return found

    async def prune(self, *, attempts_older_than: timedelta, windows_older_than: timedelta) -> Pruned:
        """Forget what ended long ago, in small transactions. Raises: LedgerUnavailable."""
        attempts = cells = 0
        while True:
            async with self._snapshot() as connection:
                now = windows.to_datetime(await self._now_us(connection))
                attempts_us = windows.to_us(now - attempts_older_than)
                gone = await connection.fetch(_OLD_ATTEMPTS, attempts_us, _PRUNE_GROUP)
                charged = archived(orjson.loads(row[0]) for row in gone)
                await connection.executemany(_ARCHIVE, [(units, *cell) for cell, units in sorted(charged.items())])
                windows_us = windows.to_us(now - windows_older_than)
                closed = int(await connection.fetchval(_OLD_WINDOWS, windows_us, attempts_us, _PRUNE_GROUP))
            attempts, cells = attempts + len(gone), cells + closed
            if len(gone) < _PRUNE_GROUP and closed < _PRUNE_GROUP:
                return Pruned(attempts, cells)

    async def close(self) -> None:
        """Finish what was asked, and close the connections."""
        await self._group.close()
        for connection in (self._writing, self._reading):
            if connection is not None:
                await connection.close(timeout=self._time_limit_s)

    async def _run(self, asks: Sequence[Ask]) -> list[object]:
        async with self._guarded("_writing") as connection:
            await self._meet(connection, window_names(asks))
            async with connection.transaction():
                book = Book(0)
                names = await _entries(connection, asks, book)
                heads = await connection.fetch(_LOCKED_HEADS, sorted(names))
                if len(heads) < len(names):
                    self._known.clear()
                    msg = "Rows of the ledger have vanished."
                    raise LedgerUnavailable(msg)
                book.now_us = await self._now_us(connection)
                book.learn(await _cells(connection, book.needs(asks)), (Head(*row) for row in heads))
                answers = book.decide(asks)
                await _keep(connection, book)
        count_excess(book.excess)
        return answers

    async def _expired(self, limit: int) -> list[UUID]:
        async with self._snapshot() as connection:
            now_us = await self._now_us(connection)
            return [UUID(bytes=row[0].bytes) for row in await connection.fetch(_EXPIRED, now_us, limit)]

    async def _meet(self, connection: _Connection, names: set[str]) -> None:
        """Make heads for windows never seen before, in a transaction of its own: inside a group it could deadlock."""
        new = sorted(names - self._known)
        if new:
            await connection.execute(_NEW_HEADS, new)
            self._known.update(new)

    async def _now_us(self, connection: _Connection) -> int:
        return int(await connection.fetchval(_NOW)) if self._server_time else windows.to_us(clock.now())

    @asynccontextmanager
    async def _snapshot(self) -> AsyncIterator[_Connection]:
        """A transaction beside the groups."""
        async with self._reader, self._guarded("_reading") as connection, connection.transaction():
            yield connection

    @asynccontextmanager
    async def _guarded(self, which: Literal["_writing", "_reading"]) -> AsyncIterator[_Connection]:
        """A live connection. One that failed is thrown away, and whoever used it is told that there is no ledger."""
        try:
            async with asyncio.timeout(self._time_limit_s):
                connection: _Connection | None = getattr(self, which)
                if connection is None or connection.is_closed():
                    connection = await self._connect()
                    setattr(self, which, connection)
                yield connection
        except asyncpg.UniqueViolationError as error:
            raise AttemptExists from error
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
            connection = getattr(self, which)
            if connection is not None:
                connection.terminate()
                setattr(self, which, None)
            raise LedgerUnavailable from error

    async def _connect(self) -> _Connection:
        return await asyncpg.connect(
            self._url,
            timeout=self._time_limit_s,
            server_settings={
                "application_name": "ossature-ledger",
                "synchronous_commit": "on" if self._durability == "full" else "off",
                "statement_timeout": str(int(self._time_limit_s * 1000)),
            },
        )


async def _entries(connection: _Connection, asks: Sequence[Ask], book: Book) -> set[str]:
    """Read and lock the attempts that a group ends; the names of all windows that it touches."""
    names = window_names(asks)
    ids = sorted({ask.attempt_id for ask in asks if isinstance(ask, End)})
    if ids:
        for key, state, takes in await connection.fetch(_ENTRIES, ids):
            entry = Entry(UUID(bytes=key.bytes), AttemptState(state), orjson.loads(takes))
            book.attempts[entry.id] = entry
            names.update(str(take[0]) for take in entry.taken)
    return names


async def _cells(connection: _Connection, needs: Sequence[Need]) -> Iterable[Cell]:
    rows = await connection.fetch(
        _CELLS, [n.name for n in needs], [n.first_us for n in needs], [n.last_us for n in needs]
    )
    return (Cell(*row) for row in rows)


async def _keep(connection: _Connection, book: Book) -> None:
    """Write what a group changed."""
    if book.changed_cells:
        cells = [
            (c.name, c.starts_us, c.ends_us, c.kind, c.cap, c.used, c.reserved, c.outside)
            for _, c in sorted(book.changed_cells.items())  # as pruning does: neither can wait for the other
        ]
        await connection.execute(_PUT_CELLS, *_columns(cells))
    if book.changed_heads:
        heads = [(h.name, h.next_us, h.held_until_us) for h in book.changed_heads.values()]
        await connection.execute(_PUT_HEADS, *_columns(heads))
    if book.added:
        await connection.execute(_ADD, *_columns(map(_added, book.added.values())), book.now_us)
    if book.ended:
        ended = [
            (e.id, e.state.value, orjson.dumps(e.taken).decode(), e.outcome, e.estimated) for e in book.ended.values()
        ]
        await connection.execute(_END, *_columns(ended), book.now_us)


def _added(entry: Entry) -> tuple[object, ...]:
    reservation = entry.reservation
    assert reservation is not None  # noqa: S101 - an entry is added by a reservation
    return (
        entry.id,
        reservation.tenant_id,
        reservation.request_id,
        reservation.provider,
        reservation.operation,
        orjson.dumps(entry.taken).decode(),
        windows.to_us(reservation.expires_at),
    )


def _columns(rows: Iterable[tuple[Any, ...]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]
