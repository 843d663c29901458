"""The one clock of the house, and the time-ordered ids that are made of it.

Nothing else asks the machine what time it is, so a whole process tree can run on replayed time:
`ossature serve --clock replay:2026-03-01T00:00:00Z:60` runs sixty times faster than the wall.
Durations that are only measured (latency, time limits) keep using `time.perf_counter` and the event loop.
"""

import asyncio
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Protocol
from uuid import UUID

_UUID7_VERSION = 0x7 << 76
_DRAWN = 256
_UUID7_VARIANT = 0x2 << 62


class Clock(Protocol):
    """What tells the time."""

    def now(self) -> datetime:
        """The present instant, aware, UTC."""

    async def sleep(self, seconds: float) -> None:
        """Return once `seconds` of this clock's time have passed."""


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        """The present instant, aware, UTC."""
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds` of real time."""
        await asyncio.sleep(seconds)


class ReplayClock:
    """A clock that starts at `start` and runs `speed` times as fast as the machine's.

    begun_s: Unix time at which it stood at `start`, now by default; processes that are told the same agree on the time.
    """

    def __init__(self, start: datetime, speed: float, *, begun_s: float | None = None) -> None:
        if start.tzinfo is None:
            msg = "a replay starts at an aware instant"
            raise ValueError(msg)
        if speed <= 0:
            msg = "a replay runs forward: speed > 0"
            raise ValueError(msg)
        self._start = start.astimezone(UTC)
        self._speed = speed
        self._begun = time.monotonic() - (0.0 if begun_s is None else time.time() - begun_s)

    def now(self) -> datetime:
        """The replayed instant, aware, UTC."""
        return self._start + timedelta(seconds=(time.monotonic() - self._begun) * self._speed)

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds` of replayed time."""
        await asyncio.sleep(seconds / self._speed)


_clock: Clock = SystemClock()


def now() -> datetime:
    """The present instant, aware, UTC, by the installed clock."""
    return _clock.now()


def unix_s() -> float:
    """The present instant as seconds since 1970, by the installed clock; for windows that are counted in numbers."""
    return time.time() if isinstance(_clock, SystemClock) else _clock.now().timestamp()


async def sleep(seconds: float) -> None:
    """Return once `seconds` of the installed clock's time have passed."""
    await _clock.sleep(seconds)


def install(clock: Clock) -> None:
    """Make `clock` the clock of this process."""
    global _clock  # noqa: PLW0603 - one clock per process is the point of this module
    _clock = clock


def is_real() -> bool:
    """Whether this process runs on the machine's own clock."""
    return isinstance(_clock, SystemClock)


@contextmanager
def using(clock: Clock) -> Iterator[Clock]:
    """Run a block on another clock, then give the old one back."""
    before = _clock
    install(clock)
    try:
        yield clock
    finally:
        install(before)


def parse(spec: str, *, begun_s: float | None = None) -> Clock:
    """The clock that `--clock` names: `real`, or `replay:START:SPEED` with an ISO 8601 start.

    begun_s: of the replay, see `ReplayClock`. Raises: ValueError, saying what the form is.
    """
    if spec == "real":
        return SystemClock()
    kind, _, rest = spec.partition(":")
    start, _, speed = rest.rpartition(":")
    if kind != "replay" or not start:
        msg = f"clock {spec!r}: write 'real' or 'replay:START:SPEED', such as replay:2026-03-01T00:00:00Z:60"
        raise ValueError(msg)
    return ReplayClock(datetime.fromisoformat(start), float(speed), begun_s=begun_s)


class _Chance:
    """Random bits of the system, drawn for many ids at once.

    Each draw lets go of the interpreter: a draw for each id would wake whatever thread waits for it and let it down
    again, which costs more than all else that an id needs. `next` on a list iterator is one step for all threads.
    """

    def __init__(self) -> None:
        self.bits: Iterator[int] = iter(())
        os.register_at_fork(after_in_child=self.draw)

    def draw(self) -> None:
        drawn = os.urandom(_DRAWN * 10)
        self.bits = iter([int.from_bytes(drawn[at : at + 10], "big") for at in range(0, len(drawn), 10)])


_chance = _Chance()


def new_id() -> UUID:
    """A UUID version 7: ordered by time, unique without asking anybody. Source: RFC 9562, 5.7."""
    milliseconds = int(unix_s() * 1000)
    random_bits = next(_chance.bits, None)
    while random_bits is None:
        _chance.draw()
        random_bits = next(_chance.bits, None)
    return UUID(
        int=(milliseconds & 0xFFFFFFFFFFFF) << 80
        | _UUID7_VERSION
        | (random_bits >> 64 & 0xFFF) << 64
        | _UUID7_VARIANT
        | random_bits & 0x3FFFFFFFFFFFFFFF
    )
