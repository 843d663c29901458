"""The live channel: a real server, real WebSockets, frames in order, resume, refusal, presence, a slow reader."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import orjson
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from ossature.kernel.auth.keys import domain as keys
from ossature.kernel.auth.keys import store as key_store
from ossature.kernel.context import Actor
from ossature.kernel.db.redis import RedisSettings
from ossature.kernel.db.redis import connect as connect_redis
from ossature.kernel.errors import Unavailable
from ossature.kernel.events.redis_live import RedisFanout
from ossature.kernel.events.settings import EventSettings
from ossature.kernel.http import live
from ossature.kernel.http.live import Live, Subscription
from ossature.kernel.http.ports import Fanout, Identity
from ossature.kernel.http.server import WebServer
from ossature.kernel.http.settings import HttpSettings
from ossature.kernel.service import Service, Topic
from ossature.kernel.testing.houses import Home, open_house
from tests.kernel.proxy import Proxy

FLEET = Service(
    name="fleet",
    permissions=frozenset({"read:fleet", "read:plans"}),
    topics=(
        Topic("positions", allow="read:fleet"),
        Topic("plan", allow="read:plans"),
        Topic("mine", allow="*", filter=lambda actor, frame: frame.data.get("for") == actor.name),
    ),
)

Open = Callable[..., AbstractAsyncContextManager["Fleet"]]


class Fleet:
    """A running server and how to speak to it."""

    def __init__(self, home: Home, port: int) -> None:
        self.home = home
        self.url = f"127.0.0.1:{port}"

    @asynccontextmanager
    async def client(self, *topics: str, token: str | None = "", **hello: Any) -> AsyncIterator[ClientConnection]:
        """Somebody who has said hello; the welcome is not read yet."""
        async with connect(f"ws://{self.url}/v1/live", subprotocols=[live.PROTOCOL]) as ws:
            words: dict[str, Any] = {"type": "hello", "topics": list(topics), **hello}
            if token is not None:
                words["token"] = token or self.home.secret
            await ws.send(orjson.dumps(words).decode())
            yield ws

    async def publish(self, topic: str, number: int, **more: Any) -> int:
        fanout = self.home.house.port(Fanout)
        data = {"n": number, **more.pop("data", {})}
        return await fanout.publish(self.home.tenant.id, topic=topic, type=topic, data=data, **more)

    async def key(self, *scopes: str) -> str:
        """A key that may only do this."""
        secret = keys.new_secret()
        async with self.home.house.database.begin() as db:
            row = {
                "name": "narrow",
                "hint": keys.hint(secret),
                "secret_digest": keys.digest(secret),
                "roles": ["platform_admin"],
                "scopes": list(scopes),
            }
            await key_store.add_key(db, self.home.tenant.id, row)
        return secret


@pytest.fixture
def open_fleet(tmp_path: Any, sqlite_url: str) -> Open:
    @asynccontextmanager
    async def opened(**settings: Any) -> AsyncIterator[Fleet]:
        http = HttpSettings(**{"drain_linger_s": 0, **settings})
        async with open_house(FLEET, var_dir=tmp_path, database_url=sqlite_url, settings=[http]) as home:
            listening = socket.create_server(("127.0.0.1", 0))
            server = WebServer(home.app, listening, http)
            running = asyncio.create_task(server.run())
            await server.ready()
            try:
                yield Fleet(home, listening.getsockname()[1])
            finally:
                home.house.port(Live).drain()
                server.stop()
                await running

    return opened


@pytest.fixture
async def fleet(open_fleet: Open) -> AsyncIterator[Fleet]:
    async with open_fleet() as opened:
        yield opened


async def read(ws: ClientConnection, count: int = 1) -> list[dict[str, Any]]:
    async with asyncio.timeout(30):
        return [orjson.loads(await ws.recv()) for _ in range(count)]


async def closed(ws: ClientConnection) -> int | None:
    try:
        async with asyncio.timeout(30):
            while True:
                await ws.recv()
    except ConnectionClosed:
        return ws.close_code


async def test_frames_come_in_order_and_each_names_the_one_before(fleet: Fleet) -> None:
    async with fleet.client("positions") as ws:
        assert ws.subprotocol == "ossature.live.v1"
        (welcome,) = await read(ws)
        assert (welcome["type"], welcome["data"]) == ("heartbeat", {"topics": ["positions"]})
        for number in range(3):
            await fleet.publish("positions", number)
            await fleet.publish("plan", number)
        frames = await read(ws, 3)
        assert [frame["data"]["n"] for frame in frames] == [0, 1, 2]
        assert [frame["prev"] for frame in frames] == [welcome["seq"], frames[0]["seq"], frames[1]["seq"]]
        assert set(frames[0]) == {"seq", "prev", "at", "type", "data"}


async def test_a_client_that_comes_back_gets_what_it_missed(fleet: Fleet) -> None:
    async with fleet.client("plan") as ws:
        (welcome,) = await read(ws)
        await fleet.publish("plan", 0)
        (seen,) = await read(ws)
    for number in range(1, 4):
        await fleet.publish("plan", number)
    async with fleet.client("plan", resume_from=seen["seq"]) as ws:
        _, *missed = await read(ws, 4)
        assert [frame["data"]["n"] for frame in missed] == [1, 2, 3]
        assert missed[0]["prev"] == seen["seq"]
    assert welcome["seq"] < seen["seq"]


async def test_a_place_that_is_no_longer_kept_is_answered_with_resync(fleet: Fleet) -> None:
    await fleet.publish("plan", 0)
    async with fleet.client("plan", resume_from=1_000_000) as ws:
        kinds = [frame["type"] for frame in await read(ws, 2)]
        assert kinds == ["heartbeat", "resync"]
        await fleet.publish("plan", 1)
        assert (await read(ws))[0]["data"]["n"] == 1


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ({"token": None}, 4401),
        ({"token": "oss_nobody"}, 4401),
        ({"topics": ["positions", "secrets"]}, 4403),
        ({"topics": "all"}, 4400),
        ({"shoes": 1}, 4400),
    ],
)
async def test_who_may_not_listen_is_told_by_the_close_code(fleet: Fleet, words: dict[str, Any], code: int) -> None:
    hello = {"type": "hello", "topics": ["positions"], "token": fleet.home.secret, **words}
    async with connect(f"ws://{fleet.url}/v1/live") as ws:
        await ws.send(orjson.dumps(hello).decode())
        assert await closed(ws) == code


async def test_a_topic_needs_its_permission_and_a_filter_hides_what_is_for_others(fleet: Fleet) -> None:
    narrow = await fleet.key("read:plans")
    async with fleet.client("positions", token=narrow) as ws:
        assert await closed(ws) == 4403
    async with fleet.client("plan", "mine", token=narrow) as ws:
        await read(ws)
        await fleet.publish("mine", 1, data={"for": "somebody else"})
        await fleet.publish("mine", 2, data={"for": "narrow"})
        assert (await read(ws))[0]["data"]["n"] == 2


async def test_topics_can_be_changed_in_the_middle(fleet: Fleet) -> None:
    async with fleet.client() as ws:
        await read(ws)
        await ws.send('{"type":"subscribe","topics":["plan"]}')
        assert (await read(ws))[0]["data"] == {"topics": ["plan"]}
        await fleet.publish("plan", 1)
        assert (await read(ws))[0]["data"]["n"] == 1
        await ws.send('{"type":"ping"}')
        assert (await read(ws))[0]["type"] == "pong"
        await ws.send('{"type":"subscribe","topics":["nothing"]}')
        assert await closed(ws) == 4403


async def test_frames_that_replace_each_other_are_held_back_and_the_newest_wins(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "_COALESCE_S", 3600.0)
    async with fleet.client("positions") as ws:
        await read(ws)
        for number in range(20):
            await fleet.publish("positions", number, coalesce="car 1")
        await fleet.publish("positions", 100, coalesce="car 2")
        assert [frame["data"]["n"] for frame in await read(ws, 2)] == [0, 100]
        monkeypatch.setattr(live, "_COALESCE_S", 0.0)
        last = await fleet.publish("positions", 200, coalesce="car 3")
        frames = await read(ws, 2)
        assert [frame["data"]["n"] for frame in frames] == [200, 19]
        assert [frame["seq"] for frame in frames] == [last, last]
        assert frames[1]["prev"] == frames[0]["seq"]


async def test_a_frame_that_was_held_back_waits_for_its_second_and_not_for_the_next_frame(fleet: Fleet) -> None:
    client, _ = await fleet.home.house.port(Live).join(_somebody(fleet.home), {"positions": FLEET.topics[0]})
    await fleet.publish("positions", 1, coalesce="car 1")
    assert len(await _frames(client, 1)) == 1
    waiting = asyncio.create_task(client.frames(3600))
    await asyncio.sleep(0)  # it waits for the next frame, whenever that comes
    await fleet.publish("positions", 2, coalesce="car 1")
    async with asyncio.timeout(30):
        held = await waiting
    held += await _frames(client, 1 - len(held))
    assert [orjson.loads(frame)["data"]["n"] for _, frame in held] == [2]


async def test_what_the_channel_says_between_frames_has_the_number_of_the_last_that_went_out(fleet: Fleet) -> None:
    client, _ = await fleet.home.house.port(Live).join(_somebody(fleet.home), {"plan": FLEET.topics[1]})
    for number in range(3):
        await fleet.publish("plan", number)
    frames = await _frames(client, 3)
    first = frames[0][0]
    client.sent(first)  # the two others are still on their way when the client asks something
    assert orjson.loads(client.control("pong", {}))["seq"] == first
    assert [orjson.loads(frame)["prev"] for _, frame in frames][1:] == [seq for seq, _ in frames][:-1]


async def test_a_client_that_missed_more_than_may_wait_for_it_reloads(open_fleet: Open) -> None:
    async with open_fleet(live_queue_frames=10) as fleet:
        first = await fleet.publish("plan", 0)
        for number in range(1, 13):
            await fleet.publish("plan", number)
        async with fleet.client("plan", resume_from=first) as ws:
            assert [frame["type"] for frame in await read(ws, 2)] == ["heartbeat", "resync"]
            await fleet.publish("plan", 13)
            assert (await read(ws))[0]["data"]["n"] == 13


async def test_a_client_that_could_not_join_is_not_kept(fleet: Fleet, redis_url: str) -> None:
    parts, tenant = urlsplit(redis_url), fleet.home.tenant
    async with Proxy(parts.hostname or "", parts.port or 0) as way:
        redis = connect_redis(RedisSettings(url=f"redis://127.0.0.1:{way.port}"))
        fanout = RedisFanout(redis, f"test{uuid4().hex}:", EventSettings(live_keep_s=10))
        channel = Live(fanout, FLEET.topics, HttpSettings())
        first, _ = await channel.join(_somebody(fleet.home), {})
        await way.down()
        with pytest.raises(Unavailable):
            await channel.join(_somebody(fleet.home), {}, resume_from=1)
        assert channel.count(tenant.id) == 1
        await channel.leave(first)
        assert channel.count(tenant.id) == 0
        await channel.close()
        await fanout.close()
        await redis.aclose()


def _somebody(home: Home) -> Identity:
    actor = Actor(kind="user", id=None, name="x", permissions=frozenset({"*:*"}))
    return Identity(home.tenant, actor, "user:x")


async def _frames(client: Subscription, count: int) -> list[tuple[int, bytes]]:
    found: list[tuple[int, bytes]] = []
    async with asyncio.timeout(30):
        while len(found) < count:
            found += await client.frames(3600)
    return found


async def test_a_revoked_key_ends_its_connections_at_the_next_heartbeat(open_fleet: Open) -> None:
    async with open_fleet(live_heartbeat_s=0.2) as fleet:
        narrow = await fleet.key("read:plans")
        async with fleet.client("plan", token=narrow) as ws, fleet.home.client() as http:
            await read(ws)
            found = (await http.get("/v1/auth/keys")).json()["items"]
            (mine,) = [key for key in found if key["name"] == "narrow"]
            assert (await http.delete(f"/v1/auth/keys/{mine['id']}")).status_code < 300
            assert await closed(ws) == 4401


async def test_a_client_that_never_speaks_is_closed_as_idle(open_fleet: Open) -> None:
    async with open_fleet(live_heartbeat_s=0.1, live_idle_s=0.3) as fleet, fleet.client("plan") as ws:
        assert await closed(ws) == 4408


async def test_a_process_that_ends_sends_its_clients_to_another(fleet: Fleet) -> None:
    async with fleet.client("plan") as ws:
        await read(ws)
        fleet.home.house.port(Live).drain()
        assert await closed(ws) == 1001


async def test_who_comes_and_goes_is_told_to_those_who_ask(fleet: Fleet) -> None:
    narrow = await fleet.key("read:plans")
    async with fleet.client("presence") as ws:
        _, listed = await read(ws, 2)
        assert [person["name"] for person in listed["data"]["people"].values()] == ["first administrator"]
        async with fleet.client("plan", token=narrow):
            frames = await read(ws, 2)
            assert [(f["type"], f["data"]["name"]) for f in frames] == [
                ("presence.joined", "first administrator"),
                ("presence.joined", "narrow"),
            ]
        (left,) = await read(ws)
        assert (left["type"], left["data"]["name"]) == ("presence.left", "narrow")


async def test_the_same_frames_come_as_events_and_go_on_behind_the_last_one(fleet: Fleet) -> None:
    first = await fleet.publish("plan", 1)
    await fleet.publish("plan", 2)
    headers = {"authorization": f"Bearer {fleet.home.secret}", "last-event-id": str(first), "accept-encoding": "gzip"}
    async with (
        httpx.AsyncClient() as http,
        http.stream("GET", f"http://{fleet.url}/v1/live/events?topics=plan", headers=headers) as events,
    ):
        assert events.headers["content-type"].startswith("text/event-stream")
        assert "content-encoding" not in events.headers
        lines = events.aiter_lines()
        async with asyncio.timeout(30):
            found = [orjson.loads(line[6:]) async for line in _until(lines, 2)]
        assert [frame["data"].get("n") for frame in found] == [None, 2]
        await fleet.publish("plan", 3)
        async with asyncio.timeout(30):
            found = [orjson.loads(line[6:]) async for line in _until(lines, 1)]
        assert found[0]["data"]["n"] == 3


async def _until(lines: AsyncIterator[str], count: int) -> AsyncIterator[str]:
    async for line in lines:
        if line.startswith("data: "):
            yield line
            count -= 1
            if not count:
                return


async def test_events_of_a_topic_that_is_not_ours_are_refused_with_a_problem(fleet: Fleet) -> None:
    narrow = await fleet.key("read:plans")
    async with fleet.home.client(secret=narrow) as http:
        refused = await http.get("/v1/live/events?topics=positions")
        assert (refused.status_code, refused.json()["title"]) == (403, "Permission denied")
        assert (await http.get("/v1/live/events?topics=plan&resume_from=x")).status_code == 422
    async with fleet.home.client(secret=None) as http:
        assert (await http.get("/v1/live/events?topics=plan")).status_code == 401


async def test_a_slow_reader_is_dropped_and_the_others_get_everything(fleet: Fleet) -> None:
    channel = fleet.home.house.port(Live)
    home = fleet.home
    actor = Actor(kind="user", id=None, name="x", permissions=frozenset({"*:*"}))
    channel.settings = HttpSettings(live_queue_frames=10)
    slow, _ = await channel.join(Identity(home.tenant, actor, "user:slow"), {"plan": channel.topics["plan"]})
    async with fleet.client("plan") as ws:
        await read(ws)
        for number in range(12):
            await fleet.publish("plan", number)
        assert [frame["data"]["n"] for frame in await read(ws, 12)] == list(range(12))
    assert slow.closing == live.TOO_SLOW


async def test_a_thousand_clients_in_one_process_all_get_every_frame(fleet: Fleet) -> None:
    channel = fleet.home.house.port(Live)
    actor = Actor(kind="user", id=None, name="x", permissions=frozenset({"*:*"}))
    identity = Identity(fleet.home.tenant, actor, "user:x")
    topics = channel.choose(identity, ["plan"])
    clients = [(await channel.join(identity, topics))[0] for _ in range(1000)]
    for number in range(20):
        await fleet.publish("plan", number)
    got = []
    for client in clients:
        frames: list[bytes] = []
        async with asyncio.timeout(30):
            while len(frames) < 20:
                frames += [frame for _, frame in await client.frames(1)]
        got.append([orjson.loads(frame)["data"]["n"] for frame in frames])
    assert all(numbers == list(range(20)) for numbers in got)
    for client in clients:
        await channel.leave(client)
    assert channel.present(fleet.home.tenant.id) == {}


async def test_a_client_that_does_not_read_is_closed_and_holds_nobody_up(open_fleet: Open) -> None:
    async with open_fleet(live_queue_frames=10) as fleet:
        channel = fleet.home.house.port(Live)
        # The client reads as little as it can; what the server's own buffers take is not in our queue.
        async with connect(f"ws://{fleet.url}/v1/live", max_queue=1) as slow, fleet.client("plan") as quick:
            await slow.send(orjson.dumps({"type": "hello", "token": fleet.home.secret, "topics": ["plan"]}).decode())
            assert [frame["type"] for frame in await read(quick)] == ["heartbeat"]
            await slow.recv()
            for number in range(80):
                await fleet.publish("plan", number, data={"load": "x" * 200_000})
                assert (await read(quick))[0]["data"]["n"] == number
            async with asyncio.timeout(30):
                while channel.count(fleet.home.tenant.id) > 1:  # noqa: ASYNC110 - of the server's own
                    await asyncio.sleep(0.05)
            assert await closed(slow) in {live.TOO_SLOW, 1006}


async def test_processes_tell_each_other_who_is_connected(fleet: Fleet) -> None:
    house, tenant = fleet.home.house, fleet.home.tenant
    other = Live(house.port(Fanout), house.port(Live).topics.values(), HttpSettings())
    anna = Identity(tenant, Actor(kind="user", id=None, name="Anna"), "user:anna")
    bert = Identity(tenant, Actor(kind="user", id=None, name="Bert"), "user:bert")
    here, _ = await house.port(Live).join(anna, {})
    there, _ = await other.join(bert, {})

    async def until(channel: Live, *names: str) -> None:
        async with asyncio.timeout(30):
            while sorted(person["name"] for person in channel.present(tenant.id).values()) != sorted(names):  # noqa: ASYNC110
                await asyncio.sleep(0.02)

    await until(other, "Anna", "Bert")
    await until(house.port(Live), "Anna", "Bert")
    await other.leave(there)
    await until(house.port(Live), "Anna")
    await house.port(Live).leave(here)
    await other.close()
