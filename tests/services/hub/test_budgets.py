"""A hard budget holds for what is asked of the outside world, to the very call."""

import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.services.hub.conftest import Sim
from tests.services.hub.serving import Served, served


@pytest.fixture
def http(sqlite_url: str, tmp_path: Path, sim: Sim) -> Iterator[httpx.Client]:
    running: Served
    with (
        served(sqlite_url, tmp_path, sim.url) as running,
        httpx.Client(base_url=running.url, headers=running.headers, timeout=20) as client,
    ):
        yield client


def _weather(http: httpx.Client, number: int) -> httpx.Response:
    return http.get("/v1/hub/weather/current", params={"latitude": number, "longitude": 6, "cache": "off"})


@pytest.mark.parametrize("subject", ["tenant", "key"])
def test_no_more_calls_than_the_budget_get_through(http: httpx.Client, sim: Sim, subject: str) -> None:
    budget = {"subject": subject, "unit": "request", "limit": "7", "period": "month"}
    if subject == "key":
        budget["subject_id"] = http.get("/v1/auth/me").json()["id"]
    made = http.post("/v1/quotas/budgets", json=budget)
    assert made.status_code == 201, made.text
    time.sleep(1.1)  # for so long a process may still hold what it knew of the budgets

    with ThreadPoolExecutor(8) as threads:
        statuses = Counter(answer.status_code for answer in threads.map(lambda n: _weather(http, n), range(30)))

    assert statuses == {200: 7, 429: 23}
    assert sim.reached("open_meteo") + sim.reached("met_norway") + sim.reached("weatherapi") == 7
    assert _weather(http, 40).json()["type"].endswith("/consumer-quota-exhausted")


def test_what_was_asked_is_metered_for_the_key_that_asked(http: httpx.Client) -> None:
    key_id = http.get("/v1/auth/me").json()["id"]
    assert _weather(http, 1).status_code == 200
    time.sleep(0.8)  # usage is written in batches

    sums = http.get("/v1/quotas/usage", params={"by": "key"}).json()

    assert key_id in str(sums)
