"""The lines in which jobs stand, and how many of them may start: counted in the table, over all workers."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, false, func, insert, select, text, update

from ossature.kernel.db.transaction import Db
from ossature.kernel.jobs.store import JobRow, StartRow

OPEN = update(JobRow).where(false()).values(line=JobRow.line)
"""Changes nothing, but begins the transaction as one that writes: on SQLite with the lock that makes counting safe."""

_COUNTING = 7_267_001  # number of the advisory lock under which limits are counted; ours alone in this database
_MINUTE = timedelta(minutes=1)
_IS_LEASED = text("jobs_job.state = 'leased'")


@dataclass(frozen=True, slots=True)
class Lane:
    """A line of jobs and its limits over all workers. job: the only one that stands in it, where that has limits."""

    name: str
    queue: str
    job: str | None = None
    concurrency: int | None = None
    per_minute: int | None = None
    queue_concurrency: int | None = None
    queue_per_minute: int | None = None

    @property
    def limited(self) -> bool:
        """Whether a claim from it needs counting."""
        return bool(self.concurrency or self.queue_concurrency or self.rates)

    @property
    def rates(self) -> Mapping[str, int]:
        """Starts that are allowed within a minute, by the name under which they are counted."""
        found = {self.job: self.per_minute, f"queue:{self.queue}": self.queue_per_minute}
        return {name: most for name, most in found.items() if name and most}


async def allowance(db: Db, lane: Lane, now: datetime) -> int:
    """How many more jobs of a lane that is limited may start now. Counting is done by one worker at a time."""
    if db.dialect == "postgresql":
        await db.execute(text(f"SELECT pg_advisory_xact_lock({_COUNTING})"))
    else:
        await db.execute(OPEN)
    allowed: list[int] = []
    running = select(func.count()).select_from(JobRow).where(_IS_LEASED)
    if lane.queue_concurrency:
        allowed.append(lane.queue_concurrency - await db.scalar(running.where(JobRow.queue == lane.queue)))
    if lane.concurrency:
        allowed.append(lane.concurrency - await db.scalar(running.where(JobRow.lane == lane.name)))
    for name, most in lane.rates.items():
        await db.execute(delete(StartRow).where(StartRow.name == name, StartRow.started_at <= now - _MINUTE))
        begun = select(func.count()).select_from(StartRow).where(StartRow.name == name)
        allowed.append(most - await db.scalar(begun))
    return max(0, min(allowed))


async def note_starts(db: Db, lane: Lane, jobs: int, now: datetime) -> None:
    """Write down that so many jobs of a lane have started, under each name by which its rates count them."""
    await db.execute(insert(StartRow), [{"name": name, "started_at": now} for name in lane.rates for _ in range(jobs)])
