"""A named lease with a fence number: who may do something alone, and the proof that nobody has taken over since.

The lease's clock is the database's own. Clocks of hosts differ and a replayed clock runs fast; a lease is about
processes being alive, so it runs on real time that all its holders read from one place.
"""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import psutil
import structlog
from sqlalchemy import BigInteger, Double, Executable, String, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from ossature.kernel.db.engine import Database
from ossature.kernel.db.table import Table
from ossature.kernel.db.transaction import Db
from ossature.kernel.errors import Conflict, Unavailable

log = structlog.get_logger()

_WAIT_STEP_S = 0.1


class LeaseTaken(Conflict):
    """Somebody else is doing this now, and it may be done by one at a time only."""

    title = "Lease taken"
    retry_after_s = 5.0


class LeaseLost(Conflict):
    """Another process has taken over; what is written under the old lease is refused."""

    title = "Lease lost"


class database_now_s(FunctionElement[float]):  # noqa: N801 - reads as the SQL function that it is
    """The database's own clock: seconds since 1970, real time, whatever clock is installed in the process."""

    type = Double()
    inherit_cache = True


@compiles(database_now_s, "postgresql")
def _now_on_postgres(_element: database_now_s, _compiler: SQLCompiler, **_: Any) -> str:
    return "(extract(epoch from clock_timestamp())::double precision)"


@compiles(database_now_s, "sqlite")
def _now_on_sqlite(_element: database_now_s, _compiler: SQLCompiler, **_: Any) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"


class LeaseRow(Table):
    """One name, its present holder and how often it changed hands."""

    __tablename__ = "db_lease"

    name: Mapped[str] = mapped_column(String(200), primary_key=True)
    fence: Mapped[int] = mapped_column(BigInteger)
    holder: Mapped[dict[str, Any]]
    expires_at_s: Mapped[float] = mapped_column(Double)


@dataclass(frozen=True, slots=True)
class Holder:
    """A process, told apart from every other one that ever had its number.

    namespace: inode of its PID namespace; containers that share a host name have processes of the same number.
    """

    host: str
    boot_id: str
    namespace: int
    pid: int
    started_at_s: float

    @property
    def is_gone(self) -> bool:
        """True when it has certainly ended; False when it lives or cannot be seen from here."""
        me = this_process()
        if (self.host, self.boot_id, self.namespace) != (me.host, me.boot_id, me.namespace):
            return False
        try:
            process = psutil.Process(self.pid)
            return process.status() == psutil.STATUS_ZOMBIE or abs(process.create_time() - self.started_at_s) > 1
        except psutil.NoSuchProcess:
            return True
        except psutil.AccessDenied:
            return False


@lru_cache(maxsize=1)
def _describe(pid: int) -> Holder:
    boot = Path("/proc/sys/kernel/random/boot_id")
    namespace = Path("/proc/self/ns/pid")
    return Holder(
        host=socket.gethostname(),
        boot_id=boot.read_text().strip() if boot.exists() else str(int(psutil.boot_time())),
        namespace=namespace.stat().st_ino if namespace.exists() else 0,
        pid=pid,
        started_at_s=psutil.Process(pid).create_time(),
    )


def this_process() -> Holder:
    """The process that asks; a forked child is another one."""
    return _describe(os.getpid())


@dataclass(frozen=True, slots=True)
class Lease:
    """A name that this process holds. fence: grows with each change of hands; later is stronger."""

    database: Database
    name: str
    fence: int
    lasts_s: float

    async def renew(self) -> None:
        """Hold it for another `lasts_s` from now. Raises: LeaseLost."""
        async with self.database.begin() as db:
            await self._update(db, expires_at_s=database_now_s() + self.lasts_s)

    async def guard(self, db: Db) -> None:
        """Tie the caller's transaction to this lease: nobody takes over before it ends. Raises: LeaseLost."""
        await self._update(db, fence=self.fence)

    async def release(self) -> None:
        """Let others have it now; silent when it is lost already."""
        with suppress(LeaseLost):
            async with self.database.begin() as db:
                await self._update(db, expires_at_s=0.0)

    async def _update(self, db: Db, **values: Any) -> None:
        mine = update(LeaseRow).where(LeaseRow.name == self.name, LeaseRow.fence == self.fence)
        if not await db.execute(mine.values(**values)):
            raise LeaseLost(f"The lease {self.name!r} was taken over.", lease=self.name, fence=self.fence)


@dataclass(frozen=True, slots=True)
class Held:
    """A lease as others see it. left_s: until it runs out; at most 0 once it may be taken over."""

    fence: int
    holder: Holder
    left_s: float

    @property
    def is_free(self) -> bool:
        """Whether anybody may take it now."""
        return self.left_s <= 0 or self.holder.is_gone


async def look(db: Db, name: str) -> Held | None:
    """Who holds a lease, or held it last; None when nobody ever did."""
    row = LeaseRow
    left_s = (row.expires_at_s - database_now_s()).label("left_s")
    found = await db.first(select(row.fence, row.holder, left_s).where(row.name == name))
    return None if found is None else Held(found.fence, Holder(**found.holder), found.left_s)


async def take(database: Database, name: str, *, lasts_s: float = 30.0) -> Lease | None:
    """The lease, or None while another holds it. A holder that has certainly ended is not waited for."""
    values = {"holder": asdict(this_process()), "expires_at_s": database_now_s() + lasts_s}
    async with database.begin() as db:
        fence = await _take_over(db, name, values)
    return None if fence is None else Lease(database, name, fence, lasts_s)


async def _take_over(db: Db, name: str, values: dict[str, Any]) -> int | None:
    row = LeaseRow
    mine = update(LeaseRow).values(fence=row.fence + 1, **values).where(row.name == name).returning(row.fence)
    fence: int | None = await db.scalar(mine.where(row.expires_at_s < database_now_s()))
    if fence is None:
        fence = await db.scalar(_insert_first(db.dialect, name, values))
    if fence is not None:
        return fence
    found = await db.first(select(row.holder, row.fence).where(row.name == name))
    if found is not None and Holder(**found.holder).is_gone:
        fence = await db.scalar(mine.where(row.fence == found.fence))
    return fence


def _insert_first(dialect: str, name: str, values: dict[str, Any]) -> Executable:
    if dialect == "postgresql":
        on_postgres = postgresql.insert(LeaseRow).values(name=name, fence=1, **values)
        return on_postgres.on_conflict_do_nothing().returning(LeaseRow.fence)
    if dialect == "sqlite":
        on_sqlite = sqlite.insert(LeaseRow).values(name=name, fence=1, **values)
        return on_sqlite.on_conflict_do_nothing().returning(LeaseRow.fence)
    return insert(LeaseRow).values(name=name, fence=1, **values).returning(LeaseRow.fence)


@asynccontextmanager
async def holding(database: Database, name: str, *, lasts_s: float = 30.0, wait_s: float = 0.0) -> AsyncIterator[Lease]:
    """Hold a lease for the length of a block, renewed every third of `lasts_s`; the block is stopped when it is lost.

    Raises: LeaseTaken when nobody gave it up within `wait_s`; LeaseLost out of the block.
    """
    lease = await _wait_for(database, name, lasts_s=lasts_s, wait_s=wait_s)
    body = asyncio.current_task()
    lost = ended = False

    async def beat() -> None:
        nonlocal lost
        try:
            await _renew_while_held(lease)
        finally:
            # Whatever ended it, but the end of the block: nobody keeps the lease any more.
            if not ended:
                lost = True
                if body is not None:
                    body.cancel()

    heart = asyncio.create_task(beat(), name=f"lease {name}")
    try:
        yield lease
    except asyncio.CancelledError:
        if lost and body is not None and body.uncancel() == 0:
            raise LeaseLost(f"The lease {name!r} was lost.", lease=name, fence=lease.fence) from None
        raise
    finally:
        ended = True
        heart.cancel()
        await asyncio.wait([heart])
        if not heart.cancelled() and (error := heart.exception()) is not None:
            log.error("lease.heartbeat_failed", lease=name, exc_info=error)
        if not lost:
            await lease.release()


async def _renew_while_held(lease: Lease) -> None:
    """Renew a lease every third of its time; returns once it is lost, or has run out with the database away."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + lease.lasts_s
    while True:
        await asyncio.sleep(min(lease.lasts_s / 3, max(deadline - loop.time(), 0.0)))
        begun = loop.time()
        try:
            async with asyncio.timeout_at(deadline):
                await lease.renew()
            deadline = begun + lease.lasts_s
        except LeaseLost:
            return
        except (Unavailable, TimeoutError):
            if loop.time() >= deadline:
                return  # else the database may come back before the lease runs out


async def _wait_for(database: Database, name: str, *, lasts_s: float, wait_s: float) -> Lease:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + wait_s
    while True:
        lease = await take(database, name, lasts_s=lasts_s)
        if lease is not None:
            return lease
        left_s = deadline - loop.time()
        if left_s <= 0:
            raise LeaseTaken(f"The lease {name!r} is held by another.", lease=name)
        await asyncio.sleep(min(_WAIT_STEP_S, left_s))
