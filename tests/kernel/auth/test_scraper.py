"""Who reads the metrics, whose labels name tenants: an operator, and Prometheus with a token that opens nothing else."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from ossature.app import services
from ossature.kernel.auth.settings import AuthSettings
from ossature.kernel.testing.houses import Home, open_house

TOKEN = "9oVQm6wZ-c2tUy7KkT0e1rXhLd4sGn8bFjPzAqEi"
PATHS = ("/metrics", "/prometheus/metrics-http")


@pytest.fixture
async def home(tmp_path: Path, sqlite_url: str) -> AsyncIterator[Home]:
    settings = AuthSettings(metrics_token=SecretStr(TOKEN))
    async with open_house(*services(), var_dir=tmp_path, database_url=sqlite_url, settings=[settings]) as opened:
        yield opened


@pytest.mark.parametrize("path", PATHS)
async def test_metrics_are_for_whoever_brings_the_token_and_for_the_operator(home: Home, path: str) -> None:
    async with home.client(secret=None) as stranger, home.client(secret=TOKEN) as prometheus, home.client() as admin:
        assert (await stranger.get(path)).status_code == 401
        assert "http_requests_total" in (await prometheus.get(path)).text
        assert (await admin.get(path)).status_code == 200


async def test_an_owner_of_a_tenant_does_not_read_them(home: Home) -> None:
    async with home.client() as admin:
        made = await admin.post("/v1/auth/keys", json={"name": "owner", "roles": ["owner"]})
    async with home.client(secret=made.json()["secret"]) as owner:
        assert (await owner.get("/metrics")).status_code == 403


async def test_the_token_is_good_for_nothing_else_and_nothing_near_it_is_good(home: Home) -> None:
    async with home.client(secret=TOKEN) as prometheus, home.client(secret=TOKEN[:-1]) as guessing:
        assert (await prometheus.get("/v1/auth/me")).status_code == 401
        assert (await guessing.get("/metrics")).status_code == 401


async def test_the_token_is_read_while_the_database_is_away(home: Home) -> None:
    await home.house.database.close()

    async with home.client(secret=TOKEN) as prometheus:
        assert (await prometheus.get("/metrics")).status_code == 200


async def test_without_a_token_in_the_settings_no_token_is_good(tmp_path: Path, sqlite_url: str) -> None:
    async with open_house(*services(), var_dir=tmp_path, database_url=sqlite_url) as home:
        for header in ("Bearer ", "Bearer", f"Bearer {TOKEN}"):
            async with home.client(secret=None) as http:
                assert (await http.get("/metrics", headers={"authorization": header})).status_code == 401
