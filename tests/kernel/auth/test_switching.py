"""Acting for another tenant or project: who may, what is seen there, and what is not seen any more."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from httpx import AsyncClient, Response

from ossature.kernel.auth.authenticator import GateAuthenticator
from ossature.kernel.auth.users import usecases as users
from ossature.kernel.auth.users.usecases import NewUser
from ossature.kernel.context import SYSTEM, Tenant
from ossature.kernel.tenants import store, usecases
from ossature.kernel.tenants.domain import NewTenant
from ossature.kernel.testing.houses import Home, open_house

PASSWORD = "seven green bottles"


class Town:
    """A house with two tenants, `main` and `other`; the other has a key `theirs` and a project `bridge`."""

    def __init__(self, home: Home, other: Tenant) -> None:
        self.home = home
        self.other = other

    async def person(self, email: str, *roles: str) -> None:
        """A member of the first tenant."""
        async with self.home.house.occasion(self.home.tenant, SYSTEM) as ctx:
            await users.create_user(ctx, NewUser(email=email, name=email[:3].title(), roles=roles, password=PASSWORD))

    async def invite(self, email: str, *roles: str) -> None:
        """Make them a member of the other tenant too."""
        async with self.home.house.occasion(self.other, SYSTEM) as ctx:
            await users.invite_user(ctx, email, roles)

    @asynccontextmanager
    async def signed_in(self, email: str) -> AsyncIterator[AsyncClient]:
        """A browser of somebody who has signed in to the console."""
        async with self.home.client(secret=None) as http:
            body = {"email": email, "password": PASSWORD, "cookie": True}
            said = await http.post("/v1/auth/login", json=body)
            assert said.status_code == 200, said.text
            yield http


async def switch(http: AsyncClient, tenant: str, **more: Any) -> Response:
    """Ask to act for a tenant, as a page of the console does."""
    proof = {"x-csrf-token": http.cookies["ossature_csrf"]}
    return await http.post("/v1/auth/switch", json={"tenant": tenant, **more}, headers=proof)


async def names(http: AsyncClient, path: str) -> list[str]:
    answer = await http.get(path)
    assert answer.status_code == 200, answer.text
    return [item["name"] for item in answer.json()["items"]]


@pytest.fixture
async def town(tmp_path: Path, database_url: str) -> AsyncIterator[Town]:
    async with open_house(var_dir=tmp_path, database_url=database_url) as home:
        async with home.house.database.begin() as db:
            other = (await store.add_tenant(db, NewTenant("other", "Other"))).brief
        async with home.house.occasion(other, SYSTEM) as ctx:
            await usecases.create_project(ctx, slug="bridge", name="Bridge")
        town = Town(home, other)
        await town.person("ada@example.com", "admin")
        yield town


async def test_a_member_of_two_tenants_sees_the_one_they_act_for_and_nothing_of_the_other(town: Town) -> None:
    await town.invite("ada@example.com", "admin")
    async with town.signed_in("ada@example.com") as http:
        assert await names(http, "/v1/auth/keys") == ["first administrator"]
        assert await names(http, "/v1/auth/tenants") == ["Main", "Other"]
        before = http.cookies["ossature_session"]

        switched = await switch(http, "other")

        assert (switched.status_code, switched.json()["tenant"]["slug"]) == (200, "other")
        assert (await http.get("/v1/auth/me")).json()["tenant"]["slug"] == "other"
        assert await names(http, "/v1/auth/keys") == []
        assert await names(http, "/v1/projects") == ["Bridge"]
    async with town.home.client(secret=None, headers={"cookie": f"ossature_session={before}"}) as stale:
        assert (await stale.get("/v1/auth/me")).status_code == 401


async def test_nobody_gets_to_a_tenant_that_they_are_no_member_of(town: Town) -> None:
    async with town.signed_in("ada@example.com") as http:
        refused, unknown = await switch(http, "other"), await switch(http, "nowhere")

        assert (refused.status_code, unknown.status_code) == (404, 404)
        assert refused.json()["title"] == unknown.json()["title"] == "No such tenant"
        assert (await http.get("/v1/auth/me")).json()["tenant"]["slug"] == "main"
        assert await names(http, "/v1/auth/tenants?q=oth") == []


async def test_a_platform_administrator_gets_everywhere_until_the_role_is_taken_away(town: Town) -> None:
    await town.person("pia@example.com", "platform_admin")
    async with town.signed_in("pia@example.com") as http:
        assert await names(http, "/v1/auth/tenants?q=oth") == ["Other"]
        assert (await switch(http, "other")).status_code == 200
        assert await names(http, "/v1/projects") == ["Bridge"]

        me = (await http.get("/v1/auth/me")).json()["id"]
        async with town.home.client() as admin:
            changed = await admin.patch(f"/v1/members/{me}", json={"roles": ["user"]})
            assert changed.status_code == 200, changed.text

        assert (await http.get("/v1/projects")).status_code == 401


async def test_who_acts_elsewhere_is_refused_when_their_own_tenant_is_suspended(town: Town) -> None:
    await town.person("pia@example.com", "platform_admin")
    async with town.signed_in("pia@example.com") as http:
        await switch(http, "other")
        cookie = http.cookies["ossature_session"]
        assert (await http.get("/v1/auth/me")).status_code == 200
        authenticator = town.home.house.port(GateAuthenticator)
        assert authenticator.lookup(f"session={cookie}".encode(), "192.0.2.7") is not None

        async with town.home.house.occasion(town.other, SYSTEM) as ctx:
            await usecases.suspend_tenant(ctx, town.home.tenant.id, "unpaid")

        assert (await http.get("/v1/auth/me")).status_code == 403


async def test_a_key_that_may_act_anywhere_opens_a_console_that_moves_and_comes_back(town: Town) -> None:
    async with town.home.client() as http:
        await http.post("/v1/auth/console")
        del http.headers["authorization"]
        assert (await switch(http, "other")).status_code == 200
        assert (await http.get("/v1/auth/me")).json()["tenant"]["slug"] == "other"
        assert (await switch(http, "main")).status_code == 200
        assert await names(http, "/v1/auth/keys") == ["first administrator"]


async def test_a_key_by_itself_stays_where_it_is(town: Town) -> None:
    async with town.home.client() as http:
        refused = await http.post("/v1/auth/switch", json={"tenant": "other"})

    assert (refused.status_code, refused.json()["title"]) == (403, "This session stays where it is")


async def test_a_project_is_chosen_within_the_tenant_and_what_is_done_counts_for_it(town: Town) -> None:
    await town.invite("ada@example.com", "admin")
    async with town.signed_in("ada@example.com") as http:
        assert (await switch(http, "main", project="bridge")).json()["title"] == "No such project"
        switched = await switch(http, "other", project="bridge")

        project = switched.json()["project"]
        assert project["name"] == "Bridge"
        assert (await http.get("/v1/auth/me")).json()["project_id"] == project["id"]
        await switch(http, "other")
        assert (await http.get("/v1/auth/me")).json()["project_id"] is None


async def test_switching_does_not_make_a_session_live_longer(town: Town) -> None:
    await town.invite("ada@example.com", "admin")
    async with town.signed_in("ada@example.com") as http:
        (before,) = (await http.get("/v1/auth/sessions")).json()["items"]
        await switch(http, "other")
        (after,) = (await http.get("/v1/auth/sessions")).json()["items"]

    assert after["expires_at"] == before["expires_at"]
    assert after["id"] != before["id"]
