"""How full the windows of providers are, as far as it is known without asking each time; and what upstreams say of them."""

import asyncio
import time
from collections.abc import Coroutine, Sequence
from datetime import timedelta
from typing import Any

import structlog

from ossature.kernel import clock
from ossature.kernel.outbound.answer import Quota
from ossature.kernel.outbound.ledger.values import Ledger, LedgerUnavailable, WindowSpec, WindowState
from ossature.kernel.outbound.policy import Candidate
from ossature.kernel.outbound.provider import Clamp, ErrorKind, Refusal, Reply
from ossature.kernel.outbound.takes import clamped_window, clamps_of, length_s

log = structlog.get_logger()

FRESH_S = 2.0
_DEFAULT_HOLD_S = 60.0


class Fullness:
    """States of windows, at most two seconds old, and the way back: what upstreams say is left."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._states: dict[str, tuple[WindowState, float]] = {}
        self._told: dict[str, tuple[int, float]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def learn(self, windows: Sequence[WindowSpec]) -> None:
        """Ask the ledger about windows that were not asked about lately."""
        old = time.monotonic() - FRESH_S
        unknown = [window for window in dict.fromkeys(windows) if self._states.get(window.name, (None, 0.0))[1] <= old]
        if not unknown:
            return
        try:
            states = await self._ledger.states(unknown)
        except LedgerUnavailable:
            return  # an order by guess is better than no answer; the reservation decides
        now = time.monotonic()
        for state in states:
            self._states[state.window.name] = (state, now)

    def plenty(self, windows: Sequence[WindowSpec]) -> float:
        """How freely may be spent, 0..1: what is left until the reset against the rate that the limits allow."""
        return min((self._plenty(window) for window in windows), default=1.0)

    def left(self, windows: Sequence[WindowSpec]) -> float:
        """The share that is left of the window that has the least, 0..1; 1 where nothing is known."""
        states = (self._state(window) for window in windows if window.kind != "pace")
        return min((each.remaining / each.limit for each in states if each is not None and each.limit), default=1.0)

    def empty(self, windows: Sequence[WindowSpec]) -> tuple[WindowSpec, float] | None:
        """A window that is known to be used up, and the seconds until it opens."""
        for window in windows:
            state = self._state(window)
            if state is None or window.kind == "pace":
                continue
            opens_at = state.held_until if state.held_until is not None else state.resets_at
            if opens_at is None or (state.remaining > 0 and state.held_until is None):
                continue
            left_s = (opens_at - clock.now()).total_seconds()
            if left_s > 0:
                return window, left_s
        return None

    def quota(self, windows: Sequence[WindowSpec]) -> tuple[Quota, ...]:
        """What is known to be left."""
        states = [state for window in windows if (state := self._state(window)) is not None]
        return tuple(Quota(each.window.unit, each.limit, each.remaining, each.resets_at) for each in states)

    def exhausted(self, candidate: Candidate, window: WindowSpec) -> None:
        """A window had no room: what was known of it is old."""
        del candidate
        self._states.pop(window.name, None)

    def heard(self, candidate: Candidate, reply: Reply) -> None:
        """Read what a reply says is left, and tell the ledger behind the caller's back."""
        for clamp in clamps_of(candidate.provider, reply):
            window = clamped_window(clamp, candidate.windows)
            if window is not None:
                self._clamp(window, clamp)

    def refused(self, candidate: Candidate, error: Refusal) -> None:
        """Hold the window that an upstream's refusal means: the longest for a quota, the shortest for a rate."""
        windows = [window for window in candidate.windows if window.kind != "pace"]
        if not windows or error.kind not in {ErrorKind.QUOTA, ErrorKind.RATE}:
            return
        if error.kind is ErrorKind.RATE and error.retry_after_s is None:
            return
        choose = max if error.kind is ErrorKind.QUOTA else min
        window = choose(windows, key=length_s)
        hold_s = min(error.retry_after_s or _DEFAULT_HOLD_S, length_s(window))
        until = clock.now() + timedelta(seconds=hold_s)
        self._clamp(window, Clamp(window.unit, int(length_s(window)), 0, until))

    async def settled(self) -> None:
        """Return once the ledger was told everything that was heard so far."""
        while self._tasks:
            await asyncio.gather(*self._tasks)

    def _state(self, window: WindowSpec) -> WindowState | None:
        state, at = self._states.get(window.name, (None, 0.0))
        return state if state is not None and time.monotonic() - at <= FRESH_S else None

    def _plenty(self, window: WindowSpec) -> float:
        state = self._state(window)
        if state is None or window.kind == "pace" or not state.limit:
            return 1.0
        left_s = length_s(window)
        if state.resets_at is not None:
            left_s = min(left_s, max(1.0, (state.resets_at - clock.now()).total_seconds()))
        return min(1.0, (state.remaining / left_s) / (state.limit / length_s(window)))

    def _clamp(self, window: WindowSpec, clamp: Clamp) -> None:
        # An upstream says it with every reply; it is worth a write when it says less than a second ago.
        before, at = self._told.get(window.name, (None, 0.0))
        if before is not None and clamp.remaining >= before and time.monotonic() - at < 1.0:
            return
        state = self._state(window)
        if state is not None and clamp.remaining >= state.remaining:
            return
        self._told[window.name] = (clamp.remaining, time.monotonic())
        self._states.pop(window.name, None)
        self._behind(self._write(window, clamp))

    async def _write(self, window: WindowSpec, clamp: Clamp) -> None:
        try:
            await self._ledger.clamp(window, remaining=clamp.remaining, reset_at=clamp.resets_at)
        except LedgerUnavailable as error:
            log.warning("outbound.clamp_lost", window=window.name, error=repr(error))

    def _behind(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, name="outbound.clamp")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
