"""The words that a provider file is written in: what another company's machine is, and how to speak to it.

A provider is one file: a `Manifest` (data) and, per operation, a `Codec` of pure functions. They do no I/O, know no
clock, no environment and no secret; whatever is slow, dangerous or to be counted is done once, by the engine.

    def encode(query: WeatherCurrent, account: Account) -> Call:
        return Call("GET", "/forecast", query={"latitude": query.latitude, "longitude": query.longitude})

    def decode(query: WeatherCurrent, reply: Reply) -> Weather:
        now = reply.json()["current"]
        return Weather(temperature_c=now["temperature_2m"], observed_at=utc(now["time"]))

    provider = Provider(Manifest(id="open_meteo", ...), {"weather.current": Codec(encode, decode)})
"""

import json
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Any, Generic, Literal, Protocol, TypeVar

import orjson

from ossature.kernel.outbound.manifest import (
    AccountField,
    Auth,
    Evidence,
    Limit,
    LimitHeader,
    Manifest,
    Price,
    Privacy,
    Term,
    TimeLimits,
)

# A provider file imports its words from here alone, those of `manifest.py` included.
__all__ = [
    "Account",
    "AccountField",
    "Auth",
    "Call",
    "Clamp",
    "Codec",
    "Document",
    "ErrorKind",
    "Evidence",
    "Limit",
    "LimitHeader",
    "Mail",
    "Manifest",
    "Part",
    "Price",
    "Privacy",
    "Program",
    "Provider",
    "Refusal",
    "Reply",
    "Sending",
    "Steps",
    "StreamDecoder",
    "Term",
    "TimeLimits",
]

_NEVER = datetime(1970, 1, 1, tzinfo=UTC)
_REPEATABLE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})

Method = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
Scalar = str | int | float | bool | Decimal | None


class ErrorKind(StrEnum):
    """Why an attempt gave no answer. What follows from each (retry, fallback, breaker, charge) is in `kinds.py`."""

    AUTH = "auth"
    QUOTA = "quota"
    RATE = "rate"
    BAD_REQUEST = "bad_request"
    NOT_FOUND = "not_found"
    CONTENT_POLICY = "content_policy"
    CONTEXT_LENGTH = "context_length"
    UPSTREAM_5XX = "upstream_5xx"
    CONNECT = "connect"
    TIMEOUT_BEFORE_SEND = "timeout_before_send"
    TIMEOUT_AFTER_SEND = "timeout_after_send"
    DECODE = "decode"
    TRUNCATED = "truncated"
    POLICY = "policy"
    CANCELLED = "cancelled"


class Refusal(Exception):  # noqa: N818 - what an upstream says is not our error
    """An upstream's no, in our words. `decode`, `refusal` functions and stream decoders raise it.

    detail: a sentence without secrets. retry_after_s: what the upstream said about when to come back. units: what it
    counted all the same, where that is known to be less than what was reserved.
    """

    units: Mapping[str, int] | None = None

    def __init__(self, kind: ErrorKind, detail: str = "", *, retry_after_s: float | None = None) -> None:
        super().__init__(kind, detail)
        self.kind = kind
        self.detail = detail
        self.retry_after_s = retry_after_s

    def __str__(self) -> str:
        return f"{self.kind}: {self.detail}" if self.detail else str(self.kind)


@dataclass(frozen=True, slots=True)
class Account:
    """On whose behalf a provider is asked, without its secrets.

    values: the `AccountField`s of the manifest that are set (a domain, a region, a plan). has_key: whether a secret
    will be placed; keyless calls may use other paths. contact: who answers for our traffic, as usage policies ask.
    """

    values: Mapping[str, str] = field(default_factory=dict)
    has_key: bool = False
    contact: str = ""

    def __getitem__(self, name: str) -> str:
        """A value that must be set. Raises: Refusal of kind `auth`, naming it."""
        value = self.values.get(name, "")
        if not value:
            raise Refusal(ErrorKind.AUTH, f"The account has no {name!r}.")
        return value

    def get(self, name: str, default: str = "") -> str:
        """A value that may be missing."""
        return self.values.get(name, default)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One part of a multipart body."""

    name: str
    content: bytes | str
    filename: str = ""
    content_type: str = ""


@dataclass(frozen=True, slots=True)
class Call:
    """What is to be sent. The engine adds the base URL, the credential and the time limits.

    path: below the manifest's base URL, or an absolute https URL of one of its hosts; write `quoted(text)` for a
    segment that comes from outside. query: None is left out, lists repeat the name, true and false are lower case.
    At most one of json, form, parts and body. units: what this will cost, as far as it is known before sending.
    idempotent: sending it twice has no more effect than once; None follows from the method.
    read_only: it asks and changes nothing, although it is a POST (GraphQL, search). None follows from the method.
    to_file: the body goes to a file (`Reply.file`), for media. no_auth: nothing secret is placed.
    """

    method: Method
    path: str
    query: Mapping[str, Scalar | Sequence[Scalar]] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    json: Any = None
    form: Mapping[str, Scalar | Sequence[Scalar]] | None = None
    parts: Sequence[Part] = ()
    body: bytes = b""
    units: Mapping[str, int] = field(default_factory=lambda: {"requests": 1})
    idempotent: bool | None = None
    read_only: bool | None = None
    to_file: bool = False
    no_auth: bool = False

    def __post_init__(self) -> None:
        if sum((self.json is not None, self.form is not None, bool(self.parts), bool(self.body))) > 1:
            msg = "a call has one body: json, form, parts or body"
            raise ValueError(msg)

    @property
    def may_repeat(self) -> bool:
        """Whether sending it again after an ambiguous end is harmless."""
        if self.read_only or self.idempotent:
            return True
        return self.idempotent is None and self.method in _REPEATABLE_METHODS


@dataclass(frozen=True, slots=True)
class Program:
    """A local program to be run instead of a call (transport `process`). No shell is involved.

    argv: the program first, one of `Manifest.programs`. stdin: what it reads. time_limit_s, memory_bytes: it is killed
    beyond the one and refused memory beyond the other. The `Reply` has status 200 for exit code 0 and 500 for any other,
    its standard output as body, and the headers `exit-code` and `stderr` (the end of it).
    """

    argv: Sequence[str]
    stdin: bytes = b""
    time_limit_s: float = 30.0
    memory_bytes: int = 512 * 1024 * 1024
    units: Mapping[str, int] = field(default_factory=lambda: {"requests": 1})


@dataclass(frozen=True, slots=True)
class Mail:
    """A message to be handed over (transports `smtp` and `file`). message: RFC 5322 bytes."""

    sender: str
    recipients: Sequence[str]
    message: bytes
    units: Mapping[str, int] = field(default_factory=lambda: {"requests": 1})


@dataclass(frozen=True, slots=True)
class Document:
    """Something to be done with a file in one of `Manifest.folders` (transport `file`).

    action: `read` gives its bytes (404 if there is none), `write` puts a whole file there at once, `delete` removes it,
    `list` gives the names in a folder as a JSON list. name: relative to the folder, its parts joined by `/`.
    """

    action: Literal["read", "write", "delete", "list"]
    folder: str
    name: str = ""
    body: bytes = b""
    units: Mapping[str, int] = field(default_factory=lambda: {"requests": 1})

    @property
    def may_repeat(self) -> bool:
        """Always: the same file is there, or gone, after the second time too."""
        return True


Sending = Call | Program | Mail | Document


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back. headers: lower-case names; a repeated one is joined with `, `.

    url: where it came from after redirects, without secrets. file: where the body lies when the call said `to_file`.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    url: str = ""
    file: Path | None = None
    received_at: datetime = _NEVER

    @property
    def ok(self) -> bool:
        """Whether the status is 2xx (or 0, where nothing was sent)."""
        return self.status == 0 or 200 <= self.status < 300

    def json(self, *, exact: bool = False) -> Any:  # noqa: ANN401 - whatever the upstream says
        """The body as JSON; `exact` keeps decimals as Decimal. Raises: ValueError."""
        if exact:
            return json.loads(self.body, parse_float=Decimal)
        return orjson.loads(self.body)

    def text(self) -> str:
        """The body as text, in the charset that it states, else UTF-8. Raises: ValueError."""
        _, _, charset = self.headers.get("content-type", "").partition("charset=")
        try:
            return self.body.decode(charset.partition(";")[0].strip("\"' ") or "utf-8")
        except LookupError:
            return self.body.decode()

    def header(self, name: str, default: str = "") -> str:
        """One header, by its name in any case."""
        return self.headers.get(name.lower(), default)


_Query = TypeVar("_Query")
_Result = TypeVar("_Result")

Steps = Generator[Sending, Reply, _Result]
"""Several calls one after the other: yields each, receives its reply, returns the result."""


class StreamDecoder(Protocol):
    """Turns the bytes of one streamed reply into items; pure, one per stream.

    An item is content: once one was given, the engine no longer falls back to another provider. Comments and
    heartbeats give none. `units` may be read at any moment and is exact once `end` returned.
    """

    def feed(self, chunk: bytes) -> Iterable[Any]:
        """Items that are complete with this chunk. Raises: Refusal for an error inside the stream."""

    def end(self) -> Iterable[Any]:
        """The last items, at the end of the bytes. Raises: Refusal(TRUNCATED) when the terminator is missing."""

    @property
    def units(self) -> Mapping[str, int]:
        """What the upstream says that it counted; empty while unknown."""


@dataclass(frozen=True, slots=True)
class Codec(Generic[_Query, _Result]):
    """How one operation is said to one provider, in exactly one of three forms.

    encode + decode: one call. steps: a generator, for several. compute: no call at all (transport `local`).
    KeyError, IndexError, TypeError, AttributeError and ValueError of `decode` mean that the answer was not understood.
    refusal: looks at every reply first; None leaves it to the status (and lets an error hidden in a 200 be found).
    accepts: why this provider cannot answer that query ("only the USA"), or None; asked before anything is sent.
    units: what the answer says was really used (tokens), for the ledger. stream: makes the decoder of a streamed reply.
    """

    encode: Callable[[_Query, Account], Sending] | None = None
    decode: Callable[[_Query, Reply], _Result] | None = None
    refusal: Callable[[Reply], ErrorKind | Refusal | None] | None = None
    steps: Callable[[_Query, Account], Steps[_Result]] | None = None
    compute: Callable[[_Query, Account], _Result] | None = None
    accepts: Callable[[_Query], str | None] | None = None
    units: Callable[[_Result], Mapping[str, int]] | None = None
    stream: Callable[[_Query], StreamDecoder] | None = None

    def __post_init__(self) -> None:
        if sum((self.encode is not None, self.steps is not None, self.compute is not None)) != 1:
            msg = "a codec has one form: encode + decode, steps, or compute"
            raise ValueError(msg)
        if self.encode is not None and self.decode is None and self.stream is None:
            msg = "a codec that encodes also decodes"
            raise ValueError(msg)


@dataclass(frozen=True, slots=True)
class Clamp:
    """What an upstream said is left of one of its windows: local counters go down to it, never up.

    per_s: length of the window that is meant. resets_at: when it opens again, if it was said.
    """

    unit: str
    per_s: int
    remaining: int
    resets_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Provider:
    """A window on another company's machine: who it is, and a codec per operation (`category.verb`).

    clamps: reads what is left of the limits from a reply, where `Manifest.limit_headers` cannot say it.
    """

    manifest: Manifest
    codecs: Mapping[str, Codec[Any, Any]]
    clamps: Callable[[Reply], Sequence[Clamp]] | None = None

    @property
    def id(self) -> str:
        """Its name in settings, limits, prices and answers."""
        return self.manifest.id

    @property
    def operations(self) -> tuple[str, ...]:
        """What it can be asked."""
        return tuple(self.codecs)
