"""The worker's side of the job table: register, look, claim, finish, give back.

Everything here sees across tenants. A claim raises `attempt`, and every later write about the job asks for that number:
a worker that lost its lease writes nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import (
    Integer,
    Row,
    Uuid,
    bindparam,
    case,
    delete,
    exists,
    func,
    insert,
    literal,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.orm import aliased

from ossature.kernel.db.lease import Holder, database_now_s, this_process
from ossature.kernel.db.transaction import Db
from ossature.kernel.db.types import Utc
from ossature.kernel.jobs.domain import State
from ossature.kernel.jobs.lanes import OPEN, Lane, allowance, note_starts
from ossature.kernel.jobs.store import DUE, LATER, OUT, JobRow, WorkerRow

_KEEP_CANCELLED = timedelta(days=7)
_WORKER = bindparam("b_worker", type_=Uuid())

_IS_DUE = text(f"jobs_job.line = {DUE}")
_IS_LATER = text(f"jobs_job.line = {LATER}")
_IS_LEASED = text("jobs_job.state = 'leased'")


@dataclass(frozen=True, slots=True)
class Claim:
    """A job that this worker may run. position and attempt together are the right to write about it."""

    position: int
    id: UUID
    tenant_id: UUID
    name: str
    queue: str
    lane: str
    arguments: Mapping[str, Any]
    attempt: int
    failures: int
    attempts: int
    priority: int
    run_at: datetime
    expires_at: datetime | None
    order_key: str | None
    request_id: str | None
    trace: str | None
    checkpoint: Any


@dataclass(frozen=True, slots=True)
class Look:
    """What a glance at the table gives. later_at: when the next job of any lane becomes due."""

    lanes: tuple[Lane, ...]
    later_at: datetime | None
    wishes: bool


@dataclass(frozen=True, slots=True)
class Ending:
    """How one attempt ended, and how far it had come. `retry_at`: FAILED only. keep: how long it stays to be looked at."""

    claim: Claim
    state: State
    keep: timedelta
    result: Any = None
    error: str | None = None
    retry_at: datetime | None = None
    failed: bool = False
    percent: float | None = None
    message: str | None = None


async def register(db: Db, worker_id: UUID, queues: Sequence[str], *, lease_s: float, now: datetime) -> None:
    """Make this process known as a worker."""
    values = {"id": worker_id, "holder": asdict(this_process()), "queues": list(queues), "started_at": now}
    await db.execute(insert(WorkerRow).values(lease_until_s=database_now_s() + lease_s, **values))


async def beat(db: Db, worker_id: UUID, *, lease_s: float) -> bool:
    """Prolong a worker's lease; False when its jobs were given to others."""
    mine = update(WorkerRow).where(WorkerRow.id == worker_id)
    return bool(await db.execute(mine.values(lease_until_s=database_now_s() + lease_s)))


async def leave(db: Db, worker_id: UUID, *, now: datetime) -> None:
    """Forget a worker that stops; jobs that it still had wait again and lose no attempt."""
    await db.execute(_wait_again(now).where(JobRow.worker_id == worker_id, _IS_LEASED))
    await db.execute(delete(WorkerRow).where(WorkerRow.id == worker_id))


async def reap(db: Db, *, now: datetime) -> int:
    """Give the jobs of workers that are gone to others; how many. Each counts as a failed attempt.

    A job whose attempts are used up by this dies at its next claim.
    """
    seen = await db.all(
        select(WorkerRow.id, WorkerRow.holder, (WorkerRow.lease_until_s < database_now_s()).label("late"))
    )
    gone = [row.id for row in seen if row.late or Holder(**row.holder).is_gone]
    jobs = 0
    for worker_id in gone:
        # The row goes first: a worker that is only slow finds it missing at its next beat and stops what it runs.
        if await db.execute(delete(WorkerRow).where(WorkerRow.id == worker_id)):
            lost = _wait_again(now).where(JobRow.worker_id == worker_id, _IS_LEASED)
            jobs += await db.execute(
                lost.values(failures=JobRow.failures + 1, error="The worker that ran it was lost.")
            )
    return jobs


def _wait_again(now: datetime) -> Any:  # noqa: ANN401 - an UPDATE that callers narrow
    return update(JobRow).values(
        state=case(
            (JobRow.wish == "cancel", State.CANCELLED.value),
            (JobRow.wish == "pause", State.PAUSED.value),
            else_=State.QUEUED.value,
        ),
        line=case((JobRow.wish.is_not(None), OUT), else_=DUE),
        finished_at=case((JobRow.wish == "cancel", now), else_=None),
        keep_until=case((JobRow.wish == "cancel", now + _KEEP_CANCELLED), else_=None),
        worker_id=None,
        wish=None,
    )


def glance(lanes: Sequence[Lane]) -> Any:  # noqa: ANN401 - a SELECT
    """The statement of `look` for these lanes; made once per worker."""
    due = [
        exists(select(literal(1)).where(_IS_DUE, JobRow.lane == lane.name)).label(f"lane_{number}")
        for number, lane in enumerate(lanes)
    ]
    later_at = select(func.min(JobRow.run_at)).where(_IS_LATER).scalar_subquery().label("later_at")
    wishes = exists(select(literal(1)).where(_IS_LEASED, JobRow.worker_id == _WORKER, JobRow.wish.is_not(None)))
    return select(*due, later_at, wishes.label("wishes"))


async def look(db: Db, statement: Any, lanes: Sequence[Lane], worker_id: UUID) -> Look:  # noqa: ANN401 - of `glance`
    """Which lanes have work, when the next delayed job is due, and whether somebody wants a running job stopped."""
    row = await db.one(statement, {"b_worker": worker_id})
    due = tuple(lane for lane, has in zip(lanes, row, strict=False) if has)
    return Look(due, row.later_at, bool(row.wishes))


async def promote(db: Db, now: datetime) -> int:
    """Put delayed jobs whose time has come in line; how many."""
    return await db.execute(update(JobRow).where(_IS_LATER, JobRow.run_at <= now).values(line=DUE))


_earlier = aliased(JobRow)
_has_turn = or_(
    JobRow.order_key.is_(None),
    ~exists(
        select(literal(1)).where(
            _earlier.order_key == JobRow.order_key,
            _earlier.position < JobRow.position,
            _earlier.finished_at.is_(None),
            _earlier.order_key.is_not(None),
        )
    ),
)
_CLAIMED = (
    JobRow.position,
    JobRow.id,
    JobRow.tenant_id,
    JobRow.name,
    JobRow.queue,
    JobRow.lane,
    JobRow.arguments,
    JobRow.attempt,
    JobRow.failures,
    JobRow.attempts,
    JobRow.priority,
    JobRow.run_at,
    JobRow.expires_at,
    JobRow.order_key,
    JobRow.request_id,
    JobRow.trace,
    JobRow.checkpoint,
)


_picked = (
    select(JobRow.position)
    .where(_IS_DUE, JobRow.lane == bindparam("b_lane"), _has_turn)
    .order_by(JobRow.priority.desc(), JobRow.position)
    .limit(bindparam("b_most", type_=Integer()))
    .with_for_update(skip_locked=True)
    .cte("picked")
)
_CLAIM = (
    update(JobRow)
    .where(JobRow.position.in_(select(_picked.c.position)))
    .values(
        state=State.LEASED.value,
        line=OUT,
        attempt=JobRow.attempt + 1,
        worker_id=_WORKER,
        started_at=bindparam("b_now", type_=Utc()),
        unique_key=None,
        wish=None,
    )
    .returning(*_CLAIMED)
)
"""Made once: building a statement costs as much as running it."""


async def claim(db: Db, lane: Lane, worker_id: UUID, *, now: datetime, most: int) -> list[Claim]:
    """Up to `most` jobs of a lane, now this worker's: by priority, then in order, within the lane's limits."""
    if lane.limited:
        most = min(most, await allowance(db, lane, now))
    if most <= 0:
        return []
    rows = await db.all(_CLAIM, {"b_lane": lane.name, "b_most": most, "b_now": now, "b_worker": worker_id})
    if rows and lane.rates:
        await note_starts(db, lane, len(rows), now)
    return sorted((Claim(**row._asdict()) for row in rows), key=lambda c: (-c.priority, c.position))


async def realign(db: Db, name: str, lane: str) -> int:
    """Move the waiting jobs of a name to the lane where they stand now that its limits changed; how many."""
    in_line = or_(_IS_DUE, _IS_LATER)
    return await db.execute(update(JobRow).where(in_line, JobRow.name == name, JobRow.lane != lane).values(lane=lane))


def _mine(claim: Claim) -> Any:  # noqa: ANN401 - an UPDATE that callers complete
    return update(JobRow).where(
        JobRow.position == claim.position, JobRow.attempt == claim.attempt, JobRow.state == State.LEASED.value
    )


_FINISH = (
    update(JobRow)
    .where(
        JobRow.position == bindparam("b_position"),
        JobRow.attempt == bindparam("b_attempt"),
        JobRow.state == State.LEASED.value,
    )
    .values(
        state=bindparam("b_state"),
        line=bindparam("b_line"),
        result=bindparam("b_result"),
        error=bindparam("b_error"),
        run_at=bindparam("b_run_at"),
        failures=bindparam("b_failures"),
        finished_at=bindparam("b_finished_at"),
        keep_until=bindparam("b_keep_until"),
        worker_id=None,
        wish=None,
    )
)


async def finish(db: Db, ending: Ending, now: datetime) -> bool:
    """Write how an attempt ended; False when the job is no longer this worker's."""
    ended = ending.state in (State.SUCCEEDED, State.DEAD, State.CANCELLED)
    claim, retry_at = ending.claim, ending.retry_at
    line = OUT if retry_at is None else DUE if retry_at <= now else LATER
    values = {
        "b_position": claim.position,
        "b_attempt": claim.attempt,
        "b_state": ending.state.value,
        "b_line": line,
        "b_result": ending.result,
        "b_error": ending.error,
        "b_run_at": retry_at or claim.run_at,
        "b_failures": claim.failures + ending.failed,
        "b_finished_at": now if ended else None,
        "b_keep_until": now + ending.keep if ended else None,
    }
    return bool(await db.execute(_FINISH, values))


_SUCCEED = {
    "sqlite": text(
        "UPDATE jobs_job SET state = 'succeeded', worker_id = NULL, wish = NULL, error = NULL, finished_at = :now,"
        " result = e.value ->> 'result', keep_until = e.value ->> 'keep'"
        " FROM json_each(:endings) AS e"
        " WHERE position = (e.value ->> 'position') AND attempt = (e.value ->> 'attempt') AND state = 'leased'"
        " RETURNING position"
    ).bindparams(bindparam("now", type_=Utc())),
    "postgresql": text(
        "UPDATE jobs_job SET state = 'succeeded', worker_id = NULL, wish = NULL, error = NULL, finished_at = :now,"
        " result = CAST(e.result AS jsonb), keep_until = e.keep"
        " FROM jsonb_to_recordset(CAST(:endings AS jsonb))"
        " AS e(position bigint, attempt bigint, result text, keep timestamptz)"
        " WHERE jobs_job.position = e.position AND jobs_job.attempt = e.attempt AND state = 'leased'"
        " RETURNING jobs_job.position"
    ).bindparams(bindparam("now", type_=Utc())),
}
"""Many endings in one statement: a row each would be a round trip each."""


async def succeed(db: Db, endings: Sequence[Ending], now: datetime) -> set[int]:
    """Write that jobs succeeded, all at once; positions of those that were still this worker's."""
    document = [
        {
            "position": ending.claim.position,
            "attempt": ending.claim.attempt,
            "result": None if ending.result is None else orjson.dumps(ending.result).decode(),
            # The form in which SQLAlchemy stores an instant in SQLite; PostgreSQL reads it with the zone behind it.
            "keep": (now + ending.keep).strftime("%Y-%m-%d %H:%M:%S.%f") + ("" if db.dialect == "sqlite" else "+00"),
        }
        for ending in endings
    ]
    await db.execute(OPEN)
    rows = await db.all(_SUCCEED[db.dialect], {"now": now, "endings": orjson.dumps(document).decode()})
    return {row.position for row in rows}


async def wishes(db: Db, worker_id: UUID) -> Sequence[Row[Any]]:
    """Running jobs of a worker that somebody wants stopped: (position, attempt, wish)."""
    return await db.all(
        select(JobRow.position, JobRow.attempt, JobRow.wish).where(
            _IS_LEASED, JobRow.worker_id == worker_id, JobRow.wish.is_not(None)
        )
    )


async def report(db: Db, claim: Claim, *, percent: float | None, message: str | None) -> bool:
    """Write how far a job is; False when it is no longer this worker's."""
    return bool(await db.execute(_mine(claim).values(percent=percent, message=message)))


async def save(db: Db, claim: Claim, checkpoint: Any) -> bool:  # noqa: ANN401 - JSON
    """Write from where a job goes on when it is begun again; False when it is no longer this worker's."""
    return bool(await db.execute(_mine(claim).values(checkpoint=checkpoint)))


async def give_back_strays(db: Db, worker_id: UUID, running: Sequence[int], *, now: datetime) -> int:
    """Give back jobs that are this worker's but not among those that it runs: a claim whose commit was not answered."""
    kept = [*running, -1]  # an empty list is no list in SQL
    return await db.execute(
        _wait_again(now).where(JobRow.worker_id == worker_id, _IS_LEASED, JobRow.position.not_in(kept))
    )
