"""Jobs per second and pick-up latency on SQLite, PostgreSQL, Redis and RabbitMQ, beside Procrastinate and Taskiq.

Every job does nothing, so what is measured is the machinery: a transaction per enqueue, a claim, a recorded end. "Run" is
the time from the first start to the last end as the rows say it, with the workers waiting before the jobs are there.
Servers are looked for on this machine; one that is missing is not measured.
"""

import asyncio
import contextlib
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from uuid import uuid4

import aio_pika
import asyncpg  # type: ignore[import-untyped] # it has no types
from redis.asyncio import Redis
from sqlalchemy import func, select

from ossature.kernel.context import Ctx
from ossature.kernel.db.engine import Database
from ossature.kernel.db.settings import DatabaseSettings
from ossature.kernel.db.transaction import Db
from ossature.kernel.jobs.claims import Claim
from ossature.kernel.jobs.domain import HOUSE_TENANT_ID
from ossature.kernel.jobs.queue import Jobs
from ossature.kernel.jobs.settings import JobSettings
from ossature.kernel.jobs.store import JobRow, WorkerRow
from ossature.kernel.jobs.transport.broker import open_transport
from ossature.kernel.jobs.worker import Worker
from ossature.kernel.service import Job
from ossature.kernel.testing import schema

POSTGRES = "postgresql://postgres@127.0.0.1:5432"
REDIS = "redis://127.0.0.1:6379"
RABBITMQ = "amqp://guest:guest@127.0.0.1:5672/"
PEERS = Path.home() / ".cache" / "ossature-bench" / "jobs-peers"
PEER_PACKAGES = ("procrastinate", "psycopg[binary,pool]", "taskiq", "taskiq-redis")
TARGETS = {
    "sqlite_enqueue_run_per_s": {"least": 1000},
    "postgres_run_2_workers_per_s": {"least": 1000},
    "sqlite_pickup_p99_ms": {"most": 50},
    "postgres_pickup_p99_ms": {"most": 50},
}
_PRODUCERS = 4
_TIME_LIMIT_S = 120.0


async def nothing(_ctx: Any, number: int) -> None:  # noqa: ANN401 - as little of a context as can be
    """The job whose cost is all machinery."""
    del number


async def tell_time(_ctx: Any, sent: float) -> float:  # noqa: ANN401 - as above
    """Seconds from before the enqueueing to the start."""
    return time.time() - sent


NOTHING = Job(name="bench.nothing", run=nothing)
TELL_TIME = Job(name="bench.tell_time", run=tell_time)
REGISTRY = {job.name: job for job in (NOTHING, TELL_TIME)}


def run(*, quick: bool) -> dict[str, Any]:
    """The figures; peers that `setup` did not install are not measured."""
    number = 500 if quick else 3000
    metrics: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/jobs.db"
        metrics |= asyncio.run(_measure("sqlite", url, {}, number=number, workers=1))
    if shutil.which("psql"):
        brokers = {"postgres": {}, "redis": _broker("redis", REDIS), "rabbitmq": _broker("rabbitmq", RABBITMQ)}
        for name, settings in brokers.items():
            with _postgres_database() as database:
                url = f"{POSTGRES}/{database}".replace("postgresql:", "postgresql+asyncpg:")
                metrics |= asyncio.run(_measure(name, url, settings, number=number, workers=2))
        metrics |= _peers(number)
    return {"metrics": metrics, "targets": TARGETS}


def setup() -> None:
    """Install the peers in an environment of their own."""
    venv.create(PEERS, with_pip=True)
    subprocess.run([PEERS / "bin" / "pip", "install", "--quiet", *PEER_PACKAGES], check=True, timeout=300)


def _broker(kind: str, url: str) -> dict[str, Any]:
    return {"transport": kind, "broker_url": url, "broker_prefix": f"ossature.bench.{uuid4().hex[:8]}"}


@contextmanager
def _postgres_database() -> Iterator[str]:
    name = f"ossature_bench_{uuid4().hex[:8]}"

    async def say(sql: str) -> None:
        connection = await asyncpg.connect(f"{POSTGRES}/postgres")
        try:
            await connection.execute(sql)
        finally:
            await connection.close()

    asyncio.run(say(f'CREATE DATABASE "{name}"'))
    try:
        yield name
    finally:
        asyncio.run(say(f'DROP DATABASE "{name}" WITH (FORCE)'))


async def _measure(name: str, url: str, settings: Mapping[str, Any], *, number: int, workers: int) -> dict[str, float]:
    """All figures of one database and transport, by metric name."""
    database = Database(DatabaseSettings(url=url))
    await schema.create(database)
    read = JobSettings(**settings)
    jobs = Jobs(database, REGISTRY, read, open_transport(read))
    try:
        enqueue_s = await _enqueue(jobs, number)
        async with _workers(url, settings, workers, database):
            await _until_done(database)
        async with _workers(url, settings, workers, database):
            async with database.begin() as db:
                await jobs.enqueue_many(db, NOTHING, [{"number": n} for n in range(number)], tenant_id=HOUSE_TENANT_ID)
            await _until_done(database)
            run_s = await _run_time_s(database, number)
            waits_ms = await _pickups_ms(jobs, number // 10)
    finally:
        await jobs.close()
        await database.close()
        await _forget(settings)
    workers_part = f"_{workers}_workers" if workers > 1 else ""
    return {
        f"{name}_enqueue_per_s": round(number / enqueue_s),
        f"{name}_run{workers_part}_per_s": round(number / run_s),
        f"{name}_enqueue_run_per_s": round(number / (enqueue_s + run_s)),
        f"{name}_pickup_p50_ms": round(waits_ms[len(waits_ms) // 2], 1),
        f"{name}_pickup_p99_ms": round(waits_ms[int(len(waits_ms) * 0.99)], 1),
    }


async def _enqueue(jobs: Jobs, number: int) -> float:
    """Seconds for `number` jobs, each in a transaction of its own, from a few producers at a time."""
    numbers = iter(range(number))

    async def produce() -> None:
        for one in numbers:
            async with jobs.database.begin() as db:
                await jobs.enqueue(db, NOTHING, {"number": one}, tenant_id=HOUSE_TENANT_ID)

    begun = time.perf_counter()
    await asyncio.gather(*(produce() for _ in range(_PRODUCERS)))
    return time.perf_counter() - begun


@asynccontextmanager
async def _workers(url: str, settings: Mapping[str, Any], number: int, database: Database) -> AsyncIterator[None]:
    """That many worker processes, registered; ended when the block is."""
    command = [sys.executable, "-m", "bench.kernel_jobs", url, json.dumps(settings)]
    started = [subprocess.Popen(command, stdout=subprocess.DEVNULL) for _ in range(number)]  # noqa: ASYNC220 - returns at once
    try:
        async with asyncio.timeout(_TIME_LIMIT_S):
            while await _count(database, select(func.count()).select_from(WorkerRow)) < number:  # noqa: ASYNC110 - rows of others
                await asyncio.sleep(0.05)
        yield
    finally:
        for process in started:
            process.terminate()
        for process in started:
            await asyncio.to_thread(process.wait, 20)


async def _count(database: Database, query: Any) -> int:  # noqa: ANN401 - a SELECT
    async with database.begin() as db:
        return int(await db.scalar(query) or 0)


async def _until_done(database: Database) -> None:
    left = select(func.count()).select_from(JobRow).where(JobRow.finished_at.is_(None))
    async with asyncio.timeout(_TIME_LIMIT_S):
        while await _count(database, left):  # noqa: ASYNC110 - rows of others
            await asyncio.sleep(0.1)


async def _run_time_s(database: Database, number: int) -> float:
    """From the first start to the last end of the latest `number` jobs."""
    latest = select(JobRow.started_at, JobRow.finished_at).order_by(JobRow.position.desc()).limit(number)
    async with database.begin() as db:
        rows = await db.all(latest)
    span = max(row.finished_at for row in rows) - min(row.started_at for row in rows)
    return float(span.total_seconds())


async def _pickups_ms(jobs: Jobs, number: int) -> list[float]:
    """Sorted milliseconds from before the enqueueing to the start in another process, one job at a time."""
    ids = []
    for one in range(number):
        await asyncio.sleep(0.01 + (one * 7 % 20) / 1000)
        async with jobs.database.begin() as db:
            ids.append(await jobs.enqueue(db, TELL_TIME, {"sent": time.time()}, tenant_id=HOUSE_TENANT_ID))
    await _until_done(jobs.database)
    async with jobs.database.begin() as db:
        rows = await db.all(select(JobRow.result).where(JobRow.name == TELL_TIME.name))
    return sorted(float(row.result) * 1000 for row in rows)


async def _forget(settings: Mapping[str, Any]) -> None:
    """Delete what this run left in its broker."""
    prefix = settings.get("broker_prefix")
    if settings.get("transport") == "redis":
        async with Redis.from_url(REDIS) as redis:
            await redis.delete(f"{prefix}.default", f"autoclaim:{prefix}:{prefix}.default")
    elif settings.get("transport") == "rabbitmq":
        async with await aio_pika.connect(RABBITMQ) as connection, connection.channel() as channel:
            for queue in ("default", "dead_letter"):
                await channel.queue_delete(f"{prefix}.{queue}")
            await channel.exchange_delete(str(prefix))


def _peers(number: int) -> dict[str, float]:
    """The same figures of those of the peers that are installed."""
    python = PEERS / "bin" / "python"
    if not python.exists():
        return {}
    metrics: dict[str, float] = {}
    for peer in ("procrastinate", "taskiq_redis"):
        with _postgres_database() as database:
            script = Path(__file__).with_name("jobs_peers.py")
            urls = [f"{POSTGRES}/{database}", REDIS]
            done = subprocess.run(
                [python, script, peer, "bench", str(number), *urls], check=False, capture_output=True, timeout=300
            )
        with contextlib.suppress(ValueError, IndexError):
            metrics |= json.loads(done.stdout.splitlines()[-1])
    return metrics


async def _work(url: str, settings: str) -> None:
    """A worker process: runs until it is told to end."""
    database = Database(DatabaseSettings(url=url))
    read = JobSettings(**json.loads(settings))
    jobs = Jobs(database, REGISTRY, read, open_transport(read))

    async def make_ctx(_claim: Claim, db: Db) -> Ctx:
        return cast("Ctx", SimpleNamespace(db=db))  # as little of a context as these jobs can do with

    worker = Worker(jobs, make_ctx)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, worker.stop)
    await worker.run()
    await jobs.close()
    await database.close()


if __name__ == "__main__":
    asyncio.run(_work(*sys.argv[1:]))
