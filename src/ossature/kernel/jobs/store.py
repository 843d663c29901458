"""The tables of the jobs room, and how jobs are put in, looked at and steered. The worker's side is in `claims`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CompoundSelect,
    Double,
    Executable,
    Index,
    Row,
    SmallInteger,
    String,
    Text,
    delete,
    func,
    insert,
    literal_column,
    null,
    select,
    text,
    union_all,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Mapped, mapped_column

from ossature.kernel.db import lease
from ossature.kernel.db.listing import Found, Listable, ListQuery
from ossature.kernel.db.table import Table, TenantOwned
from ossature.kernel.db.transaction import Db
from ossature.kernel.db.types import BigId, Json
from ossature.kernel.jobs.domain import WAITING, JobView, QueueView, State

TABLES: tuple[type[Table], ...]

OUT, LATER, DUE = 0, 1, 2
"""Places of a job: not in line (it runs, is paused or has ended), in line from `run_at` on, in line now."""

_DUE = text(f"line = {DUE}")
_LATER = text(f"line = {LATER}")
_LEASED = text("state = 'leased'")


class JobRow(TenantOwned, Table):
    """One job.

    position: order of enqueueing. lane: the line it stands in (see `domain.lane_of`). attempt: grows with each claim and
    fences it: what a worker writes about a job counts only while the number is still its own. unique_key: only until
    the first claim. wish: `cancel` or `pause`, said to the worker that runs it. The time columns of a worker's lease
    are in `jobs_worker`, so a heartbeat is one row however many jobs run.
    """

    __tablename__ = "jobs_job"

    position: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    id: Mapped[UUID] = mapped_column(unique=True)
    name: Mapped[str] = mapped_column(String(120))
    queue: Mapped[str] = mapped_column(String(60))
    lane: Mapped[str] = mapped_column(String(190))
    state: Mapped[str] = mapped_column(String(10))
    line: Mapped[int] = mapped_column(SmallInteger)
    priority: Mapped[int] = mapped_column(SmallInteger)
    run_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    arguments: Mapped[dict[str, Any]]
    result: Mapped[Any | None] = mapped_column(Json)
    error: Mapped[str | None] = mapped_column(Text)
    attempt: Mapped[int] = mapped_column(BigInteger, default=0)
    failures: Mapped[int] = mapped_column(SmallInteger, default=0)
    attempts: Mapped[int] = mapped_column(SmallInteger)
    worker_id: Mapped[UUID | None]
    wish: Mapped[str | None] = mapped_column(String(6))
    unique_key: Mapped[str | None] = mapped_column(String(200))
    order_key: Mapped[str | None] = mapped_column(String(64))
    request_id: Mapped[str | None] = mapped_column(String(64))
    trace: Mapped[str | None] = mapped_column(String(64))
    percent: Mapped[float | None] = mapped_column(Double)
    message: Mapped[str | None] = mapped_column(String(300))
    checkpoint: Mapped[Any | None] = mapped_column(Json)
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    keep_until: Mapped[datetime | None]

    __table_args__ = (
        Index("ix_jobs_job_due", "lane", text("priority DESC"), "position", sqlite_where=_DUE, postgresql_where=_DUE),
        Index("ix_jobs_job_later", "run_at", sqlite_where=_LATER, postgresql_where=_LATER),
        Index(
            "ix_jobs_job_leased",
            "worker_id",
            sqlite_where=_LEASED,
            postgresql_where=_LEASED,
        ),
        Index(
            "ix_jobs_job_order",
            "order_key",
            "position",
            sqlite_where=text("order_key IS NOT NULL AND finished_at IS NULL"),
            postgresql_where=text("order_key IS NOT NULL AND finished_at IS NULL"),
        ),
        Index(
            "uq_jobs_job_unique_key",
            "tenant_id",
            "name",
            "unique_key",
            unique=True,
            sqlite_where=text("unique_key IS NOT NULL"),
            postgresql_where=text("unique_key IS NOT NULL"),
        ),
        Index("ix_jobs_job_tenant", "tenant_id", "position"),
        Index(
            "ix_jobs_job_dead",
            "tenant_id",
            "position",
            sqlite_where=text("state = 'dead'"),
            postgresql_where=text("state = 'dead'"),
        ),
        Index(
            "ix_jobs_job_keep",
            "keep_until",
            sqlite_where=text("keep_until IS NOT NULL"),
            postgresql_where=text("keep_until IS NOT NULL"),
        ),
    )


class WorkerRow(Table):
    """A worker process that runs jobs. lease_until_s: by the database's clock; later than that its jobs are others'."""

    __tablename__ = "jobs_worker"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    holder: Mapped[dict[str, Any]]
    queues: Mapped[list[Any]]
    lease_until_s: Mapped[float] = mapped_column(Double)
    started_at: Mapped[datetime]


class StartRow(Table):
    """A start of a job that has a limit per minute, or (`queue:NAME`) whose queue has; gone after that minute."""

    __tablename__ = "jobs_start"

    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    name: Mapped[str] = mapped_column(String(120), index=True)
    started_at: Mapped[datetime]


class ScheduleRow(Table):
    """A schedule. planned_at: its next occurrence; fire_at: that plus this run's jitter. plan: the definition as text."""

    __tablename__ = "jobs_schedule"

    name: Mapped[str] = mapped_column(String(120), primary_key=True)
    plan: Mapped[str] = mapped_column(String(300))
    planned_at: Mapped[datetime]
    fire_at: Mapped[datetime]
    last_at: Mapped[datetime | None]
    last_job_id: Mapped[UUID | None]


TABLES = (JobRow, WorkerRow, StartRow, ScheduleRow, lease.LeaseRow)


@dataclass(frozen=True, slots=True)
class NewJob:
    """What is known about a job when it is enqueued."""

    id: UUID
    name: str
    queue: str
    lane: str
    priority: int
    run_at: datetime
    due: bool
    arguments: Mapping[str, Any]
    attempts: int
    created_at: datetime
    expires_at: datetime | None = None
    unique_key: str | None = None
    order_key: str | None = None
    request_id: str | None = None
    trace: str | None = None


_COLUMNS = tuple(JobRow.__table__.c[field.name] for field in fields(JobView))


def _view(row: Row[Any]) -> JobView:
    values = {column.key: getattr(row, column.key) for column in _COLUMNS}  # a page has columns of its own besides
    values["state"] = State(values["state"])
    return JobView(**values)


def _values(tenant_id: UUID, new: NewJob) -> dict[str, Any]:
    return {
        "id": new.id,
        "tenant_id": tenant_id,
        "created_at": new.created_at,
        "name": new.name,
        "queue": new.queue,
        "lane": new.lane,
        "state": State.QUEUED.value,
        "line": DUE if new.due else LATER,
        "priority": new.priority,
        "run_at": new.run_at,
        "expires_at": new.expires_at,
        "arguments": new.arguments,
        "attempts": new.attempts,
        "unique_key": new.unique_key,
        "order_key": new.order_key,
        "request_id": new.request_id,
        "trace": new.trace,
    }


_INSERT = insert(JobRow)


async def add(db: Db, tenant_id: UUID, jobs: Sequence[NewJob]) -> None:
    """Put jobs into the table, in this order."""
    if jobs:
        values = [_values(tenant_id, new) for new in jobs]
        await db.execute(_INSERT, values if len(values) > 1 else values[0])


async def add_unique(db: Db, tenant_id: UUID, new: NewJob) -> UUID:
    """Put a job into the table unless one with its key waits already; the id of whichever waits."""
    kind = postgresql.insert(JobRow) if db.dialect == "postgresql" else sqlite.insert(JobRow)
    put: Executable = kind.on_conflict_do_nothing().returning(JobRow.id)
    same = select(JobRow.id).where(
        JobRow.tenant_id == tenant_id, JobRow.name == new.name, JobRow.unique_key == new.unique_key
    )
    while True:
        # The one that was in the way may be claimed between the two statements; then there is room again.
        put_id: UUID | None = await db.scalar(put, _values(tenant_id, new)) or await db.scalar(same)
        if put_id is not None:
            return put_id


async def get(db: Db, tenant_id: UUID, job_id: UUID) -> JobView | None:
    """One job of a tenant."""
    row = await db.first(select(*_COLUMNS).where(JobRow.tenant_id == tenant_id, JobRow.id == job_id))
    return None if row is None else _view(row)


async def owner(db: Db, job_id: UUID) -> UUID | None:
    """The tenant of a job, on a view across tenants: an operator knows the job's id only."""
    tenant_id: UUID | None = await db.scalar(select(JobRow.tenant_id).where(JobRow.id == job_id))
    return tenant_id


async def find(
    db: Db,
    tenant_id: UUID | None,
    *,
    state: State | None = None,
    name: str | None = None,
    queue: str | None = None,
    before: UUID | None = None,
    limit: int = 50,
) -> list[JobView]:
    """Jobs of a tenant (None: of all), the latest first; `before` is the last id of the page before."""
    query = select(*_COLUMNS).order_by(JobRow.position.desc()).limit(limit)
    if tenant_id is not None:
        query = query.where(JobRow.tenant_id == tenant_id)
    if state is State.DEAD:
        query = query.where(literal_column("state = 'dead'"))  # spelled out, so that its partial index is seen
    elif state is not None:
        query = query.where(JobRow.state == state.value)
    if name is not None:
        query = query.where(JobRow.name == name)
    if queue is not None:
        query = query.where(JobRow.queue == queue)
    if before is not None:
        query = query.where(JobRow.position < select(JobRow.position).where(JobRow.id == before).scalar_subquery())
    return [_view(row) for row in await db.all(query)]


JOBS = Listable(
    key=JobRow.position,
    filters={
        "state": JobRow.state,
        "name": JobRow.name,
        "queue": JobRow.queue,
        "created_at": JobRow.created_at,
        "request_id": JobRow.request_id,
    },
    sorts={"position": JobRow.position},
    default="-position",
)
"""What a list of jobs may be filtered and sorted by. `position` is the order of enqueueing."""


async def page(db: Db, tenant_id: UUID, query: ListQuery) -> Found[JobView]:
    """One page of a tenant's jobs."""
    return await JOBS.fetch(db, select(*_COLUMNS).where(JobRow.tenant_id == tenant_id), query, _view)


async def put_in_line(db: Db, tenant_id: UUID, job_id: UUID, *, now: datetime, states: Sequence[State]) -> str | None:
    """Have a job that is in one of `states` run now, with all its attempts; its lane, None if it is in none of them."""
    lane: str | None = await db.scalar(
        update(JobRow)
        .where(JobRow.tenant_id == tenant_id, JobRow.id == job_id, JobRow.state.in_(states))
        .values(
            state=State.QUEUED.value,
            line=DUE,
            run_at=now,
            failures=0,
            error=None,
            wish=None,
            finished_at=None,
            keep_until=None,
            expires_at=None,
        )
        .returning(JobRow.lane)
    )
    return lane


async def end_waiting(
    db: Db, tenant_id: UUID, job_id: UUID, *, now: datetime, keep: timedelta, states: Sequence[State]
) -> bool:
    """Cancel a job that does not run; False when it is in none of `states`."""
    changed = await db.execute(
        update(JobRow)
        .where(JobRow.tenant_id == tenant_id, JobRow.id == job_id, JobRow.state.in_(states))
        .values(state=State.CANCELLED.value, line=OUT, unique_key=None, finished_at=now, keep_until=now + keep)
    )
    return bool(changed)


async def pause_waiting(db: Db, tenant_id: UUID, job_id: UUID) -> bool:
    """Take a waiting job out of the line; False when it does not wait."""
    changed = await db.execute(
        update(JobRow)
        .where(JobRow.tenant_id == tenant_id, JobRow.id == job_id, JobRow.state.in_(WAITING))
        .values(state=State.PAUSED.value, line=OUT, unique_key=None)
    )
    return bool(changed)


async def wish(db: Db, tenant_id: UUID, job_id: UUID, what: str) -> bool:
    """Say to the worker that runs a job what it should do with it; False when nobody runs it."""
    changed = await db.execute(
        update(JobRow)
        .where(JobRow.tenant_id == tenant_id, JobRow.id == job_id, JobRow.state == State.LEASED.value)
        .values(wish=what)
    )
    return bool(changed)


_COUNTS: CompoundSelect[Any] = union_all(
    select(
        JobRow.queue,
        literal_column("'due'").label("what"),
        func.count().label("jobs"),
        func.min(JobRow.run_at).label("oldest"),
    )
    .where(_DUE)
    .group_by(JobRow.queue),
    select(JobRow.queue, literal_column("'later'"), func.count(), null()).where(_LATER).group_by(JobRow.queue),
    select(JobRow.queue, literal_column("'running'"), func.count(), null()).where(_LEASED).group_by(JobRow.queue),
)
"""Each part reads one partial index, so what has ended costs nothing however much of it is kept."""


async def count(db: Db, now: datetime) -> list[QueueView]:
    """How full each queue is, over all tenants."""
    found: dict[str, dict[str, int]] = {}
    oldest: dict[str, datetime] = {}
    for row in await db.all(_COUNTS):
        found.setdefault(row.queue, {})[row.what] = row.jobs
        if row.oldest is not None:
            oldest[row.queue] = row.oldest
    return [
        QueueView(
            queue=queue,
            due=jobs.get("due", 0),
            later=jobs.get("later", 0),
            running=jobs.get("running", 0),
            oldest_wait_s=max(0.0, (now - oldest[queue]).total_seconds()) if queue in oldest else 0.0,
        )
        for queue, jobs in found.items()
    ]


async def purge(db: Db, now: datetime, *, most: int = 1000) -> int:
    """Delete up to `most` ended jobs whose days are over; how many there were."""
    old = select(JobRow.position).where(JobRow.keep_until < now).limit(most)
    return await db.execute(delete(JobRow).where(JobRow.position.in_(old)))
