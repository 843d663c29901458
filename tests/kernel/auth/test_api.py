"""The routes of auth, tenants and quotas over HTTP, with the least of an edge around them."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from ossature.kernel.auth.service import service as auth
from ossature.kernel.context import ANONYMOUS, SYSTEM_TENANT
from ossature.kernel.errors import Problem
from ossature.kernel.http.jobs import service as jobs
from ossature.kernel.http.listing import Cursors
from ossature.kernel.http.policy import policy_of
from ossature.kernel.http.ports import Identity
from ossature.kernel.quotas.service import service as quotas
from ossature.kernel.service import Service
from ossature.kernel.tenants.service import service as tenants

PASSWORD = "seven green bottles"
GUESTS: tuple[Service, ...] = (tenants, auth, quotas)


class SmallEdge:
    """Tells who asks, enforces the permission of the route, ends the transaction."""

    def __init__(self, app: ASGIApp, world: Any) -> None:
        self._app, self._world = app, world

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        cookies = headers.get(b"cookie", b"").decode()
        credential = headers.get(b"authorization", b"").decode()
        if not credential and "ossature_session=" in cookies:
            credential = "session=" + cookies.partition("ossature_session=")[2].partition(";")[0]
        identity = Identity(SYSTEM_TENANT, ANONYMOUS, "ip:192.0.2.7")
        if credential:
            try:
                identity = await self._world.who(credential)
            except Problem as problem:
                await _problem(problem)(scope, receive, send)
                return
        database, tenant = self._world.database, identity.tenant
        db = database.system() if tenant == SYSTEM_TENANT else database.tenant(tenant.id)
        scope["ossature.ctx"] = self._world.house.ctx(db, tenant=tenant, actor=identity.actor)

        async def committing(message: Any) -> None:
            if message["type"] == "http.response.start" and message["status"] < 400:
                await db.commit()
            await send(message)

        try:
            await self._app(scope, receive, committing)
        finally:
            await db.close()


def _problem(problem: Problem) -> JSONResponse:
    return JSONResponse(problem.to_dict(), status_code=problem.status)


@pytest.fixture
async def http(world: Any) -> AsyncIterator[httpx.AsyncClient]:
    app = FastAPI()
    app.state.cursors = Cursors(b"secret")

    async def refused(_: Request, problem: Exception) -> JSONResponse:
        assert isinstance(problem, Problem)
        return _problem(problem)

    app.add_exception_handler(Problem, refused)
    for guest in GUESTS:
        assert guest.router is not None
        app.include_router(guest.router, prefix=guest.prefix or f"/v1/{guest.name}")
    transport = httpx.ASGITransport(app=SmallEdge(app, world))
    async with httpx.AsyncClient(transport=transport, base_url="http://test/v1") as client:
        client.headers["authorization"] = f"Bearer {world.secret}"
        yield client


def routes_of(router: Any) -> Iterator[APIRoute]:
    for route in router.routes:
        if isinstance(route, APIRoute):
            yield route
        else:
            yield from routes_of(route.original_router)


def test_every_route_has_a_policy_and_every_permission_is_declared() -> None:
    declared = {permission for guest in (*GUESTS, jobs) for permission in guest.permissions} | {"*"}
    endpoints = [route.endpoint for guest in GUESTS for route in routes_of(guest.router)]
    assert len(endpoints) > 45
    for endpoint in endpoints:
        policy = policy_of(endpoint)
        assert policy is not None, endpoint
        assert policy.public or policy.allow in declared, endpoint


async def test_a_key_is_made_used_rotated_and_revoked(http: httpx.AsyncClient) -> None:
    made = await http.post("/auth/keys", json={"name": "importer", "roles": ["admin"], "rotate_every_days": 90})
    assert made.status_code == 201, made.text
    key, secret = made.json()["key"], made.json()["secret"]
    assert secret not in (await http.get("/auth/keys")).text
    mine = {"authorization": f"Bearer {secret}"}
    assert (await http.get("/auth/me", headers=mine)).json()["roles"] == ["admin"]
    rotated = await http.post(f"/auth/keys/{key['id']}/rotate", json={"overlap_s": 0})
    assert (await http.get("/auth/me", headers=mine)).status_code == 401
    mine = {"authorization": f"Bearer {rotated.json()['secret']}"}
    changed = await http.patch(f"/auth/keys/{key['id']}", json={"scopes": ["read:*"]})
    assert changed.json()["scopes"] == ["read:*"]
    assert "read:keys" in (await http.get("/auth/me", headers=mine)).json()["permissions"]
    assert (await http.delete(f"/auth/keys/{key['id']}")).json()["revoked_at"] is not None
    assert (await http.get("/auth/me", headers=mine)).status_code == 401
    assert (await http.delete(f"/auth/keys/{key['id']}")).status_code == 409
    assert (await http.get(f"/auth/keys/{key['id']}")).json()["name"] == "importer"


async def test_a_user_signs_in_refreshes_and_signs_out(http: httpx.AsyncClient) -> None:
    user = {"email": "Ada@Example.com", "name": "Ada", "password": PASSWORD, "roles": ["admin"]}
    made = await http.post("/auth/users", json=user)
    assert made.status_code == 201, made.text
    assert made.json()["email"] == "ada@example.com"
    del http.headers["authorization"]
    login = {"email": "ada@example.com", "password": PASSWORD}
    assert (await http.post("/auth/login", json=login | {"password": "wrong"})).status_code == 401
    signed_in = (await http.post("/auth/login", json=login)).json()
    assert signed_in["token_type"] == "Bearer"
    renewed = (await http.post("/auth/refresh", json={"refresh_token": signed_in["refresh_token"]})).json()
    http.headers["authorization"] = f"Bearer {renewed['access_token']}"
    assert (await http.get("/auth/me")).json()["name"] == "Ada"
    assert len((await http.get("/auth/sessions")).json()["items"]) == 1
    assert len((await http.get("/auth/jwks.json")).json()["keys"]) == 1
    assert (await http.post("/auth/logout")).status_code == 204
    assert (await http.get("/auth/me")).status_code == 401


async def test_a_browser_gets_a_cookie_for_a_password_and_for_a_key(http: httpx.AsyncClient) -> None:
    await http.post("/auth/users", json={"email": "ada@example.com", "name": "Ada", "password": PASSWORD})
    opened = await http.post("/auth/console")
    assert opened.status_code == 201
    cookie = opened.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    del http.headers["authorization"]
    assert (await http.get("/auth/me")).json()["kind"] == "key"
    http.cookies.clear()
    signed_in = await http.post("/auth/login", json={"email": "ada@example.com", "password": PASSWORD, "cookie": True})
    assert signed_in.json()["access_token"] is None
    assert signed_in.json()["csrf_token"] == signed_in.cookies["ossature_csrf"]
    assert (await http.get("/auth/me")).json()["name"] == "Ada"
    await http.post("/auth/logout")
    assert "ossature_session" not in http.cookies


async def test_users_roles_and_members_are_administered(http: httpx.AsyncClient) -> None:
    made = (
        await http.post("/auth/users", json={"email": "a@example.com", "name": "A", "bound": {"driver": "7"}})
    ).json()
    user = made["id"]
    assert [one["id"] for one in (await http.get("/auth/users")).json()["items"]] == [user]
    assert (await http.get(f"/auth/users/{user}")).json()["bound"] == {"driver": "7"}
    renamed = await http.patch(f"/auth/users/{user}", json={"name": "B", "active": False})
    assert renamed.json()["name"] == "B"
    assert renamed.json()["deactivated_at"] is not None
    assert (await http.patch(f"/auth/users/{user}", json={"active": True})).json()["deactivated_at"] is None
    assert (await http.put(f"/auth/users/{user}/password", json={"password": "short"})).status_code == 422
    assert (await http.put(f"/auth/users/{user}/password", json={"password": PASSWORD})).status_code == 204
    assert {"owner", "clerk"} <= {role["name"] for role in (await http.get("/auth/roles")).json()["items"]}
    assert (await http.patch(f"/members/{user}", json={"roles": ["owner"]})).json()["roles"] == ["owner"]
    assert (await http.delete(f"/members/{user}")).json()["slug"] == "last-owner"
    assert (await http.patch(f"/members/{user}", json={"roles": ["king"]})).status_code in (409, 422)
    assert (await http.get("/members")).json()["items"][0]["user_id"] == user
    assert (await http.get(f"/members/{user}")).status_code == 200


async def test_tenants_and_projects_are_administered(http: httpx.AsyncClient) -> None:
    acme = (await http.post("/tenants", json={"slug": "acme", "name": "Acme", "zone": "Europe/Zurich"})).json()
    assert (await http.post("/tenants", json={"slug": "acme", "name": "x"})).status_code == 409
    assert (await http.post("/tenants", json={"slug": "system", "name": "x"})).status_code == 422
    assert (await http.post("/tenants", json={"slug": "b", "name": "x", "zone": "Mars/Olympus"})).status_code == 422
    assert {one["slug"] for one in (await http.get("/tenants")).json()["items"]} == {"main", "acme"}
    url = f"/tenants/{acme['id']}"
    assert (await http.patch(url, json={"plan": "pro"})).json()["slug"] == "plan-not-known"
    assert (await http.put("/quotas/plans/pro", json={"title": "For teams"})).json()["declared"] == "database"
    assert (await http.patch(url, json={"plan": "pro", "ip_deny": ["198.51.100.7"]})).json()["ip_deny"] == [
        "198.51.100.7/32"
    ]
    assert (await http.post(f"{url}/suspend", json={"why": "unpaid"})).json()["suspended_why"] == "unpaid"
    assert (await http.post(f"{url}/resume")).json()["suspended_at"] is None
    own = (await http.get("/tenants/current")).json()
    assert (await http.delete(f"/tenants/{own['id']}")).status_code == 409
    assert (await http.delete("/tenants/00000000-0000-0000-0000-000000000000")).status_code == 403
    assert (await http.patch("/tenants/current", json={"name": "New"})).json()["name"] == "New"
    project = (await http.post("/projects", json={"slug": "p1", "name": "P1"})).json()
    assert (await http.patch(f"/projects/{project['id']}", json={"archived": True})).json()["archived_at"] is not None
    assert (await http.get(f"/projects/{project['id']}")).status_code == 200
    assert len((await http.get("/projects")).json()["items"]) == 1
