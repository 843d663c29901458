"""Plans of a day, their versions, and the runs that make them."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from ossature.kernel.errors import Conflict, NotFound, Problem
from ossature.services.dispatch.domain.loads import Load


class PlanNotFound(NotFound):
    """No plan has this id."""

    title = "No such plan"


class RunNotFound(NotFound):
    """No run has this id."""

    title = "No such run"


class RunAlreadyActive(Conflict):
    """The day is being planned already; `run_id` says by which run."""

    title = "Run already active"


class RunEnded(Conflict):
    """The run is over; there is nothing to cancel."""

    title = "Run ended"


class PlanOutdated(Conflict):
    """The day was changed while this plan was made or after it: plan it again."""

    title = "Plan outdated"


class RecallNeeded(Conflict):
    """Trips that their drivers were told of have no place any more; recall them first. `trips` names them."""

    title = "Recall needed"


class DayIsLive(Conflict):
    """Trips of the day are under way; planning the whole day anew would pull them from under their drivers."""

    title = "Day is live"


class PlanBreaksRules(Problem):
    """The independent checker found that the solver's plan breaks a rule. It was not stored; this is a fault of ours."""

    title = "Plan breaks rules"


class PlanState(StrEnum):
    """Where a plan stands."""

    DRAFT = "draft"
    PUBLISHED = "published"
    SUPERSEDED = "superseded"
    DISCARDED = "discarded"


class RunState(StrEnum):
    """Where a run stands."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


ACTIVE_RUNS = frozenset({RunState.QUEUED, RunState.RUNNING})


class StopKind(StrEnum):
    """What happens at a stop."""

    START = "start"
    PICKUP = "pickup"
    DROPOFF = "dropoff"
    END = "end"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanStop:
    """A stop of a duty in a plan. planned_at: when service begins. load: on board when the vehicle leaves."""

    duty_id: UUID
    position: int
    kind: StopKind
    place_id: UUID
    trip_id: UUID | None
    planned_at: datetime
    leaves_at: datetime
    load: Load


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One version of the plan of one day. metrics: unserved, cost_s, distance_m, duties_used, trips."""

    id: UUID
    day: date
    number: int
    parent_id: UUID | None
    run_id: UUID
    state: PlanState
    metrics: dict[str, Any]
    created_at: datetime
    published_at: datetime | None
    version: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One attempt to plan a day. iterations, seed, solver_version and problem_hash are what it takes to do it again."""

    id: UUID
    day: date
    kind: str
    state: RunState
    job_id: UUID | None
    plan_id: UUID | None
    time_limit_s: float
    seed: int
    iterations: int | None
    solver_version: str
    problem_hash: str
    sources: dict[str, Any]
    matrix_ms: float | None
    solve_ms: float | None
    unserved: int | None
    reason: str
    heartbeat_at: datetime | None
    created_at: datetime
    ended_at: datetime | None


def local_day(at: datetime, zone: str) -> date:
    """The day that an instant is in, where the tenant is."""
    return at.astimezone(ZoneInfo(zone)).date()


def day_bounds(day: date, zone: str) -> tuple[datetime, datetime]:
    """First instant of a local day and of the one after, UTC."""
    here = ZoneInfo(zone)
    begin = datetime.combine(day, time(), here)
    end = datetime.combine(day + timedelta(days=1), time(), here)
    return begin.astimezone(UTC), end.astimezone(UTC)
