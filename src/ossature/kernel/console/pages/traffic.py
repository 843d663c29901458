"""Traffic: what the figures of the first page are made of, route by route."""

from collections.abc import Sequence
from dataclasses import dataclass

from ossature.kernel.console import say
from ossature.kernel.console.parts import drawn, empty, panel, tabs, tag
from ossature.kernel.console.pulse import STEP_S, Tally, by_route, quantile_ms
from ossature.kernel.console.shell import heading
from ossature.kernel.console.table import Column, exports, table
from ossature.kernel.console.toolkit import pulse
from ossature.kernel.console.visit import Visit
from ossature.kernel.i18n.words import Words

WORDS = Words(
    "console.traffic",
    {
        "title": "Traffic",
        "note": "Requests that this process answered, route by route. The console and the probes are not counted.",
        "minute": "The last minute",
        "half_hour": "The last half hour",
        "route": "Route",
        "requests": "Requests",
        "refused": "Refused (4xx)",
        "failed": "Failed (5xx)",
        "none": "No requests in this time",
        "none_text": "They are listed here as they come. Ask something in the playground, or call the API with a key.",
        "reference": "Open the API reference",
    },
)
_SPANS = {"minute": int(60 / STEP_S), "half_hour": int(1800 / STEP_S)}
_SHARES = (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))


@dataclass(frozen=True, slots=True)
class _Row:
    route: str
    tally: Tally


async def traffic(visit: Visit) -> None:
    """Draw the page. `?span=minute|half_hour`, `?by=requests|failed|p95`."""
    span = visit.query.get("span", "half_hour")
    span = span if span in _SPANS else "half_hour"
    order = visit.query.get("by", "requests")
    shown: list[_Row] = []
    columns = _columns()
    heading(WORDS("title"), note=WORDS("note"), actions=lambda: exports("traffic", lambda: shown, columns))

    async def draw() -> None:
        beats = list(pulse().beats)[-_SPANS[span] :]
        shown[:] = _sorted([_Row(route, tally) for route, tally in by_route(beats).items()], order)
        if shown:
            table(shown, columns)
        else:
            empty(WORDS("none"), WORDS("none_text"), lambda: tag("a", WORDS("reference"), "o-button", href="/docs"))

    with panel():
        with tag("div", cls="o-panel-head"):
            choices = [(name, WORDS(name)) for name in _SPANS]
            tabs(choices, span, lambda name: f"/traffic?span={name}&by={order}")
        await drawn(STEP_S, draw)


def _sorted(rows: Sequence[_Row], order: str) -> list[_Row]:
    """The most first: of requests, of failures, or of waiting."""
    if order == "failed":
        return sorted(rows, key=lambda row: (-row.tally.failed, -row.tally.refused, row.route))
    if order == "p95":
        return sorted(rows, key=lambda row: (-(quantile_ms(row.tally.buckets, 0.95) or 0.0), row.route))
    return sorted(rows, key=lambda row: (-row.tally.requests, row.route))


def _columns() -> list[Column[_Row]]:
    def quantile(share: float) -> Column[_Row]:
        name = next(name for name, one in _SHARES if one == share)
        return Column(name, lambda row: say.latency(quantile_ms(row.tally.buckets, share)), numeric=True)

    return [
        Column(WORDS("route"), lambda row: row.route),
        Column(WORDS("requests"), lambda row: say.count(row.tally.requests), numeric=True),
        Column(WORDS("refused"), lambda row: say.count(row.tally.refused), numeric=True),
        Column(WORDS("failed"), lambda row: say.count(row.tally.failed), numeric=True),
        *(quantile(share) for _, share in _SHARES),
    ]
