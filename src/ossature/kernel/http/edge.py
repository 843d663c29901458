"""The edge: ONE pure ASGI layer that every request, raw mount and WebSocket passes (decision 0003).

In this order: request id, trace, address rules, credentials, tenant; then, once it is known which route is meant
(`admit`): size limit, permission, cross-site proof, rate limit; then the handler; then compression and headers; at last
span, metrics and access log. Routes call `admit` through `kernel.http.route`, mounts through `Edge.mounted`.
"""

import re
import time
from dataclasses import dataclass, field
from typing import NoReturn

import structlog
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ossature.kernel import clock, deadline
from ossature.kernel.context import ANONYMOUS, SYSTEM_TENANT, Actor
from ossature.kernel.errors import (
    ContentTooLarge,
    NotFound,
    PermissionDenied,
    Problem,
    TooManyRequests,
    Unauthenticated,
)
from ossature.kernel.http import security, versions
from ossature.kernel.http.asked import headers_asked
from ossature.kernel.http.ports import Exchange, Gatekeepers, Identity, RateState
from ossature.kernel.http.problems import BadRequest, as_problem, render, status_of
from ossature.kernel.http.sending import Answer, Headers
from ossature.kernel.http.settings import HttpSettings
from ossature.kernel.http.signed import BodyCheck, SignatureRequired
from ossature.kernel.service import Deprecation, Policy, Refuse

log = structlog.get_logger()

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:-]{8,64}")  # no longer than the columns that keep it
_READ = frozenset({"GET", "HEAD", "OPTIONS"})
_CLIENT_GONE = 499  # as nginx has it: the client went away before it was answered


class RateLimited(TooManyRequests):
    """A rate limit is used up; `RateLimit-Policy` says which limits hold, `retry_after_s` when one opens again."""

    title = "Rate limited"


class AddressDenied(PermissionDenied):
    """Requests from this address are not answered."""

    title = "Address denied"


@dataclass(slots=True)
class Passage:
    """One request on its way through the edge. In the scope as `ossature.passage`.

    twice: a header that must stand once and does not. finished: the last of the answer is out. speaks_http: a WebSocket
    handshake that can be refused with a whole answer. signed: a signature of it was verified. body: what its body must be.
    """

    exchange: Exchange
    headers: dict[bytes, bytes]
    identity: Identity
    session: str = ""
    answer_headers: Headers = field(default_factory=list)
    max_body_bytes: int | None = None
    csp: bytes = security.API_CSP
    cache: bytes = b"no-store"
    finished: bool = False
    twice: bytes = b""
    speaks_http: bool = False
    http_1: bool = True
    signed: bool = False
    body: BodyCheck | None = None


class Edge:
    """The layer. `app` is what lies behind it."""

    def __init__(self, app: ASGIApp, keepers: Gatekeepers, settings: HttpSettings) -> None:
        self.app = app
        self.keepers = keepers
        self.settings = settings
        https = keepers.public_url.startswith("https://")
        self._security = security.security_headers(https=https)
        self._security_names = frozenset(name for name, _ in self._security)
        self._origins = security.Origins(settings.cors_origins, own=keepers.public_url)
        self._proxies = security.Proxies(settings.trusted_proxies)
        self._anonymous: dict[str, Identity] = {}
        self.forms: dict[str, Refuse] = {}
        """How refusals look below a path, where that is not a problem document."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one connection."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        passage = self._begin(scope)
        scope["ossature.passage"] = passage
        answer = Answer(self, passage, send)
        try:
            if not await self._preflight(passage, answer):
                await self._identify(scope, passage)
                counted = self._counting(passage, receive)
                await self.app(scope, counted if passage.body is None else passage.body.reading(counted), answer)
        except Exception as error:  # noqa: BLE001 - the edge answers for everything behind it
            await self._refuse(passage, answer, error)
        finally:
            await self._end(passage.exchange)

    async def _end(self, exchange: Exchange) -> None:
        try:
            if exchange.ctx is not None:
                await exchange.ctx.db.close()
        finally:
            exchange.duration_s = time.perf_counter() - exchange.started
            self.keepers.tracer.end(exchange)
            for observer in self.keepers.observers:
                observer(exchange)

    def _begin(self, scope: Scope) -> Passage:
        headers, twice = headers_asked(scope["headers"])
        given = headers.get(b"x-request-id")
        request_id = (
            given.decode("ascii") if given is not None and _REQUEST_ID.fullmatch(given) else str(clock.new_id())
        )
        peer = scope["client"][0] if scope.get("client") else ""
        forwarded = headers.get(b"x-forwarded-for")
        ip = self._proxies.client(peer, forwarded) if forwarded else peer
        exchange = Exchange(
            request_id=request_id,
            method=scope.get("method", "GET"),
            path=scope["path"],
            ip=ip,
            started=time.perf_counter(),
            protocol=scope["type"],
            user_agent=headers.get(b"user-agent", b""),
        )
        traceparent = headers.get(b"traceparent")
        self.keepers.tracer.begin(exchange, traceparent.decode("latin-1") if traceparent else None)
        passage = Passage(exchange, headers, self._nobody(ip), twice=twice, http_1=scope.get("http_version") != "2")
        if exchange.protocol == "websocket":
            passage.speaks_http = "websocket.http.response" in (scope.get("extensions") or ())
        return passage

    def _nobody(self, ip: str) -> Identity:
        """Who shows no credential."""
        identity = self._anonymous.get(ip)
        if identity is None:
            if len(self._anonymous) > 4096:
                self._anonymous.clear()
            actor = Actor(kind=ANONYMOUS.kind, id=None, name=ANONYMOUS.name, ip=ip)
            identity = self._anonymous[ip] = Identity(tenant=SYSTEM_TENANT, actor=actor, subject=f"ip:{ip}")
        return identity

    async def _preflight(self, passage: Passage, answer: Answer) -> bool:
        """Answer a browser's question whether it may ask; whether that was all."""
        headers = passage.headers
        origin = headers.get(b"origin")
        if passage.exchange.protocol != "http":
            return False
        if origin is None:
            passage.answer_headers += self._origins.unasked
            return False
        method = headers.get(b"access-control-request-method")
        if passage.exchange.method != "OPTIONS" or method is None:
            passage.answer_headers += self._origins.headers(origin)
            return False
        wanted = headers.get(b"access-control-request-headers", b"")
        passage.exchange.route = "preflight"
        passage.answer_headers += self._origins.preflight(origin, {method.decode("latin-1")}, wanted)
        await answer.whole(204, [], b"")
        return True

    async def _identify(self, scope: Scope, passage: Passage) -> None:
        """Find out who asks. Raises: Unauthenticated, PermissionDenied."""
        exchange = passage.exchange
        if passage.twice:
            raise BadRequest(f"The header {passage.twice.decode()} may come only once.")
        addresses = self.keepers.addresses
        if addresses is not None and not addresses.allows(exchange.ip, None, exchange.path):
            raise AddressDenied
        identity = await self._identity(scope, passage)
        if b"signature-input" in passage.headers:
            identity = await self._signer(scope, passage, identity)
        if identity is None:
            return
        if identity.signed_only and not passage.signed:
            raise SignatureRequired
        passage.identity = exchange.identity = identity
        if addresses is not None and not addresses.allows(exchange.ip, identity.tenant.id, exchange.path):
            raise AddressDenied

    async def _identity(self, scope: Scope, passage: Passage) -> Identity | None:
        """Whose credentials these are; None where there are none. Raises: Unauthenticated, PermissionDenied."""
        exchange, headers, keepers = passage.exchange, passage.headers, self.keepers
        batch: Passage | None = scope.get("ossature.batch")
        if batch is not None:  # who asks was found out once, for all of it
            passage.session, passage.signed = batch.session, batch.signed
            return batch.identity
        credential = headers.get(b"authorization") or headers.get(b"x-api-key")
        if credential is None:
            cookie = headers.get(b"cookie")
            session = security.read_cookie(cookie, security.SESSION_COOKIE) if cookie else None
            if session is None:
                return None
            passage.session = session
            credential = b"session=" + session.encode("latin-1")
        identity = keepers.authenticator.lookup(credential, exchange.ip)
        if identity is None:
            try:
                identity = await keepers.authenticator.authenticate(scope, credential, exchange.ip)
            except Unauthenticated:
                if keepers.addresses is not None:
                    keepers.addresses.note_failure(exchange.ip, "old_session" if passage.session else "unauthenticated")
                if not passage.session:
                    raise
                # A browser keeps an old cookie: it is nobody then, and can sign in again.
                passage.session = ""
        return identity

    async def _signer(self, scope: Scope, passage: Passage, identity: Identity | None) -> Identity | None:
        """Who signed it; who asks anyway, when no signature is meant for us. Raises: Unauthenticated, PermissionDenied."""
        keepers, ip = self.keepers, passage.exchange.ip
        try:
            signed = await keepers.signatures.verify(scope, identity, ip) if keepers.signatures is not None else None
        except Unauthenticated:
            if keepers.addresses is not None:
                keepers.addresses.note_failure(ip, "unauthenticated")
            raise
        if signed is None:
            return identity
        passage.signed, passage.body = True, BodyCheck(signed.digests)
        return signed.identity

    async def admit(self, scope: Scope, policy: Policy, route: str) -> None:
        """Let a request through to a route, or refuse it: what can be said only now that the route is known.

        Raises: ContentTooLarge, Unauthenticated, PermissionDenied, RateLimited.
        """
        passage: Passage = scope["ossature.passage"]
        exchange = passage.exchange
        if policy.nobody and passage.session:
            passage.session, passage.identity, exchange.identity = "", self._nobody(exchange.ip), None
        identity = passage.identity
        exchange.route = scope["ossature.route"] = route
        passage.cache = policy.cache.encode()
        limit = policy.max_body_bytes or self.settings.max_body_bytes
        passage.max_body_bytes = limit
        announced = passage.headers.get(b"content-length")
        if announced is not None and announced.isdigit() and int(announced) > limit:
            raise ContentTooLarge(f"At most {limit} bytes are read here.", limit_bytes=limit)
        if policy.allow is not None:
            _permit(passage, policy.allow, signed=policy.signed)
        if passage.session:
            self._check_site(passage)
        if policy.rate != "none":
            state = self.keepers.limiter.admit(identity, policy.rate, exchange.ip)
            if state is None:
                state = await self.keepers.limiter.admit_shared(identity, policy.rate, exchange.ip)
            passage.answer_headers += state.headers
            if not state.allowed:
                self._refuse_rate(passage, state)
        exchange.ctx = scope["ossature.ctx"] = self.keepers.make_ctx(identity, exchange.request_id)

    def _refuse_rate(self, passage: Passage, state: RateState) -> NoReturn:
        if self.keepers.addresses is not None:
            self.keepers.addresses.note_failure(passage.exchange.ip, "rate_limited")
        raise RateLimited(retry_after_s=state.retry_after_s, window=state.window)

    def announce(self, scope: Scope, deprecation: Deprecation, route: str) -> None:
        """Say on the answer that its route will go one day, and count who uses it still."""
        passage: Passage = scope["ossature.passage"]
        exchange = passage.exchange
        versions.USED.labels(exchange.method, route, passage.identity.tenant.slug).inc()
        parameters = scope.get("path_params", {})
        passage.answer_headers += versions.headers(deprecation, parameters, self.keepers.public_url)

    def _check_site(self, passage: Passage) -> None:
        """A session cookie alone proves nothing: browsers send it for pages of others too. Raises: CrossSiteRefused."""
        exchange, headers = passage.exchange, passage.headers
        if exchange.protocol == "websocket":
            if not self.owns(headers.get(b"origin", b""), headers.get(b"host", b"")):
                raise security.CrossSiteRefused
        elif exchange.method not in _READ:
            security.check_csrf(exchange.method, passage.session, self.keepers.secret, headers)

    def mounted(self, app: ASGIApp, policy: Policy, route: str) -> ASGIApp:
        """A raw ASGI application behind the same admission as a route. It commits `ossature.ctx` itself if it writes."""

        async def admitted(scope: Scope, receive: Receive, send: Send) -> None:
            if policy.deprecated is not None:
                self.announce(scope, policy.deprecated, route)
            await self.admit(scope, policy, route)
            with deadline.within(policy.time_limit_s):
                await app(scope, receive, send)

        return admitted

    def owns(self, origin: bytes, host: bytes) -> bool:
        """Whether a page of this origin may open a WebSocket with a session cookie."""
        return self._origins.is_ours(origin, host)

    def _counting(self, passage: Passage, receive: Receive) -> Receive:
        exchange = passage.exchange

        async def counted() -> Message:
            message = await receive()
            kind = message["type"]
            if kind == "http.request":
                exchange.received_bytes += len(message.get("body", b""))
                limit = passage.max_body_bytes or self.settings.max_body_bytes
                if exchange.received_bytes > limit:
                    raise ContentTooLarge(f"At most {limit} bytes are read here.", limit_bytes=limit)
            elif kind == "http.disconnect":
                exchange.aborted = not passage.finished
            elif kind == "websocket.receive":
                exchange.received_bytes += len(message.get("bytes") or message.get("text") or b"")
            return message

        return counted

    async def _refuse(self, passage: Passage, answer: Answer, error: Exception) -> None:
        exchange = passage.exchange
        if exchange.ctx is not None:
            await self._undo(exchange)
        if exchange.aborted and isinstance(error.__cause__ or error, (ClientDisconnect, OSError)):
            exchange.status = _CLIENT_GONE
            return
        problem = as_problem(error)
        if type(problem) is Problem and problem is not error:
            exchange.error = error
            log.error("http.unexpected", route=exchange.route, request_id=exchange.request_id, exc_info=error)
        exchange.problem = problem.slug
        addresses = self.keepers.addresses
        if addresses is not None and isinstance(problem, NotFound) and exchange.route == "unmatched":
            addresses.note_failure(exchange.ip, "not_found")
        if answer.begun and exchange.protocol == "http":
            # Half an answer is out: only a broken connection can say so.
            exchange.aborted = True
            raise error
        passage.cache = b"no-store"
        status, headers, body = self._refusal(passage, problem)
        if isinstance(problem, ContentTooLarge) and passage.http_1:
            headers.append((b"connection", b"close"))  # the rest of the body is not waited for
        await answer.whole(status, headers, body)

    def _refusal(self, passage: Passage, problem: Problem) -> tuple[int, Headers, bytes]:
        """Status, headers and body of a refusal, in the form of the mount that was meant."""
        exchange = passage.exchange
        for start, refuse in self.forms.items():
            if exchange.path == start or (start.endswith("/") and exchange.path.startswith(start)):
                return refuse(problem, public_url=self.keepers.public_url, request_id=exchange.request_id)
        return (status_of(problem), *self.problem(passage, problem))

    async def _undo(self, exchange: Exchange) -> None:
        """Undo what was written, before the refusal is sent: a slow client must not hold the database."""
        try:
            if exchange.ctx is not None:
                await exchange.ctx.db.rollback()
        except Exception as error:  # noqa: BLE001 - the database is away; the request is refused all the same
            log.warning("http.rollback_failed", request_id=exchange.request_id, error=repr(error))

    def problem(self, passage: Passage, problem: Problem) -> tuple[Headers, bytes]:
        """Headers and body of a refusal of this request."""
        exchange = passage.exchange
        return render(
            problem,
            public_url=self.keepers.public_url,
            instance=exchange.path,
            request_id=exchange.request_id,
            trace_id=exchange.trace_id,
        )

    def finish_headers(self, passage: Passage, headers: Headers) -> Headers:
        """What every answer carries besides its own headers."""
        names = {name for name, _ in headers}
        out = [*headers, *passage.answer_headers]
        if names.isdisjoint(self._security_names):
            out += self._security
        else:
            out += [(name, value) for name, value in self._security if name not in names]
        out.append((b"x-request-id", passage.exchange.request_id.encode()))
        if b"content-security-policy" not in names:
            out.append((b"content-security-policy", passage.csp))
        if b"cache-control" not in names:
            out.append((b"cache-control", passage.cache))
        return out


def _permit(passage: Passage, permission: str, *, signed: bool) -> None:
    actor = passage.identity.actor
    if actor.kind == "anonymous":
        raise Unauthenticated
    if permission != "*":
        actor.require(permission)
    if signed and not passage.signed:
        raise SignatureRequired
