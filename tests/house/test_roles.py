"""Every role meets exactly the routes that the committed matrix says, at the edge of a running house."""

import tomllib
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from ossature.app import services
from ossature.kernel.auth.roles import roles
from ossature.kernel.guests import everybody
from ossature.kernel.quotas.settings import QuotaSettings
from ossature.kernel.testing.houses import Home, open_house
from tests.house import route_roles
from tests.house.served import Served, serving

MATRIX: dict[str, list[str]] = tomllib.loads(route_roles.FILE.read_text())
# A raw application answers in its own words; what it asks of its callers is the same.
CALLED = [one for one in serving().operations if one.method != "WEBSOCKET"]


@pytest.fixture
async def home(tmp_path: Path, sqlite_url: str) -> AsyncIterator[Home]:
    unlimited = QuotaSettings(enabled=False)
    async with open_house(*services(), var_dir=tmp_path, database_url=sqlite_url, settings=[unlimited]) as opened:
        yield opened


def test_the_committed_matrix_is_what_the_policies_and_roles_say() -> None:
    assert route_roles.matrix() == MATRIX, f"write it again, and read what has changed: {route_roles.COMMAND}"


def test_nobody_else_may_do_what_is_of_the_platform() -> None:
    platform = [route for route, names in MATRIX.items() if names == ["platform_admin"]]

    assert "GET /v1/tenants" in platform
    assert "POST /v1/schedules/{name}/run" in platform


async def _key(http: httpx.AsyncClient, role: str) -> str:
    made = await http.post("/v1/auth/keys", json={"name": role, "roles": [role]})
    assert made.status_code == 201, made.text
    secret: str = made.json()["secret"]
    return secret


async def _ask(http: httpx.AsyncClient, served: Served) -> int:
    """The status of a request that names things that are not there and brings nothing."""
    path = served.path
    if served.route is not None:
        path = served.route.path_format.format(**dict.fromkeys(served.route.param_convertors, str(uuid4())))
    return (await http.request(served.method, path.replace("{model}", "none"))).status_code


async def test_every_role_is_refused_exactly_what_the_matrix_withholds(home: Home) -> None:
    wrong: list[str] = []
    async with AsyncExitStack() as stack:
        admin = await stack.enter_async_context(home.client())
        for role in roles(everybody(services())):
            http = await stack.enter_async_context(home.client(secret=await _key(admin, role)))
            wrong += [f"{role}: {line}" async for line in _misses(http, role)]

    assert wrong == []


async def _misses(http: httpx.AsyncClient, role: str) -> AsyncIterator[str]:
    for served in CALLED:
        names: Sequence[str] = MATRIX[str(served)]
        if role in names or names in (route_roles.EVERYBODY, route_roles.SIGNED_IN):
            if _is_harmless(served):
                status = await _ask(http, served)
                if status in (401, 403):
                    yield f"{served} gave {status}"
        elif (status := await _ask(http, served)) != 403:
            yield f"{served} gave {status}, not 403"


_NOT_FOR_KEYS = {"/v1/live/events", "/console/", "/v1/auth/totp"}


def _is_harmless(served: Served) -> bool:
    """Whether it can really be asked for by a key: it ends, changes nothing, calls nobody outside, is not of a person."""
    calls_out = (served.policy.allow or "").startswith("call:")
    return served.method == "GET" and not calls_out and served.path not in _NOT_FOR_KEYS


async def test_whoever_brings_no_key_gets_in_where_the_matrix_says_everybody_and_nowhere_else(home: Home) -> None:
    async with home.client(secret=None) as http:
        let_in = [
            str(served)
            for served in CALLED
            if MATRIX[str(served)] != route_roles.EVERYBODY and await _ask(http, served) != 401
        ]

    assert let_in == []
