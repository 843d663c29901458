"""What a job is while it waits, runs and ends: values, refusals and the arithmetic of retries."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from ossature.kernel.errors import Conflict, ContentTooLarge, InvalidInput, Misconfigured, NotFound, Problem
from ossature.kernel.retry import Retry
from ossature.kernel.service import Backoff

_NOTHING = "\N{REPLACEMENT CHARACTER}"
_NUL_ESCAPE = rb"\u0000"
_NUL = re.compile(rb"(?<!\\)((?:\\\\)*)\\u0000")

HOUSE_TENANT_ID = UUID(int=0)
"""Owner of scheduled work; its jobs see across tenants. The same id as `context.SYSTEM_TENANT_ID`, one floor up."""


class JobNotFound(NotFound):
    """No job has this id here: it never existed, was purged after its days, or belongs to another tenant."""

    title = "Job not found"


class JobNotCancellable(Conflict):
    """The job has already ended, so there is nothing left to stop."""

    title = "Job not cancellable"


class JobNotRetryable(Conflict):
    """Only a job that is dead or cancelled can be started again."""

    title = "Job not retryable"


class JobNotPausable(Conflict):
    """Only a job that waits, or one of a `long` kind that runs, can be paused; only a paused one resumed."""

    title = "Job not pausable"


class ScheduleNotFound(NotFound):
    """No schedule has this name."""

    title = "Schedule not found"


class UnknownJob(Misconfigured):
    """A job of this name is not registered: its service is not part of this installation."""

    title = "Unknown job"


class JobArgumentsRefused(InvalidInput):
    """The arguments of a job are not JSON, or lack the argument that orders it."""

    title = "Job arguments refused"


class JobArgumentsTooLarge(ContentTooLarge):
    """The arguments of a job are larger than a row should carry: store the data and pass its id."""

    title = "Job arguments too large"


class GiveUp(Problem):
    """A job raises this when trying again cannot help: it is dead at once, whatever attempts are left."""

    title = "Gave up"


class State(StrEnum):
    """Where a job is in its life. QUEUED and FAILED wait (FAILED for another attempt); the last three have ended."""

    QUEUED = "queued"
    LEASED = "leased"
    FAILED = "failed"
    PAUSED = "paused"
    SUCCEEDED = "succeeded"
    DEAD = "dead"
    CANCELLED = "cancelled"


WAITING = (State.QUEUED, State.FAILED)
OPEN = (State.QUEUED, State.LEASED, State.FAILED, State.PAUSED)


@dataclass(frozen=True, slots=True)
class JobView:
    """A job as it is now.

    attempt: how often it was begun. failures: how often that ended badly; at `attempts` it is dead. percent: 0..100.
    """

    id: UUID
    tenant_id: UUID
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
    trace: str | None
    created_at: datetime
    run_at: datetime
    started_at: datetime | None
    finished_at: datetime | None

    @property
    def news(self) -> "JobNews":
        """What is told of it as it is now."""
        return JobNews(
            self.id, self.tenant_id, self.name, self.queue, self.state, self.attempt, self.percent, self.message
        )


@dataclass(frozen=True, slots=True)
class JobNews:
    """A job went on: it was handed over, began, came further, ended or was steered. percent: 0..100, if it says so."""

    id: UUID
    tenant_id: UUID
    name: str
    queue: str
    state: State
    attempt: int = 0
    percent: float | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True)
class JobDead:
    """A job was given up: it stays as it is until somebody retries it. error: what its last failure said, masked."""

    job_id: UUID
    name: str
    queue: str
    failures: int
    error: str


@dataclass(frozen=True, slots=True)
class QueueView:
    """How full a queue is. oldest_wait_s: age of the job that has been due for longest."""

    queue: str
    due: int
    later: int
    running: int
    oldest_wait_s: float


def storable(text: str) -> str:
    """A text that every database takes: without U+0000, and without halves of letters, which have no UTF-8."""
    return text.encode("utf-8", "replace").decode().replace("\x00", _NOTHING)


def storable_json(document: bytes) -> bytes:
    """A JSON document that every database takes: PostgreSQL has no U+0000, which JSON writes as an escape."""
    return _NUL.sub(rb"\1\\ufffd", document) if _NUL_ESCAPE in document else document


def retry_delay_s(backoff: Backoff, failures: int) -> float:
    """The wait before the next attempt: uniform between 0 and the doubled bound ("full jitter")."""
    return Retry("jobs", first_s=backoff.first_s, most_s=backoff.most_s).wait_s(failures)


def lane_of(name: str, queue: str, *, limited: bool) -> str:
    """Where a job stands in line: jobs with limits of their own have a line of their own, so they block nobody."""
    return f"{queue}/{name}" if limited else queue


@dataclass(frozen=True, slots=True)
class ScheduleView:
    """A schedule as it stands. planned_at: its next occurrence; fire_at: when that starts, jitter included."""

    name: str
    plan: str
    planned_at: datetime
    fire_at: datetime
    last_at: datetime | None
    last_job_id: UUID | None
