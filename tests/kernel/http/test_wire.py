"""What the web server itself refuses, before any application is asked: over a real socket, byte by byte."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from ossature.kernel.http.server import WebServer
from ossature.kernel.http.settings import HttpSettings
from ossature.kernel.testing.houses import open_house
from tests.kernel.http.shop import SHOP


@pytest.fixture
async def port(request: pytest.FixtureRequest, tmp_path: Path, sqlite_url: str) -> AsyncIterator[int]:
    """The port on which a shop is served, whose public address nobody has set. param: seconds that a head may take."""
    listening = socket.create_server(("127.0.0.1", 0))
    listening.setblocking(False)
    number: int = listening.getsockname()[1]
    async with open_house(SHOP, var_dir=tmp_path, database_url=sqlite_url) as home:
        settings = HttpSettings(drain_linger_s=0, head_time_limit_s=getattr(request, "param", 120.0))
        server = WebServer(home.app, listening, settings, public_url=f"http://127.0.0.1:{number}")
        running = asyncio.create_task(server.run())
        await server.ready()
        yield number
        server.stop()
        await running


async def talk(port: int, *packets: bytes) -> tuple[int, dict[str, str], bytes]:
    """The first answer to some bytes: status, headers, body."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for packet in packets:
            writer.write(packet)
            await asyncio.sleep(0.05)  # so that they arrive one by one
        async with asyncio.timeout(60):
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
            body = await reader.readexactly(int(headers["content-length"]))
        return int(head[0].split()[1]), headers, body
    finally:
        writer.close()


def problem(headers: dict[str, str], body: bytes) -> dict[str, Any]:
    assert headers["content-type"] == "application/problem+json"
    assert headers["x-content-type-options"] == "nosniff"
    document: dict[str, Any] = json.loads(body)
    assert document["request_id"] == headers["x-request-id"]
    return document


@pytest.mark.parametrize(
    "sent",
    [
        b"NONSENSE\r\n\r\n",
        b"GET /health HTTP/9.9\r\n\r\n",
        b"GET /health HTTP/1.1\r\nhost: a\r\nno colon here\r\n\r\n",
        b"GET /health HTTP/1.1\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n",
        b"POST /v1/shop/orders HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nnot a length\r\n",
    ],
)
async def test_what_is_no_http_is_refused_with_a_problem(port: int, sent: bytes) -> None:
    status, headers, body = await talk(port, sent)

    assert (status, headers["connection"]) == (400, "close")
    assert problem(headers, body)["type"] == f"http://127.0.0.1:{port}/problems/bad-request"


@pytest.mark.parametrize(
    "packets",
    [
        (b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\nhost: a\r\n\r\n",),
        (b"GET /health HTTP/1.1\r\nx-endless: ", b"a" * 40_000, b"a" * 40_000),
        (b"GET /health HTTP/1.1\r\n", *[(b"x-short: " + b"a" * 900 + b"\r\n") * 45] * 2),
    ],
)
async def test_a_head_without_an_end_is_given_up(port: int, packets: tuple[bytes, ...]) -> None:
    status, headers, body = await talk(port, *packets)

    assert (status, problem(headers, body)["title"]) == (431, "Request head too long")


async def test_the_page_about_a_problem_is_where_its_type_says(port: int) -> None:
    _, headers, body = await talk(port, b"NONSENSE\r\n\r\n")
    path = problem(headers, body)["type"].removeprefix(f"http://127.0.0.1:{port}")

    status, _, page = await talk(port, f"GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n".encode())

    assert (status, b"Bad request" in page) == (200, True)


async def test_requests_one_after_the_other_are_each_measured_by_themselves(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    request = b"GET /health HTTP/1.1\r\nhost: a\r\nx-long: " + b"a" * 40_000 + b"\r\n\r\n"
    for _ in range(5):
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200")
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
        await reader.readexactly(int(length.split(b":")[1]))
    writer.close()


@pytest.mark.parametrize("port", [0.5], indirect=True)
@pytest.mark.parametrize("sent", [b"", b"GET /health/live HTTP/1.1\r\nHost: a\r\nX-Slow: "])
async def test_a_head_that_does_not_come_is_given_up(port: int, sent: bytes) -> None:
    status, headers, body = await talk(port, sent)
    assert (status, headers["connection"]) == (408, "close")
    assert problem(headers, body)["type"].endswith("/problems/head-too-slow")


@pytest.mark.parametrize("port", [3.0], indirect=True)
async def test_a_connection_may_be_silent_between_two_requests_for_longer_than_a_head_takes(port: int) -> None:
    request = b"GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(2):
        writer.write(request)
        async with asyncio.timeout(60):
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            await reader.readexactly(length)
        assert head.startswith(b"HTTP/1.1 200")
        await asyncio.sleep(3.5)
    writer.close()
