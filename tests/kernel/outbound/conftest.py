"""An upstream on loopback that answers as it is told, and an engine that may speak to it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from aiohttp import web
from pydantic import SecretStr

from ossature.kernel import clock
from ossature.kernel.cache.caches import Caches
from ossature.kernel.cache.settings import CacheSettings
from ossature.kernel.outbound.aiohttp_client import AiohttpClient
from ossature.kernel.outbound.answer import Usage
from ossature.kernel.outbound.board import Board
from ossature.kernel.outbound.credentials import PlatformCredentials
from ossature.kernel.outbound.engine import Engine, Parts
from ossature.kernel.outbound.ledger.sqlite import SqliteLedger
from ossature.kernel.outbound.operation import Operation
from ossature.kernel.outbound.placing import Surroundings
from ossature.kernel.outbound.provider import Account, Call, Codec, Manifest, Provider, Reply, TimeLimits
from ossature.kernel.outbound.settings import OutboundSettings

# Where it is not about time: a machine that has much else to do may take its time.
PATIENT = TimeLimits(connect_s=60, first_byte_s=60, total_s=120)
QUICK = TimeLimits(connect_s=60, first_byte_s=0.3, total_s=60)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Upstream:
    """Another company's machine. Paths answer with a JSON value, a response, or a handler; all requests are kept."""

    url: str = ""
    answers: dict[str, Any] = field(default_factory=dict)
    requests: list[web.Request] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    def count(self, path: str) -> int:
        return sum(request.path == path for request in self.requests)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        self.bodies.append(await request.read())
        answer = self.answers.get(request.path, web.HTTPNotFound())
        if isinstance(answer, list):
            answer = answer.pop(0) if len(answer) > 1 else answer[0]
        if isinstance(answer, web.Response):
            return web.Response(status=answer.status, body=answer.body, headers=answer.headers)
        if isinstance(answer, web.HTTPException):
            raise answer
        if callable(answer):
            return await answer(request)
        return web.json_response(answer)


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    told = Upstream()
    app = web.Application(client_max_size=10**8)
    app.router.add_route("*", "/{tail:.*}", told.handle)
    runner = web.AppRunner(app, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    told.url = f"http://{host}:{port}"
    yield told
    await runner.cleanup()


@pytest.fixture
async def http() -> AsyncIterator[AiohttpClient]:
    client = AiohttpClient(OutboundSettings())
    yield client
    await client.close()


@dataclass(frozen=True)
class Question:
    place: str = "Basel"


@dataclass(frozen=True)
class Weather:
    temperature_c: float


OPERATION = Operation(id="weather.current", query=Question, result=Weather, ttl_s=60, stale_s=600)
UNCACHED = Operation(id="weather.now", query=Question, result=Weather)
ORDER = Operation(id="mail.send", query=Question, result=Weather, kind="write")


def decode(query: Question, reply: Reply) -> Weather:
    del query
    return Weather(float(reply.json()["t"]))


def a_provider(
    upstream: Upstream,
    id: str,  # noqa: A002 - what it is called
    *,
    codec: Codec[Any, Any] | None = None,
    method: Any = "GET",
    **manifest: Any,
) -> Provider:
    """A provider whose operations are all asked at `/ID`."""

    def encode(query: Question, account: Account) -> Call:
        del account
        return Call(method, f"/{id}", query={"place": query.place} if method == "GET" else {})

    codec = codec or Codec(encode, decode)
    limits = manifest.pop("time_limits", PATIENT)
    sheet = Manifest(id=id, title=id, base_url=upstream.url, private=True, time_limits=limits, **manifest)
    return Provider(sheet, dict.fromkeys(("weather.current", "weather.now", "mail.send"), codec))


@dataclass(frozen=True)
class Tenant:
    id: UUID = field(default_factory=uuid4)


@dataclass(frozen=True)
class Someone:
    id: str = "request-1"
    tenant: Tenant = field(default_factory=Tenant)


@dataclass
class Bench:
    """An engine and what it is made of."""

    http: AiohttpClient
    ledger: SqliteLedger
    caches: Caches
    board: Board = field(default_factory=Board)
    usage: list[Usage] = field(default_factory=list)

    def engine(self, *providers: Provider, keys: dict[str, str] | None = None, **parts: Any) -> Engine:
        secrets = {name: SecretStr(value) for name, value in (keys or {}).items()}
        around = parts.pop("around", Surroundings(contact="ops@example.org"))
        return Engine(
            Parts(
                http=self.http,
                ledger=parts.pop("ledger", self.ledger),
                board=self.board,
                caches=self.caches,
                credentials=PlatformCredentials(secrets, variable_prefix="OSSATURE_HUB_KEY_"),
                meter=self.usage.append,
                **parts,
            ),
            providers=providers,
            operations=(OPERATION, UNCACHED, ORDER),
            around=around,
        )


@pytest.fixture
async def bench(http: AiohttpClient, sqlite_url: str, tmp_path: Path) -> AsyncIterator[Bench]:
    ledger = SqliteLedger(Path(sqlite_url.removeprefix("sqlite:///")), durability="normal", busy_time_limit_s=5.0)
    caches = Caches(CacheSettings(), var_dir=tmp_path)
    yield Bench(http, ledger, caches)
    await caches.close()
    await ledger.close()


class _Later(clock.SystemClock):
    def __init__(self, seconds: float) -> None:
        self._shift = timedelta(seconds=seconds)

    def now(self) -> datetime:
        return super().now() + self._shift


@pytest.fixture
def later() -> Callable[[float], AbstractContextManager[clock.Clock]]:
    """Make it later, for a block."""
    return lambda seconds: clock.using(_Later(seconds))
