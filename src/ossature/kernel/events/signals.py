"""Signals: short news that reach every process within a second, such as "this key was revoked" or "forget that entry".

A signal is not a fact: it is never stored for long, and a process that was cut off may miss some. Who caches says so
with `lost`, which is called when that may have happened, and drops what it holds. In the own process a signal arrives
at once; `publish` never waits and never fails, since the truth behind a signal is already committed.
"""

import asyncio
import json
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Protocol

import structlog
from prometheus_client import Counter

from ossature.kernel import background, clock
from ossature.kernel.db.transaction import Db

log = structlog.get_logger()

SENT = Counter("events_signals_sent_total", "Signals sent to other processes.", ["topic"])
RECEIVED = Counter("events_signals_received_total", "Signals that came from other processes.", ["topic"])
DROPPED = Counter(
    "events_signals_dropped_total", "Signals given up because the way to other processes was cut too long."
)

MOST_BYTES = 7000
"""Longest signal; PostgreSQL carries 8,000 bytes with everything around it."""

_MOST_WAITING = 10_000
_RETRY_S = (0.1, 0.2, 0.5, 1.0)
_FLUSH_LIMIT_S = 2.0

Payload = Mapping[str, Any]
Callback = Callable[[Payload], None]


class Wire(Protocol):
    """A way between processes: carries texts to everybody who listens, the sender included."""

    async def send(self, texts: Sequence[str]) -> None:
        """Hand texts over. Raises: OSError, TimeoutError or the like when the way is cut."""

    async def receive(self, deliver: Callable[[str], None], ready: Callable[[], None]) -> None:
        """Call `deliver` with every text until cancelled; `ready` whenever listening has (again) begun."""

    @property
    def faults(self) -> tuple[type[Exception], ...]:
        """What it raises when the way is cut."""


class Signals:
    """The signals of one process. `start()` it in the loop that serves, `close()` it at the end."""

    def __init__(self, wire: Wire | None = None) -> None:
        """Signals over a wire; without one they stay in this process (one process, tests)."""
        self._wire = wire
        self._origin = clock.new_id().hex
        self._callbacks: dict[str, list[Callback]] = {}
        self._lost: list[Callable[[], None]] = []
        self._waiting: deque[str] = deque()
        self._wake = asyncio.Event()
        self._sent = asyncio.Event()
        self._ready = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Begin to listen; returns when signals of others arrive, or after two seconds with the wire still cut."""
        if self._wire is None:
            return
        self._tasks = [
            background.start(partial(self._receive, self._wire), "signals.receive"),
            background.start(partial(self._send, self._wire), "signals.send"),
        ]
        with suppress(TimeoutError):
            async with asyncio.timeout(_FLUSH_LIMIT_S):
                await self._ready.wait()

    async def close(self) -> None:
        """Send what waits, within a limit, and stop."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_FLUSH_LIMIT_S):
                await self.flush()
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def flush(self) -> None:
        """Return once everything published so far was handed to the wire."""
        while self._waiting and self._tasks:
            self._sent.clear()
            await self._sent.wait()

    def publish(self, topic: str, payload: Payload | None = None) -> None:
        """Tell everybody. payload: a small JSON object. Raises: ValueError for one that is not small."""
        payload = payload or {}
        text = json.dumps([self._origin, topic, payload], separators=(",", ":"))
        if len(text.encode()) > MOST_BYTES:
            raise ValueError(f"a signal has at most {MOST_BYTES} bytes; send a name, not the thing: {topic}")
        self._dispatch(topic, payload)
        if self._wire is None:
            return
        if len(self._waiting) >= _MOST_WAITING:
            self._waiting.popleft()
            DROPPED.inc()
        self._waiting.append(text)
        SENT.labels(topic).inc()
        self._wake.set()

    def publish_after(self, db: Db, topic: str, payload: Payload | None = None) -> None:
        """Tell everybody once the transaction of `db` is committed; nobody if it is not."""
        db.after_commit(lambda: self.publish(topic, payload))

    def subscribe(
        self, topic: str, callback: Callback, *, lost: Callable[[], None] | None = None
    ) -> Callable[[], None]:
        """Have `callback` called in this loop with every signal of a topic; call the result to stop.

        callback: short, and must not raise. lost: called when signals may have been missed.
        """
        self._callbacks.setdefault(topic, []).append(callback)
        if lost is not None:
            self._lost.append(lost)

        def stop() -> None:
            self._callbacks[topic].remove(callback)
            if lost is not None:
                self._lost.remove(lost)

        return stop

    def _dispatch(self, topic: str, payload: Payload) -> None:
        for callback in tuple(self._callbacks.get(topic, ())):
            callback(payload)

    def _deliver(self, text: str) -> None:
        origin, topic, payload = json.loads(text)
        if origin == self._origin:
            return
        RECEIVED.labels(topic).inc()
        self._dispatch(topic, payload)

    def _listening(self) -> None:
        """The wire listens: for the first time, or again after a gap."""
        if self._ready.is_set():
            log.warning("signals.resumed")
            for lost in tuple(self._lost):
                lost()
        self._ready.set()

    async def _receive(self, wire: Wire) -> None:
        failures = 0
        while True:
            try:
                await wire.receive(self._deliver, self._listening)
            except wire.faults as error:
                log.warning("signals.cut", error=repr(error))
            await asyncio.sleep(_RETRY_S[min(failures, len(_RETRY_S) - 1)])
            failures += 1

    async def _send(self, wire: Wire) -> None:
        failures = 0
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                texts = tuple(self._waiting)[:500]
                try:
                    await wire.send(texts)
                except wire.faults as error:
                    log.warning("signals.not_sent", error=repr(error), waiting=len(self._waiting))
                    await asyncio.sleep(_RETRY_S[min(failures, len(_RETRY_S) - 1)])
                    failures += 1
                    continue
                failures = 0
                for text in texts:
                    # Under pressure the oldest may have been given up meanwhile.
                    if self._waiting and self._waiting[0] is text:
                        self._waiting.popleft()
            self._sent.set()
