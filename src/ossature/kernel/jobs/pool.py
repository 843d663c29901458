"""Heavy numbers outside the event loop: processes that can be killed, and a thread where the GIL is released.

>>> async with Pool(processes=2) as pool:
...     plan = await pool.run(solve, instance, time_limit_s=20.0)
"""

import asyncio
import multiprocessing
import pickle
import resource
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, Self, TypeVar, cast

from ossature.kernel.errors import Problem, Unavailable

_T = TypeVar("_T")

_SPAWN = multiprocessing.get_context("spawn")
_CLOSE_S = 2.0
_START_S = 30.0


class TimeLimitReached(Unavailable):
    """A calculation was stopped because it took longer than it may."""

    title = "Time limit reached"


class MemoryLimitReached(Problem):
    """A calculation was stopped because it needs more memory than it may have."""

    title = "Memory limit reached"


class ProcessLost(Unavailable):
    """The process of a calculation ended in the middle of it: it crashed, or the machine ran out of memory."""

    title = "Process lost"


class Pool:
    """A few processes that calculate for this one. Each is kept for the next call, and replaced when it had to be killed."""

    def __init__(self, processes: int = 2, *, memory_most_bytes: int | None = None) -> None:
        """Processes start at their first use. memory_most_bytes: address space of each, None for no limit."""
        self._memory_most_bytes = memory_most_bytes
        self._idle: list[_Child] = []
        self._all: set[_Child] = set()
        self._slots = asyncio.Semaphore(processes)
        self._threads = ThreadPoolExecutor(processes, thread_name_prefix="pool")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def run(self, function: Callable[..., _T], *arguments: Any, time_limit_s: float) -> _T:
        """What a function gives, calculated in another process; both must be importable, arguments picklable.

        The limit counts from when a process is free. Cancelling the call kills its process.
        Raises: TimeLimitReached, MemoryLimitReached, ProcessLost, and whatever the function raises.
        """
        payload = pickle.dumps((function, arguments), pickle.HIGHEST_PROTOCOL)
        async with self._slots:
            child = self._idle.pop() if self._idle else self._new_child()
            call = asyncio.get_running_loop().run_in_executor(self._threads, child.call, payload, time_limit_s)
            try:
                kind, value = await asyncio.shield(call)
            except BaseException as error:
                child.kill()
                self._all.discard(child)
                await asyncio.wait([call])
                if isinstance(error, (EOFError, OSError)):
                    raise ProcessLost(f"Exit code {child.exit_code}.") from error
                raise
            self._idle.append(child)
        if kind == "memory":
            raise MemoryLimitReached
        if kind == "raised":
            raise cast("BaseException", value)
        return cast("_T", value)

    async def close(self) -> None:
        """End all processes."""
        for child in self._all:
            child.kill()
        self._all.clear()
        self._idle.clear()
        self._threads.shutdown(wait=False)

    def _new_child(self) -> "_Child":
        child = _Child(self._memory_most_bytes)
        self._all.add(child)
        return child


class _Child:
    """One process and the pipe to it. Used from one thread at a time."""

    def __init__(self, memory_most_bytes: int | None) -> None:
        self._memory_most_bytes = memory_most_bytes
        self._process: multiprocessing.process.BaseProcess | None = None
        self._pipe: Connection | None = None
        self._killed = False

    @property
    def exit_code(self) -> int | None:
        return self._process.exitcode if self._process else None

    def call(self, payload: bytes, time_limit_s: float) -> tuple[str, Any]:
        """(`gave` | `raised` | `memory`, value). Raises: TimeLimitReached; EOFError, OSError when it died."""
        pipe = self._pipe or self._start()
        if self._killed:  # while it started
            self.kill()
            raise EOFError
        pipe.send_bytes(payload)
        if not pipe.poll(time_limit_s):
            raise TimeLimitReached(f"It took more than {time_limit_s:g} s.", time_limit_s=time_limit_s)
        answer: tuple[str, Any] = pickle.loads(pipe.recv_bytes())  # noqa: S301 - written by our own child
        return answer

    def kill(self) -> None:
        self._killed = True
        if self._process is not None:
            self._process.kill()
            self._process.join(_CLOSE_S)

    def _start(self) -> Connection:
        ours, theirs = _SPAWN.Pipe()
        self._process = _SPAWN.Process(target=_serve, args=(theirs, self._memory_most_bytes), daemon=True)
        self._process.start()
        theirs.close()
        if not ours.poll(_START_S):
            raise EOFError
        ours.recv_bytes()  # it is ready: starting up is not the calculation's time
        self._pipe = ours
        return ours


def _serve(pipe: Connection, memory_most_bytes: int | None) -> None:
    """The child: answer calls until the parent is gone."""
    if memory_most_bytes is not None:
        resource.setrlimit(resource.RLIMIT_AS, (memory_most_bytes, memory_most_bytes))
    pipe.send_bytes(b"ready")
    while True:
        try:
            payload = pipe.recv_bytes()
        except (EOFError, OSError):
            return
        pipe.send_bytes(_answer(payload))


def _answer(payload: bytes) -> bytes:
    try:
        function, arguments = pickle.loads(payload)  # noqa: S301 - written by our own parent
        return pickle.dumps(("gave", function(*arguments)), pickle.HIGHEST_PROTOCOL)
    except MemoryError:
        return pickle.dumps(("memory", None))
    except Exception as error:  # noqa: BLE001 - a worker's edge: it is raised again by the caller, in its process
        try:
            return pickle.dumps(("raised", error))
        except (TypeError, AttributeError, pickle.PicklingError):
            return pickle.dumps(("raised", RuntimeError(f"{type(error).__name__}: {error}")))


async def in_thread(function: Callable[..., _T], *arguments: Any, time_limit_s: float) -> _T:
    """What a function gives, calculated in a thread; only worth it where the function releases the GIL.

    A thread cannot be killed: after the limit the caller goes on and the result is dropped.
    Raises: TimeLimitReached, and whatever the function raises.
    """
    limit = asyncio.timeout(time_limit_s)
    try:
        async with limit:
            return await asyncio.to_thread(function, *arguments)
    except TimeoutError as error:
        if not limit.expired():
            raise
        raise TimeLimitReached(f"It took more than {time_limit_s:g} s.", time_limit_s=time_limit_s) from error
