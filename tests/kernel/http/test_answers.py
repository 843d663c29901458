"""What an answer carries, how it is packed, and what it promises about the transaction behind it."""

import asyncio
import gzip
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from io import BytesIO
from typing import Any

import brotli
import httpx
import orjson
import pytest
from starlette.types import Message

from ossature.kernel.config import MainSettings
from ossature.kernel.db.transaction import Db
from ossature.kernel.http.settings import HttpSettings
from ossature.kernel.observe.writer import LineWriter
from ossature.kernel.testing.houses import SECRET, Home

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

Packed = Callable[[], Awaitable[int]]
UNPACK: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.decompress,
    "br": brotli.decompress,
    "zstd": zstd.decompress,
}


async def packed_body(http: httpx.AsyncClient, path: str, accept: str) -> tuple[httpx.Response, bytes]:
    """An answer, and its body as it travelled."""
    async with http.stream("GET", path, headers={"accept-encoding": accept}) as answer:
        return answer, b"".join([piece async for piece in answer.aiter_raw()])


@pytest.mark.parametrize("encoding", UNPACK)
async def test_a_large_answer_is_compressed_as_the_client_likes(stranger: httpx.AsyncClient, encoding: str) -> None:
    answer, body = await packed_body(stranger, "/v1/shop/text?size=200000", encoding)
    assert answer.headers["content-encoding"] == encoding
    assert int(answer.headers["content-length"]) == len(body) < 2000
    assert "Accept-Encoding" in answer.headers["vary"]
    assert UNPACK[encoding](body) == b"x" * 200_000


@pytest.mark.parametrize(
    ("accept", "encoding"),
    [
        ("gzip, deflate, br, zstd", "zstd"),
        ("gzip;q=1.0, br;q=0.5", "gzip"),
        ("zstd;q=0, br", "br"),
        ("*", "zstd"),
        ("identity", None),
        ("gzip;q=0", None),
        ("gzip;q=nonsense", None),
        ("deflate", None),
    ],
)
async def test_the_encoding_is_negotiated(stranger: httpx.AsyncClient, accept: str, encoding: str | None) -> None:
    answer, _ = await packed_body(stranger, "/v1/shop/text?size=2000", accept)
    assert answer.headers.get("content-encoding") == encoding
    assert answer.headers["vary"] == "Accept-Encoding"


async def test_a_small_answer_is_sent_as_it_is(stranger: httpx.AsyncClient) -> None:
    for size, encoding in ((499, None), (500, "br")):
        answer, _ = await packed_body(stranger, f"/v1/shop/text?size={size}", "br")
        assert answer.headers.get("content-encoding") == encoding


@pytest.mark.parametrize("encoding", UNPACK)
async def test_an_answer_in_pieces_is_compressed_piece_by_piece(stranger: httpx.AsyncClient, encoding: str) -> None:
    answer, body = await packed_body(stranger, "/v1/shop/stream", encoding)
    assert answer.headers["content-encoding"] == encoding
    assert UNPACK[encoding](body).count(b"data: piece") == 5


async def test_a_stream_of_events_is_never_compressed(stranger: httpx.AsyncClient) -> None:
    answer, body = await packed_body(stranger, "/v1/shop/stream?kind=text/event-stream", "gzip, br, zstd")
    assert "content-encoding" not in answer.headers
    assert body.startswith(b"data: piece 0")
    answer, _ = await packed_body(stranger, "/v1/shop/stream?kind=image/png", "gzip")
    assert "content-encoding" not in answer.headers


async def test_every_answer_carries_the_security_headers(http: httpx.AsyncClient) -> None:
    for path in ("/v1/shop/seen", "/v1/shop/stream", "/nowhere", "/v1/shop/orders/a/x"):
        headers = (await http.get(path)).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "no-referrer"
        assert "camera=()" in headers["permissions-policy"]
        assert headers["content-security-policy"].startswith("default-src 'none'")
        assert headers["cache-control"] == "no-store"
        assert "strict-transport-security" not in headers
        assert len(headers.get_list("x-content-type-options")) == 1


async def test_strict_transport_is_told_where_the_public_address_is_https(open_shop: Any, tmp_path: Any) -> None:
    main = MainSettings(var_dir=tmp_path, secret_key=SECRET, public_url="https://house.test")
    async with open_shop(settings=[main]) as home, home.client() as http:
        assert "max-age=63072000" in (await http.get("/v1/shop/seen")).headers["strict-transport-security"]


async def test_a_page_has_its_own_content_policy(stranger: httpx.AsyncClient) -> None:
    headers = (await stranger.get("/problems")).headers
    assert headers.get_list("content-security-policy") == [headers["content-security-policy"]]
    assert "default-src 'self'" in headers["content-security-policy"]


async def test_a_preflight_is_answered_for_origins_that_are_listed(open_shop: Any) -> None:
    asked = {
        "origin": "https://app.example.org",
        "access-control-request-method": "PATCH",
        "access-control-request-headers": "authorization, content-type",
    }
    async with open_shop(settings=[HttpSettings(cors_origins=["https://app.example.org"])]) as home:
        async with home.client(secret=None) as http:
            answer = await http.options("/v1/shop/orders", headers=asked)
            assert answer.status_code == 204
            assert answer.headers["access-control-allow-origin"] == "https://app.example.org"
            assert answer.headers["access-control-allow-methods"] == "PATCH"
            assert answer.headers["access-control-allow-headers"] == "authorization, content-type"
            assert answer.headers["access-control-allow-credentials"] == "true"
            refused = await http.options("/v1/shop/orders", headers=asked | {"origin": "https://evil.example"})
            assert "access-control-allow-origin" not in refused.headers
        async with home.client() as http:
            plain = await http.get("/v1/shop/seen", headers={"origin": "https://app.example.org"})
            assert plain.headers["access-control-allow-origin"] == "https://app.example.org"
            assert "Origin" in plain.headers["vary"]
            assert "RateLimit" in plain.headers["access-control-expose-headers"]
            other = await http.get("/v1/shop/seen", headers={"origin": "https://evil.example"})
            assert "access-control-allow-origin" not in other.headers
            assert "Origin" in other.headers["vary"]
            unasked = await http.get("/v1/shop/seen")
            assert "access-control-allow-origin" not in unasked.headers
            assert "Origin" in unasked.headers["vary"]
            problem = await http.get("/nowhere", headers={"origin": "https://app.example.org"})
            assert problem.headers["access-control-allow-origin"] == "https://app.example.org"


async def test_without_origins_nobody_may_call_from_another_site(stranger: httpx.AsyncClient) -> None:
    asked = {"origin": "https://app.example.org", "access-control-request-method": "GET"}
    answer = await stranger.options("/v1/shop/text", headers=asked)
    assert not [name for name in answer.headers if name.startswith("access-control")]


async def test_a_session_cookie_changes_nothing_without_the_proof_of_our_page(
    http: httpx.AsyncClient, stranger: httpx.AsyncClient
) -> None:
    opened = await http.post("/v1/auth/console")
    proof = opened.json()["csrf_token"]
    stranger.cookies.update(opened.cookies)
    order = {"json": {"name": "tea"}}
    assert (await stranger.get("/v1/shop/seen")).status_code == 200
    for headers in (
        {},
        {"x-csrf-token": "f" * 64},
        {"x-csrf-token": proof, "sec-fetch-site": "cross-site"},
    ):
        refused = await stranger.post("/v1/shop/orders", headers=headers, **order)
        assert refused.status_code == 403
        assert refused.json()["type"].endswith("/cross-site-refused")
    kept = await stranger.post("/v1/shop/orders", headers={"x-csrf-token": proof}, **order)
    assert kept.status_code == 201
    assert (await stranger.post("/v1/shop/raw", content=b"")).status_code == 403


async def test_session_cookies_are_hidden_from_scripts(http: httpx.AsyncClient) -> None:
    cookies = {
        one.partition("=")[0]: one for one in (await http.post("/v1/auth/console")).headers.get_list("set-cookie")
    }
    assert "HttpOnly" in cookies["ossature_session"]
    assert "HttpOnly" not in cookies["ossature_csrf"]
    assert all("samesite=lax" in one.lower() for one in cookies.values())
    assert not any("; secure" in one.lower() for one in cookies.values())  # or plain http at home would lose them


async def test_where_the_public_address_is_https_cookies_take_no_other_way(open_shop: Any, tmp_path: Any) -> None:
    main = MainSettings(var_dir=tmp_path, secret_key=SECRET, public_url="https://house.test")
    async with open_shop(settings=[main]) as home, home.client() as http:
        made = (await http.post("/v1/auth/console")).headers.get_list("set-cookie")
    assert len(made) == 2
    assert all("; secure" in one.lower() for one in made)


async def test_every_website_may_read_what_needs_no_credentials_where_all_are_let_in(open_shop: Any) -> None:
    async with open_shop(settings=[HttpSettings(cors_origins=["*"])]) as home, home.client() as http:
        answer = await http.get("/v1/shop/seen", headers={"origin": "https://any.example"})
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in answer.headers


async def test_an_old_cookie_makes_nobody_of_a_browser(stranger: httpx.AsyncClient) -> None:
    stranger.cookies.set("ossature_session", "gone")
    assert (await stranger.get("/v1/shop/text")).status_code == 200
    assert (await stranger.post("/v1/shop/notes", json={"name": "tea"})).status_code == 200
    assert (await stranger.get("/v1/shop/seen")).status_code == 401


async def test_head_is_answered_as_get_without_the_body(home: Home) -> None:
    sent = await asked(home, "HEAD", "/v1/shop/text", query=b"size=1000", accept=b"gzip")
    assert dict(sent[0]["headers"])[b"content-encoding"] == b"gzip"
    assert int(dict(sent[0]["headers"])[b"content-length"]) > 0
    assert b"".join(one["body"] for one in sent[1:]) == b""
    assert (await asked(home, "HEAD", "/v1/shop/stream"))[-1]["body"] == b""


async def test_what_may_be_cached_has_a_tag_and_is_not_sent_twice(stranger: httpx.AsyncClient) -> None:
    first = await stranger.get("/v1/shop/text?size=1000")
    tag = first.headers["etag"]
    assert first.headers["cache-control"] == "public, max-age=60"
    for known in (tag, f'"other", {tag}', f"W/{tag}", "*"):
        again = await stranger.get("/v1/shop/text?size=1000", headers={"if-none-match": known})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == tag
        assert again.headers["cache-control"] == "public, max-age=60"
    assert (await stranger.get("/v1/shop/text?size=1001", headers={"if-none-match": tag})).status_code == 200
    packed, _ = await packed_body(stranger, "/v1/shop/text?size=1000", "gzip")
    assert packed.headers["etag"] == f"W/{tag}"


async def test_a_tag_that_the_route_gave_is_kept(http: httpx.AsyncClient) -> None:
    answer = await http.get("/v1/shop/tagged")
    assert answer.headers["etag"] == '"seven"'
    assert (await http.get("/v1/shop/tagged", headers={"if-none-match": '"seven"'})).status_code == 304


async def asked(
    home: Home,
    method: str,
    path: str,
    *,
    query: bytes = b"",
    accept: bytes = b"identity",
    receive: Callable[[], Awaitable[Message]] | None = None,
    send: Callable[[Message], Awaitable[None]] | None = None,
    headers: tuple[tuple[bytes, bytes], ...] = (),
) -> list[Message]:
    """The messages that the application sends for a request, spoken to as a server does."""
    sent: list[Message] = []

    given = iter([b""])

    async def nothing() -> Message:
        for body in given:
            return {"type": "http.request", "body": body, "more_body": False}
        await asyncio.Event().wait()
        raise AssertionError

    async def kept(message: Message) -> None:
        sent.append(message)
        if send is not None:
            await send(message)

    own = (b"authorization", f"Bearer {home.secret}".encode())
    scope = {
        "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1", "method": method,
        "path": path, "raw_path": path.encode(), "query_string": query, "root_path": "", "scheme": "http",
        "headers": [own, (b"accept-encoding", accept), *headers], "client": ("192.0.2.7", 1), "server": ("house.test", 80),
    }  # fmt: skip
    await home.app(scope, receive or nothing, kept)
    return sent


async def test_a_failure_after_the_first_byte_breaks_the_connection(home: Home) -> None:
    sent: list[Message] = []

    async def keep(message: Message) -> None:
        sent.append(message)

    with pytest.raises(ZeroDivisionError):
        await asked(home, "GET", "/v1/shop/stream", query=b"fail_at=2", send=keep)
    assert sent[0]["status"] == 200
    assert all(one.get("more_body") for one in sent[1:])


async def test_a_failure_before_the_first_byte_is_a_problem_also_in_a_stream(home: Home) -> None:
    """Nothing went out, since the headers are held back until it is known whether the body is worth compressing."""
    sent = await asked(home, "GET", "/v1/shop/stream", query=b"fail_at=0", accept=b"gzip")
    assert sent[0]["status"] == 500
    assert dict(sent[0]["headers"])[b"content-type"] == b"application/problem+json"


class Leaving:
    """A client that sends a part of its body and goes."""

    def __init__(self, *pieces: bytes) -> None:
        self._messages: list[Message] = [
            *({"type": "http.request", "body": piece, "more_body": True} for piece in pieces),
            {"type": "http.disconnect"},
        ]

    async def __call__(self) -> Message:
        return self._messages.pop(0) if len(self._messages) > 1 else self._messages[0]


def access_log(out: BytesIO, writer: LineWriter) -> list[dict[str, Any]]:
    writer.flush()
    return [orjson.loads(line) for line in out.getvalue().splitlines()]


@pytest.fixture
async def logged(open_shop: Any) -> AsyncIterator[tuple[Home, Callable[[], list[dict[str, Any]]]]]:
    """The shop, and what its access log says."""
    out = BytesIO()
    writer = LineWriter(out)
    async with open_shop(access=writer) as home:
        yield home, lambda: access_log(out, writer)


async def test_a_client_that_goes_away_while_it_sends_is_noted_and_answered_nothing(logged: Any) -> None:
    home, lines = logged
    headers = ((b"content-type", b"application/json"),)
    sent = await asked(home, "POST", "/v1/shop/orders", receive=Leaving(b'{"name"'), headers=headers)
    assert sent == []
    line = lines()[-1]
    assert (line["status"], line["aborted"], line["received"]) == (499, True, 7)


async def test_a_client_that_goes_away_while_it_is_answered_is_no_failure_of_ours(logged: Any) -> None:
    home, lines = logged

    async def broken(message: Message) -> None:
        if message["type"] == "http.response.body":
            raise ConnectionResetError

    await asked(home, "GET", "/v1/shop/stream", send=broken)
    line = lines()[-1]
    assert (line["status"], line["aborted"]) == (499, True)
    assert "problem" not in line


async def test_the_access_log_has_one_line_per_request_with_the_template(logged: Any) -> None:
    home, lines = logged
    async with home.client() as http:
        await http.get("/v1/shop/orders/tea/7")
        await http.post("/v1/shop/orders?then=refuse", json={"name": "tea"})
        await http.get("/wp-login.php")
        await http.post("/v1/shop/raw", content=b"12345")
    found = [(line["method"], line["route"], line["status"], line.get("problem")) for line in lines()]
    assert found == [
        ("GET", "/v1/shop/orders/{name}/{number}", 200, None),
        ("POST", "/v1/shop/orders", 409, "sold-out"),
        ("GET", "unmatched", 404, "not-found"),
        ("POST", "/v1/shop/raw", 200, None),
    ]
    assert lines()[3]["received"] == 5


async def test_the_effect_is_committed_before_the_first_byte(home: Home, packed: Packed) -> None:
    seen: list[int] = []

    async def look(message: Message) -> None:
        if message["type"] == "http.response.start":
            seen.append(await packed())

    async def body() -> Message:
        return {"type": "http.request", "body": b'{"name": "tea"}', "more_body": False}

    headers = ((b"content-type", b"application/json"),)
    sent = await asked(home, "POST", "/v1/shop/orders", receive=body, send=look, headers=headers)
    assert sent[0]["status"] == 201
    assert seen == [1]


async def test_a_refused_effect_is_undone_before_the_first_byte(home: Home, packed: Packed) -> None:
    """Whoever reads a refusal slowly must not hold the one writer of an embedded database."""
    free: list[bool] = []

    async def look(message: Message) -> None:
        if message["type"] == "http.response.start":
            writer = home.house.database.writer
            free.append(writer is not None and not writer.locked())

    async def body() -> Message:
        return {"type": "http.request", "body": b'{"name": "tea"}', "more_body": False}

    headers = ((b"content-type", b"application/json"),)
    query = b"then=refuse"
    sent = await asked(home, "POST", "/v1/shop/orders", query=query, receive=body, send=look, headers=headers)
    assert sent[0]["status"] == 409
    assert free == [True]
    assert await packed() == 0


async def test_a_commit_that_fails_is_a_problem_and_no_effect(
    http: httpx.AsyncClient, packed: Packed, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = Db.commit

    async def failing(db: Db) -> None:
        if db.is_writing:
            await db.rollback()
            message = "disk full"
            raise OSError(message)
        await commit(db)

    monkeypatch.setattr(Db, "commit", failing)
    answer = await http.post("/v1/shop/orders", json={"name": "tea"})
    assert answer.status_code == 500
    assert answer.json()["type"].endswith("/problems/problem")
    assert "disk" not in answer.text
    monkeypatch.undo()
    assert await packed() == 0


async def test_hostile_headers_do_no_harm(stranger: httpx.AsyncClient) -> None:
    hostile = [
        ("x-forwarded-for", "'; DROP TABLE users; --"),
        ("accept-encoding", "gzip;q=" + "9" * 5000),
        ("cookie", "ossature_session=" + "\xff" * 3000),
        ("if-none-match", '"' + "x" * 10_000),
        ("origin", "null"),
        ("content-length", "0"),
        ("idempotency-key", "\x7f" * 300),
        ("traceparent", "00-" + "0" * 32 + "-" + "0" * 16 + "-01"),
        ("host", "evil.example\xff"),
        ("x-wish", "${jndi:ldap://x}"),
    ]
    for name, value in hostile:
        answer = await stranger.get("/v1/shop/text", headers=[(name.encode(), value.encode("latin-1"))])
        assert answer.status_code in (200, 401), (name, answer.text)


async def test_the_lines_of_a_header_that_is_a_list_are_read_together(stranger: httpx.AsyncClient) -> None:
    lines = [("accept-encoding", "identity;q=0.5"), ("accept-encoding", "br")]
    stranger.headers.pop("accept-encoding")
    answer = await stranger.get("/v1/shop/text?size=1000", headers=lines)
    assert answer.headers["content-encoding"] == "br"


async def test_a_declared_header_is_checked(stranger: httpx.AsyncClient) -> None:
    assert (await stranger.get("/v1/shop/headers", headers={"x-wish": "tea"})).json()["wish"] == "tea"
    refused = await stranger.get("/v1/shop/headers", headers={"x-wish": "t" * 21})
    assert refused.json()["errors"][0]["pointer"] == "header/x-wish"
