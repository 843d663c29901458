"""The pages of flags, as they are drawn for who is signed in."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest

from ossature.kernel.context import SYSTEM
from ossature.kernel.tenants.flags.demo import fill_demo
from ossature.kernel.testing.houses import Home, open_house

ADA = {"email": "ada@example.com", "password": "a long and good password 1"}


@pytest.fixture
async def browser(tmp_path: Path, sqlite_url: str) -> AsyncIterator[httpx.AsyncClient]:
    """A browser of the platform's administrator, in a house with the flags of the demo and one of its own."""
    async with AsyncExitStack() as stack:
        home = await stack.enter_async_context(open_house(var_dir=tmp_path, database_url=sqlite_url))
        home = Home(home.house, home.house.app(console=True), home.tenant, home.secret)
        await stack.enter_async_context(home.app.lifespan())
        async with home.house.occasion(home.tenant, SYSTEM) as ctx:
            await fill_demo(ctx)
        async with home.client() as admin:
            made = await admin.post("/v1/auth/users", json={**ADA, "name": "Ada", "roles": ["platform_admin"]})
            flag = {"name": "house.one", "shares": {"on": 100}, "rules": [{"shares": {"off": 100}, "plans": ["pro"]}]}
            assert (made.status_code, (await admin.post("/v1/platform/flags", json=flag)).status_code) == (201, 201)
        http = await stack.enter_async_context(home.client(secret=None))
        assert (await http.post("/v1/auth/login", json={**ADA, "cookie": True})).is_success
        yield http


async def test_flags_of_tenant_and_house_are_listed_and_each_has_its_page(browser: httpx.AsyncClient) -> None:
    expected = {
        "/console/flags": ("demo.form", "demo.board", "demo.hints", "house.one", "Killed"),
        "/console/flags/own/demo.form": ("Rates with their 95 % intervals", "Against long", "demo.signed"),
        "/console/flags/own/demo.hints": ("Killed", "people found them in the way"),
        "/console/flags/house/house.one": ("house.one", "plans pro"),
    }
    for path, texts in expected.items():
        page = await browser.get(path)
        assert page.status_code == 200
        assert [text for text in texts if text not in page.text] == [], path
    assert (await browser.get("/console/flags/own/nothing")).status_code == 404
