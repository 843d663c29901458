"""Work in a thread that has an effect outside: when its time is up, it is known whether that effect may have been had."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from ossature.kernel import deadline
from ossature.kernel.outbound.http import Outcome, Undelivered
from ossature.kernel.outbound.provider import ErrorKind

_T = TypeVar("_T")


class Brink:
    """The moment before the effect. A thread cannot be stopped, so it asks here before it goes over."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._left = False
        self._over = False

    def cross(self) -> None:
        """Go over, in the thread. Raises: Undelivered when nobody waits any more; nothing has happened then."""
        with self._lock:
            if self._left:
                raise Undelivered(ErrorKind.TIMEOUT_BEFORE_SEND, Outcome.NOT_SENT, "Its time was up.")
            self._over = True

    @property
    def left(self) -> bool:
        """Whether nobody waits any more."""
        return self._left

    @property
    def crossed(self) -> bool:
        """Whether the effect may have been had."""
        return self._over

    def leave(self) -> bool:
        """Wait no longer; whether the thread had gone over, and may have had its effect."""
        with self._lock:
            self._left = True
            return self._over


async def in_thread(work: Callable[[Brink], _T], *, time_limit_s: float) -> _T:
    """What `work` gives in a thread within the time, and within the deadline of the request.

    Raises: Undelivered, as ambiguous once the brink was crossed and as not sent before.
    """
    brink = Brink()
    future = asyncio.get_running_loop().run_in_executor(None, work, brink)
    try:
        async with asyncio.timeout(max(0.0, deadline.remaining_s(time_limit_s))):
            return await asyncio.shield(future)
    except TimeoutError:
        future.add_done_callback(_heard)
        if brink.leave():
            raise Undelivered(ErrorKind.TIMEOUT_AFTER_SEND, Outcome.AMBIGUOUS, "Not done in time.") from None
        raise Undelivered(ErrorKind.TIMEOUT_BEFORE_SEND, Outcome.NOT_SENT, "Not begun in time.") from None
    except asyncio.CancelledError:
        brink.leave()
        future.add_done_callback(_heard)
        raise


def _heard(future: asyncio.Future[Any]) -> None:
    """Take note of an error that nobody waits for."""
    if not future.cancelled():
        future.exception()
