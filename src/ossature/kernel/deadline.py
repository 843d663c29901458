"""How much time is left: the edge sets it for a request and the worker for a job; everything that waits below asks."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_ends_at: ContextVar[float | None] = ContextVar("ossature_deadline", default=None)


@contextmanager
def within(seconds: float | None) -> Iterator[None]:
    """Everything inside has at most this long; an earlier end that is already set stays. None adds no limit."""
    if seconds is None:
        yield
        return
    loop = asyncio.get_running_loop()
    ends_at = loop.time() + seconds
    before = _ends_at.get()
    token = _ends_at.set(ends_at if before is None else min(before, ends_at))
    try:
        yield
    finally:
        _ends_at.reset(token)


def remaining_s(most_s: float) -> float:
    """Seconds that are left, at most `most_s`; zero or less when time is up."""
    ends_at = _ends_at.get()
    if ends_at is None:
        return most_s
    return min(most_s, ends_at - asyncio.get_running_loop().time())
