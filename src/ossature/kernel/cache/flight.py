"""One flight per key: who asks for what is already being fetched waits for that."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Flights(Generic[T]):
    """Fetches that are under way. A fetch is cancelled only when nobody waits for it any more."""

    def __init__(self) -> None:
        self._tasks: dict[str, asyncio.Task[T]] = {}
        self._waiting: dict[str, int] = {}
        self._unattended: set[str] = set()

    def start(self, key: str, fetch: Callable[[], Coroutine[Any, Any, T]]) -> None:
        """Begin a fetch that goes on even if nobody waits, unless one is under way."""
        if key not in self._tasks:
            self._unattended.add(key)
            self._begun(key, fetch)

    def _begun(self, key: str, fetch: Callable[[], Coroutine[Any, Any, T]]) -> asyncio.Task[T]:
        task = self._tasks.get(key)
        if task is None:
            task = self._tasks[key] = asyncio.create_task(fetch(), name=f"cache.fetch {key}")
            task.add_done_callback(lambda done: self._landed(key, done))
        return task

    async def join(self, key: str, fetch: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """The result of the fetch that is under way, or of one that is begun now."""
        task = self._begun(key, fetch)
        self._waiting[key] = self._waiting.get(key, 0) + 1
        try:
            return await asyncio.shield(task)
        finally:
            self._waiting[key] -= 1
            if not self._waiting[key]:
                del self._waiting[key]
                if key not in self._unattended and not task.done():
                    # At once, not when it has ended: whoever comes meanwhile must not share its cancellation.
                    if self._tasks.get(key) is task:
                        del self._tasks[key]
                    task.cancel()

    def _landed(self, key: str, task: asyncio.Task[T]) -> None:
        if self._tasks.get(key) is task:
            del self._tasks[key]
            self._unattended.discard(key)
        if not task.cancelled():
            task.exception()  # a fetch behind a stale answer may fail unheard; its own log line says so
