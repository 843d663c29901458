"""Granian as the web server of a process (extra `granian`)."""

import asyncio
import socket
from typing import Any

from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.net import SocketHolder  # type: ignore[attr-defined] # it is there, its stub is not
from granian.server.embed import Server

from ossature.kernel.http.draining import LOOK_S, Draining
from ossature.kernel.http.settings import HttpSettings


class Granian(Server):
    """Granian inside our own loop, on a socket of ours. It takes connections until it ends."""

    def __init__(self, app: Draining, listening: socket.socket, settings: HttpSettings) -> None:
        super().__init__(
            app,
            interface=Interfaces.ASGI,
            http=HTTPModes.http1,
            http1_settings=HTTP1Settings(keep_alive=True),
            backlog=settings.backlog,
            log_enabled=False,
        )
        self._app = app
        self._listening = listening
        self._settings = settings
        self._ending: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Serve until it was stopped, and drain."""
        await self.serve()
        if self._ending is not None:
            await self._ending

    def stop(self) -> None:
        """Have it end."""
        if self._ending is None:
            self._ending = asyncio.get_running_loop().create_task(self._end(), name="granian.end")

    async def _end(self) -> None:
        self._app.closing = True
        await asyncio.sleep(self._settings.drain_linger_s)
        loop = asyncio.get_running_loop()
        limit = loop.time() + self._settings.drain_time_limit_s
        while self._app.open and loop.time() < limit:  # noqa: ASYNC110 - a number
            await asyncio.sleep(LOOK_S)
        super().stop()  # type: ignore[no-untyped-call] # of granian

    def _init_shared_socket(self) -> None:
        self._shd: Any = SocketHolder(self._listening.fileno(), uds=False, backlog=self.backlog)  # type: ignore[call-arg] # as above
        self._sfd: Any = self._listening.fileno()
