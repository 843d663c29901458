"""`hub-race`: eight processes, 200 calls each, a limit of 100: exactly 100 reach the upstream, none more.

First on the ledger itself, on each back-end that there is, then through HTTP to the simulator; both also with processes
killed at random moments, when fewer than 100 may reach it, and never more.
"""

import importlib.util
import random
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import asyncpg  # type: ignore[import-untyped] # asyncpg ships no types
from redis import RedisError

from bench import ledger_fleet, race_http
from bench.ledger_worker import Load, Store

LIMIT = 100
PROCESSES = 8
ATTEMPTS_EACH = 200
TARGETS = {
    "http_reached": {"equals": LIMIT},
    "http_answers": {"equals": LIMIT},
    "http_429": {"equals": PROCESSES * ATTEMPTS_EACH - LIMIT},
    "http_kill_reached_least": {"least": 1},
    "http_kill_reached_most": {"most": LIMIT},
    "sqlite_reached": {"equals": LIMIT},
    "sqlite_refused": {"equals": PROCESSES * ATTEMPTS_EACH - LIMIT},
    "sqlite_kill_reached_most": {"most": LIMIT},
    "postgres_reached": {"equals": LIMIT},
    "postgres_kill_reached_most": {"most": LIMIT},
    "redis_reached": {"equals": LIMIT},
    "redis_kill_reached_most": {"most": LIMIT},
    "differences": {"equals": 0},
}
_STORES: dict[str, Callable[[], AbstractContextManager[Store]]] = {
    "sqlite": ledger_fleet.sqlite,
    "postgres": ledger_fleet.postgres,
    "redis": ledger_fleet.redis,
}


def run(*, quick: bool) -> dict[str, Any]:
    """The result of the bench, as `bench.result` wants it."""
    chance = random.Random()  # noqa: S311 - no secret: when to kill
    metrics: dict[str, Any] = {"differences": 0}
    missed: list[str] = []
    for name, opened in _STORES.items():
        try:
            _on_ledger(name, opened, metrics, kill_runs=2 if quick else 20, chance=chance)
        except (OSError, asyncpg.PostgresError, RedisError) as error:
            missed.append(f"{name}: not measured ({type(error).__name__})")
    if importlib.util.find_spec("ossature.services.hub.service") is None:
        missed.append("http: not measured (this house has no hub)")
    else:
        try:
            _through_http(metrics, kill_runs=1 if quick else 20, chance=chance)
        except (OSError, RuntimeError, subprocess.SubprocessError) as error:
            missed.append(f"http: not measured ({error})")
    return {"metrics": metrics, "targets": TARGETS, "missed": missed, "environment": {"valid": True}}


def _on_ledger(
    name: str,
    opened: Callable[[], AbstractContextManager[Store]],
    metrics: dict[str, Any],
    *,
    kill_runs: int,
    chance: random.Random,
) -> None:
    reached, refused = _race(opened, metrics, None)
    metrics |= {f"{name}_reached": reached, f"{name}_refused": refused}
    killed = [_race(opened, metrics, chance)[0] for _ in range(kill_runs)]
    metrics |= {
        f"{name}_kill_runs": kill_runs, f"{name}_kill_reached_least": min(killed), f"{name}_kill_reached_most": max(killed)
    }  # fmt: skip


def _race(
    opened: Callable[[], AbstractContextManager[Store]], metrics: dict[str, Any], chance: random.Random | None
) -> tuple[int, int]:
    """(how many reached the upstream, how many were refused), and what is wrong with the counters afterwards."""
    with opened() as store, tempfile.TemporaryDirectory() as folder:
        upstream = Path(folder) / "reached"
        # At once, or slowly enough that some die in the middle.
        in_flight = ATTEMPTS_EACH if chance is None else 1
        load = Load(
            store=store, how="race", attempts=ATTEMPTS_EACH, in_flight=in_flight, limit=LIMIT, reached=str(upstream)
        )
        fleet = ledger_fleet.Fleet([load] * PROCESSES)
        fleet.start()
        if chance is not None:
            for process in chance.sample(fleet.processes, PROCESSES // 2):
                time.sleep(chance.uniform(0.0, 0.01))
                process.kill()
        found = fleet.gather()
        if chance is not None:
            time.sleep(2.1)  # until what the dead had reserved has expired
        used, reserved, differences = ledger_fleet.counted(store, LIMIT)
        reached = upstream.stat().st_size if upstream.exists() else 0
        metrics["differences"] += differences + reserved + max(0, used - LIMIT) + max(0, reached - used)
        return reached, sum(each.refused for each in found)


def _through_http(metrics: dict[str, Any], *, kill_runs: int, chance: random.Random) -> None:
    raced = race_http.race(kills=False, chance=chance)
    metrics |= {
        "http_reached": raced.reached,
        "http_answers": raced.statuses[200],
        "http_429": raced.statuses[429],
        "http_other": sum(n for status, n in raced.statuses.items() if status not in {200, 429}),
    }
    killed = [race_http.race(kills=True, chance=chance).reached for _ in range(kill_runs)]
    metrics |= {
        "http_kill_runs": kill_runs, "http_kill_reached_least": min(killed), "http_kill_reached_most": max(killed)
    }  # fmt: skip
