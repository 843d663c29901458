"""One attempt of one job: its context, its transaction, its time limit, and what came of it."""

import asyncio
import time
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, Protocol

import orjson
import structlog

from ossature.kernel import clock, deadline
from ossature.kernel.db.lease import LeaseLost
from ossature.kernel.db.transaction import Db
from ossature.kernel.jobs import claims, metrics, run
from ossature.kernel.jobs.claims import Claim, Ending
from ossature.kernel.jobs.domain import (
    HOUSE_TENANT_ID,
    GiveUp,
    JobNews,
    State,
    retry_delay_s,
    storable,
    storable_json,
)
from ossature.kernel.jobs.queue import Jobs
from ossature.kernel.jobs.run import Run
from ossature.kernel.observe import tracing
from ossature.kernel.observe.logs import masker
from ossature.kernel.service import Job

if TYPE_CHECKING:
    from ossature.kernel.context import Ctx

log = structlog.get_logger()

Reason = Literal["cancel", "pause", "drain", "lost"]
_ERROR_MOST = 2000
_UNKNOWN_AGAIN_S = 60.0


class MakeCtx(Protocol):
    """Makes the context of a job: for `claim.tenant_id`, under `claim.request_id` and `claim.trace`, on `db`."""

    async def __call__(self, claim: Claim, db: Db, /) -> "Ctx":
        """The context. `db` is its transaction and commits with the job."""


class Attempt:
    """A job that runs now. `stop` ends it early, `outcome` is what is still to be written about it."""

    def __init__(self, jobs: Jobs, make_ctx: MakeCtx, claim: Claim, *, strict: bool = False) -> None:
        """strict: alike statements over the limit are its failure; those of a long job, which works in batches, never."""
        self._strict = strict
        self._jobs = jobs
        self._make_ctx = make_ctx
        self.claim = claim
        self.job: Job | None = jobs.registry.get(claim.name)
        self.keep = timedelta(days=self.job.keep_days if self.job else 7)
        self.reported = False
        self.run = Run(claim, self._report)
        self._stopped: Reason | None = None
        self.task: asyncio.Task[Ending | None] | None = None

    @property
    def news(self) -> JobNews:
        """What is told of it while it runs."""
        return news(self._ending(State.LEASED))

    def start(self) -> "asyncio.Task[Ending | None]":
        """Begin; the task gives what is to be written, or None when it is written already or no longer ours to write."""
        self.task = asyncio.create_task(self._measured(), name=f"job {self.claim.name}")
        return self.task

    def stop(self, reason: Reason) -> None:
        """Interrupt it, for the first reason that is given."""
        if self._stopped is None and self.task is not None and not self.task.done():
            self._stopped = reason
            self.task.cancel()

    def _report(self) -> None:
        self.reported = True

    async def _measured(self) -> Ending | None:
        claim = self.claim
        structlog.contextvars.bind_contextvars(job=claim.name, job_id=str(claim.id), request_id=claim.request_id)
        metrics.PICKUP_SECONDS.labels(claim.queue).observe(max(0.0, (clock.now() - claim.run_at).total_seconds()))
        running = metrics.RUNNING.labels(claim.queue)
        running.inc()
        begun = time.perf_counter()
        try:
            outcome, ending = await self._judged()
        finally:
            running.dec()
        metrics.SECONDS.labels(claim.name).observe(time.perf_counter() - begun)
        metrics.FINISHED.labels(claim.name, outcome).inc()
        return ending

    async def _judged(self) -> tuple[str, Ending | None]:
        """How the attempt ended, in a word and as what is to be written."""
        if self.job is None:
            log.warning("job.unknown")
            wait = timedelta(seconds=_UNKNOWN_AGAIN_S)
            return "unknown", self._ending(State.QUEUED, error="No worker here knows this job.", retry_in=wait)
        refused = self._not_to_be_run()
        if refused is not None:
            return refused
        try:
            return "succeeded", await self._work(self.job)
        except LeaseLost:
            metrics.LOST.inc()
            log.warning("job.lease_lost")
            return "lost", None
        except asyncio.CancelledError:
            return self._interrupted()
        except Exception as error:  # noqa: BLE001 - the worker is an edge: whatever a job raises is its failure
            return self._failed(self.job, error)

    def _not_to_be_run(self) -> tuple[str, Ending] | None:
        claim = self.claim
        if claim.failures >= claim.attempts:
            return "dead", self._ending(State.DEAD, error="The workers that ran it were lost.")
        if claim.expires_at is not None and claim.expires_at < clock.now():
            return "expired", self._ending(State.CANCELLED, error="It could not start before it expired.")
        return None

    async def _work(self, job: Job) -> Ending | None:
        """Run the job. What it wrote is committed together with its success, so both happen or neither."""
        claim = self.claim
        database = self._jobs.database
        db = database.system() if claim.tenant_id == HOUSE_TENANT_ID else database.tenant(claim.tenant_id)
        run.enter(self.run)
        limit_s = None if job.long else job.time_limit_s
        try:
            attributes: dict[str, str | int] = {"job.id": str(claim.id), "job.attempt": claim.attempt}
            with tracing.job(claim.name, claim.trace, attributes=attributes), deadline.within(limit_s):
                async with asyncio.timeout(limit_s):
                    ctx = await self._make_ctx(claim, db)
                    result = _as_json(await job.run(ctx, **claim.arguments))
                mode: Literal["raise", "warn"] = "raise" if self._strict and not job.long else "warn"
                db.statistics.check_repeats(limit=database.settings.repeat_limit, mode=mode)
                ending: Ending | None = self._ending(State.SUCCEEDED, result=result)
                if ending is not None and db.is_writing:
                    if not await claims.finish(db, ending, clock.now()):
                        raise LeaseLost("The job was given to another worker.", job_id=str(claim.id))
                    db.after_commit(partial(self._jobs.tell, news(ending)))
                    ending = None
                await db.commit()
        finally:
            await db.close()
        return ending

    def _interrupted(self) -> tuple[str, Ending | None]:
        match self._stopped:
            case "cancel":
                return "cancelled", self._ending(State.CANCELLED)
            case "pause":
                return "paused", self._ending(State.PAUSED)
            case "drain":
                return "handed_over", self._ending(State.QUEUED, retry_in=timedelta())
            case "lost":
                metrics.LOST.inc()
                return "lost", None
        raise asyncio.CancelledError

    def _failed(self, job: Job, error: Exception) -> tuple[str, Ending]:
        claim = self.claim
        failures = claim.failures + 1
        described = storable(masker.text(f"{type(error).__name__}: {error}"))[:_ERROR_MOST]
        if isinstance(error, GiveUp) or failures >= claim.attempts:
            log.error("job.dead", error=type(error).__name__, failures=failures, exc_info=error)
            return "dead", self._ending(State.DEAD, error=described, failed=True)
        asked_s = getattr(error, "retry_after_s", None) or 0.0
        wait_s = max(retry_delay_s(job.backoff, failures), asked_s)
        log.warning(
            "job.failed", error=type(error).__name__, failures=failures, retry_in_s=round(wait_s, 3), exc_info=error
        )
        return "failed", self._ending(State.FAILED, error=described, failed=True, retry_in=timedelta(seconds=wait_s))

    def _ending(
        self,
        state: State,
        *,
        result: Any = None,  # noqa: ANN401 - JSON
        error: str | None = None,
        failed: bool = False,
        retry_in: timedelta | None = None,
    ) -> Ending:
        return Ending(
            self.claim,
            state,
            keep=self.keep,
            result=result,
            error=error,
            failed=failed,
            retry_at=None if retry_in is None else clock.now() + retry_in,
            percent=self.run.percent,
            message=self.run.message,
        )


def news(ending: Ending) -> JobNews:
    """What is told of an ending."""
    claim = ending.claim
    return JobNews(
        id=claim.id,
        tenant_id=claim.tenant_id,
        name=claim.name,
        queue=claim.queue,
        state=ending.state,
        attempt=claim.attempt,
        percent=ending.percent,
        message=ending.message,
    )


def _as_json(result: Any) -> Any:  # noqa: ANN401 - whatever a job gives back
    """The result as JSON values. Raises: TypeError when it is none; the job fails with what it wrote undone."""
    return None if result is None else orjson.loads(storable_json(orjson.dumps(result)))
