"""A collector of traces: a real HTTP server that decodes OTLP as the standard says."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span


@dataclass(frozen=True)
class Received:
    """A span as it arrived, with what is known of the process that sent it."""

    span: Span
    process: dict[str, Any]

    @property
    def attributes(self) -> dict[str, Any]:
        """Its attributes by name."""
        return _values(self.span.attributes)


@dataclass
class Collector:
    """What arrived, decoded and as it was sent."""

    url: str = ""
    received: list[Received] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    @property
    def spans(self) -> list[Span]:
        """All spans, in the order of their arrival."""
        return [one.span for one in self.received]

    def of_trace(self, trace_id: str) -> list[Received]:
        """Those of one trace."""
        return [one for one in self.received if one.span.trace_id.hex() == trace_id]


@contextmanager
def collector() -> Iterator[Collector]:
    """A collector that listens on the loopback address."""
    found = Collector()

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/v1/traces"
            body = self.rfile.read(int(self.headers["Content-Length"]))
            found.bodies.append(body)
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                process = _values(resource.resource.attributes)
                found.received += [Received(span, process) for scope in resource.scope_spans for span in scope.spans]
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    found.url = f"http://127.0.0.1:{server.server_port}"
    yield found
    server.shutdown()
    server.server_close()


def _values(attributes: Any) -> dict[str, Any]:
    pairs: list[KeyValue] = list(attributes)
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value") or "string_value") for pair in pairs}
