"""A Sentry: a real HTTP server that reads envelopes as its developers' documents describe them.

Source: https://develop.sentry.dev/sdk/foundations/transport/envelopes/
"""

import gzip
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import brotli

PUBLIC_KEY = "0123456789abcdef0123456789abcdef"
PROJECT = 42
UNPACKED: dict[str, Callable[[bytes], bytes]] = {"": bytes, "gzip": gzip.decompress, "br": brotli.decompress}


@dataclass
class Sentry:
    """What arrived. wire: everything of each request, unpacked: its address, its headers, its body."""

    dsn: str = ""
    wire: list[str] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)
    signed: list[str] = field(default_factory=list)

    def take(self, headers: dict[str, str], path: str, body: bytes) -> None:
        """Read one envelope: its header, then each item as a header with the length of what follows."""
        self.wire.append(f"{path}\n{headers}\n{body.decode()}")
        self.signed.append(headers.get("X-Sentry-Auth", ""))
        _, rest = _line(body)
        while rest.strip():
            said, rest = _line(rest)
            header = json.loads(said)
            length = header.get("length", len(rest))
            payload, rest = rest[:length], rest[length:].lstrip(b"\n")
            self.kinds.append(header["type"])
            if header["type"] == "event":
                self.events.append(json.loads(payload))


def _line(body: bytes) -> tuple[bytes, bytes]:
    line, _, rest = body.partition(b"\n")
    return line, rest


@contextmanager
def sentry() -> Iterator[Sentry]:
    """A Sentry that listens on the loopback address."""
    found = Sentry()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            body = UNPACKED[self.headers.get("Content-Encoding", "")](body)
            right = self.path == f"/api/{PROJECT}/envelope/"
            if right:
                found.take(dict(self.headers), self.path, body)
            self.send_response(200 if right else 404)
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    found.dsn = f"http://{PUBLIC_KEY}@127.0.0.1:{server.server_address[1]}/{PROJECT}"
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
