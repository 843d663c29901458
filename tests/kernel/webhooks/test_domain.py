"""Filters, signatures that come in, and the operator's endpoints."""

from datetime import UTC, datetime, timedelta

import pytest
from pydantic import SecretStr
from standardwebhooks import Webhook

from ossature.kernel.config import Config, SettingsRefused
from ossature.kernel.webhooks.domain import SignatureInvalid, new_secret, signed, verify, wants
from ossature.kernel.webhooks.settings import WebhookEndpointSettings

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("pattern", "wire", "wanted"),
    [
        ("*", "trip.confirmed", True),
        ("trip.*", "trip.confirmed", True),
        ("trip.*", "triple.confirmed", False),
        ("*.failed", "sync.run.failed", True),
        ("trip.confirmed", "trip.confirmed", True),
        ("trip.confirmed", "trip.confirmed2", False),
        ("trip.confirmed", "tripxconfirmed", False),
    ],
)
def test_a_filter_means_what_it_says(pattern: str, wire: str, wanted: bool) -> None:
    assert wants([pattern], wire) is wanted


def test_what_the_standards_library_signs_is_accepted() -> None:
    secret = new_secret()
    headers = {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(NOW.timestamp())),
        "webhook-signature": "v0,x " + Webhook(secret).sign("msg_1", NOW, '{"a":1}'),
    }
    assert verify(b'{"a":1}', headers, keys=[new_secret(), secret], now=NOW) == "msg_1"


def test_a_message_that_is_changed_old_or_unsigned_is_refused() -> None:
    secret = new_secret()
    headers = signed("{}", msg_id="msg_1", at=NOW, keys=[secret])
    assert verify(b"{}", headers, keys=[secret], now=NOW) == "msg_1"
    for body, told, now in (
        (b"{ }", headers, NOW),
        (b"{}", headers, NOW + timedelta(minutes=6)),
        (b"{}", headers, NOW - timedelta(minutes=6)),
        (b"{}", headers | {"webhook-id": "msg_2"}, NOW),
        (b"{}", headers | {"webhook-timestamp": "soon"}, NOW),
        (b"{}", {}, NOW),
    ):
        with pytest.raises(SignatureInvalid):
            verify(body, told, keys=[secret], now=now)


def test_the_operators_endpoints_come_from_numbered_settings() -> None:
    environ = {
        "OSSATURE_WEBHOOK_1_URL": "https://example.org/a",
        "OSSATURE_WEBHOOK_1_SECRET": "0123456789abcdef",
        "OSSATURE_WEBHOOK_1_EVENTS": "quota.low, api.error",
        "OSSATURE_WEBHOOK_2_URL": "https://example.org/b",
        "OSSATURE_WEBHOOK_2_SECRET": "0123456789abcdef",
    }
    config = Config.load([WebhookEndpointSettings], environ)
    first, second = config[WebhookEndpointSettings].listed()
    assert (first.number, first.url, first.events) == (1, "https://example.org/a", ("quota.low", "api.error"))
    assert second.events == ("*",)


def test_an_incomplete_endpoint_is_named_at_the_start() -> None:
    parts = {"1_url": SecretStr("example.org"), "x_url": SecretStr("y")}
    settings = WebhookEndpointSettings(parts=parts)
    named = {finding.setting for finding in settings.findings(Config([settings]))}
    assert named == {"OSSATURE_WEBHOOK_1_URL", "OSSATURE_WEBHOOK_1_SECRET", "OSSATURE_WEBHOOK_X_URL"}


@pytest.mark.parametrize("secret", ["whsec_!!!!!!!!!!!!!!!!", "whsec_aaaaaaaaaaaaaaaaa"])
def test_a_secret_that_cannot_sign_is_found_at_the_start(secret: str) -> None:
    environ = {"OSSATURE_WEBHOOK_1_URL": "https://example.org/hook", "OSSATURE_WEBHOOK_1_SECRET": secret}
    with pytest.raises(SettingsRefused, match="OSSATURE_WEBHOOK_1_SECRET: cannot sign"):
        Config.load([WebhookEndpointSettings], environ)
