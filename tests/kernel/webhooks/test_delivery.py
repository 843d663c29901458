"""Webhooks, as an independent receiver sees them."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from aiohttp import web
from sqlalchemy import insert, select, update
from standardwebhooks import Webhook, WebhookVerificationError

from ossature.kernel import clock
from ossature.kernel.config import Config
from ossature.kernel.context import Ctx, Tenant
from ossature.kernel.crypto.ring import SealBroken
from ossature.kernel.db.engine import Database
from ossature.kernel.db.listing import ListQuery
from ossature.kernel.db.transaction import Db
from ossature.kernel.errors import InvalidInput
from ossature.kernel.events.catalogue import Catalogue
from ossature.kernel.events.outbox import Outbox
from ossature.kernel.events.store import facts_after
from ossature.kernel.jobs.claims import Claim
from ossature.kernel.jobs.queue import Jobs
from ossature.kernel.jobs.worker import Worker
from ossature.kernel.outbound.aiohttp_client import AiohttpClient
from ossature.kernel.outbound.guard import AddressRefused
from ossature.kernel.outbound.settings import OutboundSettings
from ossature.kernel.service import Fact
from ossature.kernel.tenants.store import TenantRow
from ossature.kernel.testing.context import SmallHouse
from ossature.kernel.webhooks import store, usecases
from ossature.kernel.webhooks.delivery import DELIVER, Webhooks
from ossature.kernel.webhooks.domain import (
    RETRIES_S,
    Delivery,
    DeliveryState,
    Endpoint,
    EndpointDisabled,
    EndpointNotFound,
    TooManyEndpoints,
    WebhookDisabled,
)
from ossature.kernel.webhooks.settings import WebhookEndpointSettings, WebhooksSettings

SHOP = Tenant(id=UUID(int=1), slug="shop", name="Shop")
OTHER = Tenant(id=UUID(int=2), slug="other", name="Other")


@dataclass(frozen=True, slots=True)
class TripConfirmed:
    trip: str
    step: int = 0


@dataclass
class Receiver:
    """A customer's server: answers with `statuses` one after the other, then 200."""

    statuses: list[int] = field(default_factory=list)
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    url: str = ""

    async def take(self, request: web.Request) -> web.Response:
        self.got.append((dict(request.headers), await request.read()))
        status = self.statuses.pop(0) if self.statuses else 200
        return web.Response(status=status, text="thank you, bob@example.org", headers=self.headers)

    def messages(self, secret: str) -> list[Any]:
        """What came, verified by the standard's own library."""
        return [Webhook(secret).verify(body, headers) for headers, body in self.got]


class Moved:
    """A clock that is `by` ahead."""

    def __init__(self) -> None:
        self.by = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.by

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def advance(self, seconds: float) -> None:
        self.by += timedelta(seconds=seconds)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    opened = Receiver()
    application = web.Application()
    application.router.add_post("/hook", opened.take)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    opened.url = f"http://127.0.0.1:{port}/hook"
    yield opened
    await runner.cleanup()


class Office:
    """A house with webhooks, one tenant at work."""

    def __init__(self, database: Database, receiver: Receiver, **parts: str) -> None:
        host = receiver.url.removeprefix("http://").partition("/")[0]
        outbound = OutboundSettings(private_hosts=[host])
        self.config = Config([outbound, WebhooksSettings(per_tenant=3), WebhookEndpointSettings(parts=parts)])
        self.database = database
        self.catalogue = Catalogue(
            [
                Fact(type=TripConfirmed, wire="trip.confirmed", key="trip"),
                Fact(type=WebhookDisabled, wire="webhook.disabled"),
            ]
        )
        self.jobs = Jobs(database, {DELIVER.name: DELIVER})
        self.outbox = Outbox(self.jobs, self.catalogue)
        self.http = AiohttpClient(outbound)
        self.webhooks = Webhooks(self.jobs, self.http, self.config)
        self.outbox.tap(self.webhooks.hear)
        ports = {Webhooks: self.webhooks, Outbox: self.outbox}
        self.house = SmallHouse(settings=self.config, jobs=self.jobs, outbox=self.outbox, ports=ports)

    async def do(self, use_case: Any, *arguments: Any, tenant: Tenant = SHOP, **options: Any) -> Any:
        async with self.database.begin(tenant.id) as db:
            return await use_case(self.house.ctx(db, tenant=tenant), *arguments, **options)

    async def publish(self, *facts: object, tenant: Tenant = SHOP) -> None:
        async with self.database.begin(tenant.id) as db:
            for fact in facts:
                await self.house.ctx(db, tenant=tenant).publish(fact)

    async def make_ctx(self, claim: Claim, db: Db) -> Ctx:
        tenant = next(one for one in (SHOP, OTHER) if one.id == claim.tenant_id)
        return self.house.ctx(db, tenant=tenant)

    async def work(self) -> None:
        worker = Worker(self.jobs, self.make_ctx, ("webhooks",))
        while await worker.run_due():
            pass

    async def log(self, endpoint: Endpoint) -> list[Delivery]:
        async with self.database.begin(SHOP.id) as db:
            return list((await store.list_deliveries(db, SHOP.id, endpoint.id, ListQuery())).items)


@pytest.fixture
async def office(database: Database, receiver: Receiver) -> AsyncIterator[Office]:
    async with database.begin() as db:
        rows = [{"id": tenant.id, "slug": tenant.slug, "name": tenant.name} for tenant in (SHOP, OTHER)]
        await db.execute(insert(TenantRow), rows)
    opened = Office(database, receiver)
    yield opened
    await opened.http.close()


@pytest.fixture
async def endpoint(office: Office, receiver: Receiver) -> Endpoint:
    made: Endpoint = await office.do(usecases.create_endpoint, url=receiver.url, events=["trip.*"])
    return made


async def test_a_fact_arrives_signed_as_the_standard_says(
    office: Office, receiver: Receiver, endpoint: Endpoint
) -> None:
    await office.publish(TripConfirmed("t1"))
    await office.work()
    (message,) = receiver.messages(endpoint.secrets[0])
    assert message["type"] == "trip.confirmed"
    assert message["data"] == {"trip": "t1", "step": 0}
    assert message["tenant_id"] == str(SHOP.id)
    (delivery,) = await office.log(endpoint)
    assert (delivery.state, delivery.attempts, delivery.last_status) == (DeliveryState.DELIVERED, 1, 200)


async def test_a_changed_body_or_another_secret_does_not_verify(
    office: Office, receiver: Receiver, endpoint: Endpoint
) -> None:
    await office.publish(TripConfirmed("t1"))
    await office.work()
    headers, body = receiver.got[0]
    with pytest.raises(WebhookVerificationError):
        Webhook(endpoint.secrets[0]).verify(body.replace(b"t1", b"t2"), headers)
    with pytest.raises(WebhookVerificationError):
        receiver.messages("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")


async def test_only_the_tenants_own_facts_that_were_asked_for_arrive(
    office: Office, receiver: Receiver, endpoint: Endpoint
) -> None:
    await office.publish(TripConfirmed("theirs"), tenant=OTHER)
    await office.publish(WebhookDisabled(UUID(int=9), "x", "y", None))
    await office.work()
    assert receiver.got == []
    assert await office.log(endpoint) == []


async def test_a_fact_that_was_undone_is_not_sent(office: Office, receiver: Receiver, endpoint: Endpoint) -> None:
    db = office.database.tenant(SHOP.id)
    await office.house.ctx(db, tenant=SHOP).publish(TripConfirmed("t1"))
    await db.rollback()
    await db.close()
    await office.work()
    assert receiver.got == []
    assert await office.log(endpoint) == []


async def test_a_failure_is_tried_again_with_the_same_id_and_order_holds(
    office: Office, receiver: Receiver, endpoint: Endpoint
) -> None:
    receiver.statuses = [500, 503]
    with clock.using(Moved()) as moved:
        await office.publish(TripConfirmed("t1", 1), TripConfirmed("t1", 2), TripConfirmed("t2", 3))
        for _ in range(5):
            await office.work()
            moved.advance(400)
    bodies = [body for _, body in receiver.got]
    steps = [int(body.partition(b'"step":')[2][:1]) for body in bodies]
    assert [step for step in steps if step != 3][-2:] == [1, 2]
    assert len({headers["webhook-id"] for headers, _ in receiver.got}) == 3
    assert {delivery.state for delivery in await office.log(endpoint)} == {DeliveryState.DELIVERED}


async def test_after_three_days_it_is_given_up_and_the_endpoint_disabled(
    office: Office, receiver: Receiver, endpoint: Endpoint
) -> None:
    receiver.statuses = [500] * 50
    with clock.using(Moved()) as moved:
        await office.publish(TripConfirmed("t1"))
        for wait_s in (*RETRIES_S, 0):
            await office.work()
            moved.advance(wait_s * 1.11 + 5)
        (delivery,) = await office.log(endpoint)
        assert (delivery.state, delivery.attempts) == (DeliveryState.FAILED, len(RETRIES_S) + 1)
        assert timedelta(days=2.5) < moved.by < timedelta(days=4)
        seen = await office.do(usecases.read_endpoint, endpoint.id)
        assert not seen.enabled
        assert "nothing was accepted since" in seen.disabled_why
        await office.publish(TripConfirmed("t2"))
        await office.work()
        assert len(receiver.got) == len(RETRIES_S) + 1
    async with office.database.begin(SHOP.id) as db:
        assert [fact.wire for fact in await facts_after(db, SHOP.id, 0, wires=["webhook.disabled"], limit=9)] == [
            "webhook.disabled"
        ]


async def test_410_gone_disables_at_once(office: Office, receiver: Receiver, endpoint: Endpoint) -> None:
    receiver.statuses = [410]
    await office.publish(TripConfirmed("t1"))
    await office.work()
    assert (await office.do(usecases.read_endpoint, endpoint.id)).disabled_why == "it answered 410 Gone"
    with pytest.raises(EndpointDisabled):
        await office.do(usecases.send_test, endpoint.id)


async def test_a_success_forgets_earlier_failures(office: Office, receiver: Receiver, endpoint: Endpoint) -> None:
    receiver.statuses = [500]
    with clock.using(Moved()) as moved:
        await office.publish(TripConfirmed("t1"))
        await office.work()
        assert (await office.do(usecases.read_endpoint, endpoint.id)).failing_since is not None
        moved.advance(60)
        await office.work()
    assert (await office.do(usecases.read_endpoint, endpoint.id)).failing_since is None


async def test_retry_after_of_the_receiver_is_honoured(office: Office, receiver: Receiver, endpoint: Endpoint) -> None:
    receiver.statuses, receiver.headers = [429], {"Retry-After": "600"}
    with clock.using(Moved()) as moved:
        await office.publish(TripConfirmed("t1"))
        await office.work()
        moved.advance(300)
        await office.work()
        assert len(receiver.got) == 1
        moved.advance(301)
        await office.work()
    assert [delivery.attempts for delivery in await office.log(endpoint)] == [2]


async def test_the_log_says_what_was_answered_without_personal_data(
    office: Office, receiver: Receiver, endpoint: Endpoint
) -> None:
    receiver.statuses = [500]
    await office.publish(TripConfirmed("t1"))
    await office.work()
    (delivery,) = await office.log(endpoint)
    async with office.database.begin(SHOP.id) as db:
        (attempt,) = await store.attempts_of(db, SHOP.id, delivery.id)
    assert (attempt.number, attempt.status, attempt.answer) == (1, 500, "thank you, [email]")
    assert attempt.duration_ms > 0


async def test_both_secrets_sign_while_one_takes_over_from_the_other(
    office: Office, receiver: Receiver, endpoint: Endpoint
) -> None:
    rotated = await office.do(usecases.rotate_secret, endpoint.id)
    await office.publish(TripConfirmed("t1"))
    await office.work()
    old, new = endpoint.secrets[0], rotated.secrets[0]
    assert old != new
    assert receiver.messages(old) == receiver.messages(new)
    with clock.using(Moved()) as moved:
        moved.advance(90_000)
        async with office.database.begin(SHOP.id) as db:
            assert await store.secrets_of(db, SHOP.id, endpoint.id) == (new,)


async def test_secrets_are_sealed_each_for_its_own_place_and_those_from_before_still_sign(
    office: Office, receiver: Receiver, endpoint: Endpoint
) -> None:
    other = await office.do(usecases.create_endpoint, url=receiver.url, events=["*"])
    row = store.EndpointRow
    async with office.database.begin() as db:
        kept = {one.id: one.secret for one in await db.all(select(row.id, row.secret))}
        assert all(one.startswith("osk1") for one in kept.values())
        moved = update(row).where(row.id == other.id).values(secret=kept[endpoint.id])
        await db.execute(moved)
        with pytest.raises(SealBroken):
            await store.secrets_of(db, SHOP.id, other.id)
        await db.execute(update(row).where(row.id == endpoint.id).values(secret=endpoint.secrets[0]))
        assert await store.secrets_of(db, SHOP.id, endpoint.id) == endpoint.secrets


async def test_an_endpoint_whose_secret_cannot_be_read_is_listed_and_gets_a_new_one(
    office: Office, receiver: Receiver, endpoint: Endpoint
) -> None:
    async with office.database.begin() as db:
        await db.execute(update(store.EndpointRow).values(secret="osk1" + "A" * 150))
    assert (await office.do(usecases.read_endpoint, endpoint.id)).secrets == ()

    rotated = await office.do(usecases.rotate_secret, endpoint.id)
    await office.publish(TripConfirmed("t1"))
    await office.work()

    assert len(rotated.secrets) == 1
    assert len(receiver.messages(rotated.secrets[0])) == 1


async def test_a_test_event_arrives(office: Office, receiver: Receiver, endpoint: Endpoint) -> None:
    await office.do(usecases.send_test, endpoint.id)
    await office.work()
    assert [message["type"] for message in receiver.messages(endpoint.secrets[0])] == ["webhook.test"]


async def test_a_delivery_is_replayed_under_the_same_id(office: Office, receiver: Receiver, endpoint: Endpoint) -> None:
    await office.publish(TripConfirmed("t1"))
    await office.work()
    (delivery,) = await office.log(endpoint)
    await office.do(usecases.replay_delivery, endpoint.id, delivery.id)
    await office.work()
    assert len(receiver.got) == 2
    assert receiver.got[0][0]["webhook-id"] == receiver.got[1][0]["webhook-id"]


async def test_what_was_given_up_is_replayed_together(office: Office, receiver: Receiver, endpoint: Endpoint) -> None:
    receiver.statuses = [410]
    await office.publish(TripConfirmed("t1", 1), TripConfirmed("t1", 2))
    await office.work()
    begun = datetime.now(UTC) - timedelta(hours=1)
    await office.do(usecases.change_endpoint, endpoint.id, usecases.Changes(enabled=True))
    assert await office.do(usecases.replay_failed, endpoint.id, since=begun) == 2
    await office.work()
    assert {delivery.state for delivery in await office.log(endpoint)} == {DeliveryState.DELIVERED}


async def test_the_endpoints_of_the_operator_hear_every_tenant(
    database: Database, receiver: Receiver, office: Office
) -> None:
    parts = {"1_url": receiver.url, "1_secret": "a-long-enough-secret", "1_events": "trip.confirmed,api.*"}
    operator = Office(database, receiver, **parts)
    await operator.publish(TripConfirmed("t1"), tenant=OTHER)
    await operator.publish(TripConfirmed("t2"))
    await operator.work()
    await operator.http.close()
    got = [Webhook(b"a-long-enough-secret").verify(body, headers) for headers, body in receiver.got]
    assert {(message["tenant_id"], message["data"]["trip"]) for message in got} == {
        (str(OTHER.id), "t1"), (str(SHOP.id), "t2"),
    }  # fmt: skip
    del office


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/hook",
        "https://127.0.0.1/hook",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]/hook",
        "https://0x7f000001/hook",
        "https://user:pass@example.org/",
        "ftp://example.org/",
        "https:///nothing",
        "https://localhost/hook",
        "https://printer.local/hook",
        "https://[::1/hook",
    ],
)
async def test_addresses_inside_are_refused_when_an_endpoint_is_made(office: Office, url: str) -> None:
    with pytest.raises(AddressRefused):
        await office.do(usecases.create_endpoint, url=url, events=["*"])


async def test_a_name_that_leads_inside_is_refused_when_it_is_called(office: Office, receiver: Receiver) -> None:
    del receiver
    endpoint = await office.do(usecases.create_endpoint, url="https://example.org/hook", events=["*"])
    async with office.database.begin(SHOP.id) as db:  # as if the name led inside since then
        await store.change_endpoint(db, SHOP.id, endpoint.id, url="https://localhost/hook")
    await office.publish(TripConfirmed("t1"))
    await office.work()
    (delivery,) = await office.log(endpoint)
    assert delivery.state is DeliveryState.WAITING
    assert delivery.last_status is None
    assert delivery.last_error


@pytest.mark.parametrize("events", [[], ["trip"], ["Trip.*"], ["trip.*", "nothing.known"]])
async def test_an_event_that_does_not_exist_is_refused(office: Office, receiver: Receiver, events: list[str]) -> None:
    with pytest.raises(InvalidInput):
        await office.do(usecases.create_endpoint, url=receiver.url, events=events)


async def test_another_tenant_does_not_find_the_endpoint(office: Office, endpoint: Endpoint) -> None:
    for use_case in (usecases.read_endpoint, usecases.rotate_secret, usecases.send_test, usecases.remove_endpoint):
        with pytest.raises(EndpointNotFound):
            await office.do(use_case, endpoint.id, tenant=OTHER)


async def test_a_tenant_has_a_limited_number_of_endpoints(
    office: Office, receiver: Receiver, endpoint: Endpoint
) -> None:
    del endpoint
    for _ in range(2):
        await office.do(usecases.create_endpoint, url=receiver.url, events=["*"])
    with pytest.raises(TooManyEndpoints):
        await office.do(usecases.create_endpoint, url=receiver.url, events=["*"])


async def test_what_waits_for_a_removed_endpoint_is_cancelled(
    office: Office, receiver: Receiver, endpoint: Endpoint
) -> None:
    await office.publish(TripConfirmed("t1"))
    await office.do(usecases.remove_endpoint, endpoint.id)
    await office.work()
    assert receiver.got == []
    assert [delivery.state for delivery in await office.log(endpoint)] == [DeliveryState.CANCELLED]
