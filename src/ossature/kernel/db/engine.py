"""The database of a process: tuned for SQLite or PostgreSQL, with a view per tenant and one across all."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar, cast
from uuid import UUID

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection, ExceptionContext
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import QueuePool

from ossature.kernel.crypto.ring import KeyRing
from ossature.kernel.db.link import WRITES, AsyncLink, Link, ThreadLink
from ossature.kernel.db.settings import DatabaseSettings
from ossature.kernel.db.transaction import Db, TransactionBroken
from ossature.kernel.db.wal import begin_wal
from ossature.kernel.errors import Misconfigured
from ossature.kernel.retry import Retry

_T = TypeVar("_T")

_TRANSACT = Retry("database", attempts=5, first_s=0.02, most_s=1.0)


class Database:
    """Where all rows lie. Make one per process; `close()` it at the end.

    `tenant(id)` gives a view that row-level security narrows on PostgreSQL; `system()` one across all tenants, for the
    worker, the scheduler and other work that belongs to nobody in particular. ring: seals what tables hold sealed.
    """

    def __init__(self, settings: DatabaseSettings, *, var_dir: Path = Path("var"), ring: KeyRing | None = None) -> None:
        self.settings = settings
        self._ring = ring
        self.url = make_url(settings.resolved_url(var_dir))
        self.dialect = self.url.get_backend_name()
        # SQLite has one writer. Waiting for it here is fair and costs nothing; waiting inside SQLite is a sleeping poll.
        self.writer: asyncio.Lock | None = None
        if self.dialect == "sqlite":
            if self.url.database:
                Path(self.url.database).parent.mkdir(parents=True, exist_ok=True)
            url = str(self.url.set(drivername="sqlite"))
            self.sqlite: Engine = _sqlite_engine(settings, url)
            durable = settings.model_copy(update={"durability": "full"})
            # Opens nothing before its first use; most processes keep no journal.
            self.sqlite_durable: Engine = _sqlite_engine(durable, url)
            self.writer = asyncio.Lock()
            self._threads = ThreadPoolExecutor(settings.pool_size, thread_name_prefix="sqlite")
            self._slots = asyncio.Semaphore(settings.pool_size)
        elif self.dialect == "postgresql":
            self.postgres: AsyncEngine = _postgres_engine(settings, settings.url)
            self.postgres_system = (
                _postgres_engine(settings, settings.system_url) if settings.system_url else self.postgres
            )
        else:
            msg = f"{self.dialect} is not a database of this house: use sqlite or postgresql+asyncpg."
            raise Misconfigured(msg)

    @property
    def ring(self) -> KeyRing:
        """What seals secret columns. Raises: Misconfigured when this database was opened to work without them."""
        if self._ring is None:
            raise Misconfigured("This database was opened without a key ring.")
        return self._ring

    @property
    def embedded(self) -> bool:
        """True on SQLite."""
        return self.dialect == "sqlite"

    @property
    def pooled(self) -> bool:
        """True on PostgreSQL behind a pooler, where a connection is ours for the time of a transaction only."""
        return not self.embedded and bool(self.settings.direct_url)

    @property
    def direct(self) -> URL:
        """Where a connection of one's own is had, which LISTEN and the locks of sessions need."""
        return make_url(self.settings.direct_url) if self.pooled else self.url

    @property
    def size(self) -> int:
        """How many connections may be open in this process."""
        return self.settings.pool_size

    @property
    def in_use(self) -> int:
        """How many connections are taken now."""
        pool = self.sqlite.pool if self.embedded else self.postgres.pool
        return cast("QueuePool", pool).checkedout()

    def tenant(self, tenant_id: UUID) -> Db:
        """A view of one tenant's rows: opened at first use, read-only until the first write."""
        return Db(self, tenant_id)

    def system(self) -> Db:
        """A view across all tenants."""
        return Db(self, None)

    @asynccontextmanager
    async def begin(self, tenant_id: UUID | None = None, *, durable: bool = False) -> AsyncIterator[Db]:
        """A view that is committed when the block ends well, and undone when it does not.

        durable: what was committed survives a power cut, whatever is set for everything else. For journals, which must
        know on the disk what is about to happen outside before it happens.
        """
        db = Db(self, tenant_id, durable=durable)
        try:
            yield db
            await db.commit()
        finally:
            await db.close()

    async def transact(self, work: Callable[[Db], Awaitable[_T]], *, tenant_id: UUID | None = None) -> _T:
        """What `work` gives, in a transaction of its own that is begun anew when the database breaks it off.

        It may run several times, so it changes nothing but rows. Raises: TransactionBroken after the last attempt;
        CommitUnknown at once, since what was done may have been kept.
        """

        async def once() -> _T:
            async with self.begin(tenant_id) as db:
                return await work(db)

        return await _TRANSACT.run(once, on=(TransactionBroken,))

    async def connect(self, *, system: bool, writes: bool, durable: bool = False) -> Link:
        """A connection with an open transaction (IMMEDIATE on SQLite, if it `writes`).

        Raises: TimeoutError when none is free in time; sqlalchemy.exc.DBAPIError.
        """
        if self.embedded:
            async with asyncio.timeout(self.settings.pool_wait_s):
                await self._slots.acquire()
            engine = self.sqlite_durable if durable else self.sqlite
            return ThreadLink(engine, self._threads, self._slots, writes=writes)
        return AsyncLink(await (self.postgres_system if system else self.postgres).connect())

    async def close(self) -> None:
        """Give all connections back."""
        if self.embedded:
            self.sqlite.dispose()
            self.sqlite_durable.dispose()
            self._threads.shutdown(wait=False)
            return
        await self.postgres.dispose()
        if self.postgres_system is not self.postgres:
            await self.postgres_system.dispose()


def _postgres_engine(settings: DatabaseSettings, url: str) -> AsyncEngine:
    server_settings = {"application_name": "ossature"}
    options: dict[str, Any] = {"timeout": settings.pool_wait_s, "server_settings": server_settings}
    if settings.direct_url:
        # The next transaction may have another server behind it: no statement is prepared for longer than one, and
        # the unnamed one leaves nothing behind. Poolers refuse settings that they do not know, so these come later.
        options |= {"prepared_statement_cache_size": 0, "statement_cache_size": 0}
        options["prepared_statement_name_func"] = str
    else:
        server_settings["statement_timeout"] = str(settings.statement_time_limit_ms)
    engine = create_async_engine(
        url,
        pool_size=settings.pool_size,
        max_overflow=0,
        pool_timeout=settings.pool_wait_s,
        pool_pre_ping=True,
        connect_args=options,
    )
    event.listen(engine.sync_engine, "handle_error", _lost_if_unusable)
    return engine


def _lost_if_unusable(context: ExceptionContext) -> ConnectionError | None:
    """What asyncpg says of a connection that is used in the very moment in which it is lost is no error of its own kind."""
    from asyncpg import InternalClientError  # type: ignore[import-untyped] # noqa: PLC0415 - optional, without types

    if not isinstance(context.original_exception, InternalClientError):
        return None
    context.is_disconnect = True
    return ConnectionResetError(str(context.original_exception))


def _sqlite_engine(settings: DatabaseSettings, url: str) -> Engine:
    """A pool of connections that say BEGIN when we do, each with our pragmas."""
    engine = create_engine(
        url,
        poolclass=QueuePool,
        pool_size=settings.pool_size,
        max_overflow=0,
        # A cancelled request may find its connection in another thread; a link is never used by two at once.
        connect_args={"check_same_thread": False},
    )

    def connected(connection: DBAPIConnection, _record: Any) -> None:  # noqa: ANN401 - SQLAlchemy's event signature
        connection.isolation_level = None  # sqlite3 then says no BEGIN of its own
        cursor = connection.cursor()
        begin_wal(cursor, busy_time_limit_s=settings.busy_time_limit_s)
        for pragma in (
            f"synchronous = {settings.durability.upper()}",
            "foreign_keys = ON",
            "temp_store = MEMORY",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    def begun(connection: Connection) -> None:
        # A read transaction that turns into a writing one can fail at once whatever the busy timeout.
        writes = connection.get_execution_options().get(WRITES, False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    event.listen(engine, "connect", connected)
    event.listen(engine, "begin", begun)
    return engine
