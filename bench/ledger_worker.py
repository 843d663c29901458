"""One process that loads a ledger: `python -m bench.ledger_worker TASK`, the task as JSON; prints what it found as JSON.

It says `ready` when it is connected and starts when it reads a line.
"""

import asyncio
import os
import sys
import time
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Literal
from uuid import UUID

import msgspec
import orjson
import uvloop
from redis.asyncio import Redis

from ossature.kernel import clock
from ossature.kernel.outbound.ledger.postgres import PostgresLedger
from ossature.kernel.outbound.ledger.redis import RedisLedger
from ossature.kernel.outbound.ledger.sqlite import SqliteLedger
from ossature.kernel.outbound.ledger.values import Ledger, Reservation, Reserved, Take, WindowSpec

_NOBODY = UUID(int=0)
_CONSUMERS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """Where a ledger is. kind: which back-end; name: its file, URL, or URL and prefix of keys after a `#`."""

    kind: Literal["sqlite", "postgres", "redis"]
    name: str
    durability: Literal["normal", "full"] = "normal"


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """How a process loads a ledger.

    `flood`: reserve and settle for `seconds`, `in_flight` at a time. `steady`: `rate` per second, whether or not the
    earlier ones have been answered. `race`: `attempts`, `in_flight` at a time, against a month's limit of `limit`; each
    that is given is a byte in the file `reached`.
    """

    store: Store
    how: Literal["flood", "steady", "race"]
    seconds: float = 0.0
    in_flight: int = 64
    rate: float = 0.0
    attempts: int = 0
    limit: int = 10**9
    reached: str = ""


@dataclass(slots=True)
class Found:
    """What a process saw: how many attempts were given and refused, in what time, and how long each waited."""

    given: int = 0
    refused: int = 0
    seconds: float = 0.0
    cpu_s: float = 0.0
    waits_ms: list[float] | None = None
    late_ms: list[float] | None = None


def open_store(store: Store) -> Ledger:
    """A ledger on a store."""
    if store.kind == "sqlite":
        return SqliteLedger(Path(store.name), durability=store.durability, busy_time_limit_s=30.0)
    if store.kind == "postgres":
        return PostgresLedger(store.name, durability=store.durability, time_limit_s=30.0)
    url, _, prefix = store.name.partition("#")
    return RedisLedger(Redis.from_url(url), prefix=prefix, time_limit_s=30.0)


def windows(limit: int, consumer: int) -> tuple[WindowSpec, ...]:
    """A consumer's day, the provider's minute and its month: the cap."""
    upstream = "upstream:acme:1"
    return (
        WindowSpec(subject=f"consumer:key:{consumer}", unit="requests", kind="fixed", limit=10**9, period="day"),
        WindowSpec(subject=upstream, unit="requests", kind="sliding", limit=10**9, seconds=60.0),
        WindowSpec(subject=upstream, unit="requests", kind="fixed", limit=limit, period="month"),
    )


class Worker:
    """A ledger under load."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.ledger = open_store(load.store)
        self.found = Found(waits_ms=[], late_ms=[])
        self._takes = [tuple(Take(w, 1) for w in windows(load.limit, i)) for i in range(_CONSUMERS)]
        self._reached = os.open(load.reached, os.O_WRONLY | os.O_APPEND | os.O_CREAT) if load.reached else -1

    async def attempt(self) -> bool:
        """Reserve, reach the upstream, settle; whether it was given."""
        key = clock.new_id()
        answer = await self.ledger.reserve(
            Reservation(
                attempt_id=key,
                request_id="bench",
                tenant_id=_NOBODY,
                provider="acme",
                operation="weather.current",
                takes=self._takes[key.int % _CONSUMERS],
                expires_at=clock.now() + timedelta(seconds=2),
            )
        )
        if not isinstance(answer, Reserved):
            self.found.refused += 1
            return False
        self.found.given += 1
        if self._reached >= 0:
            os.write(self._reached, b".")
        await self.ledger.settle(key, {"requests": 1})
        return True

    async def run(self) -> Found:
        """Load the ledger as asked."""
        await self.ledger.states([take.window for takes in self._takes for take in takes])
        await self.ledger.reap()
        print("ready", flush=True)
        sys.stdin.readline()
        started, cpu = time.perf_counter(), time.process_time()
        await {"flood": self._flood, "steady": self._steady, "race": self._race}[self.load.how]()
        self.found.seconds, self.found.cpu_s = time.perf_counter() - started, time.process_time() - cpu
        await self.ledger.close()
        return self.found

    async def _flood(self) -> None:
        until = time.perf_counter() + self.load.seconds

        async def one() -> None:
            while time.perf_counter() < until:
                await self.attempt()

        await asyncio.gather(*(one() for _ in range(self.load.in_flight)))

    async def _steady(self) -> None:
        waits, lates = self.found.waits_ms, self.found.late_ms
        assert waits is not None  # noqa: S101 - made above
        assert lates is not None  # noqa: S101 - made above

        async def one(due: float) -> None:
            lates.append((time.perf_counter() - due) * 1000)
            await self.attempt()
            waits.append((time.perf_counter() - due) * 1000)

        begun = time.perf_counter() + os.getpid() % 50 / 1000  # processes do not start in step
        async with asyncio.TaskGroup() as tasks:
            for i in range(int(self.load.seconds * self.load.rate)):
                due = begun + i / self.load.rate
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                tasks.create_task(one(due))

    async def _race(self) -> None:
        left = iter(range(self.load.attempts))

        async def one() -> None:
            for _ in left:
                await self.attempt()

        await asyncio.gather(*(one() for _ in range(self.load.in_flight)))


if __name__ == "__main__":
    WORKER_LOAD = msgspec.json.decode(sys.argv[1], type=Load)

    async def _main() -> Found:
        return await Worker(WORKER_LOAD).run()

    print(orjson.dumps(asdict(uvloop.run(_main()))).decode(), flush=True)
