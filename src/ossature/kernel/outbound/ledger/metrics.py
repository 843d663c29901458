"""What the ledger counts about itself."""

from collections.abc import Mapping

from prometheus_client import Counter, Gauge

_excess = Counter("ledger_excess_total", "Units used beyond what was reserved for them.", ["unit"])
_reaped = Counter("ledger_reaped_total", "Attempts that nobody settled in time; charged as reserved.")
_differences = Gauge(
    "ledger_differences",
    "Counters that were not the sum of their attempts when last compared.",
    multiprocess_mode="mostrecent",
)


def count_excess(units: Mapping[str, int]) -> None:
    """Count units that were charged beyond their reservation."""
    for unit, excess in units.items():
        _excess.labels(unit).inc(excess)


def count_reaped(attempts: int) -> None:
    """Count attempts that were reaped."""
    _reaped.inc(attempts)


def note_differences(differences: int) -> None:
    """State how many counters are wrong."""
    _differences.set(differences)
