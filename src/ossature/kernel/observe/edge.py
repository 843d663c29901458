"""What the edge tells about every request: span, metrics, service levels, one line of access log.

These keep the promises `Tracer` and `Observer` of `kernel.http.ports`, which lies above this room.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Literal, Protocol

from ossature.kernel.observe import metrics, tracing
from ossature.kernel.observe.logs import AccessLog, ids, masker

CLIENT_ERROR = 400


class Exchange(Protocol):
    """The part of an exchange that is read and filled in here."""

    request_id: str
    method: str
    path: str
    traceparent: str
    trace_id: str
    route: str
    status: int
    duration_s: float
    received_bytes: int
    sent_bytes: int
    problem: str
    error: BaseException | None
    aborted: bool
    protocol: str
    stream: str
    identity: Any
    ctx: Any
    span: Any


class _Ids(Mapping[str, str]):
    """The ids of an exchange for its log lines, read when a line is written: the tenant is known later than the rest."""

    __slots__ = ("_exchange",)

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def __getitem__(self, name: str) -> str:
        return self._read()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._read())

    def __len__(self) -> int:
        return len(self._read())

    def _read(self) -> dict[str, str]:
        identity = self._exchange.identity
        found = {"request_id": self._exchange.request_id}
        return found if identity is None else {**found, "tenant_id": str(identity.tenant.id)}


class EdgeTracer:
    """Server spans and the number of open requests: ids for every request, the SDK only for what is exported."""

    def begin(self, exchange: Exchange, traceparent: str | None) -> None:
        """Continue the caller's trace or begin one, and make its span current in this task."""
        span = tracing.begin(exchange.method, traceparent)
        exchange.span = span
        exchange.trace_id = span.trace_id
        exchange.traceparent = span.traceparent
        tracing.current.set(span)
        ids.set(_Ids(exchange))
        metrics.requests.open += 1

    def end(self, exchange: Exchange) -> None:
        """Close the span; a failure of ours is exported whether or not the request was sampled."""
        if exchange.stream:
            metrics.streams_open.labels(exchange.stream).dec()
        else:
            metrics.requests.open -= 1
        span = exchange.span
        failed = exchange.error is not None or exchange.status >= metrics.SERVER_ERROR
        if span is None or not (span.recording or failed):
            return
        span.name = f"{exchange.method} {exchange.route}"
        problem = exchange.problem
        if exchange.error is not None:
            problem = type(exchange.error).__name__
        span.end(
            attributes={
                "http.request.method": exchange.method,
                "http.route": exchange.route,
                "http.response.status_code": exchange.status,
                "http.response.body.size": exchange.sent_bytes,
                "network.protocol.name": exchange.protocol,
                "ossature.request_id": exchange.request_id,
            },
            problem=(problem or str(exchange.status)) if failed else "",
            export=failed,
        )


def become_stream(exchange: Exchange, kind: Literal["websocket", "events"]) -> None:
    """From now on this is a stream: how long somebody listens is no time of an answer, and has a metric of its own."""
    exchange.stream = kind
    metrics.requests.open -= 1
    metrics.streams_open.labels(kind).inc()


class EdgeObserver:
    """Counts a finished exchange and writes its line of the access log."""

    def __init__(self, access: AccessLog | None = None) -> None:
        self._access = access
        self._observe = metrics.requests.observe

    def __call__(self, exchange: Exchange) -> None:
        """Take note of a finished exchange."""
        if exchange.stream:
            metrics.streams_s.labels(exchange.stream, exchange.route).observe(exchange.duration_s)
        else:
            self._observe(exchange.method, exchange.route, exchange.status, exchange.duration_s)
        if self._access is not None:
            self._access(_line(exchange))


def _line(exchange: Exchange) -> dict[str, Any]:
    line: dict[str, Any] = {
        "method": exchange.method,
        "route": exchange.route,
        "status": exchange.status,
        "ms": round(exchange.duration_s * 1000, 2),
        "received": exchange.received_bytes,
        "sent": exchange.sent_bytes,
        "request_id": exchange.request_id,
        "trace_id": exchange.trace_id,
    }
    # A path names things of a customer; the route says enough where nothing went wrong.
    if exchange.status >= CLIENT_ERROR:
        line["path"] = masker.text(exchange.path)
    identity = exchange.identity
    if identity is not None:
        line["tenant_id"] = identity.tenant.id
        line["subject"] = identity.subject
    if exchange.problem:
        line["problem"] = exchange.problem
    if exchange.aborted:
        line["aborted"] = True
    if exchange.ctx is not None:
        statistics = exchange.ctx.db.statistics
        if statistics.count:
            line["statements"] = statistics.count
            line["db_ms"] = round(statistics.total_ms, 2)
    return line
