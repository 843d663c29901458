"""One process of the house at work: any of web server, worker and scheduler, on one event loop, until a signal."""

import asyncio
import gc
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import structlog
import uvloop

from ossature.kernel import background
from ossature.kernel.cli.session import Session
from ossature.kernel.cli.supervisor import READY
from ossature.kernel.errors import Misconfigured
from ossature.kernel.house import House
from ossature.kernel.http.live import Live
from ossature.kernel.http.server import WebServer
from ossature.kernel.http.settings import HttpSettings
from ossature.kernel.observe import export, logs, metrics, sentry, tracing
from ossature.kernel.observe.process import Sampler
from ossature.kernel.observe.settings import ObserveSettings
from ossature.kernel.observe.writer import LineWriter

if TYPE_CHECKING:
    from ossature.kernel.config import Config

_T = TypeVar("_T")
log = structlog.get_logger()

# After the parts had their own time to drain; a part that hangs must not keep the process for ever.
LAST_LIMIT_S = 10.0
PARENT_LOOK_S = 1.0


class Process:
    """A house with its doors. `run` returns when SIGTERM or SIGINT came and everything is drained."""

    def __init__(self, house: House, writer: LineWriter) -> None:
        self.house = house
        self._writer = writer
        self._stops: list[Callable[[], object]] = []
        self._stopping = asyncio.Event()

    @classmethod
    @asynccontextmanager
    async def open(cls, session: Session, config: "Config | None" = None) -> AsyncIterator["Process"]:
        """A process whose logs, metrics and traces are set up, with an open house."""
        config = config or session.config()
        settings = config[ObserveSettings]
        if session.debug:
            settings = settings.model_copy(update={"log_level": "debug"})
        told = sentry.reporter(settings, logs.masker, environment=config.main.profile)
        writer = logs.configure(settings, secrets=config.secrets(), told=() if told is None else (told,))
        sdk = export.otlp(settings) if settings.otlp_endpoint else None
        tracing.configure(sdk, ratio=settings.trace_ratio, trust_sampling=settings.trust_sampling)
        try:
            async with House.open(session.services, config) as house:
                Sampler(house.database).install()
                metrics.before_scrape(house.cache.flush)
                yield cls(house, writer)
        finally:
            if sdk is not None:
                await asyncio.to_thread(sdk.close)
            if told is not None:
                await asyncio.to_thread(told.close)
            writer.flush()

    def queues_of(self, role: str) -> list[str]:
        """The queues of a role that a service declares. Raises: Misconfigured."""
        roles = {one.name: one for service in self.house.services for one in service.processes}
        found = roles.get(role)
        if found is None:
            raise Misconfigured(f"No service declares the role {role!r}; there are: {', '.join(roles) or 'none'}.")
        return list(found.queues)

    def stop(self) -> None:
        """Drain and end."""
        if not self._stopping.is_set():
            log.info("process.stopping", pid=os.getpid())
            self._stopping.set()
            self.house.inspector.draining = True  # balancers that look at /ready send nothing more
            for stop in self._stops:
                stop()

    async def run(
        self,
        *,
        listening: socket.socket | None = None,
        names: Sequence[str] | None = None,
        queues: Sequence[str] | None = None,
        schedules: bool = False,
        on_ready: Callable[[], None] | None = None,
        with_parent: bool = False,
        console: bool = False,
    ) -> None:
        """Serve (if there is a socket), work (these queues; None all, empty none) and schedule, until `stop`.

        console: serve the web console too. with_parent: end when the parent process has, so that none is left behind
        by a supervisor that was killed.
        """
        house = self.house
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        # Made before anything runs: an application that cannot be made leaves nothing to be stopped.
        app = None
        if listening is not None:
            app = house.app(names, access=self._writer, console=console, served_at=url_of(listening))
        tasks = []
        if queues is None or queues:
            worker = house.worker(queues)
            self._stops.append(worker.stop)
            tasks.append(asyncio.create_task(worker.run(), name="worker"))
        if schedules:
            scheduler = house.scheduler()
            self._stops.append(scheduler.stop)
            tasks.append(asyncio.create_task(scheduler.run(), name="scheduler"))
        if listening is not None and app is not None:
            server = WebServer(app, listening, house.config[HttpSettings], public_url=house.config.main.public_url)
            notice_s = house.config[HttpSettings].drain_notice_s

            def close_door() -> None:
                house.port(Live).drain()  # a stream of events would hold the server open
                server.stop()

            self._stops.append(lambda: loop.call_later(notice_s, close_door))
            tasks.append(asyncio.create_task(server.run(), name="web"))
            await self._first(server.ready(), tasks[-1])
        beside = [
            background.start(metrics.keep_fresh, "metrics"),
            background.start(house.inspector.keep_looking, "health"),
        ]
        if with_parent:
            beside.append(asyncio.create_task(self._watch_parent(), name="parent"))
        if on_ready is not None:
            on_ready()
        _settle_heap()
        log.info("process.started", pid=os.getpid(), parts=[task.get_name() for task in tasks])
        try:
            await self._until_done(tasks)
        finally:
            for task in beside:
                task.cancel()
        log.info("process.stopped", pid=os.getpid())

    async def _watch_parent(self) -> None:
        parent = os.getppid()
        while os.getppid() == parent:  # noqa: ASYNC110 - nobody tells us when it is gone
            await asyncio.sleep(PARENT_LOOK_S)
        log.warning("process.parent_gone", pid=os.getpid())
        self.stop()

    async def _first(self, ready: Coroutine[Any, Any, None], server: "asyncio.Task[None]") -> None:
        """Wait until the server serves, or has failed to."""
        waiting = asyncio.create_task(ready)
        await asyncio.wait([waiting, server], return_when=asyncio.FIRST_COMPLETED)
        if server.done():
            waiting.cancel()
            server.result()
        await waiting

    async def _until_done(self, tasks: "Sequence[asyncio.Task[None]]") -> None:
        """Wait for the signal, or for the first part that ends by itself (then the others are stopped); then for all."""
        stopping = asyncio.create_task(self._stopping.wait())
        await asyncio.wait([stopping, *tasks], return_when=asyncio.FIRST_COMPLETED)
        self.stop()
        stopping.cancel()
        settings = self.house.config[HttpSettings]
        limit_s = settings.drain_notice_s + settings.drain_time_limit_s + LAST_LIMIT_S
        done, late = await asyncio.wait(tasks, timeout=limit_s)
        for task in late:
            log.error("process.part_hangs", part=task.get_name())
            task.cancel()
        for task in done:
            task.result()


def url_of(listening: socket.socket) -> str:
    """The address of a listening socket, for a person on this machine."""
    host, port = listening.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - what listens everywhere is here too
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _settle_heap() -> None:
    """Have the garbage collector leave alone what lives as long as the process, and look less often at the rest.

    Routes, schemas and tables are some hundred thousand objects that are never garbage; walking them again and again took
    a quarter of the CPU of a chat request (`python -m bench hub-throughput`).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


def run_on_loop(work: Coroutine[Any, Any, _T]) -> _T:
    """The result of asynchronous work, on uvloop where there is one."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop if sys.platform != "win32" else None) as runner:
        return runner.run(work)


def tell_supervisor(fd: int) -> None:
    """Say to the parent process that this one serves."""
    os.write(fd, READY)
    os.close(fd)
