"""HTTP by aiohttp: one pool of connections for public hosts, one for those that are declared private."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager, suppress
from contextvars import ContextVar
from dataclasses import replace
from typing import Any, TypeVar
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from ossature.kernel import clock, deadline
from ossature.kernel.outbound.guard import AddressRefused, GuardedResolver, PrivateAddressError, check_url, redirected
from ossature.kernel.outbound.http import HttpRequest, Outcome, Undelivered, refuse_while_writing
from ossature.kernel.outbound.inflate import ACCEPTED, BodyTooLargeError, Inflater
from ossature.kernel.outbound.provider import ErrorKind, Reply
from ossature.kernel.outbound.settings import OutboundSettings

_MAX_REDIRECTS = 3
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_SEE_OTHER = 303
_SECRET_HEADERS = frozenset({"authorization", "cookie", "proxy-authorization"})
_MAX_HEADER_BYTES = 32 * 1024
_NO_LIMIT = aiohttp.ClientTimeout(total=None, connect=None, sock_connect=None, sock_read=None)  # `_Phase` has them

_T = TypeVar("_T")


class _Phase:
    """Where a request is: the time limit for a connection becomes the one for an answer once there is one."""

    __slots__ = ("_first_byte_s", "_most_s", "_started", "connected", "timeout")

    def __init__(self, *, connect_s: float, first_byte_s: float, most_s: float) -> None:
        self._first_byte_s = first_byte_s
        self._most_s = most_s
        self._started = asyncio.get_running_loop().time()
        self.connected = False
        self.timeout = asyncio.timeout(min(connect_s, most_s))

    def has_connection(self) -> None:
        """From here on something may have been sent."""
        now = asyncio.get_running_loop().time()
        self.connected = True
        self.timeout.reschedule(min(now + self._first_byte_s, self._started + self._most_s))


_phase: ContextVar[_Phase | None] = ContextVar("ossature_http_phase", default=None)


class _Connector(aiohttp.TCPConnector):
    """A pool that says when a request has got its connection, new or kept."""

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Any],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - aiohttp's own signature
    ) -> Any:  # noqa: ANN401 - aiohttp's own signature
        connection = await super().connect(req, traces, timeout)
        phase = _phase.get()
        if phase is not None:
            phase.has_connection()
        return connection


class AiohttpStream:
    """A reply whose body is read as it comes."""

    def __init__(self, response: aiohttp.ClientResponse, request: HttpRequest) -> None:
        self._response = response
        self._request = request
        self._head = _reply(response, b"")

    @property
    def head(self) -> Reply:
        """Status, headers and address; no body."""
        return self._head

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body, unpacked. Raises: Undelivered when it stops early or is silent too long."""
        idle_s = self._request.limits.idle_s
        inflater = _inflater(self._response, self._request)
        source = self._response.content.iter_any()
        while True:
            try:
                async with asyncio.timeout(idle_s):  # cheaper than wait_for, which has a task for each piece
                    chunk = await anext(source, None)
            except TimeoutError:
                raise Undelivered(
                    ErrorKind.TIMEOUT_AFTER_SEND, Outcome.ANSWERED, f"Nothing came for {idle_s:g} s."
                ) from None
            except (aiohttp.ClientError, OSError) as error:
                raise Undelivered(ErrorKind.TRUNCATED, Outcome.ANSWERED, "The connection broke.") from error
            if chunk is None:
                _ended(inflater)
                return
            for piece in _unpacked(inflater, chunk):
                yield piece


class AiohttpClient:
    """The pooled client of a process. `close()` it at the end; it opens itself at the first call."""

    def __init__(self, settings: OutboundSettings) -> None:
        self._settings = settings
        self._sessions: dict[bool, aiohttp.ClientSession] = {}

    async def send(self, request: HttpRequest, /) -> Reply:
        """The whole reply, of whatever status. Raises: Undelivered, AddressRefused, SentWhileWriting."""
        started = time.perf_counter()
        total_s = deadline.remaining_s(request.limits.total_s)
        response = await self._open(request)
        try:
            left_s = max(0.001, total_s - (time.perf_counter() - started))
            async with asyncio.timeout(left_s):
                return await self._read(response, request)
        except TimeoutError:
            raise Undelivered(
                ErrorKind.TIMEOUT_AFTER_SEND, Outcome.ANSWERED, f"The answer was not complete after {total_s:g} s."
            ) from None
        except (aiohttp.ClientError, OSError) as error:
            raise Undelivered(ErrorKind.TRUNCATED, Outcome.ANSWERED, "The connection broke in the answer.") from error
        finally:
            response.release()

    @asynccontextmanager
    async def stream(self, request: HttpRequest, /) -> AsyncIterator[AiohttpStream]:
        """The reply's head at once and its body as it comes; leaving the block early cancels the rest."""
        response = await self._open(request)
        try:
            yield AiohttpStream(response, request)
        finally:
            # A connection with an unread body cannot serve anybody else.
            response.close()

    async def close(self) -> None:
        """Give all connections back."""
        sessions, self._sessions = list(self._sessions.values()), {}
        for session in sessions:
            await session.close()

    def _session(self, *, private: bool) -> aiohttp.ClientSession:
        found = self._sessions.get(private)
        if found is None:
            resolver = GuardedResolver(private=private)
            settings = self._settings
            connector = _Connector(
                resolver=resolver,
                socket_factory=resolver.open_socket,
                limit=settings.connections,
                limit_per_host=settings.connections_per_host,
                keepalive_timeout=settings.keepalive_s,
                ttl_dns_cache=settings.dns_cache_s,
            )
            found = self._sessions[private] = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                raise_for_status=False,
                trust_env=False,
                max_line_size=_MAX_HEADER_BYTES,
                max_field_size=_MAX_HEADER_BYTES,
            )
        return found

    async def _open(self, request: HttpRequest) -> aiohttp.ClientResponse:
        """The reply's head, after at most three redirects."""
        refuse_while_writing()
        # A private host is allowed only if its own provider declared it, so the pools never mix.
        for _ in range(_MAX_REDIRECTS + 1):
            check_url(request.url, hosts=request.hosts, private=request.private)
            response = await self._head(request)
            location = response.headers.get("location")
            if response.status not in _REDIRECTS or not location:
                return response
            response.release()
            request = _followed(request, response, location)
        raise Undelivered(ErrorKind.UPSTREAM_5XX, Outcome.ANSWERED, f"More than {_MAX_REDIRECTS} redirects.")

    async def _head(self, request: HttpRequest) -> aiohttp.ClientResponse:
        limits = request.limits
        left_s = deadline.remaining_s(limits.total_s)
        if left_s <= 0:
            raise Undelivered(ErrorKind.TIMEOUT_BEFORE_SEND, Outcome.NOT_SENT, "No time was left.")
        session = self._session(private=request.private)
        phase = _Phase(connect_s=limits.connect_s, first_byte_s=limits.first_byte_s, most_s=left_s)
        token = _phase.set(phase)
        try:
            return await _typed(phase, self._sent(session, request))
        finally:
            _phase.reset(token)

    async def _sent(self, session: aiohttp.ClientSession, request: HttpRequest) -> aiohttp.ClientResponse:
        return await session.request(
            request.method,
            URL(request.url, encoded=True),
            data=request.body or None,
            headers={"Accept-Encoding": ACCEPTED, **request.headers},
            allow_redirects=False,
            skip_auto_headers=("User-Agent", "Content-Type"),
            timeout=_NO_LIMIT,
        )

    async def _read(self, response: aiohttp.ClientResponse, request: HttpRequest) -> Reply:
        inflater = _inflater(response, request)
        if request.to_file is not None:
            with request.to_file.open("wb") as file:
                async for chunk in response.content.iter_any():
                    for piece in _unpacked(inflater, chunk):
                        file.write(piece)
            _ended(inflater)
            return replace(_reply(response, b""), file=request.to_file)
        pieces: list[bytes] = []
        async for chunk in response.content.iter_any():
            pieces.extend(_unpacked(inflater, chunk))
        _ended(inflater)
        return _reply(response, b"".join(pieces))


async def _typed(phase: _Phase, sending: Awaitable[_T]) -> _T:
    """What is answered within the phase's time; every failure as an Undelivered that knows whether anything was sent."""
    try:
        async with phase.timeout:
            return await sending
    except TimeoutError:
        if not phase.connected:
            raise Undelivered(ErrorKind.TIMEOUT_BEFORE_SEND, Outcome.NOT_SENT, "No connection in time.") from None
        raise Undelivered(ErrorKind.TIMEOUT_AFTER_SEND, Outcome.AMBIGUOUS, "No answer began in time.") from None
    except (aiohttp.ClientConnectorError, aiohttp.ClientSSLError) as error:
        if _is_private(error):
            raise AddressRefused("The name leads to an address that is not public.") from error
        raise Undelivered(ErrorKind.CONNECT, Outcome.NOT_SENT, "No connection could be made.") from error
    except (aiohttp.ClientError, OSError) as error:
        raise Undelivered(
            ErrorKind.UPSTREAM_5XX, Outcome.AMBIGUOUS, "The connection broke before an answer."
        ) from error


def _is_private(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, PrivateAddressError) or isinstance(getattr(error, "os_error", None), PrivateAddressError):
            return True
        error = error.__cause__ or error.__context__
    return False


def _followed(request: HttpRequest, response: aiohttp.ClientResponse, location: str) -> HttpRequest:
    """The request that a redirect asks for."""
    if response.status == _SEE_OTHER:
        request = replace(request, method="GET", body=b"")
    elif request.method not in {"GET", "HEAD"} and response.status in {301, 302}:
        raise Undelivered(ErrorKind.UPSTREAM_5XX, Outcome.ANSWERED, "A redirect would lose the body.")
    url = redirected(request.url, location, hosts=request.hosts, private=request.private)
    headers = request.headers
    if urlsplit(url).netloc != urlsplit(request.url).netloc:
        secret = _SECRET_HEADERS | request.secret_headers
        headers = {name: value for name, value in headers.items() if name.lower() not in secret}
    return replace(request, url=url, headers=headers)


def _inflater(response: aiohttp.ClientResponse, request: HttpRequest) -> Inflater:
    try:
        inflater = Inflater(response.headers.get("content-encoding", ""), max_bytes=request.max_body_bytes)
    except ValueError as error:
        raise Undelivered(ErrorKind.DECODE, Outcome.ANSWERED, str(error)) from error
    declared = response.content_length
    if declared is not None and declared > request.max_body_bytes:
        raise Undelivered(ErrorKind.DECODE, Outcome.ANSWERED, f"The body has {declared} bytes.")
    return inflater


def _unpacked(inflater: Inflater, chunk: bytes) -> list[bytes]:
    try:
        return list(inflater.feed(chunk))
    except (BodyTooLargeError, ValueError) as error:
        raise Undelivered(ErrorKind.DECODE, Outcome.ANSWERED, str(error)) from error


def _ended(inflater: Inflater) -> None:
    try:
        inflater.end()
    except ValueError as error:
        raise Undelivered(ErrorKind.TRUNCATED, Outcome.ANSWERED, str(error)) from error


def _reply(response: aiohttp.ClientResponse, body: bytes) -> Reply:
    headers: dict[str, str] = {}
    for name, value in response.headers.items():
        lower = name.lower()
        headers[lower] = f"{headers[lower]}, {value}" if lower in headers else value
    with suppress(KeyError):
        del headers["set-cookie"]
    return Reply(response.status, headers, body, url=str(response.url), received_at=clock.now())
