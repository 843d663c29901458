"""The application as a web server calls it, so that every server starts and ends in the same way."""

import asyncio
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOK_S: Final = 0.02
"""How often a server that ends looks whether somebody is still there."""


class Draining:
    """The application as a server calls it: knows when it serves, how many it answers, and says goodbye when it ends."""

    def __init__(self, app: ASGIApp) -> None:
        self.serving = asyncio.Event()
        self.closing = False
        self.open = 0
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or hear that the server starts or ends."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, self._listening_to(send))
            return
        self.open += 1
        try:
            await self._app(scope, receive, self._parting(send) if self.closing else send)
        finally:
            self.open -= 1

    def _listening_to(self, send: Send) -> Send:
        async def told(message: Message) -> None:
            await send(message)
            if message["type"] == "lifespan.startup.complete":
                self.serving.set()

        return told

    def _parting(self, send: Send) -> Send:
        async def parting(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), (b"connection", b"close")]}
            await send(message)

        return parting
