"""Signals: at once in this process, within a second in the others, on each of the three ways."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from ossature.kernel.db.engine import Database
from ossature.kernel.db.notify import Notifier
from ossature.kernel.db.redis import RedisSettings, connect
from ossature.kernel.db.settings import DatabaseSettings
from ossature.kernel.events.settings import EventSettings
from ossature.kernel.events.signals import Signals, Wire
from ossature.kernel.events.wires import PostgresWire, RedisWire, TableWire


@asynccontextmanager
async def way(kind: str, url: str) -> AsyncIterator[Wire]:
    if kind == "redis":
        redis = connect(RedisSettings(url=url.partition("#")[0]))
        yield RedisWire(redis, url.partition("#")[2])
        await redis.aclose()
        return
    database = Database(DatabaseSettings(url=url))
    if kind == "table":
        yield TableWire(database, EventSettings())
    else:
        yield PostgresWire(database, Notifier(database.url))
    await database.close()


@pytest.fixture(params=["redis", "postgres", "table"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def url(kind: str, request: pytest.FixtureRequest) -> str:
    if kind == "redis":
        return f"{request.getfixturevalue('redis_url')}#test{uuid4().hex}:"
    return str(request.getfixturevalue("postgres_url" if kind == "postgres" else "sqlite_url"))


@asynccontextmanager
async def signals(kind: str, url: str) -> AsyncIterator[Signals]:
    async with way(kind, url) as wire:
        opened = Signals(wire)
        await opened.start()
        yield opened
        await opened.close()


async def until(condition: Callable[[], bool], limit_s: float = 60.0) -> None:
    """Return once a condition holds."""
    begun = time.perf_counter()
    while not condition():
        assert time.perf_counter() - begun < limit_s, "it never came"
        await asyncio.sleep(0.005)


async def test_a_signal_arrives_in_another_process(kind: str, url: str) -> None:
    async with signals(kind, url) as here, signals(kind, url) as there:
        got: list[object] = []
        there.subscribe("key.revoked", got.append)
        here.publish("key.revoked", {"id": "k1"})
        await until(lambda: bool(got))
        assert got == [{"id": "k1"}]


async def test_signals_keep_their_order_and_are_heard_once(kind: str, url: str) -> None:
    async with signals(kind, url) as here, signals(kind, url) as there:
        got: list[object] = []
        own: list[object] = []
        there.subscribe("n", lambda payload: got.append(payload["n"]))
        here.subscribe("n", lambda payload: own.append(payload["n"]))
        for number in range(200):
            here.publish("n", {"n": number})
        assert own == list(range(200))
        await until(lambda: len(got) >= 200)
        await asyncio.sleep(0.15)
        assert got == own == list(range(200))


OTHER = """
import asyncio, sys
sys.path.insert(0, sys.argv[3])
from test_signals import signals

async def main():
    async with signals(sys.argv[1], sys.argv[2]) as there:
        there.publish("hello", {"from": "there"})

asyncio.run(main())
"""


async def test_a_process_that_ends_at_once_is_still_heard(kind: str, url: str) -> None:
    async with signals(kind, url) as here:
        got: list[object] = []
        here.subscribe("hello", got.append)
        folder = str(Path(__file__).parent)
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", OTHER, kind, url, folder)
        assert await process.wait() == 0
        await until(lambda: bool(got))
        assert got == [{"from": "there"}]


async def test_a_signal_waits_for_the_commit(sqlite_url: str) -> None:
    database = Database(DatabaseSettings(url=sqlite_url))
    alone = Signals()
    got: list[object] = []
    alone.subscribe("t", got.append)
    db = database.system()
    async with db.step():
        alone.publish_after(db, "t", {"a": 1})
        assert got == []
    assert got == [{"a": 1}]
    alone.publish_after(db, "t", {"a": 2})
    await db.rollback()
    assert got == [{"a": 1}]
    await db.close()
    await database.close()


async def test_after_a_cut_the_listener_is_told_that_it_may_have_missed_something() -> None:
    class Cut:
        """A way that breaks once."""

        def __init__(self) -> None:
            self.times = 0
            self.sent: list[str] = []

        @property
        def faults(self) -> tuple[type[Exception], ...]:
            return (OSError,)

        async def send(self, texts: list[str]) -> None:
            if len(self.sent) == 0 and self.times < 2:
                raise OSError("cut")
            self.sent.extend(texts)

        async def receive(self, deliver: Callable[[str], None], ready: Callable[[], None]) -> None:
            del deliver
            self.times += 1
            ready()
            if self.times == 1:
                raise OSError("cut")
            await asyncio.Event().wait()

    wire = Cut()
    opened = Signals(wire)
    lost: list[bool] = []
    opened.subscribe("t", lambda _payload: None, lost=lambda: lost.append(True))
    await opened.start()
    opened.publish("t", {"n": 1})
    await until(lambda: bool(lost) and bool(wire.sent))
    assert '"n":1' in wire.sent[0]
    await opened.close()


async def test_a_signal_is_small() -> None:
    with pytest.raises(ValueError, match="at most"):
        Signals().publish("t", {"text": "x" * 8000})
