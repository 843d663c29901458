"""Nothing is lost and nothing that was completed is done twice, whoever is killed and whatever broker goes away."""

import asyncio
import json
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text

from ossature.kernel.db.engine import Database
from ossature.kernel.db.settings import DatabaseSettings
from ossature.kernel.jobs.domain import HOUSE_TENANT_ID, State
from ossature.kernel.jobs.queue import Jobs
from ossature.kernel.jobs.settings import JobSettings
from ossature.kernel.jobs.transport.broker import open_transport
from tests.kernel.proxy import Proxy, through_proxy

from .kill_worker import EFFECTS

HERE = Path(__file__).parent
SMALL, FULL = (120, 3), (1000, 12)


class Site:
    """A database, a broker, and worker processes that come and go."""

    def __init__(self, url: str, folder: Path, settings: dict[str, Any]) -> None:
        self.url, self.outside, self.settings = url, folder / "outside.db", settings
        self.database = Database(DatabaseSettings(url=url))
        read = JobSettings(**settings)
        self.jobs = Jobs(self.database, {EFFECTS.name: EFFECTS}, read, open_transport(read))
        self.workers: list[subprocess.Popen[bytes]] = []
        with sqlite3.connect(self.outside) as outside:
            outside.executescript(
                "PRAGMA journal_mode=WAL; CREATE TABLE run (job INT); CREATE TABLE keyed (job INT UNIQUE)"
            )

    async def prepare(self) -> None:
        async with self.database.begin() as db:
            await db.write_text("CREATE TABLE test_effect (job INT, step INT)")

    async def enqueue(self, numbers: range, *, within_s: float = 0.0) -> None:
        for number in numbers:
            await asyncio.sleep(random.uniform(0, 2 * within_s / len(numbers)))
            async with self.database.begin() as db:
                await self.jobs.enqueue(db, EFFECTS, {"number": number}, tenant_id=HOUSE_TENANT_ID)

    def start_worker(self) -> None:
        command = [sys.executable, str(HERE / "kill_worker.py"), self.url, str(self.outside), json.dumps(self.settings)]
        self.workers.append(subprocess.Popen(command))

    def kill_one(self) -> None:
        victim = self.workers.pop(random.randrange(len(self.workers)))
        victim.kill()
        victim.wait()
        self.start_worker()

    async def left(self) -> int:
        async with self.database.begin() as db:
            return await db.scalar(text("SELECT count(*) FROM jobs_job WHERE finished_at IS NULL"))

    async def until_done(self, within_s: float) -> None:
        async with asyncio.timeout(within_s):
            while await self.left():  # noqa: ASYNC110 - what is watched is no event
                await asyncio.sleep(0.05)

    async def check(self, number_of_jobs: int) -> None:
        """What must be true whatever happened in between."""
        async with self.database.begin() as db:
            states = dict(await db.all(text("SELECT state, count(*) FROM jobs_job GROUP BY state")))  # type: ignore[arg-type]
            effects = (await db.all(text("SELECT count(*), count(DISTINCT job * 10 + step) FROM test_effect")))[0]
        assert states == {State.SUCCEEDED: number_of_jobs}
        assert tuple(effects) == (2 * number_of_jobs, 2 * number_of_jobs)
        with sqlite3.connect(self.outside) as outside:
            assert outside.execute("SELECT count(*) FROM keyed").fetchone() == (number_of_jobs,)

    async def close(self) -> None:
        for worker in self.workers:
            worker.terminate()
        try:
            codes = {worker.wait(15) for worker in self.workers}
        finally:
            for worker in self.workers:
                worker.kill()
        assert codes <= {0, -signal.SIGTERM}  # the latter when it had only just been started
        await self.jobs.close()
        await self.database.close()


@asynccontextmanager
async def site(url: str, folder: Path, **settings: Any) -> AsyncIterator[Site]:
    opened = Site(url, folder, {"lease_s": 3.0, "drain_s": 2.0, "poll_s": 0.5, **settings})
    try:
        await opened.prepare()
        yield opened
    finally:
        await opened.close()


async def storm(here: Site, number_of_jobs: int, kills: int, broker: Proxy | None = None) -> None:
    """Enqueue while workers are killed at random moments, and the broker goes away in the middle."""
    here.start_worker()
    here.start_worker()
    enqueued = asyncio.create_task(here.enqueue(range(number_of_jobs), within_s=kills * 1.2))
    for kill in range(kills):
        await asyncio.sleep(random.uniform(0.9, 1.5))
        here.kill_one()
        if broker is not None and kill == kills // 2:
            await broker.down()
            await asyncio.sleep(0.5)
            await broker.up()
    await enqueued
    await here.until_done(60)
    await here.check(number_of_jobs)


SIZES = [pytest.param(SMALL, id="small"), pytest.param(FULL, id="full", marks=pytest.mark.slow)]


@pytest.mark.parametrize("size", SIZES)
async def test_killed_workers_lose_nothing_and_repeat_nothing(
    database_url: str, tmp_path: Path, size: tuple[int, int]
) -> None:
    async with site(database_url, tmp_path) as here:
        await storm(here, *size)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", ["redis", "rabbitmq"])
async def test_a_broker_that_goes_away_in_the_middle_loses_nothing(
    request: pytest.FixtureRequest, postgres_url: str, tmp_path: Path, kind: str, size: tuple[int, int]
) -> None:
    real = request.getfixturevalue(f"{kind}_url")
    prefix = f"ossature.test.{uuid4().hex[:8]}"
    async with through_proxy(real) as (proxy, url):
        options = {"transport": kind, "broker_url": url, "broker_prefix": prefix}
        async with site(postgres_url, tmp_path, **options) as here:
            await storm(here, *size, broker=proxy)
    await forget_broker(kind, real, prefix)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("rabbitmqctl") is None, reason="rabbitmqctl is missing")
async def test_a_rabbitmq_that_is_restarted_loses_nothing(postgres_url: str, rabbitmq_url: str, tmp_path: Path) -> None:
    prefix = f"ossature.test.{uuid4().hex[:8]}"
    options = {"transport": "rabbitmq", "broker_url": rabbitmq_url, "broker_prefix": prefix}
    async with site(postgres_url, tmp_path, **options) as here:
        here.start_worker()
        here.start_worker()
        enqueued = asyncio.create_task(here.enqueue(range(FULL[0])))
        await asyncio.sleep(1.5)
        for verb in ("stop_app", "start_app"):
            await asyncio.to_thread(subprocess.run, ["rabbitmqctl", verb], check=True, capture_output=True, timeout=60)
        here.kill_one()
        await enqueued
        await here.until_done(60)
        await here.check(FULL[0])
    await forget_broker("rabbitmq", rabbitmq_url, prefix)


async def forget_broker(kind: str, url: str, prefix: str) -> None:
    if kind == "redis":
        from redis.asyncio import Redis

        async with Redis.from_url(url) as redis:
            await redis.delete(f"{prefix}.default", f"autoclaim:{prefix}:{prefix}.default")
        return
    import aio_pika

    async with await aio_pika.connect(url) as connection, connection.channel() as channel:
        for queue in ("default", "dead_letter"):
            await channel.queue_delete(f"{prefix}.{queue}")
        await channel.exchange_delete(prefix)
