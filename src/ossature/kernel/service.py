"""The vocabulary of the house: what a flat brings, as data. Nothing here runs anything.

A service is one frozen value; `ossature.app` knows no other thing of it. Kernel features that own tables or routes
(auth, tenants, quotas, webhooks, audit) are described by the same value and mounted first.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from fastapi import APIRouter
    from starlette.types import ASGIApp
    from typer import Typer

    from ossature.kernel.config import Settings
    from ossature.kernel.context import Actor, Ctx
    from ossature.kernel.db.sealed import Sealed
    from ossature.kernel.db.table import Table
    from ossature.kernel.errors import Problem
    from ossature.kernel.house import House
    from ossature.kernel.notify.domain import Notice
    from ossature.kernel.outbound.operation import Operation
    from ossature.kernel.outbound.provider import Provider


@dataclass(frozen=True, slots=True)
class Every:
    """A schedule: a fixed interval, or cron fields in a time zone.

    Exactly one of `interval` and `cron` is given. jitter_s: each run is delayed by up to this much, chosen anew; None
    takes the default for the frequency, never above half the interval. missed: what happens to runs that nobody was
    there to start: forget them, start one, start all. expires_after_s: a run that could not start within this is
    dropped.
    """

    interval: timedelta | None = None
    cron: str | None = None
    zone: str = "UTC"
    jitter_s: float | None = None
    missed: Literal["skip", "once", "all"] = "once"
    expires_after_s: float | None = None

    def __post_init__(self) -> None:
        if (self.interval is None) == (self.cron is None):
            msg = "a schedule has either an interval or cron fields"
            raise ValueError(msg)


@dataclass(frozen=True, slots=True)
class Backoff:
    """Waits between attempts: `first_s`, doubled up to `most_s`, each chosen at random below that (full jitter)."""

    first_s: float = 1.0
    most_s: float = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Work outside a request: an async function of a `Ctx` and JSON arguments.

    name: `room.verb`, such as `dispatch.plan_day`; it is stored, so renaming one needs a migration.
    every: run on this schedule, for the system tenant. ordered_by: jobs of this name whose value of that argument is
    the same run one after the other, in the order of their enqueueing. concurrency, per_minute: limits over all workers.
    long: the run may last for hours; it is not stopped by a draining worker but handed over with its progress.
    """

    name: str
    run: Callable[..., Awaitable[Any]]
    queue: str = "default"
    attempts: int = 5
    backoff: Backoff = field(default_factory=Backoff)
    time_limit_s: float = 300.0
    priority: int = 0
    every: Every | None = None
    ordered_by: str | None = None
    concurrency: int | None = None
    per_minute: int | None = None
    long: bool = False
    keep_days: int = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """How a fact is known outside: declared beside its frozen dataclass in `contracts/` or in a kernel room.

    wire: the name that customers see in webhooks, `noun.verb`. key: the field whose values keep their order.
    """

    type: type
    wire: str
    key: str | None = None
    version: int = 1


class Health(StrEnum):
    """How a part is: well, well enough to serve but worth a look, or not able to serve."""

    OK = "ok"
    DEGRADED = "degraded"
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What a check found. advice: what an operator can do about it."""

    health: Health
    detail: str = ""
    advice: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One look at one part, for `/ready` (when `ready`), `/health/detailed` and `ossature doctor`."""

    name: str
    run: Callable[[House], Awaitable[CheckResult]]
    ready: bool = False
    time_limit_s: float = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Deprecation:
    """That something will go: since when nobody should begin to use it, and after which day it may be gone.

    successor: path of what does the same from now on, with the parameters of the old path, such as `/v2/shop/{order_id}`.
    """

    since: date
    sunset: date | None = None
    successor: str = ""

    def __post_init__(self) -> None:
        if self.sunset is not None and self.sunset < self.since:
            msg = "nothing is gone before it is deprecated"
            raise ValueError(msg)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What the edge does for one route. Attached with `ossature.kernel.http.policy.policy(...)`.

    allow: permission that the caller needs (`verb:object`); None only with `public`. rate: class of rate limits.
    effects: the route changes something, so an Idempotency-Key is honoured (default: by method). cost: units that the
    caller's quota is charged, by name. max_body_bytes: None is the house's limit. cache: Cache-Control of a good answer.
    nobody: a public route that takes whoever comes with a session cookie for nobody, so that a plain form, which cannot
    prove that it is ours, may be sent by somebody who is signed in.
    deprecated: the route will go one day, and every answer says so. signed: requests must be signed (RFC 9421).
    """

    allow: str | None = None
    public: bool = False
    rate: str = "default"
    effects: bool | None = None
    max_body_bytes: int | None = None
    cache: str = "no-store"
    time_limit_s: float | None = None
    nobody: bool = False
    deprecated: Deprecation | None = None
    signed: bool = False


class Refuse(Protocol):
    """Puts a refusal into the form of a protocol."""

    def __call__(
        self, problem: Problem, /, *, public_url: str, request_id: str
    ) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        """Status, headers and body."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """A raw ASGI application at a path: a hot path, static pages, a protocol of its own.

    path: exact path, or a prefix when it ends with `/`. build: makes the application once per process. lifespan: held
    open while the process serves. openapi: its path items, by path; it counts as a route in every house test. refuse: how
    refusals of the edge look here, where the protocol has a form of its own; by default they are problem documents.
    """

    path: str
    build: Callable[[House], ASGIApp]
    policy: Policy
    methods: Sequence[str] = ("GET",)
    openapi: Mapping[str, Any] = field(default_factory=dict)
    lifespan: Callable[[House], AbstractAsyncContextManager[None]] | None = None
    refuse: Refuse | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A console page.

    path: below `/console`, with parameters such as `/jobs/{job_id:uuid}`. build: `module:function`, an async function of
    a `kernel.console.visit.Visit` and the parameters of the path; it is imported when the console is mounted, so that
    nobody else loads the toolkit. allow: permission that it takes to see the page, `*` for everybody who is signed in.
    menu: heading under which it is listed, empty for none; None keeps it out of the menu. find: `module:function`, an async
    function of a `Visit` and a text that gives the `Hit`s of `kernel.console.search` that fit, for who may see the page.
    """

    path: str
    title: str
    build: str
    allow: str
    menu: str | None = None
    find: str = ""


@dataclass(frozen=True, slots=True)
class Topic:
    """A kind of live frame that clients may ask for. allow: the permission that a subscriber needs; `*` for everybody.

    filter: whether this actor may see this frame (a `Message` of `kernel.http.ports`), asked for each; None: all of them.
    """

    name: str
    allow: str
    filter: Callable[[Actor, Any], bool] | None = None


@dataclass(frozen=True, slots=True)
class Role:
    """A named set of permissions that a service adds to the house's own roles."""

    name: str
    permissions: frozenset[str]
    title: str = ""


@dataclass(frozen=True, slots=True)
class Rate:
    """A class of rate limits: `windows` are (count, seconds), all of which hold at once, per caller."""

    name: str
    windows: Sequence[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Personal:
    """One column with personal data. erase: what erasing the person does to it."""

    column: str
    erase: Literal["delete_row", "null", "pseudonymise", "keep"]
    person: str = "user_id"
    retention_days: int | None = None


@dataclass(frozen=True, slots=True)
class Objective:
    """A service level of one route, `GET /v1/things/{thing_id}`: p95 in ms, error rate and availability as fractions.

    p95_ms: 95 of 100 answers are not slower. error_rate: share that may be answered with a status of 500 or more.
    availability: share that is not answered with 502, 503 or 504.
    """

    route: str
    p95_ms: float
    error_rate: float = 0.01
    availability: float = 0.999

    @property
    def key(self) -> tuple[str, str]:
        """Method and route template, as requests are counted by them."""
        method, _, template = self.route.partition(" ")
        return method, template


def objectives(
    *routes: str, p95_ms: float, error_rate: float = 0.01, availability: float = 0.999
) -> tuple[Objective, ...]:
    """The same service level for several routes."""
    return tuple(Objective(route, p95_ms, error_rate, availability) for route in routes)


@dataclass(frozen=True, slots=True)
class Process:
    """A role of a service that can run as its own process (`--role NAME`), with the queues that it works."""

    name: str
    queues: Sequence[str] = ()
    routes: bool = False


@dataclass(frozen=True, slots=True)
class Alert:
    """Something that an operator is told about, as a rule of Prometheus.

    expr: PromQL; it alerts for each series that it gives for `for_s`. severity: who is told how fast: somebody is woken,
    the team reads it today, it stands in the next mail. summary: one sentence, with `{{ $labels.NAME }}` where it helps.
    runbook: name of the page in `docs/runbook` that says what to do.
    """

    name: str
    expr: str
    for_s: int
    severity: Literal["critical", "warning", "digest"]
    summary: str
    runbook: str


Factory = Callable[["House"], Any]
"""Makes the object that keeps a promise; called once per process, at the first use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """Everything that one flat brings to the house: the only object of it that `ossature.app` sees.

    name: also the prefix of its tables, routes (`/v1/NAME`), settings, jobs and metrics.
    listens: fact -> jobs that handle it, each in a job of its own after the commit (argument `fact`).
    offers: promise (a Protocol of `contracts`) -> who keeps it. needs: promises that it counts on, checked at boot.
    sealed: columns of its tables that the key ring seals; re-encryption goes through them.
    demo: fills a tenant with living data. simulated: the settings with which it asks the simulator at an address.
    prefix: None for `/v1/NAME`. lifespan: what it holds open in every process that serves or works.
    versions: routes of later versions, by number, served below `/v2/NAME` and so on, beside the first. deprecated:
    versions that will go one day.
    """

    name: str
    title: str = ""
    settings: Sequence[type[Settings]] = ()
    router: APIRouter | None = None
    prefix: str | None = None
    versions: Mapping[int, APIRouter] = field(default_factory=dict)
    deprecated: Mapping[int, Deprecation] = field(default_factory=dict)
    tables: Sequence[type[Table]] = ()
    jobs: Sequence[Job] = ()
    facts: Sequence[Fact] = ()
    listens: Mapping[type, Sequence[Job]] = field(default_factory=dict)
    offers: Mapping[type, Factory] = field(default_factory=dict)
    needs: Sequence[type] = ()
    operations: Sequence[Operation] = ()
    providers: Sequence[Provider] = ()
    checks: Sequence[Check] = ()
    personal: Sequence[Personal] = ()
    sealed: Sequence[Sealed[Any]] = ()
    commands: Typer | None = None
    pages: Sequence[Page] = ()
    graph: Sequence[type] = ()
    rpc: Sequence[Any] = ()
    slos: Sequence[Objective] = ()
    mounts: Sequence[Mount] = ()
    topics: Sequence[Topic] = ()
    permissions: frozenset[str] = frozenset()
    roles: Sequence[Role] = ()
    limits: Sequence[Rate] = ()
    alerts: Sequence[Alert] = ()
    notices: Sequence[Notice] = ()
    processes: Sequence[Process] = ()
    demo: Callable[[Ctx], Awaitable[None]] | None = None
    simulated: Callable[[str], Mapping[str, str]] | None = None
    lifespan: Callable[[House], AbstractAsyncContextManager[None]] | None = None
