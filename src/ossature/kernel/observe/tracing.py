"""Traces: one span per request and job, and one for each call that leaves the process, W3C in and out.

A request that is not sampled costs no more than its ids (they stand in its log lines and its answer): the OpenTelemetry
SDK is not touched. Its server span is still exported when it fails. Sources: W3C Trace Context (level 1), OpenTelemetry
semantic conventions for HTTP, databases and messaging.

    with tracing.span("db.query", kind="client", attributes={"db.system": "sqlite"}) as span: ...
    headers["traceparent"] = tracing.traceparent()
"""

import random
import re
import time
from collections.abc import Mapping, Sequence
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Any, Literal, Protocol

Kind = Literal["internal", "server", "client", "producer", "consumer"]
Attributes = Mapping[str, str | int | float | bool]

_TRACEPARENT = re.compile(r"(?!ff)([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_NO_TRACE = "0" * 32
_NO_SPAN = "0" * 16
_random = random.Random()  # noqa: S311 - ids of traces are no secrets


class Span:
    """One piece of work in a trace. Made by `begin` and `span`; its fields are read by exporters.

    recording: it will be exported. started_ns, ended_ns: Unix time. problem: what went wrong, empty when nothing did.
    """

    __slots__ = (
        "attributes", "ended_ns", "kind", "links", "name", "parent_id", "problem", "recording", "span_id",
        "started_ns", "trace_id",
    )  # fmt: skip

    def __init__(self, name: str, *, trace_id: str, parent_id: str, recording: bool, kind: Kind = "internal") -> None:
        self.name = name
        self.trace_id = trace_id
        self.span_id = "%016x" % (_random.getrandbits(64) | 1)
        self.parent_id = parent_id
        self.recording = recording
        self.kind = kind
        self.started_ns = time.time_ns()
        self.ended_ns = 0
        self.attributes: dict[str, Any] = {}
        self.links: Sequence[str] = ()
        self.problem = ""

    @property
    def traceparent(self) -> str:
        """What is sent to whom we call, so that its spans join this trace."""
        return f"00-{self.trace_id}-{self.span_id}-{'01' if self.recording else '00'}"

    def end(self, *, attributes: Attributes | None = None, problem: str = "", export: bool = False) -> None:
        """Close it and hand it to the exporter if it is recording, or if `export` says that it matters all the same."""
        if not self.recording and not export:
            return
        self.ended_ns = time.time_ns()
        if attributes:
            self.attributes.update(attributes)
        if problem:
            self.problem = problem
        if _state.exporter is not None:
            _state.exporter(self)


class Exporter(Protocol):
    """Takes spans that have ended. Must not block or raise."""

    def __call__(self, span: Span) -> None:
        """Take one span."""


class _State:
    __slots__ = ("exporter", "ratio", "trust")

    def __init__(self) -> None:
        self.exporter: Exporter | None = None
        self.ratio = 0.0
        self.trust = True


_state = _State()

current: ContextVar[Span | None] = ContextVar("ossature_span", default=None)
"""The span that the present task works in."""


def configure(exporter: Exporter | None, *, ratio: float, trust_sampling: bool = True) -> None:
    """Send spans of this process to `exporter`; None: nothing is recorded.

    ratio: share of new traces that is exported. trust_sampling: a caller's wish to be sampled is followed.
    """
    _state.exporter = exporter
    _state.ratio = ratio if exporter is not None else 0.0
    _state.trust = trust_sampling and exporter is not None


def begin(name: str, traceparent: str | None = None, *, kind: Kind = "server", links: Sequence[str] = ()) -> Span:
    """The first span of this process in a trace: the caller's if `traceparent` is valid, else a new one.

    It does not become `current` by itself: the edge and the worker set that, in the task that does the work.
    """
    if traceparent is not None:
        parent = _TRACEPARENT.fullmatch(traceparent)
        if parent is not None:
            version, trace_id, span_id, flags, rest = parent.groups()
            if trace_id != _NO_TRACE and span_id != _NO_SPAN and not (version == "00" and rest):
                wanted = int(flags, 16) & 1 and _state.trust
                recording = bool(wanted) or (not _state.trust and _random.random() < _state.ratio)
                return _linked(Span(name, trace_id=trace_id, parent_id=span_id, recording=recording, kind=kind), links)
    trace_id = "%032x" % (_random.getrandbits(128) | 1)
    return _linked(
        Span(name, trace_id=trace_id, parent_id="", recording=_random.random() < _state.ratio, kind=kind), links
    )


def _linked(span: Span, links: Sequence[str]) -> Span:
    if links:
        span.links = links
    return span


def traceparent() -> str | None:
    """The header that continues the present trace elsewhere: in a call, a job, a message; None outside of any."""
    span = current.get()
    return span.traceparent if span is not None else None


def is_recording() -> bool:
    """Whether parts of the present trace are exported: ask before gathering what only a span needs."""
    outer = current.get()
    return outer is not None and outer.recording


class _Part:
    """A span that lasts as long as a block, and is `current` inside it."""

    __slots__ = ("_span", "_token")

    def __init__(self, span: Span) -> None:
        self._span = span
        self._token: Token[Span | None] | None = None

    def __enter__(self) -> Span:
        self._token = current.set(self._span)
        return self._span

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._token is not None:
            current.reset(self._token)
        self._span.end(problem=kind.__name__ if kind is not None else "")


class _Unrecorded:
    """The same block without a span of its own: it gives the span that is current anyway."""

    __slots__ = ("_span",)

    def __init__(self, span: Span) -> None:
        self._span = span

    def __enter__(self) -> Span:
        return self._span

    def __exit__(self, *_: object) -> None:
        return None


_OUTSIDE = _Unrecorded(Span("outside", trace_id=_NO_TRACE, parent_id="", recording=False))


def span(name: str, *, kind: Kind = "internal", attributes: Attributes | None = None) -> _Part | _Unrecorded:
    """A block as a part of the present trace. Outside of a trace, or in one that is not sampled, it costs next to nothing.

    kind: `client` for a call that leaves the process, `producer` for what somebody else will work on.
    """
    outer = current.get()
    if outer is None:
        return _OUTSIDE
    if not outer.recording:
        return _Unrecorded(outer)
    inner = Span(name, trace_id=outer.trace_id, parent_id=outer.span_id, recording=True, kind=kind)
    if attributes:
        inner.attributes.update(attributes)
    return _Part(inner)


def note(
    name: str, *, started_ns: int, kind: Kind = "client", attributes: Attributes | None = None, problem: str = ""
) -> None:
    """Add a part that has just ended to the present trace; for places that measure anyway and need no block."""
    outer = current.get()
    if outer is None or not outer.recording:
        return
    inner = Span(name, trace_id=outer.trace_id, parent_id=outer.span_id, recording=True, kind=kind)
    inner.started_ns = started_ns
    inner.end(attributes=attributes, problem=problem)


class job:  # noqa: N801 - reads as a verb where it is used: `with tracing.job(name, traceparent):`
    """A block that runs one job: continues the trace of whoever enqueued it, with a link to that span.

    An error that leaves the block is exported even when the trace is not sampled.
    """

    __slots__ = ("_span", "_token")

    def __init__(self, name: str, traceparent: str | None, *, attributes: Attributes | None = None) -> None:
        self._span = begin(f"job {name}", traceparent, kind="consumer", links=(traceparent,) if traceparent else ())
        self._span.attributes.update({"messaging.operation.name": "process", "messaging.destination.name": name})
        self._span.attributes.update(attributes or {})
        self._token: Token[Span | None] | None = None

    def __enter__(self) -> Span:
        self._token = current.set(self._span)
        return self._span

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._token is not None:
            current.reset(self._token)
        # A job that is stopped (cancelled, handed over) did not fail.
        failed = kind is not None and issubclass(kind, Exception)
        self._span.end(problem=kind.__name__ if failed and kind is not None else "", export=failed)
