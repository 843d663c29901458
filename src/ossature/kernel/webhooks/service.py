"""Webhooks as a part of the house."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from ossature.kernel.observe.rules import grew
from ossature.kernel.outbound.aiohttp_client import AiohttpClient
from ossature.kernel.outbound.settings import OutboundSettings
from ossature.kernel.service import Alert, Fact, Service, objectives
from ossature.kernel.webhooks import store
from ossature.kernel.webhooks.alertmanager import ALERT
from ossature.kernel.webhooks.alerts import ALERT_OWNERS, ENDPOINT_DISABLED
from ossature.kernel.webhooks.api import router
from ossature.kernel.webhooks.delivery import DELIVER, Webhooks
from ossature.kernel.webhooks.domain import WebhookDisabled
from ossature.kernel.webhooks.jobs import PURGE
from ossature.kernel.webhooks.settings import WebhookEndpointSettings, WebhooksSettings

if TYPE_CHECKING:
    from ossature.kernel.house import House


def open_webhooks(house: House) -> Webhooks:
    """The webhooks of a process, with connections of their own: slow receivers take none from anybody else."""
    return Webhooks(house.jobs, AiohttpClient(house.settings[OutboundSettings]), house.settings)


@asynccontextmanager
async def hearing(house: House) -> AsyncIterator[None]:
    """Hear every fact that this process publishes."""
    webhooks = house.port(Webhooks)
    house.outbox.tap(webhooks.hear)
    try:
        yield
    finally:
        await webhooks.close()


service: Final = Service(
    name="webhooks",
    title="Webhooks",
    settings=(WebhooksSettings, WebhookEndpointSettings, OutboundSettings),
    router=router,
    tables=(store.EndpointRow, store.DeliveryRow, store.AttemptRow),
    sealed=(store.SECRET_OF, store.OLD_SECRET_OF),
    jobs=(DELIVER, PURGE),
    facts=(Fact(type=WebhookDisabled, wire="webhook.disabled", key="endpoint_id"),),
    listens={WebhookDisabled: (ALERT_OWNERS,)},
    notices=(ENDPOINT_DISABLED, ALERT),
    offers={Webhooks: open_webhooks},
    lifespan=hearing,
    slos=objectives("GET /v1/webhooks", "POST /v1/webhooks", p95_ms=500, availability=0.995),
    alerts=(
        Alert(
            "WebhooksFail",
            'sum(rate(webhooks_attempts_total{outcome="failed"}[30m])) / sum(rate(webhooks_attempts_total[30m])) > 0.5'
            " and sum(increase(webhooks_attempts_total[30m])) >= 20",
            600,
            "warning",
            "{{ $value | humanizePercentage }} of the tries to deliver a webhook fail",
            "webhooks-fail",
        ),
        Alert(
            "WebhookDisabled",
            f"sum by (why) ({grew('webhooks_endpoints_disabled_total', '1d')})",
            0,
            "digest",
            "A webhook was disabled since it failed ({{ $labels.why }}); its owners were told",
            "webhooks-fail",
        ),
    ),
    permissions=frozenset({"read:webhooks", "write:webhooks", "write:alerts"}),
)
