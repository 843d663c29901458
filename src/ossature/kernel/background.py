"""Work beside the requests for as long as a process lives: what fails by surprise is told of, and begins again."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import structlog
from prometheus_client import Counter

log = structlog.get_logger()

FAILED = Counter(
    "background_failures_total", "Times that work of a process failed by surprise and began again.", ["task"]
)

_AGAIN_FIRST_S = 0.5
_AGAIN_MOST_S = 30.0
_FORGOTTEN_S = 60.0


def start(work: Callable[[], Coroutine[Any, Any, None]], name: str) -> asyncio.Task[None]:
    """A task that does `work` until it returns or is cancelled.

    Work handles the failures that it expects. Any other, of a driver for instance, would end it for good while the process
    lives on without it, deaf and seemingly well: so that is logged, counted, and the work is called again after a pause.
    """
    return asyncio.create_task(_kept_up(work, name), name=name)


async def _kept_up(work: Callable[[], Coroutine[Any, Any, None]], name: str) -> None:
    loop = asyncio.get_running_loop()
    pause_s = _AGAIN_FIRST_S
    while True:
        began_at = loop.time()
        try:
            return await work()
        except Exception as error:
            if loop.time() - began_at > _FORGOTTEN_S:
                pause_s = _AGAIN_FIRST_S
            FAILED.labels(name).inc()
            log.exception("background.failed", task=name, error=repr(error)[:300], again_in_s=pause_s)
        await asyncio.sleep(pause_s)
        pause_s = min(pause_s * 2, _AGAIN_MOST_S)
