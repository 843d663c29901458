"""Live frames: numbered, kept for a while, and the same in every process."""

import asyncio
from collections.abc import AsyncIterator
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from ossature.kernel.context import SYSTEM_TENANT_ID
from ossature.kernel.db.engine import Database
from ossature.kernel.db.notify import Notifier
from ossature.kernel.db.redis import RedisSettings, connect
from ossature.kernel.db.settings import DatabaseSettings
from ossature.kernel.errors import Misconfigured, Unavailable
from ossature.kernel.events.live import DatabaseFanout
from ossature.kernel.events.redis_live import RedisFanout
from ossature.kernel.events.settings import EventSettings
from ossature.kernel.events.signals import Signals
from ossature.kernel.events.store import LiveFrame
from ossature.kernel.events.wires import PostgresWire, TableWire
from tests.kernel.proxy import Proxy

HOUSE = SYSTEM_TENANT_ID
Pair = tuple[DatabaseFanout, DatabaseFanout] | tuple[RedisFanout, RedisFanout]
KEEP = EventSettings(live_keep_frames=150)


@pytest.fixture(params=["sqlite_url", "postgres_url", "redis_url"])
def url(request: pytest.FixtureRequest) -> str:
    """Where the channel runs."""
    return str(request.getfixturevalue(request.param))


@pytest.fixture
async def two(url: str) -> AsyncIterator[Pair]:
    """The same channel seen from two processes."""
    if url.startswith("redis"):
        redis = [connect(RedisSettings(url=url)) for _ in range(2)]
        prefix = f"test{uuid4().hex}:"
        fanouts = RedisFanout(redis[0], prefix, KEEP), RedisFanout(redis[1], prefix, KEEP)
        yield fanouts
        for fanout in fanouts:
            await fanout.close()
        for key in await redis[0].keys(f"{prefix}*"):
            await redis[0].delete(key)
        for one in redis:
            await one.aclose()
        return
    databases = [Database(DatabaseSettings(url=url)) for _ in range(2)]
    opened = []
    for database in databases:
        notifier = Notifier(database.url)
        wire = TableWire(database, KEEP) if url.startswith("sqlite") else PostgresWire(database, notifier)
        signals = Signals(wire)
        await signals.start()
        opened.append((DatabaseFanout(database, signals, KEEP), signals))
    yield opened[0][0], opened[1][0]
    for channel, signals in opened:
        await channel.close()
        await signals.close()
    for database in databases:
        await database.close()


async def wait_for(frames: list[LiveFrame], count: int) -> None:
    async with asyncio.timeout(30):
        while len(frames) < count:  # noqa: ASYNC110 - frames come into a list
            await asyncio.sleep(0.01)


async def test_frames_reach_the_subscribers_of_all_processes_in_order(two: Pair) -> None:
    here, there = two
    near: list[LiveFrame] = []
    far: list[LiveFrame] = []
    await here.subscribe(HOUSE, near.append)
    await there.subscribe(HOUSE, far.append)
    for number in range(30):
        await (here if number % 2 else there).publish(HOUSE, topic="positions", type="position", data={"n": number})
    await wait_for(near, 30)
    await wait_for(far, 30)
    assert [frame.seq for frame in near] == [frame.seq for frame in far] == list(range(1, 31))
    assert [frame.data["n"] for frame in far] == list(range(30))


async def test_many_publishers_at_once_share_one_unbroken_sequence(two: Pair) -> None:
    here, there = two
    far: list[LiveFrame] = []
    await there.subscribe(HOUSE, far.append)
    await asyncio.gather(*(here.publish(HOUSE, topic="t", type="x", data={"n": n}) for n in range(20)))
    await wait_for(far, 20)
    assert [frame.seq for frame in far] == list(range(1, 21))


async def test_a_subscriber_hears_only_what_comes_after_it(two: Pair) -> None:
    here, there = two
    await here.publish(HOUSE, topic="t", type="x", data={"n": 1})
    got: list[LiveFrame] = []
    await there.subscribe(HOUSE, got.append)
    await here.publish(HOUSE, topic="t", type="x", data={"n": 2}, coalesce="a")
    await wait_for(got, 1)
    assert [(frame.seq, frame.data, frame.coalesce) for frame in got] == [(2, {"n": 2}, "a")]


async def test_who_stopped_hears_no_more(two: Pair) -> None:
    here, there = two
    got: list[LiveFrame] = []
    other: list[LiveFrame] = []
    stop = await there.subscribe(HOUSE, got.append)
    await there.subscribe(HOUSE, other.append)
    await stop()
    await here.publish(HOUSE, topic="t", type="x", data={})
    await wait_for(other, 1)
    assert got == []


async def test_a_client_resumes_where_it_was(two: Pair) -> None:
    here, there = two
    for number in range(5):
        await here.publish(HOUSE, topic="t", type="x", data={"n": number})
    missed = await there.since(HOUSE, 3)
    assert missed is not None
    assert [(frame.seq, frame.data["n"]) for frame in missed] == [(4, 3), (5, 4)]
    assert await there.since(HOUSE, 5) == []
    assert await there.last(HOUSE) == 5


async def test_a_client_that_was_away_too_long_must_reload(two: Pair) -> None:
    here, _ = two
    for number in range(201):
        await here.publish(HOUSE, topic="t", type="x", data={"n": number})
    assert await here.since(HOUSE, 0) is None
    recent = await here.since(HOUSE, 190)
    assert recent is not None
    assert len(recent) == 11


async def test_a_number_from_the_future_means_reload(two: Pair) -> None:
    here, _ = two
    await here.publish(HOUSE, topic="t", type="x", data={})
    assert await here.since(HOUSE, 17) is None


async def test_a_frame_waits_for_the_commit(sqlite_url: str) -> None:
    database = Database(DatabaseSettings(url=sqlite_url))
    signals = Signals()
    fanout = DatabaseFanout(database, signals, EventSettings())
    got: list[LiveFrame] = []
    await fanout.subscribe(HOUSE, got.append)
    db = database.system()
    async with db.step():
        fanout.publish_after(db, HOUSE, topic="t", type="x", data={"n": 1})
        with pytest.raises(Misconfigured, match="publish_after"):
            await fanout.publish(HOUSE, topic="t", type="x", data={"n": 2})
    await wait_for(got, 1)
    assert got[0].data == {"n": 1}
    await db.close()
    await fanout.close()
    await database.close()


async def test_frames_go_on_after_redis_was_away_and_forgot_everything(redis_url: str) -> None:
    parts = urlsplit(redis_url)
    prefix = f"test{uuid4().hex}:"
    direct = connect(RedisSettings(url=redis_url))
    publisher = RedisFanout(direct, prefix, KEEP)
    got: list[LiveFrame] = []
    async with Proxy(parts.hostname or "", parts.port or 0) as way:
        redis = connect(RedisSettings(url=f"redis://127.0.0.1:{way.port}"))
        fanout = RedisFanout(redis, prefix, KEEP)
        await fanout.subscribe(HOUSE, got.append)
        for number in range(3):
            await publisher.publish(HOUSE, topic="t", type="x", data={"n": number})
        await wait_for(got, 3)
        await way.down()
        with pytest.raises(Unavailable):
            await fanout.last(HOUSE)
        with pytest.raises(Unavailable):
            await fanout.since(HOUSE, 1)
        for key in await direct.keys(f"{prefix}*"):
            await direct.delete(key)
        await publisher.publish(HOUSE, topic="t", type="x", data={"n": 3})
        await way.up()
        await wait_for(got, 4)
        assert [frame.data["n"] for frame in got] == [0, 1, 2, 3]
        await fanout.close()
        await redis.aclose()
    for key in await direct.keys(f"{prefix}*"):
        await direct.delete(key)
    await publisher.close()
    await direct.aclose()
