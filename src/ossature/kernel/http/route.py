"""What happens around the handler of one route: admission, idempotency, the end of the transaction, validators.

One request is one transaction. It is committed after the handler returned and before the first byte goes out, so an
answer that was seen is an effect that stays.
"""

import asyncio
import hashlib
import re
import unicodedata
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AsyncExitStack
from typing import Any

from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ossature.kernel import deadline
from ossature.kernel.context import Ctx
from ossature.kernel.db.settings import DatabaseSettings
from ossature.kernel.errors import InvalidInput, Misconfigured
from ossature.kernel.http import idempotency
from ossature.kernel.http.edge import Edge, Passage
from ossature.kernel.http.policy import policy_of
from ossature.kernel.http.problems import CONTROL, TookTooLong, control_characters, unknown_names
from ossature.kernel.http.sealing import Seal
from ossature.kernel.http.settings import HttpSettings
from ossature.kernel.http.short import hand_over_ctx, short_handler
from ossature.kernel.service import Deprecation, Policy

_IDEMPOTENT_BY_KEY = frozenset({"POST", "PATCH"})
_KEY_MOST = 200
_NUL_ESCAPE = rb"\u0000"
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
# RFC 9110, 15.4.5; a CDN takes the keys of an answer from its 304 too.
_KEPT_OF_304 = ("etag", "cache-control", "content-location", "expires", "vary", "last-modified", "surrogate-key")

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class HouseRoute(APIRoute):
    """A route of ours. Raises Misconfigured, while the application is built, for an endpoint without a policy."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        policy = policy_of(endpoint)
        if policy is None:
            raise Misconfigured(f"{path} has no policy: write @policy(allow=...) or @policy(public=True) above it.")
        self.policy: Policy = policy
        self.deprecation: Deprecation | None = policy.deprecated
        super().__init__(path, endpoint, **options)

    def get_route_handler(self) -> Handler:
        """The handler that FastAPI made, with everything that this house does around it."""
        hand_over_ctx(self.dependant)
        inner = short_handler(self) or super().get_route_handler()
        policy, template = self.policy, self.path_format
        known = frozenset(_query_names(self.dependant))
        with_body = self.body_field is not None
        by_key = policy.effects is not False and bool(_IDEMPOTENT_BY_KEY & (self.methods or set()))

        async def handle(request: Request) -> Response:
            scope = request.scope
            edge: Edge = scope["app"].state.edge
            if self.deprecation is not None:
                edge.announce(scope, self.deprecation, template)
            await edge.admit(scope, policy, template)
            if scope["query_string"]:
                _check_query(request, known)
            if with_body:
                await _check_body(request)
            ctx: Ctx = scope["ossature.ctx"]
            key = request.headers.get("idempotency-key") if by_key else None
            if key is None:
                response = await _timed(inner, request, policy)
                await _finish(ctx, scope)
            else:
                response = await _once(inner, request, policy, ctx=ctx, key=key)
            return _validated(request, response, policy)

        self.handle_request = handle
        return handle

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, without FastAPI's own layers: the edge turns exceptions into problems for all routes."""
        async with AsyncExitStack() as stack:
            scope["fastapi_inner_astack"] = scope["fastapi_function_astack"] = scope["fastapi_middleware_astack"] = (
                stack
            )
            response = await self.handle_request(Request(scope, receive, send))
        await response(scope, receive, send)


async def _timed(inner: Handler, request: Request, policy: Policy) -> Response:
    if policy.time_limit_s is None:
        return await inner(request)
    limit = asyncio.timeout(policy.time_limit_s)
    try:
        with deadline.within(policy.time_limit_s):
            async with limit:
                return await inner(request)
    except TimeoutError as error:
        if not limit.expired():
            raise
        raise TookTooLong(f"The limit is {policy.time_limit_s:g} s.") from error


async def _once(inner: Handler, request: Request, policy: Policy, *, ctx: Ctx, key: str) -> Response:
    """The answer to a request that carries an Idempotency-Key: the stored one, if it was answered before."""
    if not key or not key.isascii() or not key.isprintable() or len(key) > _KEY_MOST:
        raise InvalidInput(f"Idempotency-Key: 1 to {_KEY_MOST} printable ASCII characters.")
    keep_s = ctx.settings[HttpSettings].idempotency_keep_s
    lease_s = ctx.settings[HttpSettings].idempotency_lease_s
    passage: Passage = request.scope["ossature.passage"]
    edge: Edge = request.scope["app"].state.edge
    subject = passage.identity.subject
    seal = Seal(edge.keepers.secret, tenant_id=ctx.tenant.id, subject=subject, key=key)
    fingerprint = seal.fingerprint(_parts(request, await request.body()))
    claim = idempotency.Claim(
        tenant_id=ctx.tenant.id, subject=subject, seal=seal, fingerprint=fingerprint, lease_s=lease_s
    )
    database = request.scope["app"].state.database
    stored = await idempotency.claim(database, claim, keep_s=keep_s)
    if stored is not None:
        return stored
    ctx.db.fence = claim
    try:
        response = await _timed(inner, request, policy)
        ctx.db.fence = None  # the answer says more
        await idempotency.answer(ctx.db, claim, response)
        await _finish(ctx, request.scope)
    except BaseException:
        await ctx.db.rollback()
        await asyncio.shield(idempotency.release(database, claim))
        raise
    return response


def _parts(request: Request, body: bytes) -> tuple[bytes, ...]:
    """What a request must agree in to be the same request."""
    path: str = request.scope["path"]
    return request.method.encode(), path.encode(), request.scope["query_string"], body


async def _finish(ctx: Ctx, scope: Scope) -> None:
    """Commit, and say what it took where an operator wants to see that."""
    settings = ctx.settings[DatabaseSettings]
    statistics = ctx.db.statistics
    if statistics.count:
        testing = ctx.settings.main.profile == "testing"
        statistics.check_repeats(limit=settings.repeat_limit, mode="raise" if testing else "warn")
    await ctx.db.commit()
    if settings.profiling:
        passage: Passage = scope["ossature.passage"]
        passage.answer_headers.append((b"x-db-query-count", b"%d" % statistics.count))
        passage.answer_headers.append((b"x-db-total-time-ms", b"%.2f" % statistics.total_ms))


def _validated(request: Request, response: Response, policy: Policy) -> Response:
    """The answer with its ETag, or 304 when the client has it already. Source: RFC 9110, 13.1.2."""
    if request.method not in {"GET", "HEAD"} or response.status_code != 200:
        return response
    tag = response.headers.get("etag")
    if tag is None:
        body = getattr(response, "body", b"")
        if policy.cache == "no-store" or not body:
            return response
        tag = response.headers["etag"] = f'"{hashlib.blake2b(body, digest_size=16).hexdigest()}"'
    asked = request.headers.get("if-none-match")
    if asked is None:
        return response
    known = {one.strip().removeprefix("W/") for one in asked.split(",")}
    if "*" in known or tag.removeprefix("W/") in known:
        kept = {name: response.headers[name] for name in _KEPT_OF_304 if name in response.headers}
        return Response(status_code=304, headers=kept)
    return response


def _check_query(request: Request, known: frozenset[str]) -> None:
    """Refuse names that the route does not read, and text that no person types."""
    unknown = [name for name in dict.fromkeys(request.query_params) if name not in known]
    if unknown:
        raise unknown_names("query", unknown, sorted(known))
    given = request.query_params.multi_items()
    for name, value in given:
        if CONTROL.search(value):
            raise control_characters(f"query/{name}")
    if not all(unicodedata.is_normalized("NFC", value) for _, value in given):
        composed = [(name, unicodedata.normalize("NFC", value)) for name, value in given]
        request._query_params = QueryParams(composed)  # noqa: SLF001 - where Starlette keeps what it has read


async def _check_body(request: Request) -> None:
    """Refuse U+0000 in JSON, where it can only be written as an escape: PostgreSQL cannot store it."""
    if "json" not in request.headers.get("content-type", ""):
        return
    body = await request.body()
    if _NUL_ESCAPE in body and _NUL.search(body):
        raise control_characters("/")


def _query_names(dependant: Dependant) -> Iterator[str]:
    """The query parameters that a route reads, those of its list included."""
    for parameter in dependant.query_params:
        annotation = parameter.field_info.annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            yield from (field.alias or name for name, field in annotation.model_fields.items())
        else:
            yield parameter.alias
    own = getattr(dependant.call, "parameters", None)
    if own is not None:
        yield from (parameter["name"] for parameter in own())  # a list reads its own
    for child in dependant.dependencies:
        yield from _query_names(child)


def _readers(dependant: Dependant) -> Iterator[Any]:
    """The dependencies that read parameters by themselves and say which (`kernel.http.listing`)."""
    for child in dependant.dependencies:
        if hasattr(child.call, "parameters"):
            yield child.call
        yield from _readers(child)


def list_parameters(route: HouseRoute) -> list[dict[str, Any]]:
    """The OpenAPI parameters that FastAPI cannot see: those of lists."""
    return [parameter for reader in _readers(route.dependant) for parameter in reader.parameters()]
