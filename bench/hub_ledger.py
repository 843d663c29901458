"""`hub-ledger`: reservations and settlements per second, three windows each, from one process and from eight.

Every attempt reserves in a consumer's day, the provider's sliding minute and its month, and is settled. Latency is that
of attempts that are due at a steady rate, from the time they were due, answered or not; the control is how late the
processes themselves were.
"""

import os
import statistics
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import asyncpg  # type: ignore[import-untyped] # asyncpg ships no types
from redis import RedisError

from bench import ledger_fleet
from bench.ledger_worker import Found, Load, Store

TARGETS = {
    "sqlite_1_process_per_s": {"least": 10_000},
    "sqlite_8_processes_per_s": {"least": 10_000},
    "sqlite_8x50_p99_ms": {"most": 10.0},
    "postgres_8_processes_per_s": {"least": 3_000},
    "overshoot": {"equals": 0},
    "differences": {"equals": 0},
}
_CONTROL_P99_MS = 5.0


def run(*, quick: bool) -> dict[str, Any]:
    """The result of the bench, as `bench.result` wants it."""
    seconds, rounds = (1.0, 1) if quick else (4.0, 3)
    quiet = os.getloadavg()[0] < (os.cpu_count() or 1)
    metrics: dict[str, Any] = {}
    stores: dict[str, Callable[[], AbstractContextManager[Store]]] = {
        "sqlite": ledger_fleet.sqlite,
        "postgres": ledger_fleet.postgres,
        "redis": ledger_fleet.redis,
        "sqlite_full": lambda: ledger_fleet.sqlite("full"),
    }
    rates: dict[str, list[float]] = {}
    for _ in range(rounds):
        for name, opened in stores.items():
            try:
                _flood(name, opened, seconds, rates, metrics)
            except (OSError, asyncpg.PostgresError, RedisError):
                continue  # no such server: its targets are not measured
    metrics |= {name: round(statistics.median(values)) for name, values in rates.items()}
    steady = _steady(5.0 if quick else 20.0)
    metrics |= {f"sqlite_8x50_{name}": value for name, value in steady.items()}
    _race(metrics)
    return {
        "metrics": metrics,
        "targets": TARGETS,
        "environment": {"valid": quiet and steady["control_p99_ms"] <= _CONTROL_P99_MS},
    }


def _flood(
    name: str,
    opened: Callable[[], AbstractContextManager[Store]],
    seconds: float,
    rates: dict[str, list[float]],
    metrics: dict[str, Any],
) -> None:
    for processes in (1, 8):
        with opened() as store:
            load = Load(store=store, how="flood", seconds=seconds, in_flight=64 if processes == 1 else 16)
            found = ledger_fleet.together([load] * processes)
            given = sum(each.given for each in found)
            label = f"{name}_{processes}_process{'es' if processes > 1 else ''}"
            rates.setdefault(f"{label}_per_s", []).append(given / max(each.seconds for each in found))
            rates.setdefault(f"{label}_cpu_us", []).append(sum(each.cpu_s for each in found) / given * 1e6)
            used, reserved, differences = ledger_fleet.counted(store, load.limit)
            wrong = differences + abs(used - given) + reserved
            metrics["differences"] = metrics.get("differences", 0) + wrong


def _steady(seconds: float) -> dict[str, float]:
    with ledger_fleet.sqlite() as store:
        found = ledger_fleet.together([Load(store=store, how="steady", seconds=seconds, rate=50.0)] * 8)
    waits = _all(found, "waits_ms")
    return {
        "p50_ms": round(statistics.median(waits), 2),
        "p99_ms": round(_p99(waits), 2),
        "control_p99_ms": round(_p99(_all(found, "late_ms")), 2),
    }


def _race(metrics: dict[str, Any]) -> None:
    """Eight processes against a cap, on each store that there is."""
    for opened in (ledger_fleet.sqlite, ledger_fleet.postgres, ledger_fleet.redis):
        try:
            with opened() as store:
                found = ledger_fleet.together(
                    [Load(store=store, how="race", attempts=200, in_flight=200, limit=100)] * 8
                )
                metrics["overshoot"] = metrics.get("overshoot", 0) + abs(sum(each.given for each in found) - 100)
        except (OSError, asyncpg.PostgresError, RedisError):
            continue


def _all(found: list[Found], what: str) -> list[float]:
    return [value for each in found for value in getattr(each, what)]


def _p99(values: list[float]) -> float:
    return sorted(values)[int(len(values) * 0.99)]
