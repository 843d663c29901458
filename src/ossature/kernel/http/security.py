"""What browsers are told and asked: security headers, CORS, cookies and the proof that a form is ours (CSRF)."""

import hashlib
import hmac
from collections.abc import Collection, Mapping
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from starlette.responses import Response

from ossature.kernel.errors import PermissionDenied

Headers = list[tuple[bytes, bytes]]

SESSION_COOKIE = "ossature_session"
CSRF_COOKIE = "ossature_csrf"
CSRF_HEADER = b"x-csrf-token"

API_CSP = b"default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
# Pages of ours: everything from ourselves. The console writes styles and starts its client inline.
PAGE_CSP = (
    b"default-src 'self'; img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; script-src 'self'; "
    b"connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; object-src 'none'; form-action 'self'"
)
CONSOLE_CSP = (
    b"default-src 'self'; img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; "
    b"script-src 'self' 'unsafe-inline' 'unsafe-eval'; font-src 'self' data:; connect-src 'self' ws: wss:; "
    b"worker-src 'self' blob:; frame-ancestors 'none'; base-uri 'self'; object-src 'none'; form-action 'self'"
)
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class CrossSiteRefused(PermissionDenied):
    """A browser sent a session cookie without the proof that the page is ours.

    Send the value of the cookie `ossature_csrf` as `X-CSRF-Token`.
    """

    title = "Cross-site request refused"


def security_headers(*, https: bool) -> Headers:
    """What every answer carries besides its content security policy."""
    headers: Headers = [
        (b"x-content-type-options", b"nosniff"),
        (b"x-frame-options", b"DENY"),
        (b"referrer-policy", b"no-referrer"),
        (b"permissions-policy", b"camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
        (b"cross-origin-resource-policy", b"same-site"),
    ]
    if https:
        headers.append((b"strict-transport-security", b"max-age=63072000; includeSubDomains"))
    return headers


class Origins:
    """Which websites may call us from a browser, and what they are told. Source: the Fetch standard, CORS protocol."""

    def __init__(self, allowed: Collection[str], *, own: str) -> None:
        self._any = "*" in allowed
        self._allowed = frozenset(origin.rstrip("/").encode() for origin in allowed)
        self._own = own.rstrip("/").encode()
        self.unasked: Headers = [(b"vary", b"Origin")] if self._allowed and not self._any else []
        """What an answer to a request without an origin carries: a cache must not give it to a page that has one."""

    def headers(self, origin: bytes) -> Headers:
        """What a cross-origin answer carries; nothing when the origin is not allowed."""
        if not self._any and origin not in self._allowed:
            return self.unasked
        exposed = b"Deprecation, ETag, Link, Location, RateLimit, RateLimit-Policy, Retry-After, Sunset, X-Request-ID"
        if self._any:
            return [(b"access-control-allow-origin", b"*"), (b"access-control-expose-headers", exposed)]
        return [
            (b"access-control-allow-origin", origin),
            (b"access-control-allow-credentials", b"true"),
            (b"access-control-expose-headers", exposed),
            (b"vary", b"Origin"),
        ]

    def preflight(self, origin: bytes, methods: Collection[str], wanted_headers: bytes) -> Headers:
        """The answer to a preflight request."""
        headers = self.headers(origin)
        if not any(name == b"access-control-allow-origin" for name, _ in headers):
            return headers
        return [
            *headers,
            (b"access-control-allow-methods", ", ".join(sorted(methods)).encode()),
            (b"access-control-allow-headers", wanted_headers or b"*"),
            (b"access-control-max-age", b"600"),
        ]

    def is_ours(self, origin: bytes, host: bytes) -> bool:
        """Whether a page of this origin may open a WebSocket with our cookie, which CORS does not guard."""
        return origin in (self._own, b"http://" + host, b"https://" + host) or origin in self._allowed


def csrf_token(secret: bytes, session: str) -> str:
    """The proof that belongs to a session; it is sent in a cookie that scripts can read, and back in a header."""
    return hmac.new(secret, b"ossature.csrf\0" + session.encode(), hashlib.sha256).hexdigest()


def check_csrf(method: str, session: str, secret: bytes, headers: Mapping[bytes, bytes]) -> None:
    """Refuse a change that came with a session cookie but without our page's proof. Raises: CrossSiteRefused."""
    if method in _SAFE_METHODS:
        return
    given = headers.get(CSRF_HEADER, b"")
    if headers.get(b"sec-fetch-site") == b"cross-site" or not hmac.compare_digest(
        given, csrf_token(secret, session).encode()
    ):
        raise CrossSiteRefused


def set_session(response: Response, session: str, *, secret: bytes, https: bool, max_age_s: int) -> None:
    """Give a browser its session: an HttpOnly cookie, and the readable cookie that proves our pages."""
    for name, value, hidden in ((SESSION_COOKIE, session, True), (CSRF_COOKIE, csrf_token(secret, session), False)):
        response.set_cookie(name, value, max_age=max_age_s, path="/", secure=https, httponly=hidden, samesite="lax")


def drop_session(response: Response, *, https: bool) -> None:
    """Take the session back from a browser."""
    for name in (SESSION_COOKIE, CSRF_COOKIE):
        response.delete_cookie(name, path="/", secure=https, samesite="lax")


def read_cookie(header: bytes, name: str) -> str | None:
    """One cookie out of a `Cookie` header."""
    wanted = name.encode() + b"="
    for part in header.split(b";"):
        part = part.strip()  # noqa: PLW2901 - the stripped one is what is meant
        if part.startswith(wanted):
            return part[len(wanted) :].strip(b'"').decode("latin-1")
    return None


class Proxies:
    """Tells the client's own address behind proxies that we know."""

    def __init__(self, trusted: Collection[str]) -> None:
        self._trusted: tuple[IPv4Network | IPv6Network, ...] = tuple(ip_network(one, strict=False) for one in trusted)
        self._known: dict[str, bool] = {}

    def trusts(self, ip: str) -> bool:
        """Whether what this address says about others is believed."""
        known = self._known.get(ip)
        if known is None:
            try:
                address = _plain(ip)
            except ValueError:  # a UNIX socket has no address; whoever can open it is on this machine
                known = not ip
            else:
                known = any(address in network for network in self._trusted)
            if len(self._known) > 4096:
                self._known.clear()
            self._known[ip] = known
        return known

    def client(self, peer: str, forwarded: bytes) -> str:
        """The nearest address that is not a proxy of ours; what stands further left can be invented."""
        ip = peer
        for part in reversed(forwarded.decode("latin-1").split(",")):
            if not self.trusts(ip):
                return ip
            candidate = part.strip()
            try:
                ip = str(_plain(candidate))
            except ValueError:
                return ip
        return ip


def _plain(text: str) -> IPv4Address | IPv6Address:
    """An address; a socket for both families says IPv4 ones as `::ffff:192.0.2.1`. Raises: ValueError for what is none."""
    address = ip_address(text)
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
