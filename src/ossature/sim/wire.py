"""What a simulated upstream reads and writes: `Request`, `Reply`, and `Refusal`, the reason for saying no."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from math import isfinite
from types import MappingProxyType
from typing import Any
from urllib.parse import parse_qsl

import orjson

from ossature.sim.limits import Limit, WindowState
from ossature.sim.world.world import World

# What JSON holds at the top; inside it is looked at piece by piece.
Json = dict[str, Any] | list[Any] | str | float | bool | None
Headers = tuple[tuple[bytes, bytes], ...]
_MAX_DIGITS = 9
NOTHING: Mapping[str, str] = MappingProxyType({})
NO_UNITS: Mapping[str, int] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request as the upstream sees it.

    path: below the provider, begins with "/". args: values of the `{names}` in the route.
    now: the upstream's own clock, aware UTC. serial: counts the requests of this provider, from 1.
    windows: state of the upstream's limits after this request was admitted. beside: how many other requests to this
    provider are under way. state: what the provider remembers, where it remembers anything.
    """

    method: str
    path: str
    query_string: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes
    client: str
    now: datetime
    serial: int
    world: World
    args: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    windows: tuple[WindowState, ...] = ()
    beside: int = 0
    state: Any = None

    def query(self) -> dict[str, str]:
        """Return the query parameters; of a repeated one the last counts."""
        return dict(parse_qsl(self.query_string.decode("latin-1"), keep_blank_values=True))

    def header(self, name: bytes) -> str | None:
        """Return the first header of that lower-case name."""
        for key, value in self.headers:
            if key == name:
                return value.decode("latin-1")
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One answer of the upstream, before any fault is applied.

    events: the writes of a streamed answer; then `body` is unused.
    units: what the answer costs beyond the request itself (`tokens`), charged to the upstream's windows.
    """

    status: int = 200
    body: bytes = b""
    headers: Headers = ()
    events: tuple[bytes, ...] = ()
    units: Mapping[str, int] = field(default_factory=lambda: NO_UNITS)

    def header(self, name: bytes) -> bytes | None:
        """Return the first header of that lower-case name."""
        for key, value in self.headers:
            if key == name:
                return value
        return None


JSON_HEADERS: Headers = ((b"content-type", b"application/json; charset=utf-8"),)


def json_reply(
    value: object, *, status: int = 200, headers: Headers = (), units: Mapping[str, int] = NO_UNITS
) -> Reply:
    """Return the value as a JSON answer."""
    return Reply(status=status, body=orjson.dumps(value), headers=JSON_HEADERS + headers, units=units)


def text_reply(text: str, *, status: int = 200, content_type: str = "text/plain", headers: Headers = ()) -> Reply:
    """Return the text as an answer of that media type."""
    kind = (b"content-type", f"{content_type}; charset=utf-8".encode())
    return Reply(status=status, body=text.encode(), headers=(kind, *headers))


def retry_after(seconds: int | None) -> Headers:
    """Return the Retry-After header, or nothing when the upstream does not say."""
    return () if seconds is None else ((b"retry-after", str(seconds).encode()),)


class Reason(StrEnum):
    """Why an upstream says no before, or instead of, looking at the question."""

    NO_KEY = "no_key"
    WRONG_KEY = "wrong_key"
    NO_CONTACT = "no_contact"
    THROTTLED = "throttled"
    NO_SUCH_PATH = "no_such_path"
    WRONG_METHOD = "wrong_method"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """One no, to be said in the upstream's own words.

    limit: the window that is full, for THROTTLED; None when a fault pretends it.
    resets_at: when it will have room again. retry_after_s: what a Retry-After header would say; None = nothing.
    """

    reason: Reason
    status: int
    retry_after_s: int | None = None
    limit: Limit | None = None
    resets_at: datetime | None = None
    key: str = ""


class InputError(ValueError):
    """The question cannot be understood; the handler answers it in the upstream's own words."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


def number(query: Mapping[str, str], name: str) -> float:
    """Return the finite number of that name. Raises: InputError when it is absent or no number."""
    try:
        value = float(query[name])
    except (KeyError, ValueError):
        raise InputError(name) from None
    if not isfinite(value):
        raise InputError(name)
    return value


def whole(query: Mapping[str, str], name: str, *, otherwise: int, least: int, most: int) -> int:
    """Return the whole number of that name, or the other one when it is absent. Raises: InputError outside least..most."""
    text = query.get(name)
    if text is None:
        return otherwise
    # Digits beyond these are no count of anything, and slow to read.
    if not text.isdecimal() or len(text) > _MAX_DIGITS or not least <= int(text) <= most:
        raise InputError(name)
    return int(text)


@lru_cache(maxsize=16)
def _http_date(epoch_s: int) -> bytes:
    return datetime.fromtimestamp(epoch_s, tz=UTC).strftime("%a, %d %b %Y %H:%M:%S GMT").encode()


def http_date(at: datetime) -> bytes:
    """Return the moment as HTTP headers write it (RFC 9110 section 5.6.7)."""
    return _http_date(int(at.timestamp()))
