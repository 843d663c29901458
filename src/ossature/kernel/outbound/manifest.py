"""What a provider is, as data: address, credentials, limits, prices, terms. No secret and no code in it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache
from typing import Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import TypeAdapter

_FIELD = re.compile(r"{(\w+)}")
_ID = re.compile(r"[a-z][a-z0-9_]*")

Transport = Literal["http", "smtp", "process", "file", "local"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Auth:
    """Where the secrets of a credential go.

    place: header, query or body name (for `path`: placeholder in base URL and path) -> template such as
    `Bearer {key}`. The names in braces are the secret fields; `key` is the setting `..._KEY_<PROVIDER>`, any other
    field `..._KEY_<PROVIDER>_<FIELD>`. demo: public values that the provider's documents offer to everybody.
    """

    kind: Literal["none", "header", "query", "path", "basic", "body", "oauth_cc"] = "none"
    place: Mapping[str, str] = field(default_factory=dict)
    need: Literal["none", "optional", "required"] = "none"
    demo: Mapping[str, str] = field(default_factory=dict)
    token_url: str = ""
    scope: str = ""

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of the secrets, in the order of their first use."""
        return tuple(dict.fromkeys(name for template in self.place.values() for name in _FIELD.findall(template)))

    @classmethod
    def bearer(cls, *, optional: bool = False, scheme: str = "Bearer") -> Self:
        """`Authorization: Bearer KEY`, or another scheme word."""
        return cls(kind="header", place={"Authorization": f"{scheme} {{key}}"}, need=_need(optional=optional))

    @classmethod
    def header(cls, name: str, *, optional: bool = False, demo: str = "") -> Self:
        """The key alone in a header."""
        return cls(kind="header", place={name: "{key}"}, need=_need(optional=optional), demo=_demo(demo))

    @classmethod
    def query(cls, name: str, *, optional: bool = False, demo: str = "") -> Self:
        """The key as a query parameter. It is kept out of every log, trace and problem."""
        return cls(kind="query", place={name: "{key}"}, need=_need(optional=optional), demo=_demo(demo))

    @classmethod
    def path(cls, *, optional: bool = False, demo: str = "") -> Self:
        """The key in the path, where base URL or path say `{key}`."""
        return cls(kind="path", place={"key": "{key}"}, need=_need(optional=optional), demo=_demo(demo))

    @classmethod
    def body(cls, name: str, *, optional: bool = False) -> Self:
        """The key as a field of the JSON or form body."""
        return cls(kind="body", place={name: "{key}"}, need=_need(optional=optional))

    @classmethod
    def basic(cls, user: str = "{user}", password: str = "{key}", *, optional: bool = False) -> Self:  # noqa: S107 - a template
        """HTTP Basic; both halves are templates."""
        return cls(kind="basic", place={"user": user, "password": password}, need=_need(optional=optional))

    @classmethod
    def oauth_cc(cls, token_url: str, *, scope: str = "", optional: bool = False) -> Self:
        """OAuth 2 client credentials: secrets `client_id` and `client_secret` buy a token that is renewed in time."""
        place = {"client_id": "{client_id}", "client_secret": "{client_secret}"}
        return cls(kind="oauth_cc", place=place, need=_need(optional=optional), token_url=token_url, scope=scope)


def _need(*, optional: bool) -> Literal["optional", "required"]:
    return "optional" if optional else "required"


def _demo(key: str) -> Mapping[str, str]:
    return {"key": key} if key else {}


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountField:
    """A value of an account that is no secret: a domain, a region, a plan."""

    name: str
    title: str
    required: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """How much may be asked in one window of time: per `per_s` seconds, or per calendar `period` in `zone`.

    kind: `fixed` begins anew at each multiple of `per_s` (a period always does so, at local midnight...); `sliding`
    never allows more in any stretch of `per_s` (at most a day); `pace` spaces calls evenly; `log` is sliding without
    loss, for limits up to 1,000. scope: who shares it.
    pool: providers with the same pool name share one window. operations: () is all. when: which of our calls it binds.
    evidence: verified in the documents, taken from a second source, or unknown (must be verified before it is true).
    """

    limit: int
    per_s: float | None = None
    period: Literal["minute", "hour", "day", "week", "month"] | None = None
    unit: str = "requests"
    kind: Literal["fixed", "sliding", "pace", "log"] = "sliding"
    zone: str = "UTC"
    scope: Literal["key", "ip", "application"] = "key"
    pool: str = ""
    operations: tuple[str, ...] = ()
    when: Literal["always", "keyless", "keyed"] = "always"
    evidence: Literal["verified", "second_hand", "unknown"] = "unknown"

    def __post_init__(self) -> None:
        if (self.per_s is None) == (self.period is None):
            msg = "a limit has either seconds or a period"
            raise ValueError(msg)


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitHeader:
    """Reply headers that say what is left of a window.

    reset_as: `seconds` until it opens, `epoch_s`, `iso`, or a `duration` such as `2m59.56s`.
    """

    remaining: str
    unit: str = "requests"
    per_s: int
    reset: str = ""
    reset_as: Literal["seconds", "epoch_s", "iso", "duration"] = "seconds"


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """What `per` units cost, in millionths of a US dollar. model, operation: empty means all."""

    unit: str
    microusd: int
    per: int = 1
    operation: str = ""
    model: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeLimits:
    """How long each phase of one attempt may last."""

    connect_s: float = 2.0
    first_byte_s: float = 5.0
    total_s: float = 20.0
    idle_s: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """One thing that the provider's terms say. holds: None where nobody knows."""

    about: Literal["caching", "commercial", "attribution", "redistribution", "other"]
    holds: bool | None
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Privacy:
    """What leaves the house, and for where. trains: whether the provider may learn from it."""

    leaves: tuple[str, ...] = ()
    region: str = ""
    trains: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """How the wire format is known, and since when."""

    how: Literal["docs", "recorded", "live"]
    on: date


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """A provider's data sheet.

    hosts: further hosts that calls and redirects may go to; that of `base_url` always may. private: it is ours and may
    lie in a private network. programs: names or whole paths of what a `process` provider may run. folders: which of the
    operator's folders (`OSSATURE_OUTBOUND_FOLDERS`) a `file` provider may use. rank: quality, higher is better. cache_s: upper bound of keeping its answers (0 forbids
    it, None: as the operation says). charges: it takes money, also for what no price is known of here. charges_on: error kinds that this upstream counts although others do not.
    needs_contact: its usage policy wants a User-Agent with a contact. user_agent: a fixed one, where one is demanded.
    """

    id: str
    title: str
    base_url: str = ""
    hosts: tuple[str, ...] = ()
    transport: Transport = "http"
    programs: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    auth: Auth = field(default_factory=Auth)
    account: tuple[AccountField, ...] = ()
    limits: tuple[Limit, ...] = ()
    limit_headers: tuple[LimitHeader, ...] = ()
    prices: tuple[Price, ...] = ()
    time_limits: TimeLimits = field(default_factory=TimeLimits)
    max_body_bytes: int | None = None
    cache_s: int | None = None
    licence: str = ""
    attribution: str = ""
    terms: tuple[Term, ...] = ()
    privacy: Privacy = field(default_factory=Privacy)
    charges: bool = False
    charges_on: frozenset[str] = frozenset()
    quirks: tuple[str, ...] = ()
    docs: str = ""
    evidence: Evidence | None = None
    rank: int = 50
    needs_contact: bool = False
    user_agent: str = ""
    private: bool = False
    max_concurrency: int = 32
    enabled_by_default: bool = True
    dead_reason: str = ""

    def __post_init__(self) -> None:
        if not _ID.fullmatch(self.id):
            msg = f"provider id {self.id!r}: lower-case letters, digits and _"
            raise ValueError(msg)
        if self.transport == "http" and not urlsplit(self.base_url).hostname:
            msg = f"provider {self.id}: an http provider has a base_url with a host"
            raise ValueError(msg)

    @property
    def allowed_hosts(self) -> frozenset[str]:
        """Hosts that may be spoken to for this provider."""
        return _hosts(self.base_url, self.auth.token_url, self.hosts)

    @property
    def is_free(self) -> bool:
        """Whether nothing that it does costs money."""
        return not self.charges and not any(price.microusd for price in self.prices)


@lru_cache(maxsize=4096)
def _hosts(base_url: str, token_url: str, further: tuple[str, ...]) -> frozenset[str]:
    own = (urlsplit(base_url).hostname, urlsplit(token_url).hostname)
    return frozenset(host.lower() for host in (*own, *further) if host)


def json_schema() -> dict[str, Any]:
    """The JSON Schema of a manifest, for documents and for provider files of others."""
    return TypeAdapter(Manifest).json_schema()
