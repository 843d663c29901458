"""Processes that load one ledger together, and the stores for them."""

import asyncio
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg  # type: ignore[import-untyped] # asyncpg ships no types
import msgspec
import orjson
from redis import Redis
from sqlalchemy import create_engine
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateTable

from bench.ledger_worker import Found, Load, Store, open_store, windows
from ossature.kernel.db.table import Table
from ossature.kernel.outbound.ledger import store

POSTGRES = os.environ.get("OSSATURE_TEST_POSTGRES", "postgresql://postgres@127.0.0.1:5432/postgres")
REDIS = os.environ.get("OSSATURE_TEST_REDIS", "redis://127.0.0.1:6379")
_TABLES: list[Any] = [store.WindowRow.__table__, store.PaceRow.__table__, store.AttemptRow.__table__]
_TIME_LIMIT_S = 120


class Fleet:
    """Worker processes, ready to start at once."""

    def __init__(self, loads: list[Load]) -> None:
        self.processes = [
            subprocess.Popen(
                [sys.executable, "-m", "bench.ledger_worker", msgspec.json.encode(load).decode()],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for load in loads
        ]

    def start(self) -> None:
        """Wait until all are connected, then let all go."""
        for process in self.processes:
            assert process.stdout is not None  # noqa: S101 - a pipe, see above
            if process.stdout.readline() != "ready\n":
                self.kill()
                msg = "a worker of the bench did not start"
                raise RuntimeError(msg)
        for process in self.processes:
            assert process.stdin is not None  # noqa: S101 - a pipe, see above
            process.stdin.write("go\n")
            process.stdin.flush()

    def gather(self) -> list[Found]:
        """What those found that were not killed."""
        outputs = [process.communicate(timeout=_TIME_LIMIT_S)[0] for process in self.processes]
        return [Found(**orjson.loads(text.splitlines()[-1])) for text in outputs if text.strip().endswith("}")]

    def kill(self) -> None:
        """End all, with no chance to say anything."""
        for process in self.processes:
            process.kill()
            process.communicate(timeout=_TIME_LIMIT_S)


def together(loads: list[Load]) -> list[Found]:
    """Load a ledger from one process per load, all at once."""
    fleet = Fleet(loads)
    try:
        fleet.start()
        return fleet.gather()
    except BaseException:
        fleet.kill()
        raise


@contextmanager
def sqlite(durability: str = "normal") -> Iterator[Store]:
    """A SQLite file with the ledger's tables."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.db"
        engine = create_engine(f"sqlite:///{path}")
        Table.metadata.create_all(engine, tables=_TABLES)
        engine.dispose()
        yield Store(kind="sqlite", name=str(path), durability="full" if durability == "full" else "normal")


@contextmanager
def postgres() -> Iterator[Store]:
    """A PostgreSQL database with the ledger's tables. Raises: OSError, asyncpg.PostgresError."""
    name = f"ossature_bench_{uuid4().hex[:12]}"
    url = f"{POSTGRES.rpartition('/')[0]}/{name}"
    asyncio.run(_execute(POSTGRES, f'CREATE DATABASE "{name}"'))
    try:
        dialect = postgresql.dialect()  # type: ignore[no-untyped-call] # of SQLAlchemy
        creation = [str(CreateTable(table).compile(dialect=dialect)) for table in _TABLES]
        indexes = [
            "CREATE INDEX ON outbound_window (ends_us)",
            "CREATE INDEX ON outbound_attempt (expires_us) WHERE state = 'open'",
            "CREATE INDEX ON outbound_attempt (finished_us)",
        ]
        asyncio.run(_execute(url, *creation, *indexes))
        yield Store(kind="postgres", name=url)
    finally:
        asyncio.run(_execute(POSTGRES, f'DROP DATABASE "{name}" WITH (FORCE)'))


@contextmanager
def redis() -> Iterator[Store]:
    """A prefix of keys in Redis. Raises: redis.RedisError."""
    prefix = f"bench-{uuid4().hex[:12]}"
    with Redis.from_url(REDIS) as client:
        client.ping()
        yield Store(kind="redis", name=f"{REDIS}#{prefix}")
        keys = list(client.scan_iter(f"*{prefix}*", count=10_000))
        for start in range(0, len(keys), 1_000):
            client.delete(*keys[start : start + 1_000])


def counted(found: Store, limit: int) -> tuple[int, int, int]:
    """What the cap's window says now: (used, reserved, differences between counters and attempts)."""

    async def look() -> tuple[int, int, int]:
        ledger = open_store(found)
        while await ledger.reap():
            pass
        (state,) = await ledger.states([windows(limit, 0)[2]])
        differences = await ledger.verify()
        await ledger.close()
        return state.used, state.reserved, len(differences)

    return asyncio.run(look())


async def _execute(url: str, *statements: str) -> None:
    connection = await asyncpg.connect(url, timeout=10)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()
