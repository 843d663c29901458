"""From a fact to a customer: which endpoints hear of it, and how a message gets there."""

import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final
from urllib.parse import urlsplit
from uuid import NAMESPACE_URL, UUID, uuid5

import structlog
from prometheus_client import Counter

from ossature.kernel import clock
from ossature.kernel.config import Config
from ossature.kernel.context import Ctx
from ossature.kernel.db.transaction import Db
from ossature.kernel.errors import InvalidInput
from ossature.kernel.events.outbox import Queue
from ossature.kernel.events.store import StoredFact
from ossature.kernel.observe import masking, tracing
from ossature.kernel.outbound.guard import AddressRefused, check_public, check_url
from ossature.kernel.outbound.http import Http, HttpRequest, Undelivered
from ossature.kernel.outbound.manifest import TimeLimits
from ossature.kernel.outbound.provider import Reply
from ossature.kernel.outbound.settings import OutboundSettings
from ossature.kernel.service import Backoff, Job
from ossature.kernel.webhooks import store
from ossature.kernel.webhooks.domain import (
    GONE,
    RETRIES_S,
    SUSTAINED,
    Attempt,
    Delivery,
    DeliveryFailed,
    DeliveryState,
    Endpoint,
    WebhookDisabled,
    message,
    message_id,
    retry_in_s,
    signed,
    wants,
)
from ossature.kernel.webhooks.settings import Configured, WebhookEndpointSettings, WebhooksSettings

log = structlog.get_logger()

ATTEMPTS = Counter("webhooks_attempts_total", "Tries to deliver a webhook.", ["outcome"])
DISABLED = Counter("webhooks_endpoints_disabled_total", "Endpoints that were disabled since they failed.", ["why"])
_ANSWER_CHARS = 500
_MAX_ANSWER_BYTES = 64 * 1024


class Webhooks:
    """The webhooks of a process: hears every fact, and sends. Made by the house; `outbox.tap(webhooks.hear)`."""

    def __init__(self, jobs: Queue, http: Http, config: Config) -> None:
        self._jobs = jobs
        self._http = http
        self._settings = config[WebhooksSettings]
        self._private = frozenset(config[OutboundSettings].private_hosts)
        self._configured = {
            endpoint.id: endpoint for endpoint in map(_of_settings, config[WebhookEndpointSettings].listed())
        }

    async def hear(self, db: Db, facts: Sequence[StoredFact]) -> None:
        """Enqueue a message to every endpoint that wants a fact, in the transaction of these facts of one tenant."""
        # A delivery that died would be told by a delivery, which may die of the same.
        told = [fact for fact in facts if fact.wire != "job.dead" or fact.payload["name"] != DELIVER.name]
        if not told:
            return
        endpoints = [*await store.enabled_endpoints(db, told[0].tenant_id), *self._configured.values()]
        for fact in told:
            wanting = [endpoint for endpoint in endpoints if wants(endpoint.events, fact.wire)]
            if wanting:
                await self._enqueue(db, fact, wanting)

    async def _enqueue(self, db: Db, fact: StoredFact, wanting: Sequence[Endpoint]) -> None:
        body = message(event=fact.wire, at=fact.at, tenant_id=fact.tenant_id, data=fact.payload)
        for endpoint in wanting:
            delivery = new_delivery(fact.tenant_id, endpoint.id, event=fact.wire, body=body, at=fact.at)
            await store.add_delivery(db, fact.tenant_id, delivery)
            await self._jobs.enqueue(
                db,
                DELIVER,
                deliver_arguments(delivery, key=fact.key),
                tenant_id=fact.tenant_id,
                request_id=fact.request_id,
                trace=fact.trace,
            )

    async def close(self) -> None:
        """Give all connections back."""
        await self._http.close()

    def configured(self, endpoint_id: UUID) -> Endpoint | None:
        """The operator's endpoint with this id."""
        return self._configured.get(endpoint_id)

    def check_address(self, url: str) -> None:
        """Refuse an address that is not to be written down: not https, not public, or with credentials in it.

        Hosts that the operator declared private may be reached, also by http. Raises: AddressRefused, InvalidInput.
        """
        host, private = self._check(url)
        if not private:
            check_public(host)

    def _check(self, url: str) -> tuple[str, bool]:
        """The host of an address that may be called, and whether it may be private. Raises: AddressRefused."""
        hosts, private = self._reach(url)
        parts = check_url(url, hosts=hosts, private=private)
        if not private and parts.scheme != "https":
            raise AddressRefused("A webhook goes to an https address.")
        return parts.hostname or "", private

    async def send(self, endpoint: Endpoint, delivery: Delivery) -> Attempt:
        """Try once. Never raises for what the other side does."""
        at = clock.now()
        started = time.perf_counter()
        status, error, answer, retry_after_s = None, None, "", None
        try:
            self._check(endpoint.url)
            with tracing.span("webhook.deliver", kind="client", attributes={"webhook.event": delivery.event}):
                reply = await self._http.send(self._request(endpoint, delivery, at))
            status, answer = reply.status, masking.mask(reply.body[:_ANSWER_CHARS].decode(errors="replace"))
            retry_after_s = _retry_after_s(reply)
        except (Undelivered, InvalidInput) as failure:
            error = str(failure)[:_ANSWER_CHARS]
        return Attempt(
            number=delivery.attempts + 1,
            at=at,
            duration_ms=(time.perf_counter() - started) * 1000,
            status=status,
            error=error,
            answer=answer.replace("\x00", ""),
            retry_after_s=retry_after_s,
        )

    def _request(self, endpoint: Endpoint, delivery: Delivery, at: datetime) -> HttpRequest:
        hosts, private = self._reach(endpoint.url)
        headers = signed(delivery.body, msg_id=message_id(delivery.id), at=at, keys=endpoint.secrets)
        headers |= {"content-type": "application/json", "user-agent": "ossature-webhooks/1"}
        if trace := tracing.traceparent():
            headers["traceparent"] = trace
        limit_s = self._settings.time_limit_s
        return HttpRequest(
            method="POST",
            url=endpoint.url,
            hosts=hosts,
            headers=headers,
            body=delivery.body.encode(),
            limits=TimeLimits(first_byte_s=limit_s, total_s=limit_s),
            max_body_bytes=_MAX_ANSWER_BYTES,
            private=private,
        )

    def _reach(self, url: str) -> tuple[frozenset[str], bool]:
        """The one host of an address, and whether it may lie in a private network. Raises: AddressRefused."""
        try:
            parts = urlsplit(url)
            host, port = (parts.hostname or "").lower(), parts.port
        except ValueError:
            raise AddressRefused("This is no web address.") from None
        return frozenset({host}), host in self._private or f"{host}:{port}" in self._private


async def deliver(ctx: Ctx, delivery: str, order: str) -> str:
    """Send one message and log the try; the state it is in now.

    Raises: DeliveryFailed when it is to be tried again, so that later messages about the same thing wait.
    """
    del order  # what the queue keeps in line
    webhooks = ctx.port(Webhooks)
    found = await store.read_delivery(ctx.db, ctx.tenant.id, UUID(delivery))
    if found is None or found.state is not DeliveryState.WAITING:
        return "nothing to send"
    endpoint = webhooks.configured(found.endpoint_id)
    if endpoint is None:
        endpoint = await store.read_endpoint(ctx.db, ctx.tenant.id, found.endpoint_id)
    if endpoint is None or not endpoint.enabled:
        await store.set_state(ctx.db, ctx.tenant.id, found.id, DeliveryState.CANCELLED, done_at=clock.now())
        return DeliveryState.CANCELLED
    if not endpoint.of_settings:
        endpoint = replace(endpoint, secrets=await store.secrets_of(ctx.db, ctx.tenant.id, endpoint.id))
    await ctx.db.commit()  # a slow receiver must not hold a connection
    attempt = await webhooks.send(endpoint, found)
    ATTEMPTS.labels("accepted" if attempt.accepted else "failed").inc()
    tries = attempt.number - found.replayed_after
    wait_s = None if attempt.status == GONE else retry_in_s(attempt, tries=tries)
    async with ctx.db.step():
        state = await _log(ctx, endpoint, found, attempt, last=wait_s is None)
    if state is DeliveryState.WAITING:
        raise DeliveryFailed(f"{attempt.status or attempt.error}", retry_after_s=wait_s)
    return state


async def _log(ctx: Ctx, endpoint: Endpoint, delivery: Delivery, attempt: Attempt, *, last: bool) -> DeliveryState:
    """Write a try down, and what follows from it for the delivery and its endpoint."""
    tenant_id = ctx.tenant.id
    await store.add_attempt(ctx.db, tenant_id, delivery.id, attempt)
    told = {"attempts": attempt.number, "last_status": attempt.status, "last_error": attempt.error}
    failed = DeliveryState.FAILED if last else DeliveryState.WAITING
    state = DeliveryState.DELIVERED if attempt.accepted else failed
    done_at = None if state is DeliveryState.WAITING else attempt.at
    await store.set_state(ctx.db, tenant_id, delivery.id, state, done_at=done_at, **told)
    if attempt.accepted and endpoint.failing_since is not None:
        await store.change_endpoint(ctx.db, tenant_id, endpoint.id, failing_since=None)
    elif not attempt.accepted:
        await _note_failure(ctx, endpoint, attempt, last=last)
    return state


async def _note_failure(ctx: Ctx, endpoint: Endpoint, attempt: Attempt, *, last: bool) -> None:
    since = endpoint.failing_since or attempt.at
    sustained = attempt.status == GONE or (last and attempt.at - since >= SUSTAINED)
    if endpoint.of_settings:
        if last:
            log.error("webhooks.operator_endpoint_failing", host=urlsplit(endpoint.url).hostname, status=attempt.status)
        return
    if not sustained:
        if endpoint.failing_since is None:
            await store.change_endpoint(ctx.db, ctx.tenant.id, endpoint.id, failing_since=since)
        return
    why = "it answered 410 Gone" if attempt.status == GONE else f"nothing was accepted since {since.isoformat()}"
    await store.change_endpoint(
        ctx.db, ctx.tenant.id, endpoint.id, enabled=False, disabled_why=why, failing_since=since
    )
    DISABLED.labels("gone" if attempt.status == GONE else "failing").inc()
    await ctx.audit("webhook.disabled", f"webhook:{endpoint.id}", why=why)
    await ctx.publish(WebhookDisabled(endpoint.id, endpoint.url, why, since))


DELIVER: Final = Job(
    name="webhooks.deliver",
    run=deliver,
    queue="webhooks",
    # The schedule of the retries is ours (`retry_in_s`); these are for workers that die in the middle.
    attempts=len(RETRIES_S) + 20,
    backoff=Backoff(first_s=1.0, most_s=1.0),
    time_limit_s=120.0,
    ordered_by="order",
)


def new_delivery(tenant_id: UUID, endpoint_id: UUID, *, event: str, body: str, at: datetime) -> Delivery:
    """A message that is yet to be sent."""
    return Delivery(
        id=clock.new_id(),
        tenant_id=tenant_id,
        endpoint_id=endpoint_id,
        event=event,
        body=body,
        state=DeliveryState.WAITING,
        attempts=0,
        replayed_after=0,
        created_at=at,
    )


def deliver_arguments(delivery: Delivery, *, key: str | None) -> dict[str, str]:
    """What the job is told. Messages about the same thing reach an endpoint in order; others do not wait for them."""
    return {"delivery": str(delivery.id), "order": f"{delivery.endpoint_id}/{delivery.id if key is None else key}"}


def _of_settings(configured: Configured) -> Endpoint:
    return Endpoint(
        id=uuid5(NAMESPACE_URL, f"ossature:webhook:{configured.number}"),
        tenant_id=None,
        url=configured.url,
        events=configured.events,
        secrets=(configured.secret,),
        description=f"Endpoint {configured.number} of the settings",
        of_settings=True,
    )


def _retry_after_s(reply: Reply) -> float | None:
    value = reply.headers.get("retry-after", "")
    return float(value) if value.isascii() and value.isdigit() else None
