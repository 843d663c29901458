"""The web server of one process: serves an application on a socket that is listened on already, until it is stopped.

Both servers end alike. First no more connections are taken (others that share the socket take them); for a short while
requests are still answered on connections that are open, each with `Connection: close`, so that a proxy gives them up by
itself: a connection that is simply closed may be closed just as a request comes in. Then what is in progress is finished.
"""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Protocol

import uvicorn
from starlette.types import ASGIApp

from ossature.kernel.errors import Misconfigured, Unavailable
from ossature.kernel.http.draining import LOOK_S, Draining
from ossature.kernel.http.protocol import Protocol as HttpProtocol
from ossature.kernel.http.settings import HttpSettings

START_LIMIT_S = 60.0


class ServerNotStarted(Unavailable):
    """The web server ended before it served; the lines above say why."""

    title = "Server not started"


class _Engine(Protocol):
    """A server under its wrapping."""

    async def run(self) -> None:
        """Serve until it was stopped, and drain."""

    def stop(self) -> None:
        """Have it end."""


class _Uvicorn(uvicorn.Server):
    """uvicorn without signal handlers of its own (the process decides when to stop), that lingers before it closes."""

    def __init__(self, app: Draining, listening: socket.socket, settings: HttpSettings, *, public_url: str) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=partial(HttpProtocol, public_url=public_url, head_limit_s=settings.head_time_limit_s),  # type: ignore[arg-type] # it is called, as a class is
                ws="auto",
                # A compressor per connection takes 300 KB, and compresses the same frame again for each.
                ws_per_message_deflate=False,
                lifespan="on",
                access_log=False,
                log_config=None,
                server_header=False,
                proxy_headers=False,
                backlog=settings.backlog,
                timeout_keep_alive=settings.keep_alive_s,
                timeout_graceful_shutdown=int(settings.drain_time_limit_s),
            )
        )
        self._app = app
        self._listening = listening
        self._linger_s = settings.drain_linger_s

    async def run(self) -> None:  # type: ignore[override] # of uvicorn, which starts a loop of its own
        """Serve until it was stopped, and drain."""
        await self.serve(sockets=[self._listening])

    def stop(self) -> None:
        """Have it end."""
        self.should_exit = True

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Nothing."""
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no more connections, linger, then end what is left."""
        for server in self.servers:
            server.close()
        self._app.closing = True
        end = asyncio.get_running_loop().time() + self._linger_s
        while self.server_state.connections and asyncio.get_running_loop().time() < end:  # noqa: ASYNC110 - a set
            await asyncio.sleep(LOOK_S)
        await super().shutdown(sockets)


def _granian(app: Draining, listening: socket.socket, settings: HttpSettings) -> _Engine:
    try:
        from ossature.kernel.http.granian import Granian  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        if error.name != "granian":
            raise
        raise Misconfigured("Granian as web server needs the extra: pip install 'ossature[granian]'.") from error
    return Granian(app, listening, settings)


class WebServer:
    """Serves until `stop()`; then takes no more connections, lets requests in progress end within the limit, returns."""

    def __init__(self, app: ASGIApp, listening: socket.socket, settings: HttpSettings, *, public_url: str = "") -> None:
        """public_url: where the pages about problems are, for refusals of what is no HTTP (uvicorn only).

        Raises: Misconfigured when the server of the settings is not installed.
        """
        self._app = Draining(app)
        self._engine: _Engine = (
            _granian(self._app, listening, settings)
            if settings.server == "granian"
            else _Uvicorn(self._app, listening, settings, public_url=public_url)
        )
        self._over = False

    async def run(self) -> None:
        """Serve until `stop()`, and drain."""
        try:
            await self._engine.run()
        finally:
            self._over = True

    async def ready(self) -> None:
        """Return once requests are answered. Raises: ServerNotStarted."""
        async with asyncio.timeout(START_LIMIT_S):
            while not self._app.serving.is_set():
                if self._over:
                    raise ServerNotStarted
                await asyncio.sleep(LOOK_S)

    def stop(self) -> None:
        """Accept no more connections; `run()` returns when those that are open have been answered."""
        self._engine.stop()
