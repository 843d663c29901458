import asyncio
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import FastAPI
from prometheus_client import REGISTRY
from starlette.testclient import TestClient

from ossature.kernel.config import Config, MainSettings
from ossature.kernel.db.checks import DATABASE
from ossature.kernel.db.engine import Database
from ossature.kernel.db.settings import DatabaseSettings
from ossature.kernel.http.policy import policy_of
from ossature.kernel.observe import api
from ossature.kernel.observe.checks import MACHINE
from ossature.kernel.observe.health import Inspector, Report, inspect
from ossature.kernel.observe.settings import ObserveSettings
from ossature.kernel.service import Check, CheckResult, Health

HOUSE: Any = None


async def _well(_house: Any) -> CheckResult:
    return CheckResult(Health.OK, facts={"depth": 3})


async def _tired(_house: Any) -> CheckResult:
    return CheckResult(Health.DEGRADED, "slow", "rest")


async def _broken(_house: Any) -> CheckResult:
    raise ConnectionError("no route\nto host")


async def _hangs(_house: Any) -> CheckResult:
    await asyncio.sleep(60)
    raise AssertionError


WELL = Check(name="well", run=_well, ready=True)
TIRED = Check(name="tired", run=_tired, ready=True)
BROKEN = Check(name="broken", run=_broken, ready=True)
HANGS = Check(name="hangs", run=_hangs, time_limit_s=0.05)


async def look(*checks: Check) -> Report:
    return await inspect(checks, HOUSE)


async def test_the_worst_finding_is_the_health_of_all() -> None:
    assert (await look(WELL)).health is Health.OK
    assert (await look(WELL, TIRED)).health is Health.DEGRADED
    assert (await look(BROKEN, TIRED)).health is Health.DOWN


async def test_prometheus_sees_how_each_part_was_at_the_last_look() -> None:
    await look(WELL, TIRED, BROKEN)

    assert [REGISTRY.get_sample_value("health_state", {"check": name}) for name in ("well", "tired", "broken")] == [
        0,
        1,
        2,
    ]


async def test_a_check_that_fails_is_a_finding_in_one_line() -> None:
    [found] = (await look(BROKEN)).findings

    assert (found.health, found.detail) == (Health.DOWN, "ConnectionError: no route")


async def test_a_check_that_hangs_is_a_finding_after_its_time() -> None:
    [found] = (await look(HANGS)).findings

    assert found.detail == "No answer within 0.05 s."
    assert 40 < found.latency_ms < 30_000


async def test_a_part_that_hangs_and_is_not_needed_does_not_hold_up_readiness() -> None:
    inspector = Inspector([WELL, replace(HANGS, time_limit_s=600)], HOUSE)
    looking = asyncio.create_task(inspector.everything())
    await asyncio.sleep(0)

    assert (await asyncio.wait_for(inspector.ready(), 60)).ready
    looking.cancel()
    await asyncio.gather(looking, return_exceptions=True)


async def test_what_a_driver_says_of_an_address_is_told_without_its_password() -> None:
    async def fails(_house: Any) -> CheckResult:
        raise ConnectionError("cannot reach amqp://guest:hunter2hunter2@broker:5672/")

    [found] = (await look(Check(name="broker", run=fails))).findings

    assert found.detail == "ConnectionError: cannot reach amqp://guest:[hidden]@broker:5672/"


async def test_only_what_serving_needs_decides_about_readiness() -> None:
    report = await look(WELL, TIRED, HANGS)

    assert report.health is Health.DOWN
    assert report.ready
    assert (await look(WELL, BROKEN)).failing == ["broken"]


async def test_probes_that_come_together_share_one_look() -> None:
    looks = 0

    async def count(_house: Any) -> CheckResult:
        nonlocal looks
        looks += 1
        return CheckResult(Health.OK)

    inspector = Inspector([Check(name="count", run=count, ready=True)], HOUSE)
    await asyncio.gather(*(inspector.ready() for _ in range(50)))

    assert looks == 1


def client(*checks: Check) -> tuple[TestClient, Inspector]:
    inspector = Inspector(checks, HOUSE)
    app = FastAPI()
    app.include_router(api.router(inspector))
    return TestClient(app), inspector


@pytest.mark.parametrize("path", ["/health", "/health/live"])
def test_liveness_is_200_whatever_is_broken(path: str) -> None:
    http, _ = client(BROKEN)

    assert http.get(path).json()["status"] == "ok"
    assert http.get(path).status_code == 200


@pytest.mark.parametrize("path", ["/ready", "/health/ready"])
def test_readiness_names_the_failing_check(path: str) -> None:
    well, _ = client(WELL, HANGS)
    broken, _ = client(WELL, BROKEN, TIRED)

    assert (well.get(path).status_code, well.get(path).json()["failing"]) == (200, [])
    assert broken.get(path).status_code == 503
    assert broken.get(path).json() == {"status": "down", "failing": ["broken"], "degraded": ["tired"]}


def test_a_draining_process_is_not_ready_but_alive() -> None:
    http, inspector = client(WELL)
    inspector.draining = True

    assert http.get("/ready").status_code == 503
    assert http.get("/health").status_code == 200


def test_the_detailed_page_tells_everything_and_asks_for_a_permission() -> None:
    http, _ = client(WELL, TIRED)

    page = http.get("/health/detailed").json()

    assert page["status"] == "degraded"
    assert [(c["name"], c["status"], c["advice"]) for c in page["components"]] == [
        ("well", "ok", ""),
        ("tired", "degraded", "rest"),
    ]
    assert page["components"][0]["facts"] == {"depth": 3}
    policies = {route.path: policy_of(route.endpoint) for route in api.router(Inspector([], HOUSE)).routes}
    assert {path: p.allow for path, p in policies.items() if p and not p.public} == {
        "/health/detailed": "read:health",
        "/metrics": "read:metrics",
        "/prometheus/metrics-http": "read:metrics",
    }
    assert all(policies.values())


@pytest.mark.parametrize("path", ["/metrics", "/prometheus/metrics-http"])
def test_metrics_are_served_under_both_addresses(path: str) -> None:
    http, _ = client()

    page = http.get(path)

    assert page.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert b"http_requests_in_progress" in page.content


def a_house(var_dir: Path, database: Database | None = None, **observe: Any) -> Any:
    config = Config([MainSettings(var_dir=var_dir), ObserveSettings(**observe)])
    return SimpleNamespace(config=config, database=database)


async def test_a_full_disk_keeps_the_house_from_serving(tmp_path: Path) -> None:
    full = await inspect(MACHINE, a_house(tmp_path, min_free_disk_mb=10**9))
    fine = await inspect(MACHINE, a_house(tmp_path / "not" / "there", min_free_disk_mb=0))

    assert full.failing == ["disk"]
    assert "OSSATURE_OBSERVE_MIN_FREE_DISK_MB" in full.findings[0].advice
    assert fine.ready


async def test_a_database_that_answers_is_well(database: Database, tmp_path: Path) -> None:
    report = await inspect(DATABASE[:1], a_house(tmp_path, database))

    assert report.health is Health.OK
    assert report.findings[0].facts["dialect"] == database.dialect


async def test_a_database_that_is_away_is_named(tmp_path: Path) -> None:
    away = Database(DatabaseSettings(url="postgresql+asyncpg://nobody@127.0.0.1:1/nothing"))

    report = await inspect(DATABASE, a_house(tmp_path, away))
    await away.close()

    assert "database" in report.failing
