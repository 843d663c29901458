"""What `bench.kernel_jobs` runs in the peers' environment: PEER bench|work NUMBER POSTGRES_URL REDIS_URL."""

import asyncio
import json
import subprocess
import sys
import time
from typing import Any, Self

PEER, ROLE, NUMBER, POSTGRES, REDIS = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4], sys.argv[5]
_PRODUCERS = 4
_WORKERS = 2
_TIME_LIMIT_S = 120.0


class Procrastinate:
    """Procrastinate on PostgreSQL, as its guide sets it up."""

    async def __aenter__(self) -> Self:
        import procrastinate  # type: ignore[import-not-found]  # noqa: PLC0415 - one of two peers, in an environment of its own

        self.app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=POSTGRES))

        @self.app.task(name="nothing")  # type: ignore[untyped-decorator]
        async def nothing(number: int) -> None:
            del number

        self.task = nothing
        await self.app.open_async()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.app.close_async()

    async def prepare(self) -> None:
        """Lay its tables."""
        await self.app.schema_manager.apply_schema_async()

    async def put(self, number: int) -> None:
        """Enqueue one."""
        await self.task.defer_async(number=number)

    async def done(self) -> int:
        """How many have ended."""
        sql = "SELECT count(*) AS n FROM procrastinate_jobs WHERE status = 'succeeded'"
        return int((await self.app.connector.execute_query_one_async(sql))["n"])

    async def work(self) -> None:
        """Run jobs until the process is ended."""
        await self.app.run_worker_async(concurrency=20)


class Taskiq:
    """Taskiq on Redis Streams with its own receiver; an ended job is counted in Redis, as it keeps no record itself."""

    async def __aenter__(self) -> Self:
        from redis.asyncio import Redis  # noqa: PLC0415 - one of two peers
        from taskiq_redis import RedisStreamBroker  # noqa: PLC0415 - one of two peers

        self.redis: Any = Redis.from_url(REDIS)
        self.name = "ossature.bench.taskiq"
        self.broker: Any = RedisStreamBroker(
            REDIS, queue_name=self.name, consumer_group_name=self.name, xread_block=100
        )

        @self.broker.task(task_name="nothing")
        async def nothing(number: int) -> None:
            del number
            await self.redis.incr(f"{self.name}.done")

        self.task = nothing
        if ROLE == "bench":
            await self.redis.delete(self.name, f"{self.name}.done")
            await self.broker.startup()
        return self

    async def __aexit__(self, *_: object) -> None:
        if ROLE == "bench":
            await self.redis.delete(self.name, f"{self.name}.done")
            await self.broker.shutdown()
        await self.redis.aclose()

    async def prepare(self) -> None:
        """Nothing to lay."""

    async def put(self, number: int) -> None:
        """Enqueue one."""
        await self.task.kiq(number)

    async def done(self) -> int:
        """How many have ended."""
        return int(await self.redis.get(f"{self.name}.done") or 0)

    async def work(self) -> None:
        """Run jobs until the process is ended."""
        from taskiq.api import run_receiver_task  # noqa: PLC0415 - one of two peers

        await run_receiver_task(self.broker, run_startup=True, max_async_tasks=20)


async def bench(peer: Procrastinate | Taskiq) -> dict[str, float]:
    """Enqueue all, then run them with two worker processes that have warmed up on a few."""
    await peer.prepare()
    command = [sys.executable, __file__, PEER, "work", *sys.argv[3:]]
    numbers = iter(range(NUMBER))

    async def produce() -> None:
        for number in numbers:
            await peer.put(number)

    begun = time.perf_counter()
    await asyncio.gather(*(produce() for _ in range(_PRODUCERS)))
    enqueue_s = time.perf_counter() - begun
    workers = [subprocess.Popen(command, stdout=subprocess.DEVNULL) for _ in range(_WORKERS)]  # noqa: ASYNC220 - returns at once
    try:
        async with asyncio.timeout(_TIME_LIMIT_S):
            while await peer.done() == 0:  # noqa: ASYNC110 - a figure elsewhere
                await asyncio.sleep(0.01)
            begun = time.perf_counter()
            while (ended := await peer.done()) < NUMBER:  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.02)
        run_s = time.perf_counter() - begun
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
    return {f"{PEER}_enqueue_per_s": round(NUMBER / enqueue_s), f"{PEER}_run_2_workers_per_s": round(ended / run_s)}


async def main() -> None:
    """Play the role."""
    async with Procrastinate() if PEER == "procrastinate" else Taskiq() as peer:
        if ROLE == "work":
            await peer.work()
        else:
            print(json.dumps(await bench(peer)))


if __name__ == "__main__":
    asyncio.run(main())
