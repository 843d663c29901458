"""Who gets through the door of the console, and what the door serves by itself."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from ossature.app import services
from ossature.kernel.auth.roles import roles
from ossature.kernel.console.pages import audit, jobs
from ossature.kernel.console.service import service as console
from ossature.kernel.console.toolkit import _find
from ossature.kernel.guests import everybody
from ossature.kernel.testing.houses import Home, open_house


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[Home]:
    async with open_house(var_dir=tmp_path) as home:
        yield Home(home.house, home.house.app(console=True), home.tenant, home.secret)


async def test_who_is_not_signed_in_is_led_to_the_sign_in_page(home: Home) -> None:
    async with home.client(secret=None) as http:
        answer = await http.get("/console/jobs")

    assert answer.status_code == 303
    assert answer.headers["location"] == "/console/sign-in?next=/console/jobs"


async def test_the_root_leads_to_the_console(home: Home) -> None:
    async with home.client(secret=None) as http:
        assert (await http.get("/")).headers["location"] == "/console/"
        assert (await http.get("/console")).headers["location"] == "/console/"


async def test_a_house_without_the_console_serves_nothing_of_it(home: Home) -> None:
    plain = Home(home.house, home.house.app(), home.tenant, home.secret)

    async with plain.client(secret=None) as http:
        assert (await http.get("/console/")).status_code == 404
        assert (await http.get("/")).status_code == 404


async def test_the_sign_in_page_runs_no_script_of_its_own_lines(home: Home) -> None:
    async with home.client(secret=None) as http:
        answer = await http.get("/console/sign-in")

    assert answer.status_code == 200
    assert "<script>" not in answer.text
    assert "script-src 'self';" in answer.headers["content-security-policy"]
    assert answer.headers["cache-control"] == "no-store"


async def test_files_of_the_console_are_kept_for_ever_and_others_do_not_exist(home: Home) -> None:
    async with home.client(secret=None) as http:
        page = await http.get("/console/sign-in")
        style = page.text.split('rel="stylesheet" href="')[1].split('"')[0]
        found, missing = await http.get(style), await http.get(style.replace("console.css", "secrets.css"))

    assert found.headers["content-type"].startswith("text/css")
    assert "immutable" in found.headers["cache-control"]
    assert missing.status_code == 404


async def test_the_toolkit_is_closed_to_who_is_not_signed_in_also_with_a_key(home: Home) -> None:
    async with home.client(secret=None) as http:
        assert (await http.get("/console/_nicegui/whatever")).status_code == 401
    async with home.client() as http:
        assert (await http.get("/console/keys")).status_code == 303  # a key is no session


async def test_a_websocket_without_a_session_is_refused(home: Home) -> None:
    assert await _knock(home, cookie="") == 4401


async def test_a_websocket_of_another_site_is_refused_although_its_cookie_is_good(home: Home) -> None:
    async with home.client() as http:
        await http.post("/v1/auth/console")
        cookie = f"ossature_session={http.cookies['ossature_session']}"

    assert await _knock(home, cookie=cookie, origin="http://evil.test") == 4403


async def _knock(home: Home, *, cookie: str, origin: str = "http://house.test") -> int | None:
    """The code with which a WebSocket is refused; None when it is let in."""
    headers = [(b"host", b"house.test"), (b"origin", origin.encode())]
    scope: dict[str, Any] = {
        "type": "websocket",
        "path": "/console/_nicegui_ws/socket.io/",
        "raw_path": b"/console/_nicegui_ws/socket.io/",
        "query_string": b"EIO=4&transport=websocket",
        "headers": [*headers, (b"cookie", cookie.encode())] if cookie else headers,
        "client": ("192.0.2.7", 50000),
        "subprotocols": [],
        "scheme": "ws",
    }
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect" if not sent else "websocket.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    await home.app(scope, receive, send)
    return sent[0].get("code")


@pytest.mark.parametrize(
    "page", [page for one in everybody(services()) for page in one.pages], ids=lambda page: page.path
)
def test_every_page_is_where_its_service_says_and_asks_for_a_permission_that_exists(page: Any) -> None:
    declared = {permission for one in everybody(services()) for permission in one.permissions} | {"*"}

    assert callable(_find(page.build))
    assert page.allow in declared


def test_reading_settings_is_for_the_platform_only() -> None:
    book = roles(everybody(()))

    assert console.permissions == {"read:settings"}
    assert [name for name, held in book.items() if held & {"read:settings", "*:*"}] == ["platform_admin"]


async def test_the_sign_in_page_reads_as_the_browser_asks_unless_its_cookie_says_otherwise(home: Home) -> None:
    async with home.client(secret=None) as http:
        french = await http.get("/console/sign-in", headers={"accept-language": "fr-CH, en;q=0.5"})
        http.cookies.set("ossature_language", "he")
        hebrew = await http.get("/console/sign-in", headers={"accept-language": "fr-CH, en;q=0.5"})

    assert '<html lang="fr" dir="ltr">' in french.text
    assert "Mot de passe" in french.text
    assert '<html lang="he" dir="rtl">' in hebrew.text


async def test_a_key_chooses_no_language_and_nobody_chooses_one_that_is_not_spoken(home: Home) -> None:
    async with home.client() as http:
        of_key = await http.put("/v1/auth/users/me/language", json={"language": "de"})
        unknown = await http.put("/v1/auth/users/me/language", json={"language": "tlh"})

    assert of_key.status_code == 403
    assert unknown.status_code == 422


@pytest.mark.parametrize("text", ["", "abc", "\u00b2", "9" * 40, "-1", "1e3", "00000000-0000-7000-8000-00000000000x"])
def test_what_somebody_wrote_into_an_address_is_no_fault_of_ours(text: str) -> None:
    assert jobs.id_in(text) is None
    assert audit.number_in(text) is None


def test_the_next_page_of_a_list_is_where_its_address_says() -> None:
    assert jobs.id_in("00000000-0000-7000-8000-000000000001") == UUID("00000000-0000-7000-8000-000000000001")
    assert audit.number_in("42") == 42
