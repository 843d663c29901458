"""Jobs and schedules over HTTP: `/v1/jobs/{id}` is where every 202 points."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict

from ossature.kernel.context import CurrentCtx
from ossature.kernel.http.job_feed import TOPIC, JobFeed
from ossature.kernel.http.listing import Asked, Listing, answer, listing
from ossature.kernel.http.policy import policy
from ossature.kernel.http.ports import Fanout
from ossature.kernel.jobs import schedule, store
from ossature.kernel.jobs.checks import JOBS
from ossature.kernel.jobs.domain import JobDead, State
from ossature.kernel.jobs.queue import Jobs
from ossature.kernel.jobs.settings import JobSettings
from ossature.kernel.observe.rules import JOB, grew
from ossature.kernel.service import Alert, Fact, Service, Topic, objectives

if TYPE_CHECKING:
    from ossature.kernel.house import House


class JobOut(BaseModel):
    """A job. percent: 0..100 while it says so. error: what its last failure said. result: what it gave, JSON."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    name: str
    queue: str
    state: State
    priority: int
    arguments: Mapping[str, Any]
    result: Any
    error: str | None
    attempt: int
    failures: int
    attempts: int
    percent: float | None
    message: str | None
    request_id: str | None
    created_at: datetime
    run_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class ScheduleOut(BaseModel):
    """A schedule. planned_at: its next occurrence; fire_at: when that starts, its random delay included."""

    model_config = ConfigDict(from_attributes=True)

    name: str
    plan: str
    planned_at: datetime
    fire_at: datetime
    last_at: datetime | None
    last_job_id: UUID | None


class QueueOut(BaseModel):
    """How full a queue is, over all tenants. oldest_wait_s: age of the job that has been due for longest."""

    model_config = ConfigDict(from_attributes=True)

    queue: str
    due: int
    later: int
    running: int
    oldest_wait_s: float


class Started(BaseModel):
    """The job that was started."""

    job_id: UUID


router = APIRouter(tags=["jobs"])


@router.get("/jobs", summary="List jobs")
@policy(allow="read:jobs")
async def list_jobs(ctx: CurrentCtx, query: Annotated[Asked, listing(store.JOBS, JobOut)]) -> Listing[JobOut]:
    """The tenant's jobs, the latest first; dead letters are `?state=dead`."""
    return answer(await store.page(ctx.db, ctx.tenant.id, query), JobOut, query)


@router.get("/jobs/{job_id}", summary="Read a job")
@policy(allow="read:jobs")
async def read_job(ctx: CurrentCtx, job_id: UUID) -> JobOut:
    """One job with its state, progress and result."""
    return JobOut.model_validate(await ctx.port(Jobs).get(ctx.db, ctx.tenant.id, job_id))


@router.post("/jobs/{job_id}/cancel", summary="Cancel a job")
@policy(allow="write:jobs")
async def cancel_job(ctx: CurrentCtx, job_id: UUID) -> JobOut:
    """Stop a job: at once while it waits, within about a second while it runs."""
    found = await ctx.port(Jobs).cancel(ctx.db, ctx.tenant.id, job_id)
    await ctx.audit("job.cancel", f"job/{job_id}")
    return JobOut.model_validate(found)


@router.post("/jobs/{job_id}/retry", summary="Run a dead or cancelled job again")
@policy(allow="write:jobs")
async def retry_job(ctx: CurrentCtx, job_id: UUID) -> JobOut:
    """Put a dead or cancelled job back in line, with all its attempts."""
    found = await ctx.port(Jobs).retry(ctx.db, ctx.tenant.id, job_id)
    await ctx.audit("job.retry", f"job/{job_id}")
    return JobOut.model_validate(found)


@router.post("/jobs/{job_id}/pause", summary="Pause a job")
@policy(allow="write:jobs")
async def pause_job(ctx: CurrentCtx, job_id: UUID) -> JobOut:
    """Take a job out of the line until it is resumed; a running long one keeps its checkpoint."""
    found = await ctx.port(Jobs).pause(ctx.db, ctx.tenant.id, job_id)
    await ctx.audit("job.pause", f"job/{job_id}")
    return JobOut.model_validate(found)


@router.post("/jobs/{job_id}/resume", summary="Resume a paused job")
@policy(allow="write:jobs")
async def resume_job(ctx: CurrentCtx, job_id: UUID) -> JobOut:
    """Put a paused job back in line; it goes on from its checkpoint."""
    found = await ctx.port(Jobs).resume(ctx.db, ctx.tenant.id, job_id)
    await ctx.audit("job.resume", f"job/{job_id}")
    return JobOut.model_validate(found)


@router.get("/queues", summary="How full the queues are")
@policy(allow="read:platform")
async def list_queues(ctx: CurrentCtx) -> Listing[QueueOut]:
    """Every queue of the installation."""
    found = await ctx.port(Jobs).queues(ctx.db)
    return Listing(items=[QueueOut.model_validate(one) for one in found], next=None)


@router.get("/schedules", summary="List schedules")
@policy(allow="read:platform")
async def list_schedules(ctx: CurrentCtx) -> Listing[ScheduleOut]:
    """Every schedule of the installation."""
    found = await schedule.list_schedules(ctx.db)
    return Listing(items=[ScheduleOut.model_validate(one) for one in found], next=None)


@router.post("/schedules/{name}/run", summary="Run a scheduled job now", status_code=202)
@policy(allow="write:platform")
async def run_schedule(ctx: CurrentCtx, name: Annotated[str, Path(max_length=100)]) -> Started:
    """Start a scheduled job now, besides its schedule."""
    job_id = await schedule.run_now(ctx.port(Jobs), ctx.db, name)
    await ctx.audit("schedule.run", f"schedule/{name}")
    return Started(job_id=job_id)


_DIED = grew("jobs_finished_total", "1h", outcome="dead")


def _feed(house: "House") -> JobFeed:
    return JobFeed(house.jobs, house.port(Fanout))  # type: ignore[type-abstract] # a promise is asked for by its Protocol


def _tell(house: "House") -> AbstractAsyncContextManager[None]:
    return house.port(JobFeed).telling()


service = Service(
    name="jobs",
    title="Jobs and schedules",
    settings=(JobSettings,),
    prefix="/v1",
    router=router,
    tables=store.TABLES,
    checks=JOBS,
    facts=(Fact(type=JobDead, wire="job.dead", key="job_id"),),
    topics=(Topic(TOPIC, allow="read:jobs"),),
    offers={JobFeed: _feed},
    lifespan=_tell,
    slos=objectives("GET /v1/jobs", "GET /v1/jobs/{job_id}", p95_ms=300, availability=0.995),
    alerts=(
        Alert(
            "JobsWait",
            "max by (queue) (jobs_oldest_wait_seconds) > 300",
            300,
            "warning",
            "A job in the queue {{ $labels.queue }} has been due for {{ $value | humanizeDuration }}",
            "jobs-wait",
        ),
        Alert(
            "NobodyWorks",
            "max by (queue) (jobs_oldest_wait_seconds) > 3600",
            300,
            "critical",
            "A job in the queue {{ $labels.queue }} has been due for {{ $value | humanizeDuration }}: nobody seems to work it",
            "jobs-wait",
        ),
        Alert(
            "JobsDie",
            f"sum by ({JOB}) ({_DIED})",
            0,
            "warning",
            "The job {{ $labels.exported_job }} was given up",
            "jobs-die",
        ),
    ),
    permissions=frozenset({"read:jobs", "write:jobs", "read:platform", "write:platform"}),
)
