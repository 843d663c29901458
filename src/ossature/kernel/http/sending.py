"""The way out of the edge: what an answer passes before it reaches the server."""

from typing import TYPE_CHECKING

from starlette.types import Message, Send

from ossature.kernel.http import compression
from ossature.kernel.observe.edge import become_stream

if TYPE_CHECKING:
    from ossature.kernel.http.edge import Edge, Passage

Headers = list[tuple[bytes, bytes]]

# RFC 6455, 7.4.1: 1011 is for an error of the server's own. Ours are 4000 and the last digits of the HTTP status.
_SOCKET_FAILED = 1011
_NO_STORE = b"no-store"
_EVENTS = b"text/event-stream"


class Answer:
    """The `send` of a request: adds the headers, compresses, counts, and leaves the body of a HEAD out.

    begun: whether something was sent that cannot be taken back.
    """

    __slots__ = ("_compressor", "_edge", "_encoding", "_held", "_passage", "_send", "begun")

    def __init__(self, edge: "Edge", passage: "Passage", send: Send) -> None:
        self._edge = edge
        self._passage = passage
        self._send = send
        self._held: Message | None = None
        self._encoding: bytes | None = None
        self._compressor: compression.Stream | None = None
        self.begun = False

    async def __call__(self, message: Message) -> None:
        """Pass one message on. Raises: OSError when the client is gone and the server says so."""
        kind = message["type"]
        try:
            if kind == "http.response.start":
                await self._start(message)
            elif kind == "http.response.body":
                await self._body(message)
            else:
                await self._other(message)
        except OSError:
            self._passage.exchange.aborted = True
            raise

    async def whole(self, status: int, headers: Headers, body: bytes) -> None:
        """Send a whole answer of the edge's own, in the place of one that was not begun."""
        self._held = self._encoding = None
        if self._passage.exchange.protocol == "websocket":
            await self._refuse_socket(status, headers, body)
            return
        await self({"type": "http.response.start", "status": status, "headers": headers})
        await self({"type": "http.response.body", "body": body})

    async def _start(self, message: Message) -> None:
        passage = self._passage
        status = passage.exchange.status = message["status"]
        headers: Headers = list(message["headers"])
        for name, value in headers:
            if name == b"content-type":
                if value.startswith(_EVENTS):
                    become_stream(passage.exchange, "events")
                break
        accept = passage.headers.get(b"accept-encoding")
        if accept is not None or passage.cache != _NO_STORE:
            encoding = compression.choose(accept) if accept is not None else None
            if compression.worthwhile(status, headers):
                if encoding is not None:
                    self._encoding = encoding
                    self._held = {**message, "headers": headers}
                    return
                if passage.cache != _NO_STORE:
                    headers.append((b"vary", b"Accept-Encoding"))
        self.begun = True
        await self._send({**message, "headers": self._edge.finish_headers(passage, headers)})

    async def _body(self, message: Message) -> None:
        body = message.get("body", b"")
        more = message.get("more_body", False)
        passage = self._passage
        if self._encoding is not None:
            body = await self._compressed(self._encoding, body, more=more)
        if passage.exchange.method == "HEAD":
            body = b""
        passage.exchange.sent_bytes += len(body)
        if not more:
            passage.finished = True
        await self._send({"type": "http.response.body", "body": body, "more_body": more})

    async def _compressed(self, encoding: bytes, body: bytes, *, more: bool) -> bytes:
        """The body as it goes out; the held headers go out before it."""
        start, self._held = self._held, None
        if start is None:
            return self._compressor.feed(body, last=not more) if self._compressor is not None else body
        headers: Headers = start["headers"]
        if more:
            self._compressor = compression.stream(encoding)
            headers = compression.relabel(headers, encoding, None)
            body = self._compressor.feed(body, last=False)
        elif len(body) >= self._edge.settings.compress_min_bytes:
            body = await compression.compress(encoding, body)
            headers = compression.relabel(headers, encoding, len(body))
        elif self._passage.cache != _NO_STORE:
            headers.append((b"vary", b"Accept-Encoding"))
        self.begun = True
        await self._send({**start, "headers": self._edge.finish_headers(self._passage, headers)})
        return body

    async def _other(self, message: Message) -> None:
        """WebSocket messages, and what else a server understands, such as the path of a file to send."""
        kind, passage = message["type"], self._passage
        if self._held is not None:
            start, self._held = self._held, None
            self.begun = True
            await self._send({**start, "headers": self._edge.finish_headers(passage, start["headers"])})
        if kind == "websocket.accept":
            self.begun = True
            passage.exchange.status = 101
            become_stream(passage.exchange, "websocket")
            own = (b"x-request-id", passage.exchange.request_id.encode())
            message = {**message, "headers": [*message.get("headers", ()), own]}
        elif kind == "websocket.close":
            passage.finished = True
            if not self.begun:
                self.begun = True
                passage.exchange.status = 403  # so does the server answer the handshake
        elif kind == "websocket.send":
            passage.exchange.sent_bytes += len(message.get("bytes") or message.get("text") or b"")
        await self._send(message)

    async def _refuse_socket(self, status: int, headers: Headers, body: bytes) -> None:
        """Refuse a WebSocket: its handshake by HTTP where the server can, an open one by a close frame."""
        passage = self._passage
        if self.begun:
            if not passage.finished:
                passage.finished = True
                await self._send({"type": "websocket.close", "code": _SOCKET_FAILED})
            return
        self.begun = passage.finished = True
        passage.exchange.status = status
        if not passage.speaks_http:
            await self._send({"type": "websocket.close", "code": 4000 + status % 1000})
            return
        sent = self._edge.finish_headers(passage, headers)
        await self._send({"type": "websocket.http.response.start", "status": status, "headers": sent})
        await self._send({"type": "websocket.http.response.body", "body": body})
