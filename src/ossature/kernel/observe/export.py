"""Spans on their way to a collector, through the OpenTelemetry SDK's batching and its OTLP exporter."""

import os
import platform
from collections import deque
from collections.abc import Callable, Sequence
from importlib.metadata import version

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from ossature.kernel.observe.settings import ObserveSettings
from ossature.kernel.observe.tracing import Span

_KINDS = {
    "internal": SpanKind.INTERNAL,
    "server": SpanKind.SERVER,
    "client": SpanKind.CLIENT,
    "producer": SpanKind.PRODUCER,
    "consumer": SpanKind.CONSUMER,
}
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
VERSION = version("ossature")
_PATH = "/v1/traces"
FLUSH_LIMIT_MS = 5000


def _context(trace_id: str, span_id: str, *, remote: bool) -> SpanContext:
    return SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=remote, trace_flags=_SAMPLED)


def _link(traceparent: str) -> Link:
    _, trace_id, span_id, _ = traceparent.split("-")[:4]
    return Link(_context(trace_id, span_id, remote=True))


class Sdk:
    """Exports spans in batches from a thread of the SDK; `close` sends the rest."""

    def __init__(self, exporter: SpanExporter, *, service_name: str) -> None:
        self._processor = BatchSpanProcessor(exporter)
        self._scope = InstrumentationScope("ossature", VERSION)
        self._resource = Resource.create(
            {
                "service.name": service_name,
                "service.version": VERSION,
                "host.name": platform.node(),
                "process.pid": os.getpid(),
            }
        )

    def __call__(self, span: Span) -> None:
        """Take a span that has ended."""
        parent = _context(span.trace_id, span.parent_id, remote=True) if span.parent_id else None
        self._processor.on_end(
            ReadableSpan(
                span.name,
                context=_context(span.trace_id, span.span_id, remote=False),
                parent=parent,
                resource=self._resource,
                attributes=span.attributes,
                links=[_link(link) for link in span.links],
                kind=_KINDS[span.kind],
                status=Status(StatusCode.ERROR, span.problem) if span.problem else Status(StatusCode.UNSET),
                start_time=span.started_ns,
                end_time=span.ended_ns,
                instrumentation_scope=self._scope,
            )
        )

    def flush(self) -> None:
        """Send what is waiting, within a time limit."""
        self._processor.force_flush(FLUSH_LIMIT_MS)

    def close(self) -> None:
        """Send what is waiting and end the thread."""
        self._processor.shutdown()  # type: ignore[no-untyped-call] # of the SDK


def otlp(settings: ObserveSettings) -> Sdk:
    """An exporter to `settings.otlp_endpoint`, OTLP over http; the usual path is added to a bare address."""
    endpoint = settings.otlp_endpoint.rstrip("/")
    if not endpoint.endswith(_PATH):
        endpoint += _PATH
    return Sdk(
        OTLPSpanExporter(endpoint=endpoint, timeout=settings.otlp_time_limit_s), service_name=settings.service_name
    )


class Kept:
    """The last spans of this process in memory: for tests and the console."""

    def __init__(self, most: int = 1000, also: Callable[[Span], None] | None = None) -> None:
        self._spans: deque[Span] = deque(maxlen=most)
        self._also = also

    def __call__(self, span: Span) -> None:
        """Take a span that has ended."""
        self._spans.append(span)
        if self._also is not None:
            self._also(span)

    def spans(self, trace_id: str | None = None) -> Sequence[Span]:
        """Those of one trace, or all, in the order in which they ended."""
        return [span for span in self._spans if trace_id is None or span.trace_id == trace_id]
