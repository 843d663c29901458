"""A page of another site can make a browser send our cookie. It can change nothing with it, wherever it asks."""

import re
from pathlib import Path

import httpx

from ossature.app import services
from ossature.kernel.testing.houses import open_house
from tests.house.served import Served, serving

SAFE = {"GET", "HEAD", "OPTIONS", "WEBSOCKET"}  # a WebSocket is told by its origin: tests/kernel/http/test_sockets.py
SERVING = serving()
_PARAMETER = re.compile(r"\{[^}]+\}")


async def test_with_a_session_cookie_and_without_our_proof_nothing_is_changed(tmp_path: Path) -> None:
    unsafe = [served for served in SERVING.operations if served.method not in SAFE and not served.policy.nobody]
    async with open_house(*services(), var_dir=tmp_path) as home:
        async with home.client() as http:
            session = (await http.post("/v1/auth/console")).cookies["ossature_session"]
        async with home.client(secret=None, headers={"cookie": f"ossature_session={session}"}) as browser:
            assert (await browser.get("/v1/auth/me")).status_code == 200
            let_through = [str(served) for served in unsafe if not await _is_refused(browser, served)]

    assert len(unsafe) > 50
    assert let_through == []


async def test_where_a_plain_form_is_sent_the_cookie_counts_for_nothing(tmp_path: Path) -> None:
    forms = [served for served in SERVING.operations if served.policy.nobody]
    async with open_house(*services(), var_dir=tmp_path) as home:
        async with home.client() as http:
            session = (await http.post("/v1/auth/console")).cookies["ossature_session"]
        async with home.client(secret=None, headers={"cookie": f"ossature_session={session}"}) as browser:
            refused = [str(served) for served in forms if await _is_refused(browser, served)]

    assert forms
    assert all(served.policy.public for served in forms)
    assert refused == []


async def _is_refused(browser: httpx.AsyncClient, served: Served) -> bool:
    path = _PARAMETER.sub("00000000-0000-7000-8000-000000000000", served.path)
    answer = await browser.request(served.method, path, json={})
    return answer.status_code == 403 and b"cross-site-refused" in answer.content
