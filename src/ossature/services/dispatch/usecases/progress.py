"""How far the work is that somebody waits for: the planning of a day, a file that is looked through or booked."""

from dataclasses import dataclass
from datetime import date
from uuid import UUID

from ossature.kernel.context import Ctx
from ossature.kernel.jobs.domain import OPEN, JobNotFound, JobView
from ossature.kernel.jobs.queue import Jobs
from ossature.services.dispatch.domain.plans import Run
from ossature.services.dispatch.store import plans as store


@dataclass(frozen=True, slots=True)
class UnderWay:
    """A run that has not ended, and the job that does it."""

    run: Run
    job: JobView


async def run_under_way(ctx: Ctx, day: date) -> UnderWay | None:
    """The run that plans a day now, or waits to; one whose job was given up is none."""
    run_id = await store.active_run(ctx.db, ctx.tenant.id, day)
    found = await store.run(ctx.db, ctx.tenant.id, run_id) if run_id is not None else None
    job = await open_job(ctx, found.job_id) if found is not None else None
    return None if found is None or job is None else UnderWay(found, job)


async def open_job(ctx: Ctx, job_id: UUID | None) -> JobView | None:
    """A job that has not ended."""
    if job_id is None:
        return None
    try:
        job = await ctx.port(Jobs).get(ctx.db, ctx.tenant.id, job_id)
    except JobNotFound:
        return None
    return job if job.state in OPEN else None
