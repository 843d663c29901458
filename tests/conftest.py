"""What every test may ask for: real databases and brokers, one set per worker, and a clock that stands still."""

import asyncio
import os
import shutil
import socket
import sqlite3
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import hypothesis
import pytest

from ossature.kernel.crypto.ring import FixedKeys, Key, KeyRing
from ossature.kernel.db.engine import Database
from ossature.kernel.db.settings import DatabaseSettings
from ossature.kernel.testing import schema

hypothesis.settings.register_profile("short", max_examples=50, deadline=None)
hypothesis.settings.register_profile("full", max_examples=1000, deadline=None)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "short"))

CI = os.environ.get("CI", "").lower() == "true"
POSTGRES = os.environ.get("OSSATURE_TEST_POSTGRES", "postgresql://postgres@127.0.0.1:5432/postgres")
PGBOUNCER = os.environ.get("OSSATURE_TEST_PGBOUNCER", "postgresql://postgres@127.0.0.1:6432/postgres")
REDIS = os.environ.get("OSSATURE_TEST_REDIS", "redis://127.0.0.1:6379")
RABBITMQ = os.environ.get("OSSATURE_TEST_RABBITMQ", "amqp://guest:guest@127.0.0.1:5672/")


def missing(what: str) -> None:
    """Skip for want of a real server; where CI promised one, its absence is a failure."""
    if CI:
        pytest.fail(f"CI=true, and {what} is missing")
    pytest.skip(f"{what} is missing")


def _answers(url: str) -> bool:
    parts = urlsplit(url)
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((parts.hostname, parts.port)) == 0


def run_sql(statement: str) -> None:
    """Run one statement on the PostgreSQL server, outside of any transaction."""

    async def run() -> None:
        connection = await asyncpg.connect(POSTGRES)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    asyncio.run(run())


@pytest.fixture(scope="session")
def postgres_server() -> str:
    """URL of a PostgreSQL server in which databases may be made: `postgresql://...` without a driver."""
    if not _answers(POSTGRES):
        missing("PostgreSQL")
    return POSTGRES


@pytest.fixture(scope="session")
def pgbouncer_server(postgres_server: str) -> str:
    """URL of a pgbouncer that pools transactions, before the same PostgreSQL server."""
    del postgres_server
    if not _answers(PGBOUNCER):
        missing("pgbouncer")
    return PGBOUNCER


@pytest.fixture(scope="session")
def redis_url() -> str:
    """URL of a Redis server; use keys or streams with names of your own."""
    if not _answers(REDIS):
        missing("Redis")
    return REDIS


@pytest.fixture(scope="session")
def rabbitmq_url() -> str:
    """URL of a RabbitMQ server; use queues with names of your own."""
    if not _answers(RABBITMQ):
        missing("RabbitMQ")
    return RABBITMQ


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with every table, to be copied."""
    path = tmp_path_factory.mktemp("template") / "template.db"
    database = Database(DatabaseSettings(url=f"sqlite:///{path}"))
    asyncio.run(schema.create(database))
    asyncio.run(database.close())
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path


@pytest.fixture(scope="session")
def postgres_template(postgres_server: str) -> Iterator[str]:
    """Name of a PostgreSQL database with every table, to be copied."""
    del postgres_server
    name = f"ossature_test_{uuid4().hex[:12]}"
    run_sql(f'CREATE DATABASE "{name}"')

    async def fill() -> None:
        database = Database(DatabaseSettings(url=_async_url(name)))
        await schema.create(database)
        await database.close()

    asyncio.run(fill())
    yield name
    run_sql(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def _async_url(name: str) -> str:
    return f"{POSTGRES.rpartition('/')[0]}/{name}".replace("postgresql://", "postgresql+asyncpg://")


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    """URL of a fresh SQLite database with every table, this test's own."""
    path = tmp_path / "ossature.db"
    shutil.copy(sqlite_template, path)
    return f"sqlite:///{path}"


@pytest.fixture
def postgres_url(postgres_template: str) -> Iterator[str]:
    """URL of a fresh PostgreSQL database with every table, this test's own."""
    name = f"ossature_test_{uuid4().hex[:12]}"
    run_sql(f'CREATE DATABASE "{name}" TEMPLATE "{postgres_template}" STRATEGY FILE_COPY')
    yield _async_url(name)
    run_sql(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest) -> str:
    """URL of a fresh database; the test runs once on SQLite and once on PostgreSQL."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """A fresh database; the test runs once on SQLite and once on PostgreSQL."""
    opened = Database(DatabaseSettings(url=database_url), ring=KeyRing(FixedKeys(Key.new())))
    yield opened
    await opened.close()
