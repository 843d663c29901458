"""What a tenant does with its webhooks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from ossature.kernel import clock
from ossature.kernel.context import Ctx
from ossature.kernel.crypto.ring import CannotOpen
from ossature.kernel.events.outbox import Outbox
from ossature.kernel.webhooks import store
from ossature.kernel.webhooks.delivery import DELIVER, Webhooks, deliver_arguments, new_delivery
from ossature.kernel.webhooks.domain import (
    TEST_EVENT,
    Delivery,
    DeliveryNotFound,
    DeliveryState,
    Endpoint,
    EndpointDisabled,
    EndpointNotFound,
    TooManyEndpoints,
    check_events,
    message,
    new_secret,
)
from ossature.kernel.webhooks.settings import WebhooksSettings

_REPLAY_MOST = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What is to be changed of an endpoint; None leaves a part as it is."""

    url: str | None = None
    events: Sequence[str] | None = None
    description: str | None = None
    enabled: bool | None = None


async def create_endpoint(ctx: Ctx, *, url: str, events: Sequence[str], description: str = "") -> Endpoint:
    """A new endpoint, with the secret that is shown only now.

    Raises: AddressRefused, InvalidInput, TooManyEndpoints.
    """
    ctx.port(Webhooks).check_address(url)
    known = ctx.port(Outbox).catalogue.wires
    endpoint = Endpoint(
        id=clock.new_id(),
        tenant_id=ctx.tenant.id,
        url=url,
        events=check_events(events, known),
        secrets=(new_secret(),),
        description=description,
        created_at=ctx.now,
    )
    most = ctx.settings[WebhooksSettings].per_tenant
    if await store.count_endpoints(ctx.db, ctx.tenant.id) >= most:
        raise TooManyEndpoints(f"A tenant has at most {most} webhook endpoints.", most=most)
    await store.add_endpoint(ctx.db, ctx.tenant.id, endpoint)
    await ctx.audit("webhook.created", _name(endpoint), after=_shown(endpoint))
    return endpoint


async def read_endpoint(ctx: Ctx, endpoint_id: UUID) -> Endpoint:
    """One endpoint. Raises: EndpointNotFound."""
    endpoint = await store.read_endpoint(ctx.db, ctx.tenant.id, endpoint_id)
    if endpoint is None:
        raise EndpointNotFound
    return endpoint


async def change_endpoint(ctx: Ctx, endpoint_id: UUID, changes: Changes) -> Endpoint:
    """The endpoint after the changes. Enabling it forgets its failures.

    Raises: EndpointNotFound, AddressRefused, InvalidInput.
    """
    before = await read_endpoint(ctx, endpoint_id)
    values: dict[str, Any] = {}
    if changes.url is not None:
        ctx.port(Webhooks).check_address(changes.url)
        values["url"] = changes.url
    if changes.events is not None:
        values["events"] = list(check_events(changes.events, ctx.port(Outbox).catalogue.wires))
    if changes.description is not None:
        values["description"] = changes.description
    if changes.enabled is not None:
        why = None if changes.enabled else "switched off by hand"
        values |= {"enabled": changes.enabled, "disabled_why": why, "failing_since": None}
    if values:
        await store.change_endpoint(ctx.db, ctx.tenant.id, endpoint_id, **values)
    after = await read_endpoint(ctx, endpoint_id)
    await ctx.audit("webhook.changed", _name(after), before=_shown(before), after=_shown(after))
    return after


async def remove_endpoint(ctx: Ctx, endpoint_id: UUID) -> None:
    """Remove an endpoint; what still waits for it is not sent. Raises: EndpointNotFound."""
    endpoint = await read_endpoint(ctx, endpoint_id)
    await store.remove_endpoint(ctx.db, ctx.tenant.id, endpoint_id)
    await ctx.audit("webhook.removed", _name(endpoint), before=_shown(endpoint))


async def rotate_secret(ctx: Ctx, endpoint_id: UUID) -> Endpoint:
    """The endpoint with a new secret first; the one before signs beside it for a while. Raises: EndpointNotFound."""
    endpoint = await read_endpoint(ctx, endpoint_id)
    until = ctx.now + timedelta(seconds=ctx.settings[WebhooksSettings].rotation_overlap_s)
    secret = new_secret()
    try:
        old = (await store.secrets_of(ctx.db, ctx.tenant.id, endpoint_id))[:1]
    except CannotOpen:  # then it signs nothing any more, and a new one is the remedy
        old = ()
    await store.put_secret(ctx.db, ctx.tenant.id, endpoint_id, secret, old=next(iter(old), None), until=until)
    await ctx.audit("webhook.secret_rotated", _name(endpoint), overlap_until=until)
    return replace(endpoint, secrets=(secret, *old))


async def send_test(ctx: Ctx, endpoint_id: UUID) -> Delivery:
    """A test message on its way. Raises: EndpointNotFound, EndpointDisabled."""
    endpoint = await _enabled(ctx, endpoint_id)
    data = {"message": "This is a test.", "endpoint_id": str(endpoint.id)}
    body = message(event=TEST_EVENT, at=ctx.now, tenant_id=ctx.tenant.id, data=data)
    delivery = new_delivery(ctx.tenant.id, endpoint.id, event=TEST_EVENT, body=body, at=ctx.now)
    await store.add_delivery(ctx.db, ctx.tenant.id, delivery)
    await ctx.enqueue(DELIVER, deliver_arguments(delivery, key=None))
    return delivery


async def replay_delivery(ctx: Ctx, endpoint_id: UUID, delivery_id: UUID) -> Delivery:
    """A message on its way once more, under the same id. One that still waits is left as it is.

    Raises: EndpointNotFound, EndpointDisabled, DeliveryNotFound.
    """
    await _enabled(ctx, endpoint_id)
    delivery = await store.read_delivery(ctx.db, ctx.tenant.id, delivery_id)
    if delivery is None or delivery.endpoint_id != endpoint_id:
        raise DeliveryNotFound
    if delivery.state is DeliveryState.WAITING:
        return delivery
    await _send_again(ctx, [delivery])
    await ctx.audit("webhook.replayed", f"webhook:{endpoint_id}", deliveries=1, delivery=delivery_id)
    return replace(delivery, state=DeliveryState.WAITING, replayed_after=delivery.attempts, done_at=None)


async def replay_failed(ctx: Ctx, endpoint_id: UUID, *, since: datetime) -> int:
    """How many messages that were given up since an instant are on their way once more, at most 1,000 at a time.

    Raises: EndpointNotFound, EndpointDisabled.
    """
    await _enabled(ctx, endpoint_id)
    failed = await store.failed_since(ctx.db, ctx.tenant.id, endpoint_id, since, limit=_REPLAY_MOST)
    await _send_again(ctx, failed)
    await ctx.audit("webhook.replayed", f"webhook:{endpoint_id}", deliveries=len(failed), since=since)
    return len(failed)


async def _send_again(ctx: Ctx, deliveries: Sequence[Delivery]) -> None:
    for delivery in deliveries:
        waiting = {"replayed_after": delivery.attempts, "done_at": None}
        await store.set_state(ctx.db, ctx.tenant.id, delivery.id, DeliveryState.WAITING, **waiting)
        await ctx.enqueue(DELIVER, deliver_arguments(delivery, key=None))


async def _enabled(ctx: Ctx, endpoint_id: UUID) -> Endpoint:
    endpoint = await read_endpoint(ctx, endpoint_id)
    if not endpoint.enabled:
        raise EndpointDisabled(f"It was disabled: {endpoint.disabled_why}.")
    return endpoint


def _name(endpoint: Endpoint) -> str:
    return f"webhook:{endpoint.id}"


def _shown(endpoint: Endpoint) -> Mapping[str, Any]:
    return {
        "url": endpoint.url,
        "events": list(endpoint.events),
        "description": endpoint.description,
        "enabled": endpoint.enabled,
    }
