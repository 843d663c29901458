"""What the edge asks of the rooms above and beside it, as Protocols; `kernel.house` hands over who keeps them.

The edge lies below `auth`, `tenants` and `quotas`, so it cannot name them. What runs on every request is synchronous
(`lookup`, `admit`, `MakeCtx`); only a miss or a shared counter is awaited.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from starlette.types import Scope

from ossature.kernel.context import Actor, Ctx, Tenant


@dataclass(frozen=True, slots=True)
class Identity:
    """Who asks and for whom, as one credential proved it from one address; shared by all requests that bring it.

    actor: `actor.ip` is filled in. subject: a short text that is the same for the same caller, the key of rate limits
    (`key:<id>`, `user:<id>`; the edge makes `ip:<address>` for anonymous callers). signed_only: only a signed request may
    be theirs; who takes an identity without a signature refuses it.
    """

    tenant: Tenant
    actor: Actor
    subject: str
    signed_only: bool = False


class Authenticator(Protocol):
    """Turns credentials into identities.

    credential: raw header bytes as they came: the value of `Authorization`, else of `X-API-Key`, else `session=` and the
    session cookie's value (so no credential of one kind is mistaken for another).
    """

    def lookup(self, credential: bytes, ip: str) -> Identity | None:
        """The identity from this process's cache, which is keyed by both; None if it is not there or no longer sure.

        Must cost about a dict look-up. Keys that are bound to addresses, revoked or expired never come from here.
        """

    async def authenticate(self, scope: Scope, credential: bytes, ip: str) -> Identity:
        """The identity, from the store. Raises: Unauthenticated, PermissionDenied (address, suspended tenant)."""


@dataclass(frozen=True, slots=True)
class Signed:
    """Who signed a request. digests: what its body must hash to, by algorithm (RFC 9530); empty: it must have no body."""

    identity: Identity
    digests: Mapping[str, bytes]


class Signatures(Protocol):
    """Verifies signatures of requests (RFC 9421)."""

    async def verify(self, scope: Scope, identity: Identity | None, ip: str) -> Signed | None:
        """Who signed a request that has a `Signature-Input`; None when no signature is meant for us.

        identity: who another credential of the request proved. Raises: Unauthenticated, PermissionDenied, a Problem of
        status 400.
        """


@dataclass(frozen=True, slots=True)
class RateState:
    """What a limiter decided. headers: `ratelimit` and `ratelimit-policy`, ready to send. window: what was used up."""

    allowed: bool
    headers: Sequence[tuple[bytes, bytes]] = ()
    retry_after_s: float = 0.0
    window: str = ""


class Limiter(Protocol):
    """Counts requests against the windows of a class of rate limits (`Policy.rate`)."""

    def admit(self, identity: Identity, rate: str, ip: str) -> RateState | None:
        """Count one request in this process; None when only the shared counter can say (then `admit_shared`)."""

    async def admit_shared(self, identity: Identity, rate: str, ip: str) -> RateState:
        """Count one request in the store that all processes share. Falls back by itself when that store is away."""


class Addresses(Protocol):
    """IP rules: who may speak to us at all."""

    def allows(self, ip: str, tenant_id: UUID | None, path: str) -> bool:
        """Whether this address may ask; called before authentication (tenant None) and after it. From memory only."""

    def note_failure(self, ip: str, kind: str) -> None:
        """Remember that an address failed: `kind` is `unauthenticated`, `old_session`, `not_found`, `rate_limited`."""


class MakeCtx(Protocol):
    """Makes the `Ctx` of one request. Opens nothing: `ctx.db` connects at its first use."""

    def __call__(self, identity: Identity, request_id: str) -> Ctx:
        """The context of one request, at the clock's present."""


@dataclass(slots=True)
class Exchange:
    """One request and its answer, filled in as it goes; observers read it when the last byte is sent.

    route: the template (`/v1/jobs/{id}`), never a path with ids; `unmatched` when no route took it. duration_s: until the
    last byte. stream: `websocket` or `events` once it is one, which lasts as long as somebody listens. error: an
    exception that no handler answered for. aborted: the client went away before the end.
    """

    request_id: str
    method: str
    path: str
    ip: str
    started: float
    traceparent: str = ""
    trace_id: str = ""
    route: str = "unmatched"
    status: int = 500
    duration_s: float = 0.0
    received_bytes: int = 0
    sent_bytes: int = 0
    identity: Identity | None = None
    problem: str = ""
    error: BaseException | None = None
    aborted: bool = False
    protocol: str = "http"
    stream: str = ""
    user_agent: bytes = b""
    ctx: Ctx | None = None
    span: Any = None


class Observer(Protocol):
    """Told about every finished exchange: metrics, service levels, access log, audit hook. Must not block or raise."""

    def __call__(self, exchange: Exchange) -> None:
        """Take note of a finished exchange."""


class Tracer(Protocol):
    """Server spans, cheap when not sampled."""

    def begin(self, exchange: Exchange, traceparent: str | None) -> None:
        """Continue the caller's trace or begin one: fills in `trace_id`, `traceparent` and `span` of the exchange."""

    def end(self, exchange: Exchange) -> None:
        """Close the span; an exchange with an error or a status of 500 and more is always exported."""


class Message(Protocol):
    """One frame of a live channel as the fan-out carries it. seq grows by one per tenant; `data` is a JSON object.

    coalesce: frames of one topic with the same value replace each other within a second (a vehicle's positions).
    """

    @property
    def seq(self) -> int:
        """Its number in the tenant's sequence."""

    @property
    def at(self) -> datetime:
        """When it was published."""

    @property
    def topic(self) -> str:
        """The topic that it belongs to, such as `positions`."""

    @property
    def type(self) -> str:
        """What kind of frame it is, such as `position`."""

    @property
    def data(self) -> Mapping[str, Any]:
        """What it says."""

    @property
    def coalesce(self) -> str | None:
        """Which frames replace each other."""


class Fanout(Protocol):
    """Carries live frames to every process, numbers them per tenant and keeps the last ones (10 minutes or 10,000)."""

    async def publish(
        self,
        tenant_id: UUID,
        *,
        topic: str,
        type: str,  # noqa: A002 - its name on the wire
        data: Mapping[str, Any],
        coalesce: str | None = None,
    ) -> int:
        """Send a frame to all processes; its number."""

    async def subscribe(self, tenant_id: UUID, receive: Callable[[Message], None]) -> Callable[[], Awaitable[None]]:
        """Have `receive` called in this loop with every frame of a tenant, in order of `seq`; call the result to stop."""

    async def since(self, tenant_id: UUID, seq: int) -> Sequence[Message] | None:
        """The frames after `seq`, oldest first; None when some of them are no longer kept (the client must reload)."""

    async def last(self, tenant_id: UUID) -> int:
        """The number of the newest frame of a tenant; 0 when there was none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gatekeepers:
    """Who keeps the promises above. secret: signs the cross-site proof. https: what the public address says."""

    authenticator: Authenticator
    limiter: Limiter
    make_ctx: MakeCtx
    tracer: Tracer
    observers: Sequence[Observer] = ()
    addresses: Addresses | None = None
    signatures: Signatures | None = None
    secret: bytes = b""
    public_url: str = ""
