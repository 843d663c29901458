"""The client on real sockets: what surely was not sent, what may have been, where calls may go, how much is read."""

import asyncio
import gzip
import socket
import zlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import brotli
import pytest
from aiohttp import web

from ossature.kernel import deadline
from ossature.kernel.db.engine import Database
from ossature.kernel.db.settings import DatabaseSettings
from ossature.kernel.outbound.aiohttp_client import AiohttpClient
from ossature.kernel.outbound.guard import AddressRefused, check_url, is_forbidden, is_public
from ossature.kernel.outbound.http import HttpRequest, Outcome, SentWhileWriting, Undelivered
from ossature.kernel.outbound.provider import ErrorKind, TimeLimits
from ossature.kernel.outbound.settings import OutboundSettings

from .conftest import Upstream

QUICK = TimeLimits(connect_s=0.3, first_byte_s=0.3, total_s=1.0, idle_s=0.3)
# Where it is not about time: a machine that has much else to do may take its time.
PATIENT = TimeLimits(connect_s=60, first_byte_s=60, total_s=120, idle_s=60)


def to(upstream: Upstream, path: str = "/", **rest: Any) -> HttpRequest:
    host = upstream.url.removeprefix("http://")
    values = {"method": "GET", "hosts": frozenset({host}), "private": True, "limits": PATIENT} | rest
    return HttpRequest(url=upstream.url + path, **values)


async def ends(http: AiohttpClient, request: HttpRequest) -> tuple[ErrorKind, Outcome]:
    with pytest.raises(Undelivered) as undelivered:
        await http.send(request)
    return undelivered.value.kind, undelivered.value.outcome


async def test_any_status_is_an_answer(http: AiohttpClient, upstream: Upstream) -> None:
    upstream.answers["/"] = web.Response(status=503, body=b"busy", headers={"X-A": "1"})
    reply = await http.send(to(upstream))
    assert (reply.status, reply.body, reply.headers["x-a"]) == (503, b"busy", "1")


async def test_a_refused_connection_was_surely_not_sent(http: AiohttpClient) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        nobody = Upstream(url=f"http://127.0.0.1:{unused.getsockname()[1]}")
        assert await ends(http, to(nobody)) == (ErrorKind.CONNECT, Outcome.NOT_SENT)


async def test_a_connection_that_is_not_accepted_in_time_was_not_sent(upstream: Upstream) -> None:
    began, may_end = asyncio.Event(), asyncio.Event()

    async def busy(_: web.Request) -> web.Response:
        began.set()
        await may_end.wait()
        return web.Response()

    upstream.answers["/"] = busy
    client = AiohttpClient(OutboundSettings(connections=1))
    first = asyncio.create_task(client.send(to(upstream)))
    await began.wait()
    assert await ends(client, to(upstream, limits=QUICK)) == (ErrorKind.TIMEOUT_BEFORE_SEND, Outcome.NOT_SENT)
    may_end.set()
    await first
    await client.close()


async def test_no_answer_in_time_is_ambiguous_also_on_a_kept_connection(
    http: AiohttpClient, upstream: Upstream
) -> None:
    async def never(_: web.Request) -> web.Response:
        await asyncio.sleep(600)
        return web.Response()

    upstream.answers |= {"/": {}, "/never": never}
    await http.send(to(upstream))
    started = asyncio.get_running_loop().time()
    quick = to(upstream, "/never", limits=QUICK)
    assert await ends(http, quick) == (ErrorKind.TIMEOUT_AFTER_SEND, Outcome.AMBIGUOUS)
    assert 0.29 < asyncio.get_running_loop().time() - started < 60


async def test_a_connection_that_breaks_is_ambiguous_before_the_answer_and_truncated_in_it(http: AiohttpClient) -> None:
    said = b""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(said)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    rude = Upstream(url=f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    request = to(rude, method="POST", body=b"x")
    assert await ends(http, request) == (ErrorKind.UPSTREAM_5XX, Outcome.AMBIGUOUS)
    said = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"
    assert await ends(http, request) == (ErrorKind.TRUNCATED, Outcome.ANSWERED)
    server.close()


async def test_the_deadline_of_the_request_shortens_every_phase(http: AiohttpClient, upstream: Upstream) -> None:
    async def slow(_: web.Request) -> web.Response:
        await asyncio.sleep(600)
        return web.Response()

    upstream.answers["/"] = slow
    started = asyncio.get_running_loop().time()
    with deadline.within(0.1):
        assert (await ends(http, to(upstream)))[0] is ErrorKind.TIMEOUT_AFTER_SEND
    assert 0.09 < asyncio.get_running_loop().time() - started < 60


async def test_nothing_is_sent_while_a_write_transaction_is_open(
    http: AiohttpClient, upstream: Upstream, sqlite_url: str
) -> None:
    database = Database(DatabaseSettings(url=sqlite_url))
    db = database.system()
    await db.write_text("CREATE TABLE scratch (a INTEGER)")
    with pytest.raises(SentWhileWriting):
        await http.send(to(upstream))
    await db.rollback()
    upstream.answers["/"] = {}
    assert (await http.send(to(upstream))).status == 200
    await database.close()


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [
        ("gzip", gzip.compress),
        ("deflate", zlib.compress),
        ("br", lambda b: brotli.compress(b, quality=1)),
        ("deflate", lambda b: zlib.compress(b)[2:-4]),
    ],
)
async def test_packed_bodies_are_unpacked(http: AiohttpClient, upstream: Upstream, encoding: str, pack: Any) -> None:
    text = b"".join(b"%d," % number for number in range(50_000))
    upstream.answers["/"] = web.Response(body=pack(text), headers={"Content-Encoding": encoding})
    assert (await http.send(to(upstream))).body == text


async def test_a_body_of_several_gzip_members_is_read_to_its_end(http: AiohttpClient, upstream: Upstream) -> None:
    body = gzip.compress(b"one,") + gzip.compress(b"two,") + gzip.compress(b"three") + bytes(8)  # and padding
    upstream.answers["/"] = web.Response(body=body, headers={"Content-Encoding": "gzip"})
    assert (await http.send(to(upstream))).body == b"one,two,three"


@pytest.mark.parametrize(
    ("encoding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress), ("br", brotli.compress)]
)
async def test_a_packed_body_that_stops_in_the_middle_is_no_answer(
    http: AiohttpClient, upstream: Upstream, encoding: str, pack: Any
) -> None:
    rows = b"".join(b"%d,%d\n" % (number, number**3) for number in range(1_000))
    upstream.answers["/"] = web.Response(body=pack(rows)[:-20], headers={"Content-Encoding": encoding})
    assert await ends(http, to(upstream)) == (ErrorKind.TRUNCATED, Outcome.ANSWERED)
    async with http.stream(to(upstream)) as reply:
        with pytest.raises(Undelivered, match="in the middle"):
            assert [chunk async for chunk in reply.chunks()]


@pytest.mark.parametrize("encoding", ["gzip", "br"])
async def test_a_bomb_is_not_unpacked(http: AiohttpClient, upstream: Upstream, encoding: str) -> None:
    pack = gzip.compress if encoding == "gzip" else lambda body: brotli.compress(body, quality=1)
    upstream.answers["/"] = web.Response(body=pack(bytes(50_000_000)), headers={"Content-Encoding": encoding})
    request = to(upstream, max_body_bytes=100_000_000)
    assert await ends(http, request) == (ErrorKind.DECODE, Outcome.ANSWERED)


async def test_a_body_that_is_too_large_is_refused_whether_it_says_so_or_not(
    http: AiohttpClient, upstream: Upstream
) -> None:
    async def chunked(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(100):
            await response.write(bytes(1000))
        return response

    upstream.answers |= {"/": web.Response(body=bytes(100_000)), "/chunked": chunked}
    for path in ("/", "/chunked"):
        assert (await ends(http, to(upstream, path, max_body_bytes=50_000)))[0] is ErrorKind.DECODE


async def test_a_body_can_go_to_a_file(http: AiohttpClient, upstream: Upstream, tmp_path: Path) -> None:
    upstream.answers["/"] = web.Response(body=b"sound" * 1000)
    reply = await http.send(to(upstream, to_file=tmp_path / "speech"))
    assert (reply.body, reply.file) == (b"", tmp_path / "speech")
    assert (tmp_path / "speech").read_bytes() == b"sound" * 1000


async def test_redirects_are_followed_only_to_declared_hosts(http: AiohttpClient, upstream: Upstream) -> None:
    port = upstream.url.rpartition(":")[2]
    upstream.answers |= {
        "/moved": web.Response(status=302, headers={"Location": "/here"}),
        "/here": {"a": 1},
        "/away": web.Response(status=302, headers={"Location": f"http://localhost:{port}/here"}),
        "/metadata": web.Response(status=302, headers={"Location": "http://169.254.169.254/latest"}),
        "/loop": web.Response(status=302, headers={"Location": "/loop"}),
    }
    assert (await http.send(to(upstream, "/moved"))).json() == {"a": 1}
    for path in ("/away", "/metadata"):
        with pytest.raises(AddressRefused):
            await http.send(to(upstream, path))
    assert (await ends(http, to(upstream, "/loop")))[0] is ErrorKind.UPSTREAM_5XX
    assert upstream.count("/loop") == 4


async def test_secrets_do_not_follow_a_redirect_to_another_host(http: AiohttpClient, upstream: Upstream) -> None:
    port = upstream.url.rpartition(":")[2]
    upstream.answers |= {
        "/away": web.Response(status=307, headers={"Location": f"http://localhost:{port}/here"}),
        "/here": {},
    }
    request = to(
        upstream,
        "/away",
        hosts=frozenset({f"127.0.0.1:{port}", "localhost"}),
        headers={"Authorization": "Bearer x", "X-Key": "k", "Accept": "a"},
        secret_headers=frozenset({"x-key"}),
    )
    await http.send(request)
    assert {"Authorization", "X-Key"}.isdisjoint(upstream.requests[-1].headers)
    assert upstream.requests[-1].headers["Accept"] == "a"


async def test_a_name_that_leads_into_the_house_is_not_called(http: AiohttpClient, upstream: Upstream) -> None:
    port = upstream.url.rpartition(":")[2]
    inside = HttpRequest(method="GET", url=f"http://localhost:{port}/", hosts=frozenset({"localhost"}))
    with pytest.raises(AddressRefused):
        await http.send(inside)
    assert upstream.requests == []


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://[::1]/",
        "http://[::ffff:10.0.0.1]/",
        "http://2130706433/",
        "http://0x7f.1/",
        "http://127.1/",
        "http://169.254.169.254/",
        "http://10.1.2.3/",
        "http://100.64.0.1/",
        "http://[64:ff9b::7f00:1]/",
        "http://[fe80::1]/",
        "http://0.0.0.0/",
        "ftp://api.example/",
        "file:///etc/passwd",
        "http://user:pass@api.example/",
        "http://other.example/",
        "http://api.example.evil.example/",
        "http://api.example:99999/",
    ],
)
def test_addresses_that_are_never_called(url: str) -> None:
    host = url.partition("//")[2].strip("/").strip("[]")
    hosts = frozenset({"api.example", host}) - {"other.example", "api.example.evil.example"}
    with pytest.raises(AddressRefused):
        check_url(url, hosts=hosts)


def test_declared_hosts_may_be_named_with_a_port_or_a_star() -> None:
    hosts = frozenset({"api.example:8443", "*.wikipedia.org"})
    assert check_url("https://api.example:8443/a", hosts=hosts).port == 8443
    assert check_url("https://fr.wikipedia.org/", hosts=hosts).hostname == "fr.wikipedia.org"
    for url in ("https://api.example/", "https://wikipedia.org/", "https://a.b.wikipedia.org/"):
        with pytest.raises(AddressRefused):
            check_url(url, hosts=hosts)


def test_the_metadata_service_is_forbidden_even_to_those_who_may_enter() -> None:
    assert is_forbidden("169.254.169.254")
    assert is_forbidden("::ffff:169.254.169.254")
    assert not is_forbidden("10.0.0.1")
    assert is_public("1.1.1.1")
    assert not is_public("192.168.1.1")


async def test_a_stream_comes_piece_by_piece_and_ends_early_on_request(http: AiohttpClient, upstream: Upstream) -> None:
    left = asyncio.Event()

    async def drip(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            for number in range(1000):
                await response.write(b"%d\n" % number)
                await asyncio.sleep(0.01)
        finally:
            left.set()
        return response

    upstream.answers["/"] = drip
    seen = b""
    async with http.stream(to(upstream)) as reply:
        assert reply.head.status == 200
        async for chunk in reply.chunks():
            seen += chunk
            if b"3\n" in seen:
                break
    assert seen.startswith(b"0\n1\n")
    await asyncio.wait_for(left.wait(), 60)


async def test_a_stream_that_falls_silent_is_given_up(http: AiohttpClient, upstream: Upstream) -> None:
    async def silent(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"hello")
        await asyncio.sleep(600)
        return response

    async def read(chunks: AsyncIterator[bytes]) -> list[bytes]:
        return [chunk async for chunk in chunks]

    upstream.answers["/"] = silent
    async with http.stream(to(upstream, limits=replace(PATIENT, idle_s=0.3))) as reply:
        with pytest.raises(Undelivered, match="Nothing came"):
            await read(reply.chunks())


async def test_a_reader_that_is_slow_slows_the_sender_down(http: AiohttpClient, upstream: Upstream) -> None:
    written = 0

    async def flood(request: web.Request) -> web.StreamResponse:
        nonlocal written
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(1000):
            await response.write(bytes(100_000))
            written += 100_000
        return response

    upstream.answers["/"] = flood
    async with http.stream(to(upstream, max_body_bytes=10**9)) as reply:
        chunks = reply.chunks()
        await anext(chunks)
        await asyncio.sleep(0.3)
        assert written < 20_000_000


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
async def test_a_stream_that_was_read_to_its_end_gives_its_connection_back(
    upstream: Upstream, http: AiohttpClient, packed: bool
) -> None:
    ports: list[int] = []

    async def stream(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        ports.append(request.transport.get_extra_info("peername")[1])
        response = web.StreamResponse()
        if packed:
            response.enable_compression(web.ContentCoding.gzip)
        await response.prepare(request)
        for number in range(5):
            await response.write(b"data: %d\n\n" % number)
        await response.write_eof()
        return response

    upstream.answers["/stream"] = stream
    for _ in range(3):
        async with http.stream(to(upstream, "/stream")) as reply:
            assert b"".join([chunk async for chunk in reply.chunks()]).endswith(b"data: 4\n\n")
    assert len(set(ports)) == 1


async def test_a_stream_that_was_left_early_does_not(upstream: Upstream, http: AiohttpClient) -> None:
    ports: list[int] = []

    async def stream(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        ports.append(request.transport.get_extra_info("peername")[1])
        response = web.StreamResponse()
        await response.prepare(request)
        for number in range(500):
            await response.write(b"data: %d\n\n" % number)
            await asyncio.sleep(0.01)
        return response

    upstream.answers["/stream"] = stream
    for _ in range(2):
        async with http.stream(to(upstream, "/stream")) as reply:
            assert await anext(reply.chunks())
    assert len(set(ports)) == 2
