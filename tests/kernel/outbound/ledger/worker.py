"""A process of its own that uses a ledger: `python worker.py race|loop KIND URL PREFIX LIMIT TIMES REACHED`.

Each attempt that is given reaches the upstream, which is a byte appended to the file REACHED. `race` makes TIMES attempts
at once and prints how many were given; `loop` makes one after the other in eight tasks until it is killed.
"""

import asyncio
import os
import sys
from datetime import timedelta
from pathlib import Path
from uuid import UUID

from redis.asyncio import Redis

from ossature.kernel import clock
from ossature.kernel.outbound.ledger.postgres import PostgresLedger
from ossature.kernel.outbound.ledger.redis import RedisLedger
from ossature.kernel.outbound.ledger.sqlite import SqliteLedger
from ossature.kernel.outbound.ledger.values import Ledger, Reservation, Reserved, Take, WindowSpec


def open_ledger(kind: str, url: str, prefix: str) -> Ledger:
    if kind == "sqlite":
        return SqliteLedger(Path(url.removeprefix("sqlite:///")))
    return PostgresLedger(url) if kind == "postgres" else RedisLedger(Redis.from_url(url), prefix=prefix)


def windows(limit: int) -> tuple[WindowSpec, ...]:
    """The provider's month, which is the cap, and two that are wide."""
    return (
        WindowSpec(subject="upstream:acme:1", unit="requests", kind="fixed", limit=limit, period="month"),
        WindowSpec(subject="upstream:acme:1", unit="requests", kind="sliding", limit=10**6, seconds=60.0),
        WindowSpec(subject=f"consumer:key:{os.getpid()}", unit="requests", kind="fixed", limit=10**6, period="day"),
    )


async def attempt(ledger: Ledger, specs: tuple[WindowSpec, ...], reached: int) -> bool:
    attempt_id = clock.new_id()
    answer = await ledger.reserve(
        Reservation(
            attempt_id=attempt_id,
            request_id="race",
            tenant_id=UUID(int=0),
            provider="acme",
            operation="weather.current",
            takes=tuple(Take(spec, 1) for spec in specs),
            expires_at=clock.now() + timedelta(seconds=1),
        )
    )
    if not isinstance(answer, Reserved):
        return False
    os.write(reached, b".")
    await ledger.settle(attempt_id, {"requests": 1})
    return True


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def main(mode: str, kind: str, url: str, prefix: str, limit: int, times: int, path: str) -> None:
    reached = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    ledger, specs = open_ledger(kind, url, prefix), windows(limit)
    await ledger.states(specs)  # connected
    say("ready")
    sys.stdin.readline()
    if mode == "race":
        say(str(sum(await asyncio.gather(*(attempt(ledger, specs, reached) for _ in range(times))))))
        await ledger.close()
        return

    async def loop() -> None:
        while await attempt(ledger, specs, reached):
            pass

    await asyncio.gather(*(loop() for _ in range(8)))


if __name__ == "__main__":
    MODE, KIND, URL, PREFIX, LIMIT, TIMES, PATH = sys.argv[1:]
    asyncio.run(main(MODE, KIND, URL, PREFIX, int(LIMIT), int(TIMES), PATH))
