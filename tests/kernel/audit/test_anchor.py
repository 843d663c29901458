"""The daily anchor leaves the house: in the log, and to the tenant's own webhook."""

import json
from dataclasses import replace
from pathlib import Path
from uuid import UUID, uuid4

import httpx
from starlette.types import Message, Receive, Scope, Send
from structlog.testing import capture_logs

from ossature.kernel.audit.jobs import ANCHOR
from ossature.kernel.outbound.settings import OutboundSettings
from ossature.kernel.testing.houses import Home, open_house

from .test_trail import without_guards

HOOK = {"url": "http://127.0.0.1:9/hook", "events": ["audit.anchored"]}


async def run_anchor(home: Home) -> None:
    async with home.house.occasion() as ctx:
        await ctx.enqueue(ANCHOR)
    worker = home.house.worker()
    while await worker.run_due():
        pass


async def test_an_anchor_goes_to_the_log_and_to_the_tenants_own_webhook(tmp_path: Path, database_url: str) -> None:
    settings = [OutboundSettings(private_hosts=["127.0.0.1:9"])]
    async with (
        open_house(var_dir=tmp_path, database_url=database_url, settings=settings) as home,
        home.client() as http,
    ):
        endpoint = (await http.post("/v1/webhooks", json=HOOK)).json()["id"]
        with capture_logs() as lines:
            await run_anchor(home)
        (anchor,) = (await http.get("/v1/audit/anchors")).json()["items"]
        (sent,) = (await http.get(f"/v1/webhooks/{endpoint}/deliveries")).json()["items"]
        body = json.loads((await http.get(f"/v1/webhooks/{endpoint}/deliveries/{sent['id']}")).json()["body"])

    told = [line for line in lines if line["event"] == "audit.anchored" and line["audit_tenant"] == str(home.tenant.id)]
    assert [(line["root"], line["head"]) for line in told] == [(anchor["root"], anchor["head"])]
    assert sent["event"] == "audit.anchored"
    assert (body["data"]["root"], body["data"]["last_seq"]) == (anchor["root"], anchor["last_seq"])


async def test_a_trail_that_outlives_its_tenant_is_anchored_too_and_only_once(
    tmp_path: Path, database_url: str
) -> None:
    async with open_house(var_dir=tmp_path, database_url=database_url) as home:
        gone = replace(home.tenant, id=uuid4())
        async with home.house.occasion(gone) as ctx:
            await ctx.audit("tenant.deleted", f"tenant:{gone.id}")
        with capture_logs() as lines:
            await run_anchor(home)
            await run_anchor(home)

    told = [line["last_seq"] for line in lines if line.get("audit_tenant") == str(gone.id)]
    assert told == [1]
    assert not [line for line in lines if line["log_level"] == "error"]


async def test_a_broken_trail_keeps_no_other_from_being_anchored(tmp_path: Path, database_url: str) -> None:
    async with open_house(var_dir=tmp_path, database_url=database_url) as home, home.client() as http:
        broken = [replace(home.tenant, id=UUID(int=number)) for number in (1, 2**128 - 1)]
        for tenant in (*broken, home.tenant):
            async with home.house.occasion(tenant) as ctx:
                await ctx.audit("tenant.deleted", f"tenant:{tenant.id}")
        for tenant in broken:
            await without_guards(
                home.house.database, "DELETE FROM audit_entry WHERE tenant_id = :id", id=_stored(home, tenant.id)
            )
            async with home.house.occasion(tenant) as ctx:
                await ctx.audit("tenant.deleted", f"tenant:{tenant.id}")
        with capture_logs() as lines:
            await run_anchor(home)
        anchors = (await http.get("/v1/audit/anchors")).json()["items"]

    told = {line["audit_tenant"] for line in lines if line["event"] == "audit.trail_broken"}
    assert told == {str(tenant.id) for tenant in broken}
    assert len(anchors) == 1
    assert "TrailBroken" in str([line for line in lines if line["event"] in {"job.failed", "job.dead"}])


def _stored(home: Home, tenant_id: UUID) -> object:
    return tenant_id.hex if home.house.database.embedded else tenant_id


async def test_a_slow_client_of_an_export_holds_no_connection(tmp_path: Path, database_url: str) -> None:
    held: list[int] = []
    async with open_house(var_dir=tmp_path, database_url=database_url) as home:
        database = home.house.database

        async def watched(scope: Scope, receive: Receive, send: Send) -> None:
            async def slowly(message: Message) -> None:
                if message["type"] == "http.response.body" and message.get("body"):
                    held.append(database.in_use)
                await send(message)

            await home.app(scope, receive, slowly)

        transport = httpx.ASGITransport(app=watched)
        headers = {"authorization": f"Bearer {home.secret}", "accept-encoding": "identity"}
        async with httpx.AsyncClient(transport=transport, base_url="http://house.test", headers=headers) as http:
            assert (await http.get("/v1/audit/export")).status_code == 200
    assert set(held) == {0}
