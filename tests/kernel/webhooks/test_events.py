"""What the house tells by webhook of its own accord, as an independent receiver sees it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from aiohttp import web
from fastapi import APIRouter
from prometheus_client import REGISTRY
from pydantic import SecretStr
from standardwebhooks import Webhook

from ossature.kernel import clock
from ossature.kernel.auth.users import store as users
from ossature.kernel.db.listing import ListQuery
from ossature.kernel.http.policy import policy
from ossature.kernel.jobs.domain import GiveUp, State
from ossature.kernel.notify import store as notices
from ossature.kernel.outbound.board import Board
from ossature.kernel.outbound.breaker import FAILURES, BreakerKey
from ossature.kernel.outbound.settings import OutboundSettings
from ossature.kernel.quotas.domain import UsageEvent
from ossature.kernel.quotas.meter import Meter
from ossature.kernel.quotas.settings import QuotaSettings
from ossature.kernel.quotas.usecases import tell_of_budgets
from ossature.kernel.service import Job, Service
from ossature.kernel.tenants import store as tenants
from ossature.kernel.testing.houses import Home, open_house
from ossature.kernel.webhooks.settings import WebhookEndpointSettings

SECRET = "whsec_" + "c2VjcmV0IG9mIHRlc3RzLCAzMiBieXRlcyBsb25nLi4="
router = APIRouter()


@router.get("/broken")
@policy(public=True, rate="window")
async def read_broken() -> None:
    raise ZeroDivisionError


@router.get("/dear")
@policy(allow="*", rate="dear")
async def read_dear() -> str:
    return "here"


async def _collapse(ctx: Any) -> None:
    del ctx
    raise GiveUp("The account of alice@example.org is closed; password=hunter2hunter2")


COLLAPSE = Job(name="mill.collapse", run=_collapse)
MILL = Service(name="mill", router=router, jobs=(COLLAPSE,))


class Receiver:
    """Somebody's server: answers with `status`, remembers what came."""

    def __init__(self) -> None:
        self.status = 200
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.url = ""

    async def take(self, request: web.Request) -> web.Response:
        self.got.append((dict(request.headers), await request.read()))
        return web.Response(status=self.status)

    def told(self) -> dict[str, dict[str, Any]]:
        """The data of what came by its name, each message verified by the library of the standard."""
        messages = [Webhook(SECRET).verify(body, headers) for headers, body in self.got]
        return {message["type"]: message["data"] for message in messages}


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    opened = Receiver()
    application = web.Application()
    application.router.add_post("/hook/secret-path", opened.take)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    opened.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook/secret-path"
    yield opened
    await runner.cleanup()


@asynccontextmanager
async def mill(tmp_path: Path, sqlite_url: str, receiver: Receiver, *, operator: bool) -> AsyncIterator[Home]:
    """A house; with an endpoint of its operator that hears everything."""
    parts = {"1_url": receiver.url, "1_secret": SECRET, "1_events": "*"} if operator else {}
    settings = [
        OutboundSettings(private_hosts=["127.0.0.1"]),
        WebhookEndpointSettings(parts={name: SecretStr(value) for name, value in parts.items()}),
        QuotaSettings(rates={"dear": "2/3600"}),
    ]
    async with open_house(MILL, var_dir=tmp_path, database_url=sqlite_url, settings=settings) as home:
        yield home


async def until(what: Callable[[], bool], home: Home) -> None:
    """Work until it is so."""
    async with asyncio.timeout(60):
        while not what():
            await home.house.worker().run_due()
            await asyncio.sleep(0.02)


async def test_what_the_house_notices_is_told_by_its_names_and_signed(
    tmp_path: Path, sqlite_url: str, receiver: Receiver
) -> None:
    async with mill(tmp_path, sqlite_url, receiver, operator=True) as home, home.client() as http:
        tenant_id = home.tenant.id
        assert (await http.get("/v1/mill/broken")).status_code == 500
        assert [(await http.get("/v1/mill/dear")).status_code for _ in range(4)] == [200, 200, 429, 429]
        expires_at = (clock.now() + timedelta(days=5)).isoformat()
        made = await http.post("/v1/auth/keys", json={"name": "till Friday", "expires_at": expires_at})
        assert made.status_code == 201, made.text
        for unit, limit in (("request", "10"), ("money", "5")):
            budget = {"subject": "tenant", "unit": unit, "limit": limit, "period": "day"}
            assert (await http.post("/v1/quotas/budgets", json=budget)).status_code == 201
        for amount, cost in ((8, 1), (4, 9)):
            await _use(home, amount, cost)
            async with home.house.occasion() as ctx:
                await tell_of_budgets(ctx)
        board, key = home.house.port(Board), BreakerKey("weather", "hub.weather")
        for _ in range(FAILURES):
            board.breaker(key).enter()
            board.leave(key, failed=True, ms=1.0, error="timeout")
        board.breaker(key)._opened_at = 0.0  # half a minute later
        board.breaker(key).enter()
        board.leave(key, failed=False, ms=1.0)
        async with home.house.database.begin(tenant_id) as db:
            await home.house.jobs.enqueue(db, COLLAPSE, tenant_id=tenant_id)
        async with home.house.database.begin() as db:
            await home.house.jobs.enqueue(db, home.house.jobs.registry["auth.alert_ending_keys"], tenant_id=UUID(int=0))
        wanted = {
            "api.error", "rate_limit.hit", "key.expiring", "quota.low", "quota.exhausted", "budget.exceeded",
            "provider.down", "provider.up", "job.dead",
        }  # fmt: skip
        await until(lambda: wanted <= receiver.told().keys(), home)
    told = receiver.told()
    assert told["api.error"] | {"trace_id": ""} == {
        "route": "/v1/mill/broken", "method": "GET", "status": 500, "problem": "problem", "trace_id": "", "times": 1,
    }  # fmt: skip
    assert (told["rate_limit.hit"]["route"], told["rate_limit.hit"]["subject"][:4]) == ("/v1/mill/dear", "key:")
    assert told["key.expiring"]["name"] == "till Friday"
    assert (told["quota.exhausted"]["unit"], told["budget.exceeded"]["unit"]) == ("request", "money")
    assert told["provider.down"]["provider"] == told["provider.up"]["provider"] == "weather"
    assert (told["job.dead"]["name"], told["job.dead"]["failures"]) == ("mill.collapse", 1)
    assert not {"alice", "hunter2"} & set(told["job.dead"]["error"].replace("@", " ").replace("=", " ").split())


async def test_a_flood_of_failures_is_told_once_a_minute_with_its_number(
    tmp_path: Path, sqlite_url: str, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with mill(tmp_path, sqlite_url, receiver, operator=True) as home, home.client() as http:
        for _ in range(5):
            await http.get("/v1/mill/broken")
        await until(lambda: bool(receiver.got), home)
        assert [told["times"] for told in _data(receiver)] == [1]

        monkeypatch.setattr("ossature.kernel.http.facts.QUIET_S", 0.0)
        await http.get("/v1/mill/broken")
        await until(lambda: len(receiver.got) > 1, home)

    assert [told["times"] for told in _data(receiver)] == [1, 5]


async def test_the_owners_are_told_that_an_endpoint_was_disabled(
    tmp_path: Path, sqlite_url: str, receiver: Receiver
) -> None:
    before = REGISTRY.get_sample_value("webhooks_endpoints_disabled_total", {"why": "gone"}) or 0.0
    async with mill(tmp_path, sqlite_url, receiver, operator=False) as home, home.client() as http:
        tenant_id = home.tenant.id
        async with home.house.database.begin(tenant_id) as db:
            people = [
                await users.add_user(db, tenant_id, email=f"{name}@example.org", name=name, password_hash=None)
                for name in ("olga", "oscar", "mia")
            ]
            for person, role in zip(people, ("owner", "owner", "user"), strict=True):
                await tenants.put_member(db, tenant_id, person.id, roles=frozenset({role}), bound={})
            await users.change_user(db, people[1].id, {"deactivated_at": clock.now()})
        made = (await http.post("/v1/webhooks", json={"url": receiver.url, "events": ["*"]})).json()
        receiver.status = 410
        assert (await http.post(f"/v1/webhooks/{made['id']}/test")).status_code == 202
        for _ in range(3):
            await home.house.worker().run_due()

        assert (await http.get(f"/v1/webhooks/{made['id']}")).json()["enabled"] is False
        dead = (await http.get("/v1/jobs", params={"state": State.DEAD})).json()["items"]
        assert dead == []
        async with home.house.database.begin(tenant_id) as db:
            inboxes = [
                (await notices.list_inbox(db, tenant_id, person.id, ListQuery(limit=9))).items for person in people
            ]
    assert [len(inbox) for inbox in inboxes] == [1, 0, 0], "the active owner, nobody else"
    (message,) = inboxes[0]
    assert message.title == "Webhook to 127.0.0.1 disabled"
    assert "it answered 410 Gone" in message.body
    assert "secret-path" not in message.title + message.body
    assert message.link == f"/console/webhooks/{made['id']}"
    mails = _mails(tmp_path)
    assert len(mails) == 1
    assert "To: olga@example.org" in mails[0]
    assert REGISTRY.get_sample_value("webhooks_endpoints_disabled_total", {"why": "gone"}) == before + 1


async def _use(home: Home, amount: int, cost: int) -> None:
    event = UsageEvent(
        clock.new_id(), home.tenant.id, clock.now(), "mill.grind", amount=Decimal(amount), cost=Decimal(cost)
    )
    await home.house.port(Meter).write(event)


def _data(receiver: Receiver) -> list[dict[str, Any]]:
    return [Webhook(SECRET).verify(body, headers)["data"] for headers, body in receiver.got]


def _mails(folder: Path) -> list[str]:
    return [path.read_text() for path in folder.rglob("*.eml")]
