"""From a rule to a person: the shipped Prometheus and Alertmanager configurations at work, on real servers."""

import json
import secrets
import urllib.request
from datetime import UTC, datetime
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import pytest

from tests.journeys.product import ANSWER_LIMIT_S, Product, asked, free_port, until
from tests.journeys.watch import Told, alertmanager, hurried, prometheus

pytestmark = pytest.mark.journey

TOKEN = secrets.token_urlsafe()
PASSWORD = "correct horse battery staple 7"
ADMIN = {"email": "ada@example.org", "name": "Ada", "roles": ["platform_admin"], "password": PASSWORD}
ROUTE = {"service": "dispatch", "method": "GET", "endpoint": "/v1/dispatch/bookings", "objective": "errors"}


def test_alerts_reach_those_whom_their_severity_names(tmp_path: Path) -> None:
    with Product(tmp_path, {"OSSATURE_AUTH_METRICS_TOKEN": TOKEN}) as product, Told() as told:
        key = _people(product)
        gone = free_port()
        with (
            alertmanager(tmp_path, told, ossature=product.url, key=key) as port,
            prometheus(
                tmp_path,
                {"ossature": product.port, "ossature-worker": gone},
                token=TOKEN,
                rules=hurried(tmp_path),
                alertmanager=port,
            ),
        ):
            _raise(port, "SloBurnsFast", "critical", **ROUTE)
            _raise(port, "SloBurnsSlowly", "warning", **ROUTE)
            _raise(port, "JobsWait", "warning", service="jobs", queue="mail")
            _raise(port, "CacheHitsFew", "digest", service="http", cache="hub")
            until(lambda: _named(told.pages) >= {"ProcessGone", "SloBurnsFast"}, "both wake somebody", limit_s=120)
            until(lambda: "JobsWait" in str(told.messages), "the team reads of it", limit_s=120)
            until(lambda: bool(told.mails), "it stands in the mail", limit_s=120)
            inbox = _Inbox(product)
            until(lambda: inbox.titles() >= {"ProcessGone", "JobsWait", "CacheHitsFew"}, "all are told", limit_s=120)
            folder = tmp_path / "var" / "mail"
            until(lambda: "ProcessGone" in _subjects(folder), "administrators get mail of the house", limit_s=120)
            received = inbox.read()

    page = next(one for one in told.pages if "ProcessGone" in one["payload"]["summary"])
    assert page["routing_key"] == "r" * 32
    assert page["event_action"] == "trigger"
    assert page["payload"]["severity"] == "critical"
    assert page["payload"]["summary"] == f"ProcessGone: 127.0.0.1:{gone} of ossature-worker does not answer Prometheus"
    assert page["payload"]["custom_details"]["runbook"] == "https://docs.example.org/runbook/process-gone.html"
    (message,) = [one for one in told.messages if "JobsWait" in str(one)]
    assert message["channel"] == "#alerts"
    assert message["attachments"][0]["title"] == "FIRING JobsWait"
    assert told.mails[0]["To"] == "operators@example.org"
    assert told.mails[0]["Subject"] == "ossature: 1 things to look at"
    # What wakes somebody is not told quietly too, and nobody is woken by the rest.
    assert "SloBurnsSlowly" not in str(told.messages)
    assert not {"JobsWait", "CacheHitsFew"} & _named(told.pages)
    assert "runbooks" not in str(told.pages)
    (read,) = [one for one in received if one["title"].startswith("ProcessGone")]
    assert "https://docs.example.org/runbook/process-gone.html" in read["body"]


def _people(product: Product) -> str:
    """An administrator who is a person; the key of Alertmanager, which may do nothing else."""
    status, made = product.ask("POST", "/v1/auth/users", ADMIN)
    assert status == 201, made
    wanted = {"name": "alertmanager", "roles": ["platform_admin"], "scopes": ["write:alerts"]}
    status, made = product.ask("POST", "/v1/auth/keys", wanted)
    assert status == 201, made
    secret = str(made["secret"])
    assert product.ask("GET", "/v1/auth/users", headers={"Authorization": f"Bearer {secret}"})[0] == 403
    return secret


class _Inbox:
    """What the administrator finds there."""

    def __init__(self, product: Product) -> None:
        self._product = product
        login = {"email": ADMIN["email"], "password": PASSWORD}
        status, _, content = asked(product.port, "POST", "/v1/auth/login", login, {})
        assert status == 200, content
        self._token = json.loads(content)["access_token"]

    def read(self) -> list[dict[str, Any]]:
        found = self._product.ask("GET", "/v1/inbox", headers={"Authorization": f"Bearer {self._token}"})[1]
        return list(found["items"])

    def titles(self) -> set[str]:
        return {one["title"].partition(":")[0] for one in self.read()}


def _raise(port: int, name: str, severity: str, **labels: str) -> None:
    """Tell Alertmanager of an alert, as Prometheus does."""
    alert = {
        "labels": {"alertname": name, "severity": severity, **labels},
        "annotations": {"summary": f"{name} of a test", "runbook_url": "https://docs.example.org/runbook/x.html"},
        "startsAt": datetime.now(UTC).isoformat(),
    }
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/api/v2/alerts",
        json.dumps([alert]).encode(),
        {"Content-Type": "application/json"},
        method="POST",
    )
    with urllib.request.urlopen(request, timeout=ANSWER_LIMIT_S) as answer:
        assert answer.status == 200


def _named(pages: list[dict[str, Any]]) -> set[str]:
    return {page["payload"]["summary"].partition(":")[0] for page in pages}


def _subjects(folder: Path) -> set[str]:
    """The first words of the subjects of all mails that were sent."""
    mails = [message_from_bytes(path.read_bytes(), policy=policy.default) for path in folder.glob("*.eml")]
    return {str(mail["Subject"]).partition(":")[0] for mail in mails}
