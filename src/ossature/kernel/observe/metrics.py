"""What the house counts about itself, for Prometheus: requests, service levels, the process, the business.

Rooms define metrics of their own with `prometheus_client` next to what they count; here is what belongs to all.
The request path costs one dict look-up and three additions (0.3 us measured, where a histogram, a counter and a gauge
of the library cost 1.4 us, and 4 us when several processes share them): sums are kept here and handed over by `flush`.
"""

import asyncio
import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import REGISTRY, Metric
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from ossature.kernel.observe import multiprocess
from ossature.kernel.service import Objective

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
# More label sets than this means that somebody put ids into route names; the rest is counted as `other`.
MAX_SERIES = 5000
SERVER_ERROR = 500
_UNAVAILABLE = frozenset({502, 503, 504})

requests_s = Histogram(
    "http_request_duration_seconds",
    "Time from the first byte of a request to the last of its answer.",
    ["method", "endpoint", "status"],
    buckets=BUCKETS_S,
)
streams_s = Histogram(
    "http_stream_duration_seconds",
    "How long WebSockets and streams of events lasted.",
    ["kind", "endpoint"],
    buckets=(1, 5, 15, 60, 300, 900, 3600, 14_400, 86_400),
)
streams_open = Gauge(
    "http_streams_open", "WebSockets and streams of events that are open.", ["kind"], multiprocess_mode="livesum"
)
in_progress = Gauge("http_requests_in_progress", "Requests that are being answered.", multiprocess_mode="livesum")
loop_delay_s = Gauge(
    "event_loop_delay_seconds", "How late the event loop ran a timer, at the last look.", multiprocess_mode="livemax"
)
slo_requests_s = Histogram(
    "api_slo_request_duration_seconds",
    "Time of requests to routes that have a service level objective.",
    ["method", "endpoint"],
    buckets=BUCKETS_S,
)
_ROUTE = ["method", "endpoint"]
slo_slow = Counter("api_slo_latency_breach", "Requests slower than the objective of their route.", _ROUTE)
slo_failed = Counter("api_slo_error_breach", "Requests answered with a status of 500 or more.", _ROUTE)
slo_unavailable = Counter("api_slo_availability_breach", "Requests answered with 502, 503 or 504.", _ROUTE)
slo_target = Gauge(
    "api_slo_target", "What was promised for a route.", [*_ROUTE, "objective"], multiprocess_mode="livemax"
)


class _Series:
    """Sums of one label set since the last flush."""

    __slots__ = ("counts", "endpoint", "limit_s", "method", "slow", "status", "total_s")

    def __init__(self, method: str, endpoint: str, status: int, limit_s: float) -> None:
        self.method = method
        self.endpoint = endpoint
        self.status = status
        self.limit_s = limit_s
        self.counts = [0] * (len(BUCKETS_S) + 1)
        self.total_s = 0.0
        self.slow = 0


@dataclass(slots=True)
class Kept:
    """How often a promise about a route was asked for, and how often each part of it was missed."""

    requests: int = 0
    slow: int = 0
    failed: int = 0
    unavailable: int = 0


class Requests:
    """Counts requests by method, route template and status. One per process; called by its event loop only.

    `open` is the number of requests that are being answered: the edge adds and subtracts one.
    """

    def __init__(self) -> None:
        self.open = 0
        self._kept: dict[tuple[str, str], Kept] = {}
        self._series: dict[tuple[str, str, int], _Series] = {}
        self._objectives: dict[tuple[str, str], Objective] = {}

    def promise(self, objectives: Iterable[Objective]) -> None:
        """State the service levels of routes; their breaches are counted from now on."""
        for objective in objectives:
            route = objective.key
            self._objectives[route] = objective
            slo_target.labels(*route, "p95_s").set(objective.p95_ms / 1000)
            slo_target.labels(*route, "error_rate").set(objective.error_rate)
            slo_target.labels(*route, "availability").set(objective.availability)
            slo_requests_s.labels(*route)
            for counter in (slo_slow, slo_failed, slo_unavailable):
                counter.labels(*route)  # a series that begins at 0 shows its first breach as an increase
        self.flush()
        self._series.clear()
        self._kept.clear()

    def observe(self, method: str, endpoint: str, status: int, seconds: float) -> None:
        """Count one answered request. endpoint: the route template, never a path with ids."""
        series = self._series.get((method, endpoint, status)) or self._add(method, endpoint, status)
        series.counts[bisect_left(BUCKETS_S, seconds)] += 1
        series.total_s += seconds
        if seconds > series.limit_s:
            series.slow += 1

    def flush(self) -> None:
        """Hand the sums over to the metrics that Prometheus reads."""
        in_progress.set(self.open)
        for series in list(self._series.values()):
            count = sum(series.counts)
            if not count:
                continue
            counts, series.counts = series.counts, [0] * len(series.counts)
            total_s, series.total_s = series.total_s, 0.0
            slow, series.slow = series.slow, 0
            _add_to(requests_s.labels(series.method, series.endpoint, str(series.status)), counts, total_s)
            route = series.method, series.endpoint
            if route in self._objectives:
                failed = count if series.status >= SERVER_ERROR else 0
                unavailable = count if series.status in _UNAVAILABLE else 0
                _add_to(slo_requests_s.labels(*route), counts, total_s)
                slo_slow.labels(*route).inc(slow)
                slo_failed.labels(*route).inc(failed)
                slo_unavailable.labels(*route).inc(unavailable)
                kept = self._kept.setdefault(route, Kept())
                kept.requests += count
                kept.slow += slow
                kept.failed += failed
                kept.unavailable += unavailable

    def drain(self) -> dict[tuple[str, str], Kept]:
        """What was answered to routes with a promise (method, template) since the last call."""
        self.flush()
        drained, self._kept = self._kept, {}
        return drained

    def _add(self, method: str, endpoint: str, status: int) -> _Series:
        if len(self._series) >= MAX_SERIES:
            endpoint = "other"
        key = (method, endpoint, status)
        found = self._series.get(key)
        if found is None:
            objective = self._objectives.get((method, endpoint))
            limit_s = objective.p95_ms / 1000 if objective else float("inf")
            found = self._series[key] = _Series(method, endpoint, status, limit_s)
        return found


def _add_to(histogram: Histogram, counts: list[int], total_s: float) -> None:
    # The library has no door for many observations at once; asking it for each would cost what is saved above.
    for bucket, count in zip(histogram._buckets, counts, strict=True):  # noqa: SLF001 - see above
        if count:
            bucket.inc(count)
    histogram._sum.inc(total_s)  # noqa: SLF001 - see above


requests = Requests()
"""The requests of this process."""


@dataclass(slots=True)
class _Before:
    calls: list[Callable[[], None]]


_before = _Before([requests.flush])


def before_scrape(call: Callable[[], None]) -> Callable[[], None]:
    """Have `call` bring gauges up to date before they are read; usable as a decorator. Must be quick and not raise."""
    _before.calls.append(call)
    return call


def refresh() -> None:
    """Bring everything up to date. Call it in the event loop, before `render`."""
    for call in _before.calls:
        call()


business_requests = Counter(
    "business_requests", "Answers of the outside world that were delivered, by who pays.", ["service", "project"]
)
business_cost = Counter(
    "business_cost", "What outside systems charged us for them.", ["service", "project", "currency"]
)
business_value = Counter(
    "business_value", "What they were worth, as charged or estimated.", ["service", "project", "currency"]
)


def count_business(
    service: str, *, project: str, requests: int = 1, cost: float = 0.0, value: float = 0.0, currency: str = "USD"
) -> None:
    """Count delivered answers with what they cost and what they are worth. project: `tenant/project`, their slugs."""
    business_requests.labels(service, project).inc(requests)
    if cost:
        business_cost.labels(service, project, currency).inc(cost)
    if value:
        business_value.labels(service, project, currency).inc(value)


def _derived(families: Iterable[Metric]) -> Iterator[Metric]:
    """Everything there is, with what follows from it: `http_requests_total`, cost per request, return on investment."""
    found = {}
    for family in families:
        found[family.name] = family
        yield family
    timed = found.get("http_request_duration_seconds")
    if timed is not None:
        total = CounterMetricFamily(
            "http_requests", "Requests that were answered.", labels=["method", "endpoint", "status"]
        )
        for sample in timed.samples:
            if sample.name.endswith("_count"):
                total.add_metric([sample.labels[n] for n in ("method", "endpoint", "status")], sample.value)
        yield total
    yield from _ratios(found)


def _sums(family: Metric | None) -> dict[tuple[str, str, str], float]:
    if family is None:
        return {}
    return {
        (s.labels["service"], s.labels["project"], s.labels.get("currency", "")): s.value
        for s in family.samples
        if s.name.endswith("_total")
    }


def _ratios(found: dict[str, Metric]) -> Iterator[Metric]:
    counts, costs, values = (_sums(found.get(f"business_{name}")) for name in ("requests", "cost", "value"))
    labels = ["service", "project", "currency"]
    per_request = GaugeMetricFamily("business_cost_per_request", "Mean cost of a delivered answer.", labels=labels)
    roi = GaugeMetricFamily("business_roi_ratio", "(value - cost) / cost, since the start.", labels=labels)
    for key, cost in costs.items():
        count = counts.get((key[0], key[1], ""), 0)
        if count:
            per_request.add_metric(key, cost / count)
        if cost:
            roi.add_metric(key, (values.get(key, 0.0) - cost) / cost)
    yield per_request
    yield roi


class _Everything(Collector):
    """All metrics of this process, or of all that share a folder, with what is derived from them."""

    def __init__(self, shared: Path | None) -> None:
        self._shared = shared

    def collect(self) -> Iterable[Metric]:
        if self._shared is None:
            return _derived(REGISTRY.collect())
        with multiprocess.reading(self._shared):
            # The library's collector has no types.
            merged = MultiProcessCollector(None, str(self._shared)).collect()  # type: ignore[no-untyped-call]
        return _derived(merged)


def render(shared: Path | None = None) -> bytes:
    """The page that Prometheus reads, in its text format, as of the last `refresh`. May run in a thread.

    shared: the folder in which the processes of this machine keep their figures together (see `multiprocess`).
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Everything(shared))
    return generate_latest(registry)


async def keep_fresh(interval_s: float = 1.0) -> None:
    """Refresh until cancelled, so that a process of which another is asked is up to date; measures the loop's delay."""
    while True:
        before = time.perf_counter()
        await asyncio.sleep(interval_s)
        loop_delay_s.set(max(0.0, time.perf_counter() - before - interval_s))
        refresh()
