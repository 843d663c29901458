"""Breakers: a provider that fails is left alone for a while, then asked once to see whether it is back.

One per (provider, operation group, credential). They decide in the process; `board.py` shares what they decided.
"""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

WINDOW_S = 60.0
FEW_CALLS = 20
FAILURES = 5
FAILED_SHARE = 0.5
OPEN_S = 30.0


class BreakerState(StrEnum):
    """closed: asked as usual. open: not asked. half_open: one probe at a time is let through."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True, slots=True)
class BreakerKey:
    """Whose failures are counted together."""

    provider: str
    group: str
    credential: str = ""


class Breaker:
    """Counts failures of one destination over the last minute.

    It opens at 5 failures while there were fewer than 20 calls, from there on when half of the calls failed. After
    30 s one probe is let through: if that succeeds it closes, if not it opens again.
    """

    __slots__ = ("_calls", "_failures", "_now", "_opened_at", "_probing_since", "changed_at", "key")

    def __init__(self, key: BreakerKey, *, now: Callable[[], float] = time.monotonic) -> None:
        self.key = key
        self._now = now
        self._calls: deque[tuple[float, bool]] = deque()
        self._failures = 0
        self._opened_at: float | None = None
        self._probing_since: float | None = None
        self.changed_at = now()

    @property
    def state(self) -> BreakerState:
        """What it would do now."""
        if self._opened_at is None:
            return BreakerState.CLOSED
        return BreakerState.OPEN if self._now() - self._opened_at < OPEN_S else BreakerState.HALF_OPEN

    @property
    def retry_after_s(self) -> float:
        """How long it stays open; 0 when it lets something through."""
        return 0.0 if self._opened_at is None else max(0.0, OPEN_S - (self._now() - self._opened_at))

    def lets_through(self) -> bool:
        """Whether a call may be made, without claiming the probe."""
        state = self.state
        if state is BreakerState.HALF_OPEN:
            return self._probing_since is None or self._now() - self._probing_since > OPEN_S
        return state is BreakerState.CLOSED

    def enter(self) -> bool:
        """Claim the right to make one call; the probe, if it is half open. Follow it with `leave`."""
        if not self.lets_through():
            return False
        if self._opened_at is not None:
            self._probing_since = self._now()
        return True

    @property
    def is_probing(self) -> bool:
        """Whether the call that `enter` let through is the probe of this process."""
        return self._probing_since is not None

    def leave(self, *, failed: bool | None) -> None:
        """Say how a call ended; None for an end that says nothing about the other side (cancelled, quota)."""
        if self._probing_since is not None:
            self._probing_since = None
            if failed is not None:
                (self.open if failed else self.close)()
            return
        if failed is None:
            return
        self._note(failed=failed)
        calls = len(self._calls)
        too_many = self._failures >= (FAILURES if calls < FEW_CALLS else calls * FAILED_SHARE)
        if failed and too_many and self._opened_at is None:
            self.open()

    def open(self, *, for_s: float = OPEN_S) -> None:
        """Let nothing through for a while."""
        self._opened_at = self._now() - (OPEN_S - for_s)
        self._probing_since = None
        self.changed_at = self._now()

    def close(self) -> None:
        """Let everything through, and forget."""
        self._calls.clear()
        self._failures = 0
        self._opened_at = None
        self._probing_since = None
        self.changed_at = self._now()

    def _note(self, *, failed: bool) -> None:
        now = self._now()
        self._calls.append((now, failed))
        self._failures += failed
        while self._calls[0][0] < now - WINDOW_S:
            _, old_failed = self._calls.popleft()
            self._failures -= old_failed
