"""Checks of the work that waits: is somebody there to do it, how long has it waited, does the broker answer."""

import asyncio
from typing import TYPE_CHECKING

from ossature.kernel.jobs.settings import JobSettings
from ossature.kernel.jobs.transport import probe
from ossature.kernel.observe.settings import ObserveSettings
from ossature.kernel.service import Check, CheckResult, Health

if TYPE_CHECKING:
    from ossature.kernel.house import House

LONG_WAIT_S = 60.0
BROKER_LIMIT_S = 1.5


async def _queues(house: "House") -> CheckResult:
    async with house.database.begin() as db:
        queues = await house.jobs.queues(db)
    facts = {queue.queue: {"due": queue.due, "running": queue.running} for queue in queues}
    late = [queue for queue in queues if queue.oldest_wait_s > LONG_WAIT_S]
    if late:
        names = ", ".join(f"{queue.queue} ({queue.oldest_wait_s:.0f} s)" for queue in late)
        return CheckResult(
            Health.DEGRADED, f"Jobs wait too long: {names}.", "Start a worker for these queues, or more of them.", facts
        )
    return CheckResult(Health.OK, facts=facts)


async def _broker(house: "House") -> CheckResult:
    settings = house.config[JobSettings]
    if settings.transport == "table":
        return CheckResult(Health.OK, "not configured")
    try:
        async with asyncio.timeout(BROKER_LIMIT_S):
            version = await probe.version_of(settings)
    except OSError as error:  # a time limit that is over is one too
        needed = house.config[ObserveSettings].decides("broker", house.config)
        return CheckResult(
            Health.DOWN if needed else Health.DEGRADED,
            f"{settings.transport} does not answer: {type(error).__name__}.",
            f"Until it is back, idle workers look for jobs every {settings.poll_s:g} s; none is lost.",
        )
    return CheckResult(Health.OK, facts={"transport": settings.transport, "version": version})


JOBS = (Check(name="queues", run=_queues), Check(name="broker", run=_broker, ready=True))
"""What is checked of every queue, and of what carries the news of it."""
