"""The pages about the API: complete, and from nowhere but here."""

import asyncio
import re
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.async_api import Page, async_playwright, expect

from ossature.kernel.errors import catalogue
from ossature.kernel.http.server import WebServer
from ossature.kernel.http.settings import HttpSettings
from ossature.kernel.testing.houses import Home
from tests.conftest import missing

CHROMIUM = Path("/usr/bin/chromium")
HAS_CHROMIUM = CHROMIUM.exists()
WAIT_MS = 20_000
PAGES = ("/docs", "/redoc", "/reference", "/problems", "/problems/sold-out")


@pytest.mark.parametrize("path", PAGES)
async def test_pages_name_no_other_host_and_run_no_script_inline(stranger: httpx.AsyncClient, path: str) -> None:
    page = await stranger.get(path)
    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "script-src 'self';" in page.headers["content-security-policy"]
    assert not re.findall(r"(?:src|href)=[\"'](?:https?:)?//", page.text)
    assert "<script>" not in page.text


async def test_the_files_of_the_explorers_are_served_from_here_and_kept_for_ever(stranger: httpx.AsyncClient) -> None:
    for path in ("/docs", "/redoc"):
        files = re.findall(r"(?:src|href)=\"(/docs/files/[^\"]+)\"", (await stranger.get(path)).text)
        assert len(files) >= 3
        for name in files:
            file = await stranger.get(name)
            assert file.status_code == 200
            assert file.headers["cache-control"] == "public, max-age=31536000, immutable"
            assert file.headers["etag"]
            again = await stranger.get(name, headers={"if-none-match": file.headers["etag"]})
            assert again.status_code == 304
    folder = files[0].rpartition("/")[0]
    for name in ("core.py", "__init__.py", "..%2Fcore.py"):
        assert (await stranger.get(f"{folder}/{name}")).status_code == 404


async def test_the_document_names_every_route_with_its_permission(stranger: httpx.AsyncClient) -> None:
    document = (await stranger.get("/openapi.json")).json()
    assert document["openapi"] == "3.1.0"
    order = document["paths"]["/v1/shop/orders"]["post"]
    assert (order["x-permission"], order["security"]) == ("write:orders", [{"key": []}, {"session": []}])
    assert {sample["lang"] for sample in order["x-codeSamples"]} == {"Shell", "Python", "JavaScript"}
    assert document["paths"]["/v1/shop/window"]["get"]["security"] == []
    assert "Problem" in document["components"]["schemas"]


async def test_every_kind_of_problem_has_a_page(stranger: httpx.AsyncClient) -> None:
    index = (await stranger.get("/problems")).text
    for kind in catalogue():
        assert f"/problems/{kind.slug}'" in index
        page = await stranger.get(f"/problems/{kind.slug}")
        assert page.status_code == 200, kind.slug
    assert (await stranger.get("/problems/no-such-kind")).status_code == 404


async def test_the_pages_can_be_switched_off_but_not_those_of_problems(open_shop: Any) -> None:
    async with open_shop(settings=[HttpSettings(docs=False)]) as home, home.client(secret=None) as http:
        for path in ("/docs", "/redoc", "/reference", "/openapi.json"):
            assert (await http.get(path)).status_code == 404
        assert (await http.get("/problems/not-found")).status_code == 200


@pytest.fixture
async def address(home: Home) -> AsyncIterator[str]:
    """The shop on a real socket."""
    listening = socket.create_server(("127.0.0.1", 0))
    server = WebServer(home.app, listening, HttpSettings(drain_time_limit_s=2))
    running = asyncio.create_task(server.run())
    await server.ready()
    yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    server.stop()
    await running


@pytest.fixture
async def page(address: str) -> AsyncIterator[tuple[Page, list[str]]]:
    """A page of a real browser, and everything that went wrong in it: errors, and requests to other hosts."""
    if not HAS_CHROMIUM:
        missing("Chromium")
    faults: list[str] = []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        opened = await browser.new_page(base_url=address)
        opened.set_default_timeout(WAIT_MS)
        opened.on("pageerror", lambda error: faults.append(str(error)))
        opened.on("request", lambda r: None if r.url.startswith((address, "data:", "blob:")) else faults.append(r.url))
        yield opened, faults
        await browser.close()


@pytest.mark.journey
async def test_a_person_tries_a_route_in_swagger_ui_with_their_key(page: Any, home: Home) -> None:
    shown, faults = page
    await shown.goto("/docs")
    await shown.get_by_role("button", name="Authorize").click()
    await shown.locator(".modal-ux input").first.fill(home.secret)
    await shown.locator(".modal-ux button.authorize").first.click()
    await shown.locator(".modal-ux .btn-done").first.click()
    await shown.locator(".operation-filter-input").fill("shop")
    route = shown.locator(".opblock", has_text="/v1/shop/seen")
    if not await route.is_visible():
        await shown.locator(".opblock-tag", has_text="shop").click()
    await route.locator(".opblock-summary-control").click()
    await route.get_by_role("button", name="Execute").click()
    await expect(route.locator(".live-responses-table .response .response-col_status").first).to_contain_text(
        "200", timeout=WAIT_MS
    )
    await expect(route.locator(".live-responses-table")).to_contain_text('"tenant": "main"')
    assert faults == []


@pytest.mark.journey
async def test_a_person_reads_the_api_in_redoc(page: Any) -> None:
    shown, faults = page
    await shown.goto("/redoc")
    await expect(shown.locator("h1").first).to_contain_text("ossature", timeout=WAIT_MS)
    await expect(shown.get_by_text("/v1/shop/seen").first).to_be_attached()
    # ReDoc would like to show its maker's sign; the content security policy keeps the browser from fetching it.
    assert set(faults) <= {"https://cdn.redoc.ly/redoc/logo-mini.svg"}
