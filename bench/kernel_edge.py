"""`kernel-edge`: what the edge costs: CPU per request, in process, against bare FastAPI and against stacked middleware.

Everybody answers the same two routes, small and 4 KB, as a dict and as a typed model. `full` is the house with its real
authenticator, limits, metrics, traces at 1 %, access log, headers and compression; `stacked` does the same work in
`BaseHTTPMiddleware` classes, as it is usually written. All contenders are interleaved round by round in one event loop;
the median of the ratios within each round counts. Control: bare FastAPI twice must agree with itself. Typed and dict
routes go the short way of `kernel.http.short`; `long` is a typed route that reads a header and goes FastAPI's own way.
"""

import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any

import uvloop
from fastapi import APIRouter, FastAPI, Header
from pydantic import BaseModel
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Scope

from ossature.kernel import clock
from ossature.kernel.auth.authenticator import GateAuthenticator
from ossature.kernel.auth.bootstrap import ensure_first_admin
from ossature.kernel.config import Config
from ossature.kernel.context import CurrentCtx
from ossature.kernel.db.engine import Database
from ossature.kernel.db.settings import DatabaseSettings
from ossature.kernel.guests import everybody, settings_of
from ossature.kernel.house import House
from ossature.kernel.http import security
from ossature.kernel.http.policy import policy
from ossature.kernel.http.ports import Exchange, Identity
from ossature.kernel.observe import tracing
from ossature.kernel.observe.edge import EdgeObserver, EdgeTracer
from ossature.kernel.observe.logs import AccessLog
from ossature.kernel.observe.writer import LineWriter
from ossature.kernel.quotas.limiter import EdgeLimiter
from ossature.kernel.service import Service
from ossature.kernel.testing import schema

TARGETS = {
    "full_to_bare_dict": {"least": 0.80},
    "full_to_bare_typed": {"least": 0.70},
    "added_us": {"most": 25.0},
    "stacked_to_full": {"least": 8.0},
}
_PATH = "/v1/bench/small"
_BIG = "/v1/bench/big"
_TRACES = 0.01
_CONTROL = 0.10

Contender = Callable[[int], Awaitable[None]]


class Small(BaseModel):
    """A small answer."""

    id: int
    name: str
    ok: bool
    items: list[int]


class Row(BaseModel):
    """One of the rows of a big answer."""

    id: int
    name: str
    price: float
    active: bool


class Big(BaseModel):
    """An answer of 4 KB."""

    rows: list[Row]


_SMALL = {"id": 1, "name": "x", "ok": True, "items": [1, 2, 3]}
_BIG_ROWS = {"rows": [{"id": n, "name": f"row {n}", "price": n * 1.25, "active": n % 2 == 0} for n in range(80)]}
_SMALL_VALUE = Small.model_validate(_SMALL)
_BIG_VALUE = Big.model_validate(_BIG_ROWS)


async def _small_dict() -> dict[str, Any]:
    return _SMALL


async def _small_typed() -> Small:
    return _SMALL_VALUE


async def _small_long(accept: Annotated[str, Header()]) -> Small:
    del accept
    return _SMALL_VALUE


async def _big_typed() -> Big:
    return _BIG_VALUE


async def _small_dict_ctx(ctx: CurrentCtx) -> dict[str, Any]:
    del ctx
    return _SMALL


async def _small_typed_ctx(ctx: CurrentCtx) -> Small:
    del ctx
    return _SMALL_VALUE


async def _small_long_ctx(ctx: CurrentCtx, accept: Annotated[str, Header()]) -> Small:
    del ctx, accept
    return _SMALL_VALUE


async def _big_typed_ctx(ctx: CurrentCtx) -> Big:
    del ctx
    return _BIG_VALUE


def run(*, quick: bool) -> dict[str, Any]:
    """The result of the bench, as `bench.result` wants it."""
    metrics = uvloop.run(_measure(rounds=7 if quick else 31, times=150 if quick else 400))
    return {
        "metrics": metrics,
        "targets": TARGETS,
        "environment": {"valid": abs(metrics["control"] - 1) <= _CONTROL, "trace_ratio": _TRACES},
    }


async def _measure(*, rounds: int, times: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder, Path(os.devnull).open("wb") as nowhere:  # noqa: ASYNC230 - it never waits
        writer = LineWriter(nowhere)
        tracing.configure(lambda _span: None, ratio=_TRACES)
        service = Service(name="bench", router=_routes(), permissions=frozenset({"read:bench"}))
        config = Config.load(
            settings_of(everybody([service])),
            # More than a run asks for: what is measured is an admitted request.
            {"OSSATURE_VAR_DIR": folder, "OSSATURE_QUOTAS_RATE_DEFAULT": "100000000/60"},
        )
        secret = await _prepare(config)
        async with House.open([service], config) as house:
            contenders: dict[str, Contender] = {}
            apps: dict[str, ASGIApp] = {
                "bare": _bare(),
                "bare_again": _bare(),
                "full": house.app(access=writer),
                "stacked": _stacked(house, writer),
            }
            for name, app in apps.items():
                contenders[f"{name}_typed"] = await _asking(app, f"{_PATH}/typed", secret)
                if name != "bare_again":
                    contenders[f"{name}_dict"] = await _asking(app, f"{_PATH}/dict", secret)
                    contenders[f"{name}_long"] = await _asking(app, f"{_PATH}/long", secret)
                    contenders[f"{name}_big"] = await _asking(app, _BIG, secret)
            return await _raced(contenders, rounds=rounds, times=times)


async def _prepare(config: Config) -> str:
    """Make the tables and an administrator; the secret of its key."""
    database = Database(config[DatabaseSettings], var_dir=config.main.var_dir)
    await schema.create(database)
    first = await ensure_first_admin(database)
    await database.close()
    if first is None:
        raise RuntimeError("the database was not empty")
    return first.secret


def _routes() -> APIRouter:
    """The three routes, each with its `Ctx`."""
    router = APIRouter(tags=["bench"])
    answers: dict[str, Callable[..., Any]] = {
        "/small/dict": _small_dict_ctx,
        "/small/typed": _small_typed_ctx,
        "/small/long": _small_long_ctx,
        "/big": _big_typed_ctx,
    }
    for path, endpoint in answers.items():
        # A dict route has no response model: FastAPI then walks through the answer in Python.
        model = None if path.endswith("dict") else _return_of(endpoint)
        router.add_api_route(path, policy(allow="read:bench")(endpoint), methods=["GET"], response_model=model)
    return router


def _return_of(endpoint: Callable[..., Any]) -> Any:  # noqa: ANN401 - a type
    return endpoint.__annotations__["return"]


def _bare() -> FastAPI:
    app = FastAPI(openapi_url=None)
    app.add_api_route(f"{_PATH}/dict", _small_dict, response_model=None)
    app.add_api_route(f"{_PATH}/typed", _small_typed, response_model=Small)
    app.add_api_route(f"{_PATH}/long", _small_long, response_model=Small)
    app.add_api_route(_BIG, _big_typed, response_model=Big)
    return app


def _stacked(house: House, writer: LineWriter) -> FastAPI:  # noqa: C901 - six classes, as it is usually written
    """The same work in six layers, each a `BaseHTTPMiddleware`, and the framework's own compression."""
    authenticator, limiter = house.port(GateAuthenticator), house.port(EdgeLimiter)
    observer, tracer = EdgeObserver(AccessLog(writer)), EdgeTracer()
    headers = [(name.decode(), value.decode()) for name, value in security.security_headers(https=True)]

    class Identify(BaseHTTPMiddleware):
        async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
            request.state.exchange = Exchange(
                request_id=request.headers.get("x-request-id") or str(clock.new_id()),
                method=request.method,
                path=request.url.path,
                ip="127.0.0.1",
                started=time.perf_counter(),
            )
            response = await call_next(request)
            response.headers["x-request-id"] = request.state.exchange.request_id
            return response

    class Trace(BaseHTTPMiddleware):
        async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
            tracer.begin(request.state.exchange, request.headers.get("traceparent"))
            response = await call_next(request)
            tracer.end(request.state.exchange)
            return response

    class Observe(BaseHTTPMiddleware):
        async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
            response = await call_next(request)
            exchange: Exchange = request.state.exchange
            exchange.status, exchange.route = response.status_code, request.url.path
            exchange.duration_s = time.perf_counter() - exchange.started
            observer(exchange)
            return response

    class Secure(BaseHTTPMiddleware):
        async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
            response = await call_next(request)
            for name, value in headers:
                response.headers[name] = value
            return response

    class Authenticate(BaseHTTPMiddleware):
        async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
            credential = request.headers.get("authorization", "").encode()
            identity = authenticator.lookup(credential, "127.0.0.1")
            if identity is None:
                identity = await authenticator.authenticate(request.scope, credential, "127.0.0.1")
            request.state.identity = identity
            return await call_next(request)

    class Limit(BaseHTTPMiddleware):
        async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
            identity: Identity = request.state.identity
            state = limiter.admit(identity, "default", "127.0.0.1")
            if state is None or not state.allowed or not identity.actor.may("read:bench"):
                return JSONResponse({"status": 429}, 429)
            request.scope["ossature.ctx"] = house.request_ctx(identity, request.state.exchange.request_id)
            response = await call_next(request)
            for name, value in state.headers:
                response.headers[name.decode()] = value.decode()
            return response

    app = _bare()
    for layer in (Limit, Authenticate, Secure):
        app.add_middleware(layer)
    app.add_middleware(GZipMiddleware, minimum_size=500)
    for outer in (Observe, Trace, Identify):
        app.add_middleware(outer)
    return app


async def _asking(app: ASGIApp, path: str, secret: str) -> Contender:
    """A client in the same process. It checks the first answer."""
    headers = [
        (b"host", b"api.example.org"),
        (b"user-agent", b"bench/1"),
        (b"accept", b"application/json"),
        (b"accept-encoding", b"gzip"),
        (b"authorization", f"Bearer {secret}".encode()),
    ]
    statuses: list[int] = []

    def scope() -> Scope:
        return {
            "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1", "method": "GET",
            "scheme": "http", "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "",
            "headers": headers, "client": ("127.0.0.1", 40000), "server": ("127.0.0.1", 8000), "state": {},
        }  # fmt: skip

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def note(message: Message) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    async def ignore(_message: Message) -> None:
        return

    await app(scope(), receive, note)
    if statuses != [200]:
        raise RuntimeError(f"{path} answered {statuses}")

    async def ask(count: int) -> None:
        for _ in range(count):
            await app(scope(), receive, ignore)

    return ask


async def _raced(contenders: dict[str, Contender], *, rounds: int, times: int) -> dict[str, Any]:
    spent: dict[str, list[float]] = {name: [] for name in contenders}
    for contender in contenders.values():
        await contender(times)
    for _ in range(rounds):
        for name, contender in contenders.items():
            started = time.process_time()
            await contender(times)
            spent[name].append((time.process_time() - started) / times * 1e6)
            await asyncio.sleep(0)

    def ratio(above: str, below: str) -> float:
        return round(statistics.median(a / b for a, b in zip(spent[above], spent[below], strict=True)), 3)

    def added(kind: str) -> float:
        pairs = zip(spent[f"full_{kind}"], spent[f"bare_{kind}"], strict=True)
        return round(statistics.median(full - bare for full, bare in pairs), 1)

    return {
        **{f"{name}_us": round(statistics.median(values), 1) for name, values in spent.items()},
        "full_to_bare_dict": ratio("bare_dict", "full_dict"),
        "full_to_bare_typed": ratio("bare_typed", "full_typed"),
        "full_to_bare_long": ratio("bare_long", "full_long"),
        "full_to_bare_big": ratio("bare_big", "full_big"),
        "added_us": added("typed"),
        "added_long_us": added("long"),
        "stacked_to_full": ratio("stacked_typed", "full_typed"),
        "control": ratio("bare_typed", "bare_again_typed"),
    }
