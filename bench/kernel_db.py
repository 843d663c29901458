"""`kernel-db`: CPU of a transaction that reads one row and writes one, on SQLite.

Ours (one hop to a thread for each statement) against the same statements through SQLAlchemy's asyncio engine with
aiosqlite, interleaved in one run. It is the figure behind decision 0008.
"""

import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import uvloop
from sqlalchemy import Column, Integer, MetaData, String, Table, event, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from ossature.kernel.db.engine import Database
from ossature.kernel.db.settings import DatabaseSettings

TARGETS = {"cpu_ratio_to_aiosqlite": {"most": 0.75}}
_ROWS = 100
_thing = Table("thing", MetaData(), Column("id", Integer, primary_key=True), Column("name", String))


def run(*, quick: bool) -> dict[str, Any]:
    """The result of the bench, as `bench.result` wants it."""
    return uvloop.run(_measure(rounds=3 if quick else 7, transactions=200 if quick else 1000))


async def _measure(*, rounds: int, transactions: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        ours = Database(DatabaseSettings(url=f"sqlite:///{folder}/ours.db"))
        theirs = _aiosqlite(Path(folder) / "theirs.db")
        try:
            await _fill(ours, theirs)
            measured: dict[str, list[float]] = {"ours_us": [], "aiosqlite_us": []}
            for _ in range(rounds):
                measured["ours_us"].append(await _cpu_us(lambda i: _ours(ours, i), transactions))
                measured["aiosqlite_us"].append(await _cpu_us(lambda i: _theirs(theirs, i), transactions))
        finally:
            await ours.close()
            await theirs.dispose()
    ratios = [a / b for a, b in zip(measured["ours_us"], measured["aiosqlite_us"], strict=True)]
    metrics = {name: round(statistics.median(values), 1) for name, values in measured.items()}
    return {"metrics": {**metrics, "cpu_ratio_to_aiosqlite": round(statistics.median(ratios), 3)}, "targets": TARGETS}


async def _cpu_us(transaction: Callable[[int], Awaitable[None]], times: int) -> float:
    started = time.process_time()
    for i in range(times):
        await transaction(i % _ROWS)
    return (time.process_time() - started) / times * 1e6


async def _ours(database: Database, i: int) -> None:
    async with database.begin() as db, db.step():
        await db.first(select(_thing).where(_thing.c.id == i))
        await db.execute(update(_thing).where(_thing.c.id == i).values(name=f"n{i}"))


async def _theirs(engine: AsyncEngine, i: int) -> None:
    async with engine.begin() as connection:
        (await connection.execute(select(_thing).where(_thing.c.id == i))).first()
        await connection.execute(update(_thing).where(_thing.c.id == i).values(name=f"n{i}"))


async def _fill(ours: Database, theirs: AsyncEngine) -> None:
    rows = [{"id": i, "name": f"n{i}"} for i in range(_ROWS)]
    with ours.sqlite.begin() as connection:
        _thing.metadata.create_all(connection)
    async with ours.begin() as db:
        await db.execute(insert(_thing), rows)
    async with theirs.begin() as connection:
        await connection.run_sync(_thing.metadata.create_all)
        await connection.execute(insert(_thing), rows)


def _aiosqlite(path: Path) -> AsyncEngine:
    engine = create_async_engine(f"sqlite+aiosqlite:///{path}")

    def connected(connection: Any, _record: object) -> None:  # noqa: ANN401 - SQLAlchemy's adapter
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in ("journal_mode = WAL", "synchronous = NORMAL"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    event.listen(engine.sync_engine, "connect", connected)
    event.listen(engine.sync_engine, "begin", lambda connection: connection.execute(text("BEGIN IMMEDIATE")))
    return engine
