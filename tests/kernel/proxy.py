"""A TCP proxy that can be away for a while: what a broker's restart looks like from outside."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit, urlunsplit


class Proxy:
    """Listens on a port of its own and passes everything on, while it is up.

    hides_ends: that the other side hung up is not passed on, as if that news were still on its way.
    """

    def __init__(self, host: str, port: int, *, hides_ends: bool = False) -> None:
        self._target = (host, port)
        self._hides_ends = hides_ends
        self._server: asyncio.Server | None = None
        self._pipes: set[asyncio.Task[None]] = set()
        self.port = 0

    async def __aenter__(self) -> Self:
        await self.up()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.down()

    async def up(self) -> None:
        """Accept connections, on the same port as before."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def down(self) -> None:
        """Drop every connection and refuse new ones."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for pipe in list(self._pipes):
            pipe.cancel()
        if self._pipes:
            await asyncio.wait(list(self._pipes))

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._pipes.add(task)
        try:
            back_reader, back_writer = await asyncio.open_connection(*self._target)
            try:
                async with asyncio.TaskGroup() as both:
                    both.create_task(_copy(reader, back_writer))
                    both.create_task(_copy(back_reader, writer, hides_end=self._hides_ends))
            finally:
                back_writer.transport.abort()
        except (OSError, ExceptionGroup, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()
            self._pipes.discard(task)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, hides_end: bool = False) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    if hides_end:
        await asyncio.Event().wait()
    raise ConnectionResetError


@asynccontextmanager
async def through_proxy(url: str, *, hides_ends: bool = False) -> AsyncIterator[tuple[Proxy, str]]:
    """A proxy, and a URL that leads through it to where `url` leads."""
    parts = urlsplit(url)
    async with Proxy(parts.hostname or "", parts.port or 0, hides_ends=hides_ends) as proxy:
        user, at, _ = parts.netloc.rpartition("@")
        yield proxy, urlunsplit(parts._replace(netloc=f"{user}{at}127.0.0.1:{proxy.port}"))
