"""Queries on the schedules' table."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, insert, select, update

from ossature.kernel.db.transaction import Db
from ossature.kernel.jobs.domain import ScheduleView
from ossature.kernel.jobs.store import ScheduleRow


async def every(db: Db) -> list[ScheduleView]:
    """Every schedule, by name."""
    rows = await db.all(
        select(
            ScheduleRow.name,
            ScheduleRow.plan,
            ScheduleRow.planned_at,
            ScheduleRow.fire_at,
            ScheduleRow.last_at,
            ScheduleRow.last_job_id,
        ).order_by(ScheduleRow.name)
    )
    return [ScheduleView(**row._asdict()) for row in rows]


async def put(db: Db, name: str, *, plan: str, planned_at: datetime, fire_at: datetime) -> None:
    """Write a new schedule, or the new plan of one that is known."""
    values = {"plan": plan, "planned_at": planned_at, "fire_at": fire_at}
    if not await db.execute(update(ScheduleRow).where(ScheduleRow.name == name).values(**values)):
        await db.execute(insert(ScheduleRow).values(name=name, **values))


async def forget(db: Db, names: Sequence[str]) -> None:
    """Delete schedules that no job has any more."""
    if names:
        await db.execute(delete(ScheduleRow).where(ScheduleRow.name.in_(names)))


async def advance(
    db: Db, name: str, *, seen_at: datetime, planned_at: datetime, fire_at: datetime, last_at: datetime | None
) -> bool:
    """Move a schedule on from the occurrence that was seen; False when somebody else did."""
    values = {"planned_at": planned_at, "fire_at": fire_at} | ({"last_at": last_at} if last_at else {})
    mine = update(ScheduleRow).where(ScheduleRow.name == name, ScheduleRow.planned_at == seen_at)
    return bool(await db.execute(mine.values(**values)))


async def note_job(db: Db, name: str, job_id: UUID) -> None:
    """Remember which job a schedule made last."""
    await db.execute(update(ScheduleRow).where(ScheduleRow.name == name).values(last_job_id=job_id))
