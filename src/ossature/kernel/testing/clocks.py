"""A clock for tests: it stands still until it is told to move."""

import asyncio
from datetime import UTC, datetime, timedelta


class FakeClock:
    """Stands at `at` until `advance`; whoever sleeps on it wakes when its time has come.

    >>> with clock.using(FakeClock()) as still: still.advance(60)
    """

    def __init__(self, at: datetime = datetime(2026, 3, 1, 12, tzinfo=UTC)) -> None:
        self._now = at
        self._moved = asyncio.Event()

    def now(self) -> datetime:
        """Where it stands."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Move it on; backwards with a negative number, as a clock that was set does."""
        self._now += timedelta(seconds=seconds)
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()

    async def sleep(self, seconds: float) -> None:
        """Return once it was moved so far."""
        until = self._now + timedelta(seconds=seconds)
        while self._now < until:
            await self._moved.wait()
