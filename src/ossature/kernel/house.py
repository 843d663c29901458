"""Where the kernel and its guests are put together: the one place that knows all the parts.

A process opens one house: `async with House.open(services, config) as house`. From it come the web application, the
worker and the scheduler; a test opens one with a single service. Nobody asks a house for anything at run time: parts are
handed what they need, and a guest finds the others through `ctx.port(Type)`.
"""

from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, TypeVar, cast
from uuid import UUID

from ossature.kernel import clock
from ossature.kernel.audit.trail import Trail
from ossature.kernel.auth.addresses import AddressRules
from ossature.kernel.auth.authenticator import GateAuthenticator
from ossature.kernel.auth.signatures.verifier import SignatureVerifier
from ossature.kernel.cache.caches import Caches
from ossature.kernel.cache.settings import CacheSettings
from ossature.kernel.config import Config
from ossature.kernel.console.service import service as console_service
from ossature.kernel.context import SYSTEM, SYSTEM_TENANT, SYSTEM_TENANT_ID, Actor, Ctx, Tenant
from ossature.kernel.crypto.kept import open_ring
from ossature.kernel.crypto.ring import KeyRing
from ossature.kernel.db.checks import DATABASE
from ossature.kernel.db.engine import Database
from ossature.kernel.db.notify import Notifier
from ossature.kernel.db.redis import RedisSettings, connect
from ossature.kernel.db.settings import DatabaseSettings
from ossature.kernel.db.transaction import Db
from ossature.kernel.errors import Misconfigured
from ossature.kernel.events.catalogue import Catalogue
from ossature.kernel.events.crier import Crier
from ossature.kernel.events.live import DatabaseFanout
from ossature.kernel.events.outbox import Outbox
from ossature.kernel.events.redis_live import RedisFanout
from ossature.kernel.events.settings import EventSettings
from ossature.kernel.events.signals import Signals, Wire
from ossature.kernel.events.wires import PostgresWire, RedisWire, TableWire
from ossature.kernel.guests import GUESTS, everybody, jobs_of
from ossature.kernel.http.app import Application
from ossature.kernel.http.docs import documents
from ossature.kernel.http.facts import EdgeCrier
from ossature.kernel.http.ports import Fanout, Gatekeepers, Identity
from ossature.kernel.http.secret import installation_secret
from ossature.kernel.http.settings import HttpSettings
from ossature.kernel.jobs.claims import Claim
from ossature.kernel.jobs.domain import JobDead, JobView
from ossature.kernel.jobs.queue import Jobs
from ossature.kernel.jobs.schedule import Scheduler
from ossature.kernel.jobs.settings import JobSettings
from ossature.kernel.jobs.transport.broker import open_transport
from ossature.kernel.jobs.worker import Worker
from ossature.kernel.observe import metrics, tracing
from ossature.kernel.observe.api import VERSION
from ossature.kernel.observe.api import router as health_router
from ossature.kernel.observe.checks import MACHINE
from ossature.kernel.observe.edge import EdgeObserver, EdgeTracer
from ossature.kernel.observe.health import Inspector
from ossature.kernel.observe.logs import AccessLog
from ossature.kernel.observe.settings import ObserveSettings
from ossature.kernel.observe.writer import LineWriter
from ossature.kernel.outbound.aiohttp_client import AiohttpClient
from ossature.kernel.outbound.board import Board
from ossature.kernel.outbound.credentials import Credentials, PlatformCredentials
from ossature.kernel.outbound.engine import Consumers, Engine, Parts, Unlimited
from ossature.kernel.outbound.facts import telling
from ossature.kernel.outbound.http import Http
from ossature.kernel.outbound.ledger.values import Ledger
from ossature.kernel.outbound.placing import Surroundings
from ossature.kernel.outbound.settings import OutboundSettings
from ossature.kernel.outbound.transports import transports
from ossature.kernel.quotas.limiter import EdgeLimiter
from ossature.kernel.quotas.meter import Meter, metered
from ossature.kernel.service import Factory, Job, Service
from ossature.kernel.tenants import store as tenants
from ossature.kernel.tenants.registry import FORGET

_T = TypeVar("_T")


class House:
    """The parts of one process, put together. It is the `Doors` that every `Ctx` opens onto."""

    def __init__(self, services: tuple[Service, ...], config: Config, database: Database) -> None:
        self.services = services
        self.settings = config
        self.config = config
        self.database = database
        self._tenants: dict[UUID, Tenant] = {}
        self.ring = database.ring
        self._parts: dict[type, Any] = {Config: config, Database: database, KeyRing: self.ring}
        self._factories: dict[type, Factory] = {}
        for service in services:
            self._factories.update(service.offers)

    @classmethod
    @asynccontextmanager
    async def open(cls, services: Sequence[Service], config: Config) -> AsyncIterator["House"]:
        """A house that stands until the block ends. services: without the kernel's guests.

        Raises: Misconfigured.
        """
        async with AsyncExitStack() as stack:
            database = Database(config[DatabaseSettings], var_dir=config.main.var_dir, ring=open_ring(config))
            stack.push_async_callback(database.close)
            house = cls(everybody(services), config, database)
            await house._furnish(stack)
            yield house

    async def _furnish(self, stack: AsyncExitStack) -> None:
        """Make the parts, from the bottom up."""
        config, database, var_dir = self.config, self.database, self.config.main.var_dir
        self.redis = connect(config[RedisSettings]) if config[RedisSettings].configured else None
        if self.redis is not None:
            stack.push_async_callback(self.redis.aclose)
        self.signals = self._keep(Signals, Signals(self._wire()))
        await self.signals.start()
        stack.push_async_callback(self.signals.close)
        self.signals.subscribe(FORGET, self._forget_tenants, lost=self._forget_tenants)
        self.fanout = self._keep(Fanout, self._fanout())
        stack.push_async_callback(self.fanout.close)
        caches = Caches(config[CacheSettings], redis=config[RedisSettings], var_dir=var_dir, signals=self.signals)
        self.cache = self._keep(Caches, caches)
        stack.push_async_callback(self.cache.close)
        catalogue = Catalogue.of(self.services)
        jobs = {job.name: job for job in (*jobs_of(self.services), *catalogue.deliveries)}
        self.jobs = self._keep(Jobs, Jobs(database, jobs, config[JobSettings], open_transport(config[JobSettings])))
        stack.push_async_callback(self.jobs.close)
        self.outbox = self._keep(Outbox, Outbox(self.jobs, catalogue))
        crier = self._keep(Crier, Crier(database, self.outbox))
        stack.push_async_callback(crier.close)
        self.trail = self._keep(Trail, Trail())
        self.inspector = self._keep(
            Inspector, Inspector([*DATABASE, *MACHINE, *(c for s in self.services for c in s.checks)], self)
        )
        await self._open_outbound(stack)
        for service in self.services:
            if service.lifespan is not None:
                await stack.enter_async_context(service.lifespan(self))

    async def _open_outbound(self, stack: AsyncExitStack) -> None:
        """The engine that asks the outside world."""
        self.http: Http = AiohttpClient(self.config[OutboundSettings])
        stack.push_async_callback(self.http.close)
        self.ledger = self.port(Ledger)  # type: ignore[type-abstract] # a promise is asked for by its Protocol
        stack.push_async_callback(self.ledger.close)
        board = self._keep(Board, Board(self.database, tell=telling(self.port(Crier))))
        await board.start()
        stack.push_async_callback(board.close)
        limited = self.config[OutboundSettings].limited
        asking = {operation.id: service.name for service in self.services for operation in service.operations}
        around: Surroundings = self._offered(Surroundings, Surroundings())
        parts = Parts(
            http=self.http,
            ledger=self.ledger,
            board=board,
            caches=self.cache,
            credentials=self._offered(Credentials, PlatformCredentials({}, variable_prefix="OSSATURE_KEY_")),
            consumers=self._offered(Consumers, Unlimited()),
            senders=transports(self.config[OutboundSettings]),
            meter=lambda usage: self.port(Meter).note(metered(usage, service=asking[usage.operation])),
        )
        self.outbound = self._keep(
            Engine,
            Engine(
                parts,
                providers=[limited(provider) for service in self.services for provider in service.providers],
                operations=[operation for service in self.services for operation in service.operations],
                around=around,
                default_policy=around.policy,
            ),
        )

    def _wire(self) -> Wire:
        if self.redis is not None:
            return RedisWire(self.redis, self.config[RedisSettings].prefix)
        if self.database.embedded:
            return TableWire(self.database, self.config[EventSettings])
        return PostgresWire(self.database, Notifier(self.database.direct))

    def _fanout(self) -> RedisFanout | DatabaseFanout:
        if self.redis is not None:
            return RedisFanout(self.redis, self.config[RedisSettings].prefix, self.config[EventSettings])
        return DatabaseFanout(self.database, self.signals, self.config[EventSettings])

    def _offered(self, promise: type[Any], otherwise: _T) -> _T:
        """Who keeps a promise that nobody has to keep."""
        return cast("_T", self.port(promise)) if promise in self._factories else otherwise

    def app(
        self,
        names: Sequence[str] | None = None,
        *,
        access: LineWriter | None = None,
        console: bool = False,
        served_at: str = "",
    ) -> Application:
        """The web application with the routes of these services (None: of all); the kernel's own are always served.

        access: where the access log goes; None writes none. console: with the web console, whose pages live in one
        process: of several that share an address only one may have it. served_at: the address of this process.
        """
        config = self.config
        config.served_at(served_at)
        settings = config[HttpSettings]
        keepers = Gatekeepers(
            authenticator=self.port(GateAuthenticator),
            limiter=self.port(EdgeLimiter),
            make_ctx=self.request_ctx,
            tracer=EdgeTracer(),
            observers=(EdgeObserver(AccessLog(access) if access is not None else None), EdgeCrier(self.port(Crier))),
            addresses=self.port(AddressRules),
            signatures=self.port(SignatureVerifier),
            secret=installation_secret(config),
            public_url=config.main.public_url,
        )
        application = Application(keepers=keepers, settings=settings, database=self.database, version=VERSION)
        application.add_router(health_router(self.inspector, shared_metrics=config[ObserveSettings].metrics_dir))
        application.add_router(documents(application))
        metrics.requests.promise(objective for service in self.services for objective in service.slos)
        kernel = {guest.name for guest in GUESTS}
        for service in self.services:
            if service.name in kernel or names is None or service.name in names:
                application.add_service(service)
                for mount in service.mounts:
                    if console or service is not console_service:
                        application.add_mount(mount, self)
        return application

    def port(self, promise: type[_T]) -> _T:
        """Who keeps a promise, or a part of the kernel by its type. Raises: Misconfigured when nobody does."""
        found = self._parts.get(promise)
        if found is None:
            factory = self._factories.get(promise)
            if factory is None:
                raise Misconfigured(f"Nobody here offers {promise.__name__}.")
            found = self._parts[promise] = factory(self)
        return cast("_T", found)

    def ctx(self, *, tenant: Tenant, actor: Actor, id: str | None = None, db: Db | None = None) -> Ctx:  # noqa: A002 - as in Ctx
        """The context of one occasion. Its `db` is open until somebody closes it: the edge and the worker do."""
        view = db or (self.database.system() if tenant.id == SYSTEM_TENANT_ID else self.database.tenant(tenant.id))
        return Ctx(self, tenant=tenant, actor=actor, now=clock.now(), id=id or str(clock.new_id()), db=view)

    @asynccontextmanager
    async def occasion(self, tenant: Tenant = SYSTEM_TENANT, actor: Actor = SYSTEM) -> AsyncIterator[Ctx]:
        """A context with its transaction, for a command or a console page: committed when the block ends well."""
        ctx = self.ctx(tenant=tenant, actor=actor)
        try:
            yield ctx
            await ctx.db.commit()
        finally:
            await ctx.db.close()

    def request_ctx(self, identity: Identity, request_id: str) -> Ctx:
        """The context of a request."""
        return self.ctx(tenant=identity.tenant, actor=identity.actor, id=request_id)

    async def job_ctx(self, claim: Claim, db: Db) -> Ctx:
        """The context of a job: the house itself, at work for the job's tenant."""
        tenant = await self.tenant(claim.tenant_id)
        return self.ctx(tenant=tenant, actor=SYSTEM, id=claim.request_id or str(claim.id), db=db)

    async def tenant(self, tenant_id: UUID) -> Tenant:
        """A tenant, remembered until something about it changes. Raises: Misconfigured when it is gone."""
        if tenant_id == SYSTEM_TENANT_ID:
            return SYSTEM_TENANT
        remembered = self._tenants  # another one once something changed: what was read before goes with the old one
        found = remembered.get(tenant_id)
        if found is None:
            async with self.database.begin() as db:
                details = await tenants.tenant(db, tenant_id)
            if details is None:
                raise Misconfigured(f"There is no tenant {tenant_id}.")
            found = remembered[tenant_id] = details.brief
        return found

    async def fill_demo(self) -> None:
        """Have every service fill the first tenant with living data: by jobs, so that nobody waits for it."""
        async with self.database.begin() as db:
            first = await tenants.first_tenant(db)
            for service in self.services:
                job = self.jobs.registry.get(f"{service.name}.demo")
                if job is not None and first is not None:
                    await self.jobs.enqueue(db, job, tenant_id=first.id, unique=job.name)

    def worker(self, queues: Sequence[str] | None = None) -> Worker:
        """A worker of these queues; None is all of them."""
        every = sorted({job.queue for job in self.jobs.registry.values()} | {"default"})
        strict = self.config.main.profile == "testing"
        return Worker(self.jobs, self.job_ctx, tuple(queues or every), on_dead=self._tell_of_dead, strict=strict)

    def scheduler(self) -> Scheduler:
        """The scheduler; of several, one leads."""
        return Scheduler(self.jobs)

    def ask(self, ctx: Ctx, operation: str, query: object, **options: Any) -> Awaitable[Any]:
        """The outside world's answer."""
        return self.outbound.ask(ctx, operation, query, **options)

    async def publish(self, ctx: Ctx, fact: object) -> None:
        """Record a fact in the transaction of `ctx`."""
        await self.outbox.publish(ctx, fact, trace=tracing.traceparent() or "")

    async def enqueue(self, ctx: Ctx, job: Job, arguments: Mapping[str, Any], **options: Any) -> UUID:
        """Record a job in the transaction of `ctx`; its id."""
        trace = tracing.traceparent()
        return await self.jobs.enqueue(
            ctx.db, job, arguments, tenant_id=ctx.tenant.id, request_id=ctx.id, trace=trace, **options
        )

    async def audit(self, ctx: Ctx, action: str, what: str, **facts: Any) -> None:
        """Add to the audit trail in the transaction of `ctx`."""
        await self.trail.record(ctx, action, what, **facts)

    async def _tell_of_dead(self, db: Db, job: JobView) -> None:
        """Publish that a job was given up, in the transaction that says so."""
        fact = JobDead(job.id, job.name, job.queue, job.failures, job.error or "")
        await self.outbox.record(db, fact, tenant_id=job.tenant_id, request_id=job.request_id or "")

    def _keep(self, promise: type[Any], part: _T) -> _T:
        self._parts[promise] = part
        return part

    def _forget_tenants(self, about: Mapping[str, Any] | None = None) -> None:
        if about is None or "tenant" in about:
            self._tenants = {}
