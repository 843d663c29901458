"""Every back-end of the ledger, on a clock that the test sets."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import pytest
from redis.asyncio import Redis

from ossature.kernel import clock
from ossature.kernel.outbound.ledger.postgres import PostgresLedger
from ossature.kernel.outbound.ledger.redis import RedisLedger
from ossature.kernel.outbound.ledger.sqlite import SqliteLedger
from ossature.kernel.outbound.ledger.values import Ledger, Reservation, Take, WindowSpec
from tests.conftest import POSTGRES

TENANT = UUID(int=7)
NOON = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)


class SetClock:
    """A clock that stands still until the test moves it."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)
        self.at += timedelta(seconds=seconds)

    def forward(self, **delta: float) -> None:
        self.at += timedelta(**delta)


@pytest.fixture
def at() -> Iterator[SetClock]:
    """The time; `at.forward(seconds=1)` moves it."""
    with clock.using(SetClock(NOON)) as standing:
        assert isinstance(standing, SetClock)
        yield standing


def sqlite_path(url: str) -> Path:
    return Path(url.removeprefix("sqlite:///"))


Open = Callable[[], Awaitable[Ledger]]


@pytest.fixture(scope="session")
def ledger_database(postgres_template: str) -> Iterator[str]:
    """URL of one PostgreSQL database for all tests of the ledger: a copy for each costs far more than the test."""
    name, server = f"ossature_test_ledger_{uuid4().hex[:12]}", POSTGRES.rpartition("/")[0]
    asyncio.run(_execute(POSTGRES, f'CREATE DATABASE "{name}" TEMPLATE "{postgres_template}" STRATEGY FILE_COPY'))
    yield f"{server}/{name}"
    asyncio.run(_execute(POSTGRES, f'DROP DATABASE "{name}" WITH (FORCE)'))


@pytest.fixture
def postgres_url(ledger_database: str) -> str:
    """URL of a PostgreSQL database whose ledger is empty."""
    asyncio.run(_execute(ledger_database, "TRUNCATE outbound_window, outbound_pace, outbound_attempt"))
    return ledger_database


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


@pytest.fixture(params=["sqlite", "postgres", "redis"])
def store(request: pytest.FixtureRequest) -> tuple[str, str]:
    """A back-end and the URL of an empty store of its kind."""
    return request.param, request.getfixturevalue(f"{request.param}_url")


@pytest.fixture
async def open_ledger(store: tuple[str, str]) -> AsyncIterator[Open]:
    """Opens a ledger on this test's own store, as often as the test likes: each is like a process of its own."""
    opened: list[Ledger] = []
    kind, url = store
    prefix = f"test-{uuid4().hex}"

    async def open_one() -> Ledger:
        ledger: Ledger
        if kind == "sqlite":
            ledger = SqliteLedger(sqlite_path(url))
        elif kind == "postgres":
            ledger = PostgresLedger(url, time_source="process")
        else:
            ledger = RedisLedger(Redis.from_url(url), prefix=prefix, time_source="process")
        opened.append(ledger)
        return ledger

    yield open_one
    for each in opened:
        await each.close()
    if kind == "redis":
        async with Redis.from_url(url) as redis:
            async for key in redis.scan_iter(f"*{prefix}*", count=10_000):
                await redis.delete(key)


@pytest.fixture
async def ledger(open_ledger: Open) -> Ledger:
    """One ledger on a store of its own; the test runs on each back-end."""
    return await open_ledger()


def a_window(subject: str = "upstream:acme:1", **fields: object) -> WindowSpec:
    """A window of 10 requests a minute, or what the test says."""
    defaults: dict[str, object] = {"unit": "requests", "kind": "fixed", "limit": 10}
    if "period" not in fields:
        defaults["seconds"] = 60.0
    return WindowSpec(subject=subject, **(defaults | fields))  # type: ignore[arg-type] # the test's fields


def an_attempt(*takes: Take | WindowSpec, expires_in_s: float = 60, **fields: object) -> Reservation:
    """An attempt that takes one unit from each window, or as the test says."""
    defaults: dict[str, object] = {
        "attempt_id": uuid4(),
        "request_id": "request-1",
        "tenant_id": TENANT,
        "provider": "acme",
        "operation": "weather.current",
        "takes": tuple(take if isinstance(take, Take) else Take(take, 1) for take in takes),
        "expires_at": clock.now() + timedelta(seconds=expires_in_s),
    }
    return Reservation(**(defaults | fields))  # type: ignore[arg-type] # the test's fields
