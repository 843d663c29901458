"""What callers of a tenant ran into at the edge, as facts: a failure of ours, a rate limit that is used up."""

import time
from dataclasses import dataclass
from uuid import UUID

from ossature.kernel.context import SYSTEM_TENANT_ID
from ossature.kernel.events.crier import Crier
from ossature.kernel.http.edge import RateLimited
from ossature.kernel.http.ports import Exchange
from ossature.kernel.service import Fact

QUIET_S = 60.0
_SERVER_ERROR = 500
_REMEMBERED_MOST = 10_000
_RATE_LIMITED = RateLimited.slug


@dataclass(frozen=True, slots=True)
class ApiError:
    """A request was answered with a status of 500 or more. times: how many since this was last told of the route."""

    route: str
    method: str
    status: int
    problem: str
    trace_id: str
    times: int


@dataclass(frozen=True, slots=True)
class RateLimitHit:
    """A caller met a rate limit. subject: `key:<id>` or `user:<id>`, empty for anybody else; times: as above."""

    subject: str
    route: str
    method: str
    times: int


FACTS = (
    Fact(type=ApiError, wire="api.error", key="route"),
    Fact(type=RateLimitHit, wire="rate_limit.hit", key="subject"),
)


@dataclass(slots=True)
class _Told:
    at_s: float
    since: int = 0


class EdgeCrier:
    """An observer of the edge that publishes what went wrong, each kind once a minute: a flood must not become two."""

    def __init__(self, tell: Crier) -> None:
        self._tell = tell
        self._told: dict[tuple[UUID, str, str, str], _Told] = {}

    def __call__(self, exchange: Exchange) -> None:
        """Take note of a finished exchange."""
        if not exchange.problem:
            return
        is_limit = exchange.problem == _RATE_LIMITED
        if not is_limit and exchange.status < _SERVER_ERROR:
            return
        identity = exchange.identity
        tenant_id = SYSTEM_TENANT_ID if identity is None else identity.tenant.id
        subject = identity.subject if identity is not None and is_limit else ""
        times = self._due((tenant_id, exchange.problem, exchange.route, subject))
        if not times:
            return
        fact = (
            RateLimitHit(subject, exchange.route, exchange.method, times)
            if is_limit
            else ApiError(exchange.route, exchange.method, exchange.status, exchange.problem, exchange.trace_id, times)
        )
        self._tell(fact, tenant_id=tenant_id, request_id=exchange.request_id)

    def _due(self, what: tuple[UUID, str, str, str]) -> int:
        """How often this happened since it was last told, if it is to be told now; else 0."""
        now_s = time.monotonic()
        told = self._told.get(what)
        if told is not None and now_s - told.at_s < QUIET_S:
            told.since += 1
            return 0
        if len(self._told) >= _REMEMBERED_MOST:
            self._told.clear()
        self._told[what] = _Told(now_s)
        return 1 + (told.since if told is not None else 0)
