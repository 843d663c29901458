"""Who may speak to us at all: the installation's lists before anybody knows who asks, a tenant's own after that."""

import asyncio
from pathlib import Path

import httpx

from ossature.kernel.auth.addresses import AddressRules
from ossature.kernel.auth.settings import AuthSettings
from ossature.kernel.house import House
from ossature.kernel.testing.houses import open_house

INSIDE, OUTSIDE = ("192.0.2.7", 50000), ("198.51.100.9", 50000)


def test_deny_wins_over_allow_and_an_empty_allow_list_lets_everybody_in() -> None:
    rules = AddressRules(allow=["192.0.2.0/24", "2001:db8::/32"], deny=["192.0.2.66"])
    asked = ("192.0.2.7", "192.0.2.66", "198.51.100.9", "2001:db8::1", "::ffff:192.0.2.7", "nonsense")

    assert [rules.allows(ip, None, "/v1/jobs") for ip in asked] == [True, False, False, True, True, False]
    assert AddressRules(allow=[], deny=["192.0.2.66"]).allows("198.51.100.9", None, "/")


def test_a_block_that_is_none_is_named_before_the_start() -> None:
    settings = AuthSettings(ip_allow=("192.0.2.0/24",), ip_deny=("nowhere",))
    assert [finding.setting for finding in settings.findings(None)] == ["OSSATURE_AUTH_IP_DENY"]  # type: ignore[arg-type] # it looks at itself only


async def test_a_refused_address_gets_nothing_but_the_probes(tmp_path: Path) -> None:
    settings = [AuthSettings(ip_allow=("192.0.2.0/24",))]
    async with open_house(var_dir=tmp_path, settings=settings) as home:
        async with home.client(peer=OUTSIDE) as http:
            refused = await http.get("/v1/auth/me")
            public = await http.post("/v1/auth/login", json={"email": "a@b.c", "password": "x"})
            probe = await http.get("/health/live")
        async with home.client(peer=INSIDE) as http:
            allowed = (await http.get("/v1/auth/me")).status_code

    assert (refused.status_code, public.status_code, probe.status_code, allowed) == (403, 403, 200, 200)
    assert refused.json()["type"].endswith("/address-denied")


async def test_a_tenants_own_lists_hold_in_every_process(tmp_path: Path, database_url: str) -> None:
    async with (
        open_house(var_dir=tmp_path, database_url=database_url) as home,
        House.open((), home.house.config) as second,
        home.client() as admin,
    ):
        transport = httpx.ASGITransport(app=second.app(), client=INSIDE)
        made = (await admin.post("/v1/tenants", json={"slug": "acme", "name": "Acme"})).json()
        headers = {"authorization": f"Bearer {made['owner']['key']}"}
        async with httpx.AsyncClient(transport=transport, base_url="http://house.test", headers=headers) as owner:
            before = (await owner.get("/v1/auth/me")).status_code
            async with home.client(secret=made["owner"]["key"]) as here:
                await here.patch("/v1/tenants/current", json={"ip_deny": ["192.0.2.0/24"]})
                refused_here = (await here.get("/v1/auth/me")).status_code
            refused_there = 200
            async with asyncio.timeout(60):
                while refused_there == 200:
                    await asyncio.sleep(0.02)
                    refused_there = (await owner.get("/v1/auth/me")).status_code

    assert (before, refused_here, refused_there) == (200, 403, 403)
