"""Service levels as rules of Prometheus: how fast each promise is being used up, and who is told when.

Method: several windows and several burn rates (The Site Reliability Workbook, chapter 5, "Alerting on SLOs"). A burn rate
of 1 uses up exactly what may go wrong within the 30 days that a promise is about.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from ossature.kernel.service import Alert, Objective, Service

SLOW_SHARE: Final = 0.05
"""p95: so many of the answers may be slower."""
PERIOD: Final = "30d"
OBJECTIVES: Final = ("latency", "errors", "availability")
_COUNTERS: Final = dict(zip(OBJECTIVES, ("latency", "error", "availability"), strict=True))
# On a quiet route a single failure is a high share. So many breaches must lie in the long window before anybody is told.
MIN_BREACHES: Final = 5


@dataclass(frozen=True, slots=True)
class Recorded:
    """A figure that Prometheus computes once and keeps."""

    name: str
    expr: str
    labels: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class _Burn:
    """Told when both windows burn at this rate: the long one says that it matters, the short one that it goes on."""

    rate: float
    long: str
    short: str
    long_s: int
    severity: Literal["critical", "warning"]


# 14.4: 2 % of the budget in an hour; 6: 5 % in six hours; 3: a tenth in a day; 1: a tenth in three days.
_BURNS: Final = (
    _Burn(14.4, "1h", "5m", 3600, "critical"),
    _Burn(6, "6h", "30m", 6 * 3600, "critical"),
    _Burn(3, "1d", "2h", 86_400, "warning"),
    _Burn(1, "3d", "6h", 3 * 86_400, "warning"),
)
QUICK: Final = ("5m", "30m", "1h", "2h", "6h")
SLOW: Final = ("1d", "3d", PERIOD)
"""Windows that need not be computed as often."""


def budget_of(objective: Objective, kind: str) -> float:
    """The share of requests that may miss the promise."""
    allowed = {"latency": SLOW_SHARE, "errors": objective.error_rate, "availability": 1 - objective.availability}
    return round(allowed[kind], 9)


def budgets(services: Iterable[Service]) -> list[Recorded]:
    """What each declared service level allows, as a constant with the route's labels."""
    found = []
    for service in services:
        for objective in service.slos:
            method, endpoint = objective.key
            for kind in OBJECTIVES:
                labels = (("service", service.name), ("method", method), ("endpoint", endpoint), ("objective", kind))
                found.append(Recorded("slo:budget:ratio", f"vector({budget_of(objective, kind):g})", labels))
    return found


def burning(windows: Sequence[str]) -> list[Recorded]:
    """For each window: requests and breaches per second, and how many times faster than allowed the budget burns."""
    found = []
    for window in windows:
        rates = (
            f'label_replace(sum by (method, endpoint) (rate(api_slo_{counter}_breach_total[{window}])), "objective", "{kind}", "", "")'
            for kind, counter in _COUNTERS.items()
        )
        found += [
            Recorded(
                f"slo:requests:rate{window}",
                f"sum by (method, endpoint) (rate(api_slo_request_duration_seconds_count[{window}]))",
            ),
            Recorded(f"slo:breaches:rate{window}", " or ".join(rates)),
            Recorded(
                f"slo:burn:rate{window}",
                f"slo:breaches:rate{window} / on (method, endpoint) group_left () (slo:requests:rate{window} > 0)"
                f" / on (method, endpoint, objective) group_left (service) slo:budget:ratio",
            ),
        ]
    return found


def alerts() -> tuple[Alert, ...]:
    """Who is told how fast when a promise is being used up; one alert for each route and objective."""
    told = []
    for severity, name in (("critical", "SloBurnsFast"), ("warning", "SloBurnsSlowly")):
        pairs = " or ".join(f"({_burns(burn)})" for burn in _BURNS if burn.severity == severity)
        told.append((severity, name, pairs))
    summary = "{{ $labels.method }} {{ $labels.endpoint }} uses up its {{ $labels.objective }} budget {{ $value | humanize }} times too fast"
    burns = (Alert(name, expr, 120, severity, summary, "slo-burns") for severity, name, expr in told)  # type: ignore[arg-type] # literals
    spent = Alert(
        "SloBudgetSpent",
        f"slo:burn:rate{PERIOD} > 0.9 and on (method, endpoint, objective)"
        f" slo:breaches:rate{PERIOD} * {30 * 86_400} >= {MIN_BREACHES}",
        3600,
        "digest",
        "{{ $labels.method }} {{ $labels.endpoint }} has used {{ $value | humanizePercentage }} of its {{ $labels.objective }} budget of 30 days",
        "slo-burns",
    )
    return (*burns, spent)


def _burns(burn: _Burn) -> str:
    return (
        f"slo:burn:rate{burn.long} > {burn.rate:g} and slo:burn:rate{burn.short} > {burn.rate:g}"
        f" and on (method, endpoint, objective) slo:breaches:rate{burn.long} * {burn.long_s} >= {MIN_BREACHES}"
    )
