"""Where calls may go: declared hosts, public addresses; checked on the address that is really connected to."""

import asyncio
import ipaddress
import re
import socket
import unicodedata
from functools import lru_cache
from urllib.parse import SplitResult, urljoin, urlsplit

from aiohttp.abc import AbstractResolver, ResolveResult

from ossature.kernel.errors import InvalidInput

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# Cloud metadata services answer here, to anybody on the machine; no setting opens them.
_METADATA = frozenset(
    ipaddress.ip_address(address)
    for address in ("169.254.169.254", "169.254.170.2", "100.100.100.200", "fd00:ec2::254")
)
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
# Names that only a network of one's own gives out. Source: RFC 6761, RFC 6762, the list of special-use names of IANA.
_INSIDE = (".localhost", ".local", ".internal", ".lan", ".home.arpa")
_NUMERIC_HOST = re.compile(r"(?:0x[0-9a-f]+|\d+)(?:\.(?:0x[0-9a-f]+|\d+))*\.?", re.IGNORECASE)


class AddressRefused(InvalidInput):
    """An address that must not be called: an undeclared host, a private network, or something that is no web address."""

    title = "Address refused"


class PrivateAddressError(OSError):
    """A name led to an address that must not be connected to."""


def is_public(address: str) -> bool:
    """Whether an IP address is on the public internet, looking through its IPv6 disguises."""
    found = _unwrapped(ipaddress.ip_address(address.partition("%")[0]))
    return found.is_global and not found.is_multicast


def is_forbidden(address: str) -> bool:
    """Whether an IP address must not be connected to even by those who may enter private networks."""
    found = _unwrapped(ipaddress.ip_address(address.partition("%")[0]))
    return found in _METADATA or found.is_multicast or found.is_unspecified


def _unwrapped(found: _Address) -> _Address:
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour
        if inner is None and found in _NAT64:
            inner = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
        if inner is not None:
            return inner
    return found


def check_url(url: str, *, hosts: frozenset[str], private: bool = False) -> SplitResult:
    """The parts of an address that may be called.

    hosts: lower case, `name`, `name:port`, or `*.name` for every name below it. Raises: AddressRefused.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        raise AddressRefused("This is no web address.") from None
    _check_origin(parts.scheme, parts.netloc, hosts, private)
    return parts


@lru_cache(maxsize=4096)
def _check_origin(scheme: str, netloc: str, hosts: frozenset[str], private: bool) -> None:  # noqa: FBT001 - a cached function has no keywords to spare
    """Refuse an origin; those that are allowed are remembered, refusals are not. Raises: AddressRefused."""
    parts = SplitResult(scheme, netloc, "", "", "")
    try:
        host, port = (parts.hostname or "").lower().rstrip("."), parts.port
    except ValueError:
        raise AddressRefused("This is no web address.") from None
    if scheme not in {"http", "https"} or not host:
        raise AddressRefused("Only http and https addresses are called.")
    if parts.username or parts.password:
        raise AddressRefused("An address with a user name in it is not called.")
    if not _declared(host, port, hosts):
        raise AddressRefused(f"The host {host} is not declared.", host=host)
    check_literal(host, private=private)


def _declared(host: str, port: int | None, hosts: frozenset[str]) -> bool:
    if host in hosts or f"{host}:{port}" in hosts:
        return True
    _, dot, rest = host.partition(".")
    return bool(dot) and f"*.{rest}" in hosts


def check_literal(host: str, *, private: bool) -> None:
    """Refuse an IP address that is written out, in any spelling. Raises: AddressRefused."""
    wrong = _wrong_with(host, private)
    if wrong:
        raise AddressRefused(f"{host} is not a {wrong} address.", host=host)


def check_public(host: str) -> None:
    """Refuse a host that is not on the public internet, as far as its spelling tells. Raises: AddressRefused."""
    # As resolvers read it: `①②⑦.⓪.⓪.①` is an address of ours in disguise. Source: UTS 46, 2.3 and 4.
    read = unicodedata.normalize("NFKC", host).replace("\u3002", ".").lower().rstrip(".")
    check_literal(read, private=False)
    if not _is_literal(read) and ("." not in read or read.endswith(_INSIDE)):
        raise AddressRefused(f"{host} is not on the public internet.", host=host)


def _is_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


@lru_cache(maxsize=4096)
def _wrong_with(host: str, private: bool) -> str:  # noqa: FBT001 - a cached function has no keywords to spare
    if not _is_literal(host):
        return "canonical" if _NUMERIC_HOST.fullmatch(host) else ""
    return "public" if is_forbidden(host) or not (private or is_public(host)) else ""


def redirected(url: str, location: str, *, hosts: frozenset[str], private: bool) -> str:
    """The address that a redirect leads to. Raises: AddressRefused, also for a step down from https to http."""
    target = urljoin(url, location)
    parts = check_url(target, hosts=hosts, private=private)
    if urlsplit(url).scheme == "https" and parts.scheme != "https":
        raise AddressRefused("A redirect leads from https to http.")
    return target


class GuardedResolver(AbstractResolver):
    """Names to addresses, without those that must not be connected to.

    The connection is made to the very addresses that were checked: a name that answers differently the next time
    (DNS rebinding) gains nothing.
    """

    def __init__(self, *, private: bool) -> None:
        self._private = private

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Addresses of a name. Raises: PrivateAddressError when it has only forbidden ones; OSError."""
        found = await asyncio.get_running_loop().getaddrinfo(
            host, port, type=socket.SOCK_STREAM, family=family, flags=socket.AI_ADDRCONFIG
        )
        allowed = [
            ResolveResult(
                hostname=host,
                host=str(address[0]),
                port=port,
                family=each_family,
                proto=proto,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for each_family, _, proto, _, address in found
            if self.allows(str(address[0]))
        ]
        if found and not allowed:
            msg = f"{host} leads to a private address"
            raise PrivateAddressError(msg)
        return allowed

    def allows(self, address: str) -> bool:
        """Whether an address may be connected to."""
        return not is_forbidden(address) and (self._private or is_public(address))

    def open_socket(self, info: tuple[int, int, int, str, tuple[object, ...]]) -> socket.socket:
        """A socket for an address that is about to be connected to; the last look at it. Raises: PrivateAddressError."""
        family, kind, proto, _, address = info
        if not self.allows(str(address[0])):
            msg = f"{address[0]} is a private address"
            raise PrivateAddressError(msg)
        return socket.socket(family, kind, proto)

    async def close(self) -> None:
        """Nothing is held open."""
