"""Both ends of a gateway bench: an upstream that always says the same, and callers that ask again as soon as they can.

`python -m bench.gateway_load upstream PORT`
`python -m bench.gateway_load callers URL MODEL KEY CONNECTIONS SECONDS [HEADER ...]`
"""

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import cast
from urllib.parse import urlsplit

import httptools
import uvloop

_OK = 200
_TEXT = (
    "The capital of France is Paris. It is located on the river Seine in the north of the country, and it has been the "
    "seat of government for most of the nation's history. Its population is about two million within the city limits."
)
_ANSWER = json.dumps(
    {
        "id": "chatcmpl-bench",
        "object": "chat.completion",
        "created": 1700000000,
        "model": "mock",
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": _TEXT}, "logprobs": None, "finish_reason": "stop"}
        ],
        "usage": {"prompt_tokens": 42, "completion_tokens": 50, "total_tokens": 92},
    }
).encode()
_RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (
    len(_ANSWER),
    _ANSWER,
)
_QUESTION = [
    {"role": "system", "content": "You are a helpful assistant. Answer briefly and politely; if unsure say so. " * 3},
    {"role": "user", "content": "What is the capital of France, and what is known about its history? " * 4},
]


@dataclass(slots=True)
class Served:
    """What callers got. latencies_ms: of every answer."""

    answers: int = 0
    bad: int = 0
    seconds: float = 0.0
    latencies_ms: list[float] = field(default_factory=list)

    @property
    def p99_ms(self) -> float:
        """What ninety-nine of a hundred took at most."""
        ordered = sorted(self.latencies_ms)
        return ordered[int(0.99 * (len(ordered) - 1))] if ordered else 0.0


class _Upstream(asyncio.Protocol):
    """Answers every request with the same completion; `/count` says how many there were."""

    reached = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._parser = httptools.HttpRequestParser(self)
        self._url = b""

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        self._url = url

    def on_message_complete(self) -> None:
        if self._url == b"/count":
            said = b"%d" % _Upstream.reached
            self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(said), said))
            return
        _Upstream.reached += 1
        self._transport.write(_RESPONSE)


class _Caller(asyncio.Protocol):
    """One connection that asks again when it was answered, until the time is up."""

    def __init__(self, request: bytes, served: Served, until: float, done: asyncio.Future[None]) -> None:
        self._request = request
        self._served = served
        self._until = until
        self._done = done
        self._sent = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # those of uvloop only look like one
        self._parser = httptools.HttpResponseParser(self)
        self._ask()

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def connection_lost(self, _error: Exception | None) -> None:
        if not self._done.done():
            self._served.bad += 1
            self._done.set_result(None)

    def on_message_complete(self) -> None:
        now = time.perf_counter()
        self._served.answers += 1
        self._served.bad += self._parser.get_status_code() != _OK
        self._served.latencies_ms.append((now - self._sent) * 1000)
        if now < self._until:
            self._parser = httptools.HttpResponseParser(self)
            self._ask()
        elif not self._done.done():
            self._done.set_result(None)
            self._transport.close()

    def _ask(self) -> None:
        self._sent = time.perf_counter()
        self._transport.write(self._request)


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(_Upstream, "127.0.0.1", port)
    await server.serve_forever()


async def _call(url: str, model: str, key: str, headers: Sequence[str], *, connections: int, seconds: float) -> Served:
    parts = urlsplit(url)
    body = json.dumps({"model": model, "messages": _QUESTION, "temperature": 0.7, "max_tokens": 256}).encode()
    head = f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nAuthorization: Bearer {key}\r\n"
    head += "".join(f"{line}\r\n" for line in headers)
    head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    served, loop = Served(), asyncio.get_running_loop()
    started = time.perf_counter()
    ends = []
    for _ in range(connections):
        done = loop.create_future()
        ends.append(done)
        caller = _Caller(head.encode() + body, served, started + seconds, done)
        await loop.create_connection(
            lambda caller=caller: caller,  # type: ignore[misc] # bound at once
            parts.hostname or "127.0.0.1",
            parts.port or 80,
        )
    await asyncio.wait_for(asyncio.gather(*ends), seconds + 60)
    served.seconds = time.perf_counter() - started
    return served


def main() -> None:
    """One of the two ends, as the arguments say."""
    uvloop.install()
    what, *rest = sys.argv[1:]
    if what == "upstream":
        asyncio.run(_serve(int(rest[0])))
        return
    url, model, key, connections, seconds, *headers = rest
    served = asyncio.run(_call(url, model, key, headers, connections=int(connections), seconds=float(seconds)))
    print(json.dumps({**asdict(served), "latencies_ms": [], "p99_ms": served.p99_ms}))


if __name__ == "__main__":
    main()
