"""HTTP/1.1 as uvicorn reads it, with refusals of ours for what is no HTTP: no application is asked about that."""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ossature.kernel import clock
from ossature.kernel.errors import Problem
from ossature.kernel.http.problems import BadRequest, render
from ossature.kernel.http.security import security_headers

HEAD_MOST_BYTES = 65_535
"""What comes before the body: address and headers. The parser reads no longer address."""


class HeadTooLong(Problem):
    """The address or the headers of the request are longer than 64 KB; long questions are asked in a body."""

    status = 431
    title = "Request head too long"


class HeadTooSlow(Problem):
    """The address and the headers of the request did not arrive within the time limit."""

    status = 408
    title = "Request head too slow"


class Protocol(HttpToolsProtocol):
    """One connection. public_url: where the pages about problems are. head_limit_s: how long a head may take to arrive."""

    def __init__(self, *args: Any, public_url: str, head_limit_s: float, **options: Any) -> None:
        super().__init__(*args, **options)
        self._public_url = public_url
        self._head_limit_s = head_limit_s
        self._packet_bytes = 0
        self._head_bytes = 0
        self._in_head = True
        self._head_limit: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        """Somebody is there, and is expected to say something."""
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody is there any more."""
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on; a head that does not end is given up, and not kept in memory."""
        self._packet_bytes = len(data)
        super().data_received(data)
        if self._in_head and not self.transport.is_closing():
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_MOST_BYTES:
                self._refuse(HeadTooLong())

    def on_message_begin(self) -> None:
        """A request begins, somewhere in a packet that does not count: the end of another may be in front."""
        self._head_bytes, self._in_head = -self._packet_bytes, True
        if self._head_limit is None:  # the first one is expected from the beginning of the connection on
            self._expect_head()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """The head is there."""
        self._in_head = False
        self._stop_waiting()
        super().on_headers_complete()

    def _expect_head(self) -> None:
        self._head_limit = self.loop.call_later(self._head_limit_s, self._give_head_up)

    def _stop_waiting(self) -> None:
        if self._head_limit is not None:
            self._head_limit.cancel()
            self._head_limit = None

    def _give_head_up(self) -> None:
        """A client that sends a byte now and then keeps a connection of ours for as long as it likes otherwise."""
        self._head_limit = None
        if self.cycle is not None and not self.cycle.response_complete:  # type: ignore[redundant-expr] # None at first
            self._expect_head()  # an answer is on its way out, and the server reads nothing meanwhile
        elif not self.transport.is_closing():
            self._refuse(HeadTooSlow())

    def send_400_response(self, msg: str) -> None:
        """Refuse what the parser cannot read."""
        del msg
        too_long = len(getattr(self, "url", b"")) > HEAD_MOST_BYTES
        self._refuse(HeadTooLong() if too_long else BadRequest("The request cannot be read as HTTP."))

    def _refuse(self, problem: Problem) -> None:
        request_id = str(clock.new_id())
        headers, body = render(problem, public_url=self._public_url, instance="", request_id=request_id, trace_id="")
        https = self._public_url.startswith("https://")
        headers += [*security_headers(https=https), (b"x-request-id", request_id.encode()), (b"connection", b"close")]
        head = b"".join(b"%b: %b\r\n" % header for header in headers)
        self.transport.write(b"HTTP/1.1 %d %b\r\n%b\r\n%b" % (problem.status, problem.title.encode(), head, body))
        self.transport.close()
