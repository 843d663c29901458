"""The shipped dashboards ask a real Prometheus that has read a living product: no panel stays empty."""

import json
import secrets
import time
from pathlib import Path
from typing import Any

import pytest

from tests.journeys.product import Product, Receiver, until
from tests.journeys.watch import DEPLOY, Ask, hurried, prometheus

pytestmark = [pytest.mark.journey, pytest.mark.slow]

DASHBOARDS = DEPLOY / "grafana" / "dashboards"
TOKEN = secrets.token_urlsafe()
WINDOW = "2m"
SCHEDULED = ("predict.price_all", "predict.freeze_all", "sync.run_pipelines")
LIMIT_S = 240


def test_no_panel_of_any_dashboard_is_empty(tmp_path: Path) -> None:
    receiver = Receiver()
    environment = {"OSSATURE_AUTH_METRICS_TOKEN": TOKEN, "OSSATURE_OUTBOUND_PRIVATE_HOSTS": receiver.host}
    with (
        Product(tmp_path, environment, arguments=("--demo",)) as product,
        prometheus(tmp_path, {"ossature": product.port}, token=TOKEN, rules=hurried(tmp_path)) as ask,
    ):
        hook = {"url": receiver.url, "events": ["trip.confirmed", "plan.ready"]}
        status, said = product.ask("POST", "/v1/webhooks", hook)
        assert status == 201, said
        until(lambda: bool(_plans(product)), "the demo has a plan", limit_s=120)
        product.ask("POST", "/v1/dispatch/plans", {"day": _plans(product)[0]["day"], "time_limit_s": 0.5})
        empty, limit = _empty(ask), time.monotonic() + LIMIT_S
        while empty:
            assert time.monotonic() < limit, "\n".join(empty)
            _traffic(product)
            time.sleep(1)
            empty = _empty(ask)
    receiver.close()


def _plans(product: Product) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = product.ask("GET", "/v1/dispatch/plans")[1]["items"]
    return found


def _empty(ask: Ask) -> list[str]:
    """The queries that give nothing, with where they stand."""
    return [
        f"{path.stem}: {panel['title']}: {target['expr']}"
        for path in sorted(DASHBOARDS.glob("*.json"))
        for panel in _panels(path)
        for target in panel["targets"]
        if not ask(target["expr"].replace("$__rate_interval", WINDOW))
    ]


def _panels(path: Path) -> list[dict[str, Any]]:
    found = [panel for panel in json.loads(path.read_text())["panels"] if panel["type"] != "row"]
    assert found
    return found


def _traffic(product: Product) -> None:
    """Something of everything: answers that cost, a day that is planned, predictions, pipelines."""
    messages = [{"role": "user", "content": "How are you?"}]
    product.ask("POST", "/v1/chat/completions", {"model": "openai/gpt-4o-mini", "messages": messages})
    for path in (
        "/v1/hub/weather/current?latitude=46.2&longitude=6.1",
        "/v1/dispatch/bookings",
        "/v1/predict/matches",
        "/v1/sync/pipelines",
        "/v1/jobs",
    ):
        product.ask("GET", path)
    for name in SCHEDULED:
        product.ask("POST", f"/v1/schedules/{name}/run")
