"""What is counted about other machines. Labels have few values: a provider, an operation, a kind; never an address."""

from functools import lru_cache

from prometheus_client import Counter, Gauge, Histogram

attempts = Counter(
    "outbound_attempts", "Attempts to reach a provider, by how they ended.", ("provider", "operation", "outcome")
)
duration = Histogram(
    "outbound_attempt_duration_seconds",
    "How long attempts took.",
    ("provider", "operation"),
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)
fallbacks = Counter("outbound_fallbacks", "Answers that another provider gave.", ("operation", "provider"))
hedges = Counter("outbound_hedges", "Second attempts that were raced, by who won.", ("operation", "winner"))
breaker_state = Gauge(
    "outbound_breaker_open",
    "1 while a provider is left alone after failures, until a probe has succeeded.",
    ("provider", "group"),
    multiprocess_mode="livemax",
)
in_flight = Gauge("outbound_in_flight", "Attempts that are under way.", ("provider",), multiprocess_mode="livesum")
units = Counter("outbound_units", "Units that were used.", ("provider", "unit"))
cost = Counter("outbound_cost_microusd", "What attempts cost, in millionths of a US dollar.", ("provider",))
unaccounted = Counter(
    "outbound_unaccounted",
    "Attempts whose end the ledger could not be told; it charges them as reserved.",
    ("provider",),
)


@lru_cache(maxsize=8192)
def attempts_of(provider: str, operation: str, outcome: str) -> Counter:
    """One series of `attempts`; looking it up by its labels costs more than counting."""
    return attempts.labels(provider, operation, outcome)


@lru_cache(maxsize=4096)
def duration_of(provider: str, operation: str) -> Histogram:
    """One series of `duration`."""
    return duration.labels(provider, operation)


@lru_cache(maxsize=1024)
def in_flight_of(provider: str) -> Gauge:
    """One series of `in_flight`."""
    return in_flight.labels(provider)


@lru_cache(maxsize=4096)
def units_of(provider: str, unit: str) -> Counter:
    """One series of `units`."""
    return units.labels(provider, unit)
