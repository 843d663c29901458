"""`POST /v1/chat/completions`, as official OpenAI clients speak it: a raw ASGI application on the hot path.

The edge has already checked who asks and how often; here bytes come in and bytes go out.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

from starlette.types import Receive, Scope, Send

from ossature.kernel.context import Ctx
from ossature.kernel.errors import ContentTooLarge, Problem
from ossature.kernel.outbound.kinds import ProviderTimeout
from ossature.kernel.outbound.provider import ErrorKind, Refusal
from ossature.services.hub.api.openai_shape import Headers, event_of, refuse
from ossature.services.hub.domain.chat import ChatRequest, Seat, read
from ossature.services.hub.settings import HubSettings
from ossature.services.hub.usecases.chat import Chats, Told

HEARTBEAT_S = 15.0
_HEARTBEAT = b": still here\n\n"
_OK = 200


class ChatCompletions:
    """The application. One per process."""

    def __init__(self, chats: Chats, settings: HubSettings, *, public_url: str) -> None:
        self._chats = chats
        self._max_body_bytes = settings.max_body_bytes
        self._time_limit_s = settings.chat_time_limit_s
        self._public_url = public_url

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        ctx = cast("Ctx", scope["ossature.ctx"])
        try:
            request = read(await _body(receive, self._max_body_bytes))
            if request.stream:
                await self._told(ctx, request, receive=receive, send=send)
            else:
                await self._answered(ctx, request, send)
        except Problem as problem:
            status, headers, body = refuse(problem, public_url=self._public_url, request_id=ctx.id)
            await _start(send, status, headers)
            await send({"type": "http.response.body", "body": body})

    async def _answered(self, ctx: Ctx, request: ChatRequest, send: Send) -> None:
        answered = await self._chats.complete(ctx, request)
        body = answered.completion.body
        headers = _about(ctx, answered.provider, answered.seat, answered.attempts)
        headers += [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        if answered.cost_microusd is not None:
            headers.append((b"x-ossature-cost-microusd", b"%d" % answered.cost_microusd))
        await _start(send, _OK, headers)
        await send({"type": "http.response.body", "body": body})

    async def _told(self, ctx: Ctx, request: ChatRequest, *, receive: Receive, send: Send) -> None:
        """Events as they come, until the end, an error, the client's leaving or the time limit."""
        writer = _Writer(send)
        last = b""
        async with _while_there(receive, writer):
            try:
                async with asyncio.timeout(self._time_limit_s), self._chats.tell(ctx, request) as told:
                    await self._pumped(ctx, told, writer)
            except (Refusal, Problem) as error:
                if not writer.started:
                    raise
                last = event_of(error, public_url=self._public_url, request_id=ctx.id)
            except TimeoutError:
                if not writer.started:
                    raise ProviderTimeout("The answer did not begin in time.", attempts=[]) from None
                late = Refusal(ErrorKind.TIMEOUT_AFTER_SEND, "The answer was not complete in time.")
                last = event_of(late, public_url=self._public_url, request_id=ctx.id)
            if writer.started:
                await writer.end(last)

    async def _pumped(self, ctx: Ctx, told: Told, writer: "_Writer") -> None:
        headers = _about(ctx, told.provider, told.seat, told.attempts)
        headers += [(b"content-type", b"text/event-stream; charset=utf-8"), (b"x-accel-buffering", b"no")]
        await writer.start(headers)
        async for block in told:
            await writer.write(block)


class _Writer:
    """The response of a stream. One message at a time: the heartbeat comes from another task."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._turn = asyncio.Lock()
        self.started = False
        self._wrote = False

    async def start(self, headers: Headers) -> None:
        self.started = True
        await _start(self._send, _OK, headers)

    async def write(self, block: bytes) -> None:
        self._wrote = True
        async with self._turn:
            await self._send({"type": "http.response.body", "body": block, "more_body": True})

    async def beat(self) -> None:
        """Show that we are there, unless something was written since the last time."""
        wrote, self._wrote = self._wrote, False
        if self.started and not wrote and not self._turn.locked():
            async with self._turn:
                await self._send({"type": "http.response.body", "body": _HEARTBEAT, "more_body": True})

    async def end(self, last: bytes) -> None:
        async with self._turn:
            await self._send({"type": "http.response.body", "body": last})


@asynccontextmanager
async def _while_there(receive: Receive, writer: _Writer) -> AsyncIterator[None]:
    """A block that ends when the client leaves, with everything in it cancelled; meanwhile the heart beats."""
    work = asyncio.current_task()
    assert work is not None  # noqa: S101 - a coroutine runs in a task
    left = False

    async def watch() -> None:
        nonlocal left
        leaving = asyncio.ensure_future(_left(receive))
        try:
            while not (await asyncio.wait([leaving], timeout=HEARTBEAT_S))[0]:
                await writer.beat()
        finally:
            leaving.cancel()
        left = True
        work.cancel()

    watcher = asyncio.create_task(watch(), name="hub.chat.watch")
    try:
        yield
    except asyncio.CancelledError:
        if not left or work.uncancel() > 0:
            raise
    finally:
        watcher.cancel()


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _body(receive: Receive, max_bytes: int) -> bytes:
    """The request's body. Raises: ContentTooLarge."""
    message = await receive()
    body: bytes = message.get("body", b"")
    if not message.get("more_body"):
        _check(len(body), max_bytes)
        return body
    parts = bytearray(body)
    while message.get("more_body"):
        message = await receive()
        parts += message.get("body", b"")
        _check(len(parts), max_bytes)
    return bytes(parts)


def _check(size_bytes: int, max_bytes: int) -> None:
    if size_bytes > max_bytes:
        raise ContentTooLarge(f"A chat request has at most {max_bytes} bytes.")


async def _start(send: Send, status: int, headers: Headers) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})


def _about(ctx: Ctx, provider: str, seat: Seat, attempts: int) -> Headers:
    return [
        (b"x-ossature-provider", provider.encode()),
        (b"x-ossature-model", str(seat).encode("ascii", "replace")),
        (b"x-ossature-request-id", ctx.id.encode()),
        (b"x-ossature-attempts", b"%d" % attempts),
    ]
