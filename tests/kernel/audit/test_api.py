"""The routes of the audit trail, the webhooks and the inbox, without an edge: shapes, refusals, and who sees what."""

import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI, Request
from sqlalchemy import insert
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from ossature.kernel.audit.service import service as audit
from ossature.kernel.audit.trail import Trail
from ossature.kernel.config import Config
from ossature.kernel.context import Actor, Tenant
from ossature.kernel.crypto.ring import FixedKeys, Key, KeyRing
from ossature.kernel.db.engine import Database
from ossature.kernel.db.settings import DatabaseSettings
from ossature.kernel.errors import Problem
from ossature.kernel.events.catalogue import Catalogue
from ossature.kernel.events.outbox import Outbox
from ossature.kernel.http.listing import Cursors
from ossature.kernel.http.policy import policy_of
from ossature.kernel.jobs.queue import Jobs
from ossature.kernel.notify.domain import Notice, Wording
from ossature.kernel.notify.service import service as notify
from ossature.kernel.notify.usecases import Post
from ossature.kernel.outbound.aiohttp_client import AiohttpClient
from ossature.kernel.outbound.settings import OutboundSettings
from ossature.kernel.outbound.smtp import SinkMailer
from ossature.kernel.tenants.store import TenantRow
from ossature.kernel.testing.context import SmallHouse
from ossature.kernel.webhooks.delivery import Webhooks
from ossature.kernel.webhooks.service import service as webhooks
from tests.kernel.auth.test_api import routes_of

SERVICES = (audit, webhooks, notify)
SHOP = Tenant(id=UUID(int=1), slug="shop", name="Shop")
OTHER = Tenant(id=UUID(int=2), slug="other", name="Other")
NOTICE = Notice(name="a.b", wordings={"en": Wording("Hello $name", "x")}, fields=frozenset({"name"}))


class Desk:
    """An application that does for the routes what the edge does: a context, and a commit when all went well."""

    def __init__(self, house: SmallHouse, database: Database) -> None:
        self._house = house
        self._database = database
        self._app = FastAPI()
        self._app.state.cursors = Cursors(b"secret")
        for service in SERVICES:
            assert service.router is not None
            self._app.include_router(service.router, prefix=service.prefix or f"/v1/{service.name}")
        self._app.add_exception_handler(Problem, self._refuse)

    async def _refuse(self, _request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, Problem)
        return JSONResponse(error.to_dict(), error.status)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        tenant = OTHER if (b"x-tenant", b"other") in scope["headers"] else SHOP
        db = self._database.tenant(tenant.id)
        actor = Actor(kind="user", id=UUID(int=7), name="anne", permissions=frozenset({"*:*"}))
        scope["ossature.ctx"] = self._house.ctx(db, tenant=tenant, actor=actor)
        try:
            await self._app(scope, receive, send)
            await db.commit()
        finally:
            await db.close()


@pytest.fixture
async def client(sqlite_url: str, tmp_path: Any) -> AsyncIterator[httpx.AsyncClient]:
    database = Database(DatabaseSettings(url=sqlite_url), ring=KeyRing(FixedKeys(Key.new())))
    async with database.begin() as db:
        rows = [{"id": tenant.id, "slug": tenant.slug, "name": tenant.name} for tenant in (SHOP, OTHER)]
        await db.execute(insert(TenantRow), rows)
    config = Config([OutboundSettings(private_hosts=["127.0.0.1:9"])])
    jobs = Jobs(database, {job.name: job for service in SERVICES for job in service.jobs})
    outbox = Outbox(jobs, Catalogue.of(SERVICES))
    http = AiohttpClient(config[OutboundSettings])
    ports = {
        Webhooks: Webhooks(jobs, http, config),
        Outbox: outbox,
        Trail: Trail(),
        Post: Post.of(SinkMailer(tmp_path), [NOTICE], b"s"),
    }
    house = SmallHouse(settings=config, jobs=jobs, outbox=outbox, ports=ports)
    transport = httpx.ASGITransport(app=Desk(house, database))
    async with httpx.AsyncClient(transport=transport, base_url="http://house/v1") as opened:
        yield opened
    await http.close()
    await database.close()


HOOK = {"url": "http://127.0.0.1:9/hook", "events": ["webhook.*"]}


def test_every_route_says_who_may_call_it() -> None:
    for service in SERVICES:
        assert service.router is not None
        for route in routes_of(service.router):
            policy = policy_of(route.endpoint)
            assert policy is not None, route
            assert policy.public or policy.allow in service.permissions, route


async def test_an_endpoint_is_made_read_changed_rotated_and_removed(client: httpx.AsyncClient) -> None:
    made = (await client.post("/webhooks", json=HOOK)).json()
    assert made["secret"].startswith("whsec_")
    path = f"/webhooks/{made['id']}"
    read = (await client.get(path)).json()
    assert "secret" not in read
    changed = await client.patch(path, json={"events": ["*"], "enabled": False})
    assert (changed.json()["events"], changed.json()["enabled"]) == (["*"], False)
    assert (await client.post(f"{path}/test")).json()["slug"] == "endpoint-disabled"
    assert (await client.post(f"{path}/rotate")).json()["secret"] != made["secret"]
    assert [one["id"] for one in (await client.get("/webhooks")).json()["items"]] == [made["id"]]
    assert (await client.delete(path)).status_code == 204
    assert (await client.get(path)).status_code == 404


async def test_a_test_event_shows_in_the_delivery_log(client: httpx.AsyncClient) -> None:
    made = (await client.post("/webhooks", json=HOOK)).json()
    sent = await client.post(f"/webhooks/{made['id']}/test")
    assert (sent.status_code, sent.json()["state"]) == (202, "waiting")
    log = (await client.get(f"/webhooks/{made['id']}/deliveries", params={"state": "waiting"})).json()["items"]
    assert [one["event"] for one in log] == ["webhook.test"]
    whole = (await client.get(f"/webhooks/{made['id']}/deliveries/{log[0]['id']}")).json()
    assert json.loads(whole["body"])["type"] == "webhook.test"
    assert whole["tries"] == []


async def test_another_tenant_finds_nothing(client: httpx.AsyncClient) -> None:
    made = (await client.post("/webhooks", json=HOOK)).json()
    other = {"x-tenant": "other"}
    for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/rotate"), ("POST", "/test"), ("GET", "/deliveries")):
        answer = await client.request(method, f"/webhooks/{made['id']}{path}", headers=other)
        assert answer.status_code == 404, (method, path)
    assert (await client.get("/webhooks", headers=other)).json()["items"] == []
    assert (await client.get("/audit", headers=other)).json()["items"] == []


async def test_inside_addresses_and_unknown_events_are_refused(client: httpx.AsyncClient) -> None:
    inside = await client.post("/webhooks", json={**HOOK, "url": "https://169.254.169.254/x"})
    assert (inside.status_code, inside.json()["slug"]) == (422, "address-refused")
    unknown = await client.post("/webhooks", json={**HOOK, "events": ["trip.confirmed"]})
    assert (unknown.status_code, unknown.json()["errors"][0]["pointer"]) == (422, "/events/0")
    assert (await client.post("/webhooks", json={**HOOK, "more": 1})).status_code == 422


async def test_what_was_done_is_in_the_trail_and_can_be_verified_and_exported(client: httpx.AsyncClient) -> None:
    made = (await client.post("/webhooks", json=HOOK)).json()
    await client.delete(f"/webhooks/{made['id']}")
    listed = (await client.get("/audit", params={"action": "webhook.removed"})).json()["items"]
    assert [(one["seq"], one["what"], one["actor"]) for one in listed] == [(2, f"webhook:{made['id']}", "anne")]
    assert made["secret"] not in json.dumps(listed)
    assert (await client.get("/audit/1")).json()["after"]["url"] == HOOK["url"]
    assert (await client.get("/audit/99")).status_code == 404
    verdict = (await client.get("/audit/verify")).json()
    assert (verdict["intact"], verdict["checked"]) == (True, 2)
    exported = await client.get("/audit/export")
    lines = [json.loads(line) for line in exported.text.splitlines()]
    assert [line["action"] for line in lines][:2] == ["webhook.created", "webhook.removed"]
    assert (await client.get("/audit/anchors")).json() == {"items": []}


async def test_preferences_and_wordings_come_back_as_they_were_given(client: httpx.AsyncClient) -> None:
    chosen = {
        "off": [{"notice": "*", "channel": "mail"}],
        "quiet": {"start": "22:00:00", "end": "07:00:00", "zone": "Europe/Zurich"},
    }
    assert (await client.put("/inbox/preferences", json=chosen)).status_code == 204
    assert (await client.get("/inbox/preferences")).json() == chosen
    wrong = {"off": [], "quiet": {"start": "22:00", "end": "07:00", "zone": "Mars/Base"}}
    assert (await client.put("/inbox/preferences", json=wrong)).status_code == 422
    words = {"subject": "Salut $name", "body": "y"}
    assert (await client.put("/inbox/notices/a.b/fr", json=words)).status_code == 204
    shown = (await client.get("/inbox/notices/a.b")).json()["wordings"]
    assert [(one["language"], one["own"]) for one in shown] == [("en", False), ("fr", True)]
    bad = await client.put("/inbox/notices/a.b/fr", json={"subject": "$secret", "body": "y"})
    assert (bad.status_code, bad.json()["slug"]) == (422, "wording-invalid")
    assert (await client.get("/inbox/unread")).json() == {"unread": 0}
    assert (await client.get("/inbox")).json()["items"] == []
    assert (await client.post("/inbox/opt-out/forged.token")).status_code == 422
