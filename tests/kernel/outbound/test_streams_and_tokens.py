"""Streamed answers, OAuth 2 tokens, files, bodies: what the engine does beyond one question and one JSON answer."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web

from ossature.kernel.outbound.credentials import Credential, PlatformCredentials
from ossature.kernel.outbound.kinds import ProviderFailed, ProviderUnavailable
from ossature.kernel.outbound.ledger.values import WindowSpec
from ossature.kernel.outbound.placing import Surroundings, place
from ossature.kernel.outbound.provider import (
    Account,
    Auth,
    Call,
    Clamp,
    Codec,
    ErrorKind,
    Limit,
    Manifest,
    Part,
    Provider,
    Refusal,
    Reply,
)

from .conftest import Bench, Question, Someone, Upstream, Weather, a_provider, decode

ME = Someone()
TOKENS = Limit(limit=1000, period="day", unit="tokens")


class Lines:
    """Items are lines; `!` is an error, `.` the end, `=N` the number of tokens, `:` a comment."""

    def __init__(self, _query: Question) -> None:
        self._rest = b""
        self._ended = False
        self._units: dict[str, int] = {}

    def feed(self, chunk: bytes) -> Iterable[str]:
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in map(bytes.decode, lines):
            match line[:1]:
                case "!":
                    raise Refusal(ErrorKind.UPSTREAM_5XX, "It said so.")
                case ".":
                    self._ended = True
                case "=":
                    self._units["tokens"] = int(line[1:])
                case ":":
                    pass
                case _:
                    yield line

    def end(self) -> Iterable[str]:
        if not self._ended:
            raise Refusal(ErrorKind.TRUNCATED)
        return ()

    @property
    def units(self) -> Mapping[str, int]:
        return self._units


def a_streamer(upstream: Upstream, name: str, **manifest: Any) -> Provider:
    def encode(_query: Question, _account: Account) -> Call:
        return Call("POST", f"/{name}", json={"stream": True}, units={"tokens": 100}, read_only=True)

    return a_provider(upstream, name, codec=Codec(encode, stream=Lines), limits=(TOKENS,), **manifest)


def saying(*lines: str, pause_s: float = 0.0) -> Any:
    async def handle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for line in lines:
            await response.write(f"{line}\n".encode())
            await asyncio.sleep(pause_s)
        return response

    return handle


async def tokens_used(bench: Bench, provider: str) -> tuple[int, int]:
    window = WindowSpec(subject=f"upstream:{provider}:keyless", unit="tokens", kind="fixed", limit=1000, period="day")
    [state] = await bench.ledger.states([window])
    return state.used, state.reserved


async def test_a_stream_gives_its_items_and_settles_what_was_counted(bench: Bench, upstream: Upstream) -> None:
    upstream.answers["/one"] = saying(": wait", "a", "b", "=42", ".")
    engine = bench.engine(a_streamer(upstream, "one"))
    async with engine.stream(ME, "weather.now", Question()) as stream:
        assert stream.provider == "one"
        assert [item async for item in stream] == ["a", "b"]
    assert await tokens_used(bench, "one") == (42, 0)
    assert [(use.outcome, use.estimated) for use in bench.usage] == [("ok", False)]


@pytest.mark.parametrize(
    "first", [saying(": hello", "!"), saying(": hello"), web.HTTPServiceUnavailable(), web.HTTPTooManyRequests()]
)
async def test_another_provider_streams_while_nothing_was_given(bench: Bench, upstream: Upstream, first: Any) -> None:
    upstream.answers |= {"/one": first, "/two": saying("b", ".")}
    engine = bench.engine(a_streamer(upstream, "one", rank=90), a_streamer(upstream, "two"))
    async with engine.stream(ME, "weather.now", Question()) as stream:
        assert [item async for item in stream] == ["b"]
    assert (stream.provider, len(stream.attempts)) == ("two", 2)


async def test_a_stream_that_leads_where_nobody_may_go_is_had_from_another(bench: Bench, upstream: Upstream) -> None:
    away = web.HTTPTemporaryRedirect("http://169.254.169.254/latest")
    upstream.answers |= {"/one": away, "/two": saying("b", ".")}
    engine = bench.engine(a_streamer(upstream, "one", rank=90), a_streamer(upstream, "two"))
    async with engine.stream(ME, "weather.now", Question()) as stream:
        assert [item async for item in stream] == ["b"]
    assert [attempt["kind"] for attempt in stream.attempts] == ["policy", "ok"]


async def test_headers_that_a_provider_cannot_read_cost_no_answer(bench: Bench, upstream: Upstream) -> None:
    def clamps(reply: Reply) -> list[Clamp]:
        return [Clamp("requests", 60, int(reply.headers["x-left"]))]

    upstream.answers["/sky"] = web.json_response({"t": 1}, headers={"x-left": "many"})
    engine = bench.engine(replace(a_provider(upstream, "sky"), clamps=clamps))
    assert (await engine.ask(ME, "weather.now", Question())).data == Weather(1)


async def test_after_the_first_item_nobody_else_is_asked(bench: Bench, upstream: Upstream) -> None:
    upstream.answers |= {"/one": saying("a", "!", pause_s=0.02), "/two": saying("b", ".")}
    engine = bench.engine(a_streamer(upstream, "one", rank=90), a_streamer(upstream, "two"))
    seen: list[str] = []

    async def read() -> None:
        async with engine.stream(ME, "weather.now", Question()) as stream:
            async for item in stream:
                seen.append(item)  # noqa: PERF401 - what came before the error counts

    with pytest.raises(Refusal, match="upstream_5xx"):
        await read()
    assert (seen, upstream.count("/two")) == (["a"], 0)
    assert [use.outcome for use in bench.usage] == ["upstream_5xx"]


async def test_a_stream_without_its_end_is_truncated(bench: Bench, upstream: Upstream) -> None:
    upstream.answers["/one"] = saying("a")
    engine = bench.engine(a_streamer(upstream, "one"))
    with pytest.raises(Refusal, match="truncated"):
        async with engine.stream(ME, "weather.now", Question()) as stream:
            assert [item async for item in stream]
    assert await tokens_used(bench, "one") == (100, 0)


async def test_leaving_a_stream_early_settles_what_was_sent(bench: Bench, upstream: Upstream) -> None:
    upstream.answers["/one"] = saying("a", "=7", *"bcdefgh", ".", pause_s=0.02)
    engine = bench.engine(a_streamer(upstream, "one"))
    async with engine.stream(ME, "weather.now", Question()) as stream:
        async for item in stream:
            if item == "b":
                break
    assert await tokens_used(bench, "one") == (7, 0)
    assert bench.usage[0].estimated


async def test_no_stream_at_all_is_a_problem(bench: Bench, upstream: Upstream) -> None:
    upstream.answers["/one"] = web.HTTPBadGateway()
    engine = bench.engine(a_streamer(upstream, "one"))
    with pytest.raises(ProviderFailed):
        async with engine.stream(ME, "weather.now", Question()):
            pass
    assert await tokens_used(bench, "one") == (100, 0)


async def test_a_token_is_bought_once_and_again_when_it_is_refused(bench: Bench, upstream: Upstream) -> None:
    bought = 0

    async def sell(request: web.Request) -> web.Response:
        nonlocal bought
        form = await request.post()
        assert (form["grant_type"], form["client_id"], form["client_secret"]) == ("client_credentials", "me", "secret")
        bought += 1
        return web.json_response({"access_token": f"token-{bought}", "expires_in": 3600})

    async def check(request: web.Request) -> web.Response:
        good = request.headers["Authorization"] != "Bearer token-1" or upstream.count("/sky") < 4
        return web.json_response({"t": 1}, status=200 if good else 401)

    upstream.answers |= {"/token": sell, "/sky": check}
    provider = a_provider(upstream, "sky", auth=Auth.oauth_cc(f"{upstream.url}/token"))
    engine = bench.engine(provider, keys={"sky_client_id": "me", "sky_client_secret": "secret"})
    await asyncio.gather(*(engine.ask(ME, "weather.now", Question()) for _ in range(3)))
    assert bought == 1
    with pytest.raises(ProviderUnavailable):
        await engine.ask(ME, "weather.now", Question())
    await engine.ask(ME, "weather.now", Question())
    assert bought == 2


async def test_a_token_that_was_bought_meanwhile_is_not_forgotten_with_the_refused_one(
    bench: Bench, upstream: Upstream
) -> None:
    bought = 0
    asked, late = asyncio.Event(), asyncio.Event()

    async def sell(_request: web.Request) -> web.Response:
        nonlocal bought
        bought += 1
        return web.json_response({"access_token": f"token-{bought}", "expires_in": 3600})

    async def check(request: web.Request) -> web.Response:
        if request.headers["Authorization"] != "Bearer token-1":
            return web.json_response({"t": 1})
        if not asked.is_set():
            asked.set()
            await late.wait()
        return web.json_response({}, status=401)

    upstream.answers |= {"/token": sell, "/sky": check}
    provider = a_provider(upstream, "sky", auth=Auth.oauth_cc(f"{upstream.url}/token"))
    engine = bench.engine(provider, keys={"sky_client_id": "me", "sky_client_secret": "secret"})
    slow = asyncio.create_task(engine.ask(ME, "weather.now", Question()))
    await asyncio.wait_for(asked.wait(), 20)
    with pytest.raises(ProviderUnavailable):
        await engine.ask(ME, "weather.now", Question())
    await engine.ask(ME, "weather.now", Question())
    late.set()
    with pytest.raises(ProviderUnavailable):
        await slow
    await engine.ask(ME, "weather.now", Question())
    assert bought == 2


async def test_a_key_that_is_refused_twice_is_not_used_for_a_while(bench: Bench, upstream: Upstream) -> None:
    upstream.answers["/sky"] = web.HTTPUnauthorized()
    engine = bench.engine(a_provider(upstream, "sky", auth=Auth.bearer()), keys={"sky": "wrong-key"})
    for _ in range(4):
        with pytest.raises(ProviderUnavailable):
            await engine.ask(ME, "weather.now", Question())
    assert upstream.count("/sky") == 2


async def test_a_simulator_stands_in_for_every_address(upstream: Upstream) -> None:
    manifest = Manifest(
        id="sky", title="Sky", base_url="https://api.sky.example/v1", hosts=("cdn.sky.example",), auth=Auth.bearer()
    )
    around = Surroundings(sim_url=upstream.url)
    for path in ("/now", "https://api.sky.example/v1/now", "https://cdn.sky.example/now"):
        request = place(Call("GET", path, query={"a": 1}), manifest, Credential("k", {"key": "sim-sky"}), around)
        assert request.url == f"{upstream.url}/sky/now?a=1"
        assert request.private
        assert request.headers["Authorization"] == "Bearer sim-sky"
    real = place(Call("GET", "https://cdn.sky.example/now"), manifest, Credential(), Surroundings())
    assert (real.url, real.hosts) == ("https://cdn.sky.example/now", {"api.sky.example", "cdn.sky.example"})


def test_queries_and_bodies_are_written_as_upstreams_read_them() -> None:
    manifest = Manifest(id="sky", title="Sky", base_url="https://sky.example", auth=Auth.body("api_key"))
    credential = Credential("k", {"key": "secret"})

    def placed(call: Call) -> Any:
        return place(call, manifest, credential, Surroundings())

    query = placed(
        Call("GET", "/a b\r\nX: 1", query={"on": True, "no": None, "ids": ["a,b", "c"], "q": "ü&="}, no_auth=True)
    )
    assert query.url == "https://sky.example/a%20b%0D%0AX:%201?on=true&ids=a,b&ids=c&q=%C3%BC%26%3D"
    assert placed(Call("POST", "/", json={"q": 1})).body == b'{"q":1,"api_key":"secret"}'
    assert placed(Call("POST", "/", form={"q": "x y"})).body == b"q=x+y&api_key=secret"
    assert placed(Call("POST", "/", json={"n": 2**70}, no_auth=True)).body == b'{"n":1180591620717411303424}'
    multipart = placed(Call("POST", "/", parts=[Part(name='f"\r\n', content=b"1", filename="a.txt")], no_auth=True))
    assert b'name="f%22"; filename="a.txt"\r\n\r\n1\r\n' in multipart.body
    assert multipart.headers["Content-Type"].startswith("multipart/form-data; boundary=")


async def test_demo_and_keyless_credentials_are_used_where_the_documents_offer_them() -> None:
    nobody = PlatformCredentials({}, variable_prefix="X_")

    async def ids(auth: Auth) -> list[str]:
        manifest = Manifest(id="sky", title="Sky", base_url="https://sky.example", auth=auth)
        return [each.id for each in await nobody.for_(manifest, ME.tenant.id)]

    assert await ids(Auth()) == ["keyless"]
    assert await ids(Auth.query("key", optional=True)) == ["keyless"]
    assert await ids(Auth.query("key", demo="DEMO")) == ["public"]
    assert await ids(Auth.query("key")) == []


async def test_media_go_to_a_file_only_when_the_call_says_so(bench: Bench, upstream: Upstream) -> None:
    upstream.answers["/sky"] = {"t": 3}
    engine = bench.engine(a_provider(upstream, "sky", codec=Codec(lambda _q, _a: Call("GET", "/sky"), decode)))
    answer = await engine.ask(ME, "weather.now", Question(), raw=True)
    assert (answer.data, answer.raw) == (Weather(3), b'{"t": 3}')
