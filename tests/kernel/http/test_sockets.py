"""WebSockets and live servers at the edge: the same admission as everywhere, on real sockets."""

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
import websockets
from starlette.types import Receive, Scope, Send
from websockets.asyncio.client import connect

from ossature.kernel.http.server import WebServer
from ossature.kernel.http.settings import HttpSettings
from ossature.kernel.service import Mount, Policy, Service
from ossature.kernel.testing.houses import Home, open_house


async def _echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Says who asked, then what it hears; `break` breaks it."""
    await receive()
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.send", "text": scope["ossature.ctx"].actor.kind})
    while (message := await receive())["type"] == "websocket.receive":
        if message["text"] == "break":
            raise ZeroDivisionError
        await send({"type": "websocket.send", "text": message["text"]})


TALK = Service(
    name="talk",
    permissions=frozenset({"read:talk"}),
    mounts=(
        Mount(path="/v1/talk", build=lambda _: _echo, policy=Policy(allow="read:talk"), methods=("WEBSOCKET",)),
        Mount(path="/v1/hall", build=lambda _: _echo, policy=Policy(public=True), methods=("WEBSOCKET",)),
    ),
)


@pytest.fixture(params=["uvicorn", "granian"])
async def address(request: Any, tmp_path: Path, sqlite_url: str) -> AsyncIterator[tuple[str, Home]]:
    """The address of a house on a real socket, by either server."""
    listening = socket.create_server(("127.0.0.1", 0))
    settings = HttpSettings(server=request.param, drain_time_limit_s=2, drain_linger_s=0.1)
    async with open_house(TALK, var_dir=tmp_path, database_url=sqlite_url, settings=[settings]) as home:
        server = WebServer(home.app, listening, settings)
        running = asyncio.create_task(server.run())
        await server.ready()
        yield f"127.0.0.1:{listening.getsockname()[1]}", home
        server.stop()
        await asyncio.wait_for(running, 20)


def server_of(home: Home) -> str:
    return home.house.config[HttpSettings].server


def bearer(secret: str) -> dict[str, str]:
    return {"authorization": f"Bearer {secret}"}


async def test_a_conversation_is_held_with_who_may_hold_it(address: tuple[str, Home]) -> None:
    host, home = address
    async with connect(f"ws://{host}/v1/talk", additional_headers=bearer(home.secret)) as talk:
        assert await talk.recv() == "key"
        await talk.send("hello")
        assert await talk.recv() == "hello"
        assert talk.response is not None
        if server_of(home) == "uvicorn":  # Granian adds no headers of ours to a handshake
            assert len(talk.response.headers["x-request-id"]) == 36


@pytest.mark.parametrize(
    ("path", "headers", "status", "slug"),
    [
        ("/v1/talk", {}, 401, "unauthenticated"),
        ("/v1/talk", bearer("oss_wrong"), 401, "credential-refused"),
        ("/v1/hall", bearer("oss_wrong"), 401, "credential-refused"),
        ("/v1/nowhere", {}, 404, "not-found"),
    ],
)
async def test_a_handshake_is_refused(
    address: tuple[str, Home], path: str, headers: dict[str, str], status: int, slug: str
) -> None:
    """With the whole problem: both servers can answer a handshake by HTTP."""
    host, _ = address
    with pytest.raises(websockets.InvalidStatus) as refused:
        async with connect(f"ws://{host}{path}", additional_headers=headers):
            pass
    answer = refused.value.response
    assert answer.status_code == status
    assert orjson.loads(answer.body)["type"].endswith(f"/{slug}")


async def test_a_page_of_another_site_cannot_talk_with_our_cookie(address: tuple[str, Home]) -> None:
    host, home = address
    async with httpx.AsyncClient(base_url=f"http://{host}", headers=bearer(home.secret)) as http:
        session = (await http.post("/v1/auth/console")).cookies["ossature_session"]
    cookie = {"cookie": f"ossature_session={session}"}
    for origin in ("https://evil.example", "null", None):
        with pytest.raises(websockets.InvalidStatus) as refused:
            async with connect(f"ws://{host}/v1/talk", additional_headers=cookie, origin=origin):
                pass
        assert refused.value.response.status_code == 403
    for origin in (f"http://{host}", "http://house.test"):
        async with connect(f"ws://{host}/v1/talk", additional_headers=cookie, origin=origin) as talk:
            assert await talk.recv() == "key"


async def test_a_failure_in_a_conversation_ends_it_with_a_code(address: tuple[str, Home]) -> None:
    host, _ = address
    async with connect(f"ws://{host}/v1/hall") as talk:
        assert await talk.recv() == "anonymous"
        await talk.send("break")
        with pytest.raises(websockets.ConnectionClosedError):
            await talk.recv()
        assert talk.close_code == 1011


async def test_a_body_that_lies_about_its_length_is_refused_by_the_server(address: tuple[str, Home]) -> None:
    host, home = address
    name, _, port = host.partition(":")
    for head in (
        b"Content-Length: 5\r\nContent-Length: 7\r\n",
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        b"Content-Length: -1\r\n",
        b"X-Bad: a\x00b\r\n",
    ):
        reader, writer = await asyncio.open_connection(name, int(port))
        start = f"POST /v1/auth/keys HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {home.secret}\r\n".encode()
        writer.write(start + head + b"\r\n0\r\n\r\n")
        async with asyncio.timeout(60):
            first = await reader.readline()
        assert not first.startswith(b"HTTP/1.1 2"), (head, first)
        writer.close()
    async with httpx.AsyncClient() as http:
        assert (await http.get(f"http://{host}/health")).status_code == 200
