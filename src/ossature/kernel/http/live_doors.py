"""The doors to the live channel: a WebSocket, and events over plain HTTP for those who cannot have one.

WebSocket, subprotocol `ossature.live.v1`. The client says `{"type": "hello", "token", "topics", "resume_from"?}` first; a
token is not needed where the handshake proved who asks. It is answered with a heartbeat that names its topics, and with
`resync` when what it missed is no longer kept (it then reloads by HTTP). Later it may say `subscribe`, `unsubscribe` (with
`topics`) and `ping`; a client that says nothing at all for minutes is closed. Close codes: 4400 not understood, 4401 not
signed in, 4403 topic not allowed, 4408 idle, 4429 too slow, 1001 come back (this process ends).

Events: `GET ...?topics=a,b`, with `Last-Event-ID` or `resume_from` to resume.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError
from starlette.datastructures import QueryParams
from starlette.types import Receive, Scope, Send

from ossature.kernel.errors import FieldError, InvalidInput, PermissionDenied, Unauthenticated
from ossature.kernel.http import live
from ossature.kernel.http.edge import Passage
from ossature.kernel.http.input import Input
from ossature.kernel.http.live import Live, Subscription, TopicRefused
from ossature.kernel.http.ports import Authenticator, Identity
from ossature.kernel.http.signed import SignatureRequired

_HELLO_LIMIT_S = 10.0
_CLOSE_LIMIT_S = 1.0
_TEXT_MOST = 16 * 1024

_Topics = Annotated[list[Annotated[str, Field(max_length=60)]], Field(max_length=50)]


class Hello(Input):
    """The first words of a client."""

    type: Literal["hello"]
    token: str | None = Field(default=None, max_length=4096)
    topics: _Topics = Field(default=[])
    resume_from: int | None = Field(default=None, ge=0, lt=2**63)


class Word(Input):
    """What a client may say later."""

    type: Literal["subscribe", "unsubscribe", "ping"]
    topics: _Topics = Field(default=[])


_hello = TypeAdapter(Hello)
_word = TypeAdapter(Word)


class _Gone(Exception):  # noqa: N818 - it ends a conversation, it is no error
    """The client went away."""


class _Caller:
    """Who is at the door, and how to find out whether that still holds."""

    def __init__(self, scope: Scope, credential: bytes | None = None) -> None:
        passage: Passage = scope["ossature.passage"]
        self._scope = scope
        self._ip = passage.exchange.ip
        headers = passage.headers
        proof = credential or headers.get(b"authorization") or headers.get(b"x-api-key")
        if proof is None and passage.session:
            proof = b"session=" + passage.session.encode("latin-1")
        self._credential = proof
        # A credential that is said later is not the one of the signed handshake.
        self._signed = passage.signed and credential is None
        self._authenticator: Authenticator = scope["app"].state.edge.keepers.authenticator

    async def identity(self) -> Identity:
        """Who it is now. Raises: Unauthenticated, PermissionDenied."""
        if self._credential is None:
            raise Unauthenticated
        known = self._authenticator.lookup(self._credential, self._ip)
        identity = known or await self._authenticator.authenticate(self._scope, self._credential, self._ip)
        if identity.signed_only and not self._signed:
            raise SignatureRequired
        return identity


class SocketDoor:
    """A WebSocket door. preset: the topics that it opens onto; empty for all that there are."""

    def __init__(self, channel: Live, preset: Sequence[str] = ()) -> None:
        self._live = channel
        self._preset = tuple(preset)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hold one conversation."""
        await receive()
        chosen = live.PROTOCOL if live.PROTOCOL in scope.get("subprotocols", ()) else None
        await send({"type": "websocket.accept", "subprotocol": chosen})
        try:
            code = await self._converse(scope, receive, send)
        except _Gone:
            return
        with suppress(TimeoutError, OSError):
            async with asyncio.timeout(_CLOSE_LIMIT_S):
                await send({"type": "websocket.close", "code": code})

    async def _converse(self, scope: Scope, receive: Receive, send: Send) -> int:
        """The close code of a conversation. Raises: _Gone."""
        try:
            async with asyncio.timeout(_HELLO_LIMIT_S):
                hello = _hello.validate_json(await _said(receive))
        except TimeoutError:
            return live.IDLE
        except ValidationError:
            return live.MALFORMED
        caller = _Caller(scope, b"Bearer " + hello.token.encode() if hello.token else None)
        try:
            identity = await caller.identity()
            topics = self._live.choose(identity, self._wanted(hello.topics))
        except (Unauthenticated, PermissionDenied):
            return live.NOT_SIGNED_IN
        except TopicRefused:
            return live.TOPIC_NOT_ALLOWED
        client, complete = await self._live.join(identity, topics, hello.resume_from)
        try:
            await _text(send, client.control("heartbeat", {"topics": sorted(topics)}))
            if not complete:
                await _text(send, client.control("resync", {"last": client.last}))
            if live.PRESENCE in topics:
                people = self._live.present(identity.tenant.id)
                await _text(send, client.control("presence", {"people": people}))
            return await self._until_over(client, caller, receive, send)
        finally:
            await self._live.leave(client)

    def _wanted(self, names: Sequence[str]) -> Sequence[str]:
        """The topics of a hello. Raises: TopicRefused for one that this door does not open onto."""
        for name in names:
            self._opens_onto(name)
        return names or self._preset

    def _opens_onto(self, name: str) -> None:
        if self._preset and name not in self._preset:
            raise TopicRefused(name)

    async def _until_over(self, client: Subscription, caller: _Caller, receive: Receive, send: Send) -> int:
        heard = _Heard()
        parts = {
            asyncio.create_task(self._listen(client, receive, send, heard)),
            asyncio.create_task(self._talk(client, caller, send, heard)),
            # A client that does not read blocks the talking part: it must end all the same.
            asyncio.create_task(client.over.wait()),
        }
        try:
            done, _ = await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for part in parts:
                part.cancel()
            await asyncio.gather(*parts, return_exceptions=True)
        for part in done:
            part.result()
        return client.closing or live.GOING_AWAY

    async def _listen(self, client: Subscription, receive: Receive, send: Send, heard: "_Heard") -> None:
        while client.closing is None:
            try:
                word = _word.validate_json(await _said(receive))
                if word.type == "subscribe":
                    for name in word.topics:
                        self._opens_onto(name)
                    client.topics.update(self._live.choose(client.identity, word.topics))
            except ValidationError:
                client.close(live.MALFORMED)
                return
            except TopicRefused:
                client.close(live.TOPIC_NOT_ALLOWED)
                return
            heard.at_s = time.monotonic()
            if word.type == "unsubscribe":
                for name in word.topics:
                    client.topics.pop(name, None)
            reply = "pong" if word.type == "ping" else "heartbeat"
            await _text(send, client.control(reply, {"topics": sorted(client.topics)}))

    async def _talk(self, client: Subscription, caller: _Caller, send: Send, heard: "_Heard") -> None:
        settings = self._live.settings
        beat_s = time.monotonic() + settings.live_heartbeat_s
        while client.closing is None:
            for seq, frame in await client.frames(max(beat_s - time.monotonic(), 0)):
                await _text(send, frame)
                client.sent(seq)
            if time.monotonic() < beat_s or client.closing is not None:
                continue
            beat_s += settings.live_heartbeat_s
            if time.monotonic() - heard.at_s > settings.live_idle_s:
                client.close(live.IDLE)
                return
            await _renew(self._live, client, caller)
            await _text(send, client.control("heartbeat", {}))


class EventsDoor:
    """The same frames as server-sent events. preset: the topics that it opens onto; empty for all that there are."""

    def __init__(self, channel: Live, preset: Sequence[str] = ()) -> None:
        self._live = channel
        self._preset = tuple(preset)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send events until the client goes or the process ends. Raises: InvalidInput, PermissionDenied."""
        caller = _Caller(scope)
        identity = await caller.identity()
        names, resume_from = _asked(scope)
        for name in names:
            if self._preset and name not in self._preset:
                raise PermissionDenied(f"The topic {name!r} is not to be had here.")
        try:
            topics = self._live.choose(identity, names or self._preset)
        except TopicRefused as refused:
            raise PermissionDenied(f"The topic {str(refused)!r} is not for you, or there is none.") from refused
        client, complete = await self._live.join(identity, topics, resume_from)
        gone = asyncio.create_task(_disconnected(receive))
        gone.add_done_callback(lambda _: client.close(live.GOING_AWAY))
        try:
            await send({"type": "http.response.start", "status": 200, "headers": _EVENT_HEADERS})
            first = [client.control("heartbeat", {"topics": sorted(topics)})]
            if not complete:
                first.append(client.control("resync", {"last": client.last}))
            await _events(send, [(client.last, frame) for frame in first])
            await self._talk(client, caller, send)
            if not gone.done():
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            gone.cancel()
            await asyncio.gather(gone, return_exceptions=True)
            await self._live.leave(client)

    async def _talk(self, client: Subscription, caller: _Caller, send: Send) -> None:
        beat_s = time.monotonic() + self._live.settings.live_heartbeat_s
        while client.closing is None:
            frames = await client.frames(max(beat_s - time.monotonic(), 0))
            if frames:
                client.sent(frames[-1][0])  # nobody else speaks here: what follows comes behind them
            if time.monotonic() >= beat_s and client.closing is None:
                beat_s += self._live.settings.live_heartbeat_s
                await _renew(self._live, client, caller)
                frames.append((client.last, client.control("heartbeat", {})))
            if frames:
                sending = asyncio.ensure_future(_events(send, frames))
                over = asyncio.ensure_future(client.over.wait())
                await asyncio.wait({sending, over}, return_when=asyncio.FIRST_COMPLETED)
                for task in (sending, over):
                    task.cancel()
                sent, _ = await asyncio.gather(sending, over, return_exceptions=True)
                if isinstance(sent, OSError):
                    client.close(live.GOING_AWAY)
                elif isinstance(sent, Exception):
                    raise sent


class _Heard:
    """When a client last said something."""

    def __init__(self) -> None:
        self.at_s = time.monotonic()


_EVENT_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),  # nginx would gather the events otherwise
]


async def _renew(channel: Live, client: Subscription, caller: _Caller) -> None:
    """Close the subscription of somebody whose credential or permission is gone meanwhile."""
    try:
        client.identity = await caller.identity()
        client.topics = channel.choose(client.identity, list(client.topics))
    except (Unauthenticated, PermissionDenied):
        client.close(live.NOT_SIGNED_IN)
    except TopicRefused:
        client.close(live.TOPIC_NOT_ALLOWED)


async def _said(receive: Receive) -> str | bytes:
    """The next thing that a client says. Raises: _Gone; ValidationError (by its reader) for what is too long."""
    message: Mapping[str, Any] = await receive()
    if message["type"] != "websocket.receive":
        raise _Gone
    said: str | bytes = message.get("text") or message.get("bytes") or b""
    return said if len(said) <= _TEXT_MOST else b""


async def _text(send: Send, frame: bytes) -> None:
    try:
        await send({"type": "websocket.send", "text": frame.decode()})
    except (OSError, RuntimeError) as error:  # servers say in both ways that the client is gone
        raise _Gone from error


async def _events(send: Send, frames: Sequence[tuple[int, bytes]]) -> None:
    body = b"".join(b"id: %d\ndata: %b\n\n" % frame for frame in frames)
    await send({"type": "http.response.body", "body": body, "more_body": True})


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue


def _asked(scope: Scope) -> tuple[list[str], int | None]:
    """Topics and place of a request for events. Raises: InvalidInput."""
    query = QueryParams(scope["query_string"])
    last = dict(scope["headers"]).get(b"last-event-id", b"").decode("latin-1") or query.get("resume_from", "")
    if last and not (last.isascii() and last.isdigit() and len(last) < 19):
        raise InvalidInput(errors=[FieldError("query/resume_from", "Give the number of a frame.", "int_parsing")])
    names = [name for name in query.get("topics", "").split(",") if name]
    return names, int(last) if last else None
