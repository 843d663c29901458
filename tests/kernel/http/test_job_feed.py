"""Jobs on the live channel: what one process does is seen in another, over a WebSocket and as events."""

import asyncio
import socket
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import orjson
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from ossature.kernel.auth.keys import domain as keys
from ossature.kernel.auth.keys import store as key_store
from ossature.kernel.http import live
from ossature.kernel.http.job_feed import JobFeed
from ossature.kernel.http.live import Live
from ossature.kernel.http.ports import Fanout
from ossature.kernel.http.server import WebServer
from ossature.kernel.http.settings import HttpSettings
from ossature.kernel.jobs.domain import JobNews, State
from ossature.kernel.tenants import store as tenants
from ossature.kernel.tenants.domain import NewTenant
from ossature.kernel.testing.houses import Home, open_house
from tests.kernel.http.kiln import FIRE, GLANCE, KILN

LIMIT_S = 120.0


class Watched:
    """A serving house whose work is done by somebody else."""

    def __init__(self, home: Home, port: int) -> None:
        self.home = home
        self.url = f"127.0.0.1:{port}"

    async def start(self, pots: int, *, seen: Path | None = None) -> str:
        """Hand over a job, which goes on as each of its pots was `seen`; its id."""
        arguments = {"pots": pots, "seen": str(seen or "")}
        async with self.home.house.database.begin() as db:
            return str(await self.home.house.jobs.enqueue(db, FIRE, arguments, tenant_id=self.home.tenant.id))

    async def key(self, tenant_id: UUID, *scopes: str) -> str:
        """A key of a tenant that may only do this."""
        secret = keys.new_secret()
        row = {"name": "narrow", "hint": keys.hint(secret), "secret_digest": keys.digest(secret)}
        async with self.home.house.database.begin() as db:
            await key_store.add_key(db, tenant_id, {**row, "roles": ["owner"], "scopes": list(scopes)})
        return secret


@pytest.fixture
async def watched(database_url: str, tmp_path: Path) -> AsyncIterator[Watched]:
    settings = [HttpSettings(drain_linger_s=0)]
    async with open_house(KILN, var_dir=tmp_path, database_url=database_url, settings=settings) as home:
        listening = socket.create_server(("127.0.0.1", 0))
        server = WebServer(home.app, listening, settings[0])
        running = asyncio.create_task(server.run())
        await server.ready()
        async with worker(database_url, tmp_path):
            yield Watched(home, listening.getsockname()[1])
        home.house.port(Live).drain()
        server.stop()
        await running


@asynccontextmanager
async def worker(url: str, folder: Path) -> AsyncIterator[None]:
    """Another process, which does the work."""
    command = [sys.executable, "-m", "tests.kernel.http.kiln", url, str(folder / "worker")]
    process = await asyncio.create_subprocess_exec(*command, cwd=Path(__file__).parents[3])
    try:
        yield
    finally:
        process.terminate()
        assert await process.wait() == 0


async def hello(ws: ClientConnection, token: str, **more: Any) -> dict[str, Any]:
    await ws.send(orjson.dumps({"type": "hello", "token": token, "topics": ["jobs"], **more}).decode())
    welcome: dict[str, Any] = orjson.loads(await ws.recv())
    return welcome


def about(frame: dict[str, Any], job_id: str) -> list[dict[str, Any]]:
    return [job for job in frame["data"].get("jobs", ()) if job["id"] == job_id]


class Watchers:
    """Those who look at a kiln: once both saw a pot, the next one is fired."""

    def __init__(self, folder: Path, count: int) -> None:
        self._folder, self._count = folder, count
        self._saw: Counter[str] = Counter()

    def note(self, told: list[dict[str, Any]], message: str) -> None:
        """One of them is told this for the first time."""
        if message.startswith("pot ") and [job["message"] for job in told].count(message) == 1:
            self._saw[message] += 1
            if self._saw[message] == self._count:
                (self._folder / message.split()[1]).touch()


async def seen_over_socket(
    url: str, token: str, job_id: asyncio.Future[str], watchers: Watchers
) -> list[dict[str, Any]]:
    """What a WebSocket is told of a job until that has ended."""
    told: list[dict[str, Any]] = []
    async with connect(f"ws://{url}/v1/live", subprotocols=[Subprotocol(live.PROTOCOL)]) as ws:
        await hello(ws, token)
        while not told or told[-1]["state"] not in {"succeeded", "dead"}:
            for job in about(orjson.loads(await ws.recv()), await job_id):
                told.append(job)
                watchers.note(told, job["message"] or "")
    return told


async def seen_as_events(url: str, token: str, job_id: asyncio.Future[str], watchers: Watchers) -> list[dict[str, Any]]:
    """The same as server-sent events."""
    told: list[dict[str, Any]] = []
    headers = {"authorization": f"Bearer {token}"}
    async with (
        httpx.AsyncClient(timeout=LIMIT_S) as http,
        http.stream("GET", f"http://{url}/v1/live/events?topics=jobs", headers=headers) as events,
    ):
        async for line in events.aiter_lines():
            if line.startswith("data: "):
                for job in about(orjson.loads(line[6:]), await job_id):
                    told.append(job)
                    watchers.note(told, job["message"] or "")
            if told and told[-1]["state"] in {"succeeded", "dead"}:
                return told
    return told


async def test_percent_and_message_of_a_job_in_another_process_advance_until_it_has_ended(
    watched: Watched, tmp_path: Path
) -> None:
    seen = tmp_path / "seen"
    seen.mkdir()
    watchers = Watchers(seen, 2)
    job_id: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    async with asyncio.timeout(LIMIT_S), asyncio.TaskGroup() as group:
        socketed = group.create_task(seen_over_socket(watched.url, watched.home.secret, job_id, watchers))
        streamed = group.create_task(seen_as_events(watched.url, watched.home.secret, job_id, watchers))
        while watched.home.house.port(Live).count(watched.home.tenant.id) < 2:  # noqa: ASYNC110 - of the server's own
            await asyncio.sleep(0.05)
        job_id.set_result(await watched.start(4, seen=seen))

    for told in (socketed.result(), streamed.result()):
        percents = [job["percent"] for job in told if job["percent"] is not None]
        assert percents == sorted(percents)
        assert len(set(percents)) >= 4
        assert told[0]["state"] == "queued"
        assert {job["name"] for job in told} == {"kiln.fire"}
        assert {"pot 2 of 4", "pot 3 of 4"} <= {job["message"] for job in told}
        assert (told[-1]["state"], told[-1]["percent"], told[-1]["message"]) == ("succeeded", 100.0, "all fired")


async def test_who_comes_back_is_told_what_became_of_the_job_meanwhile(watched: Watched) -> None:
    async with asyncio.timeout(LIMIT_S), connect(f"ws://{watched.url}/v1/live") as ws:
        place = (await hello(ws, watched.home.secret))["seq"]
    job_id = await watched.start(1)
    async with asyncio.timeout(LIMIT_S), watched.home.client() as http:
        while (await http.get(f"/v1/jobs/{job_id}")).json()["state"] != "succeeded":  # noqa: ASYNC110 - of another process
            await asyncio.sleep(0.1)

    states: list[str] = []
    async with asyncio.timeout(LIMIT_S), connect(f"ws://{watched.url}/v1/live") as ws:
        await hello(ws, watched.home.secret, resume_from=place)
        while "succeeded" not in states:
            states += [job["state"] for job in about(orjson.loads(await ws.recv()), job_id)]
    assert states[0] == "queued"


async def test_another_tenant_and_who_may_not_read_jobs_hear_nothing(watched: Watched) -> None:
    async with watched.home.house.database.begin() as db:
        other = await tenants.add_tenant(db, NewTenant("other", "Other"))
    stranger = await watched.key(other.id)
    blind = await watched.key(watched.home.tenant.id, "read:webhooks")
    async with asyncio.timeout(LIMIT_S), connect(f"ws://{watched.url}/v1/live") as ws:
        with pytest.raises(ConnectionClosed):
            await hello(ws, blind)
        assert ws.close_code == live.TOPIC_NOT_ALLOWED
    async with asyncio.timeout(LIMIT_S), connect(f"ws://{watched.url}/v1/live") as ws:
        await hello(ws, stranger)
        await watched.start(1)
        async with watched.home.house.database.begin() as db:
            mine = str(await watched.home.house.jobs.enqueue(db, GLANCE, tenant_id=other.id))
        heard: set[str] = set()
        states: list[str] = []
        while "succeeded" not in states:
            jobs = orjson.loads(await ws.recv())["data"].get("jobs", ())
            heard |= {job["id"] for job in jobs}
            states += [job["state"] for job in jobs]
    assert heard == {mine}


async def test_very_many_jobs_make_few_frames_and_what_was_left_out_is_counted(tmp_path: Path) -> None:
    frames: list[Any] = []
    async with open_house(KILN, var_dir=tmp_path) as home:
        house = home.house
        stop = await house.port(Fanout).subscribe(  # type: ignore[type-abstract] # a promise
            home.tenant.id, frames.append
        )
        watched = JobNews(UUID(int=7), home.tenant.id, "kiln.fire", "default", State.LEASED, 1, 40.0, "pot 2")
        async with house.database.begin() as db:
            await house.jobs.enqueue_many(db, GLANCE, [{}] * 300, tenant_id=home.tenant.id)
            db.after_commit(lambda: house.port(JobFeed).hear(watched))
        async with asyncio.timeout(LIMIT_S):
            while not frames:  # noqa: ASYNC110 - of the house's own
                await asyncio.sleep(0.05)
        await stop()
    (frame,) = frames
    told = frame.data["jobs"]
    assert len(told) == 51
    assert frame.data["more"] == 250
    assert told[-1] == {
        "id": str(UUID(int=7)), "name": "kiln.fire", "queue": "default", "state": "leased", "attempt": 1,
        "percent": 40.0, "message": "pot 2",
    }  # fmt: skip
