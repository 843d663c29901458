"""`Pulse`: the traffic of this process over the last half hour, sampled from its own metrics."""

import asyncio
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import reduce

from ossature.kernel import clock
from ossature.kernel.observe import metrics

STEP_S = 10.0
_KEPT = 180
_OURS = ("/console", "/health", "/ready", "/metrics", "/prometheus", "preflight")
_CLIENT_ERROR, _SERVER_ERROR = 400, 500
_SWITCHED = "101"
_BOUNDS = [*(str(bound) for bound in metrics.BUCKETS_S), "+Inf"]


@dataclass(frozen=True, slots=True)
class Beat:
    """The requests of one step. buckets: how many were as fast as each bound of `metrics.BUCKETS_S`, then the slower."""

    at: datetime
    good: int
    refused: int
    failed: int
    buckets: tuple[int, ...]
    routes: Mapping[str, "Tally"] = field(default_factory=dict)

    @property
    def requests(self) -> int:
        """All of them."""
        return self.good + self.refused + self.failed


@dataclass(frozen=True, slots=True)
class Tally:
    """Requests, counted. buckets: as in `Beat`."""

    good: int = 0
    refused: int = 0
    failed: int = 0
    buckets: tuple[int, ...] = (0,) * (len(metrics.BUCKETS_S) + 1)

    @property
    def requests(self) -> int:
        """All of them."""
        return self.good + self.refused + self.failed

    def plus(self, other: "Tally", sign: int = 1) -> "Tally":
        """Both together; what is more than the other with the sign -1."""
        return Tally(
            self.good + sign * other.good,
            self.refused + sign * other.refused,
            self.failed + sign * other.failed,
            tuple(a + sign * b for a, b in zip(self.buckets, other.buckets, strict=True)),
        )


def quantile_ms(buckets: Sequence[int], share: float) -> float | None:
    """The time within which this share of requests was answered, interpolated; None when there were none."""
    total = sum(buckets)
    if not total:
        return None
    wanted, below = share * total, 0
    lower_s = 0.0
    for count, upper_s in zip(buckets, (*metrics.BUCKETS_S, metrics.BUCKETS_S[-1]), strict=True):
        if below + count >= wanted and count:
            return (lower_s + (upper_s - lower_s) * (wanted - below) / count) * 1000
        below += count
        lower_s = upper_s
    return lower_s * 1000


def added(beats: Sequence[Beat]) -> tuple[int, ...]:
    """The buckets of several steps together."""
    return tuple(sum(counts) for counts in zip(*(beat.buckets for beat in beats), strict=True)) if beats else ()


class Pulse:
    """Samples every ten seconds. What customers do is counted; the console and the probes are not."""

    def __init__(self) -> None:
        self.beats: deque[Beat] = deque(maxlen=_KEPT)
        self._last: Mapping[str, Tally] | None = None

    async def watch(self) -> None:
        """Sample until cancelled."""
        self._last = _read()
        while True:
            await asyncio.sleep(STEP_S)
            self.sample()

    def sample(self) -> None:
        """Take one sample now."""
        metrics.requests.flush()
        counted, last = _read(), self._last
        self._last = counted
        if last is None:
            return
        nothing = Tally()
        since = {route: tally.plus(last.get(route, nothing), -1) for route, tally in counted.items()}
        routes = {route: tally for route, tally in since.items() if tally.requests}
        whole = together(routes.values())
        self.beats.append(Beat(clock.now(), whole.good, whole.refused, whole.failed, whole.buckets, routes))


def together(tallies: Iterable[Tally]) -> Tally:
    """All of them in one."""
    return reduce(Tally.plus, tallies, Tally())


def by_route(beats: Iterable[Beat]) -> Mapping[str, Tally]:
    """What several steps counted, for each route (`GET /v1/jobs`)."""
    found: dict[str, Tally] = {}
    for beat in beats:
        for route, tally in beat.routes.items():
            found[route] = found.get(route, Tally()).plus(tally)
    return found


def _read() -> Mapping[str, Tally]:
    """What this process has counted since its start, by route."""
    ended: dict[str, dict[str, int]] = {}
    running: dict[str, dict[str, int]] = {}
    for sample in (sample for family in metrics.requests_s.collect() for sample in family.samples):
        labels = sample.labels
        if labels.get("endpoint", "").startswith(_OURS) or labels.get("status") == _SWITCHED:
            continue
        route = f"{labels.get('method', '')} {labels.get('endpoint', '')}"
        if sample.name.endswith("_bucket"):
            upto = running.setdefault(route, dict.fromkeys(_BOUNDS, 0))
            upto[labels["le"]] += int(sample.value)
        elif sample.name.endswith("_count"):
            status = int(labels["status"])
            kind = "failed" if status >= _SERVER_ERROR else "refused" if status >= _CLIENT_ERROR else "good"
            kinds = ended.setdefault(route, {"good": 0, "refused": 0, "failed": 0})
            kinds[kind] += int(sample.value)
    return {route: Tally(**kinds, buckets=_apart(running[route])) for route, kinds in ended.items()}


def _apart(upto: Mapping[str, int]) -> tuple[int, ...]:
    """How many fell between the bounds, out of how many were within each of them."""
    values = list(upto.values())
    return tuple(now - before for now, before in zip(values, [0, *values[:-1]], strict=True))
