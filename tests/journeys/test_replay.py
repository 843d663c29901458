"""A whole tree of processes on simulated time: schedules fire by it, nobody lives in another hour, production refuses."""

import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.journeys.product import Product, Tree

pytestmark = pytest.mark.journey

START = datetime(2026, 3, 1, tzinfo=UTC)
# An hour in two seconds.
SPEED = 1800
CLOCK = f"--clock=replay:{START:%Y-%m-%dT%H:%M:%SZ}:{SPEED}"
HOURLY = "auth.alert_ending_keys"
# What the clocks of two processes of one machine cannot tell apart, in real time.
ALIKE_S = 0.05


class Reading(NamedTuple):
    """What time it is, as a process says that is asked. asked_s, answered_s: Unix time around its answer."""

    now: datetime
    asked_s: float
    answered_s: float

    @property
    def begun_s(self) -> tuple[float, float]:
        """When this time began (Unix time): not before the first, not after the second."""
        elapsed_s = _real_s(self.now)
        return self.asked_s - elapsed_s, self.answered_s - elapsed_s


class Run(NamedTuple):
    """A run of a schedule, in simulated time."""

    planned_at: datetime
    created_at: datetime
    started_at: datetime
    finished_at: datetime


def test_one_process_lives_through_days_in_a_minute(tmp_path: Path) -> None:
    with Product(tmp_path, arguments=(CLOCK,)) as product:
        runs = _runs(tmp_path, at_least=4)
        ended = _read(product).now
    _are_of_the_replay(runs, ended)
    assert product.stop() == 0


def test_separate_processes_share_one_simulated_time(tmp_path: Path) -> None:
    with Tree(tmp_path, arguments=(CLOCK,), web_processes=2) as tree:
        readings = [_read(tree) for _ in range(3)]
        runs = _runs(tmp_path, at_least=4)
        runs_read_s = time.time()
        readings += [_read(tree) for _ in range(6)]
    _are_of_the_replay(runs, readings[-1].now)
    # Two web processes answer in turn; they began seconds apart, which is hours of this time. Each answer says when this
    # time began, as surely as it was quick: there is an instant that all of them mean.
    earliest_s = max(reading.begun_s[0] for reading in readings)
    latest_s = min(reading.begun_s[1] for reading in readings)
    assert earliest_s <= latest_s + ALIKE_S
    for run in runs:
        # Made by the scheduler, run by the worker, and none of it in the future of whoever reads of it.
        assert _real_s(run.created_at) <= _real_s(run.started_at) + ALIKE_S
        assert run.started_at <= run.finished_at
        assert earliest_s + _real_s(run.finished_at) <= runs_read_s + ALIKE_S


@pytest.mark.parametrize("verb", ["up", "serve", "worker", "scheduler"])
def test_production_runs_on_real_time(verb: str, tmp_path: Path) -> None:
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(tmp_path),
        "OSSATURE_VAR_DIR": str(tmp_path / "var"),
        "OSSATURE_PROFILE": "production",
        "OSSATURE_SECRET_KEY": "a secret of this test: Kq7-Zp3_Xw9-Rt5_Lm1",
        "OSSATURE_PUBLIC_URL": "https://api.example.org",
        "OSSATURE_WORKERS": "1",
    }
    ended = subprocess.run(
        [sys.executable, "-m", "ossature.app", verb, CLOCK],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert ended.returncode == 1
    assert "Production runs on real time." in ended.stderr
    assert not (tmp_path / "var" / "ossature.db").exists(), "nothing was begun"


def _runs(folder: Path, *, at_least: int) -> list[Run]:
    """Finished runs of an hourly schedule, the oldest first, as the database has them."""
    limit = time.monotonic() + 180
    while time.monotonic() < limit:
        with closing(sqlite3.connect(folder / "var" / "ossature.db", timeout=10)) as database:
            rows = database.execute(
                "SELECT request_id, created_at, started_at, finished_at FROM jobs_job"
                " WHERE name = ? AND state = 'succeeded' ORDER BY created_at",
                (HOURLY,),
            ).fetchall()
        if len(rows) >= at_least:
            return [Run(_planned(row[0]), *map(_instant, row[1:])) for row in rows]
        time.sleep(0.3)
    raise AssertionError(f"{HOURLY} did not run {at_least} times")


def _are_of_the_replay(runs: list[Run], ended: datetime) -> None:
    planned = [run.planned_at for run in runs]
    assert planned == sorted(set(planned)), "each hour once"
    assert all(START < run.planned_at <= run.created_at <= ended for run in runs)
    assert planned[-1] - planned[0] >= timedelta(hours=3)


def _read(product: Product | Tree) -> Reading:
    """The present of whoever answers: it makes a key, and says when."""
    asked_s = time.time()
    status, made = product.ask("POST", "/v1/auth/keys", {"name": "watch"})
    assert status == 201, made
    return Reading(_instant(made["key"]["created_at"]), asked_s, time.time())


def _real_s(at: datetime) -> float:
    """How long the replay had run, in real time."""
    return (at - START).total_seconds() / SPEED


def _planned(request_id: str) -> datetime:
    return datetime.strptime(request_id.partition("@")[2], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)


def _instant(text: str) -> datetime:
    at = datetime.fromisoformat(text)
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)
