"""How an attempt ended, told to the ledger come what may."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import structlog

from ossature.kernel.outbound.ledger.values import LedgerUnavailable

log = structlog.get_logger()


async def told(ending: Coroutine[Any, Any, bool]) -> bool:
    """Have the ledger hear how an attempt ended, even if the caller leaves meanwhile; False when it could not be told.

    Nobody will come back in that case: the ledger reaps the attempt and charges it as reserved.
    """
    task = asyncio.ensure_future(ending)
    try:
        await asyncio.shield(task)
    except LedgerUnavailable as error:
        log.warning("ledger.attempt_left_to_reaper", error=repr(error))
        return False
    except asyncio.CancelledError:
        await asyncio.wait([task])
        if not task.cancelled() and task.exception() is not None:
            log.warning("ledger.attempt_left_to_reaper", error=repr(task.exception()))
        raise
    return True
