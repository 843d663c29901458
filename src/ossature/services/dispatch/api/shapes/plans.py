"""Runs, plans and the board on the wire."""

from datetime import date, datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field

from ossature.kernel.http.input import Input
from ossature.services.dispatch.api.shapes.base import LoadOut, Out
from ossature.services.dispatch.api.shapes.bookings import TripOut
from ossature.services.dispatch.domain.plans import PlanState, RunState, StopKind


class PlanIn(Input):
    """A day to be planned."""

    day: date = Field(examples=["2031-03-03"])
    time_limit_s: Annotated[float, Field(gt=0, le=60)] | None = None
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 1


class RunOut(Out):
    """One attempt to plan a day."""

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


class PlanOut(Out):
    """One version of the plan of a day."""

    id: UUID
    day: date
    number: int
    parent_id: UUID | None
    run_id: UUID
    state: PlanState
    metrics: dict[str, Any]
    created_at: datetime
    published_at: datetime | None
    version: int


class StopOut(Out):
    """A stop of a duty."""

    position: int
    kind: StopKind
    trip_id: UUID | None
    place_id: UUID
    planned_at: datetime
    leaves_at: datetime
    load: LoadOut


class PlaceOut(Out):
    """A place on the map."""

    id: UUID
    label: str
    lat: float
    lon: float
    source: str


class LaneOut(Out):
    """A duty with its stops."""

    duty_id: UUID
    driver: str
    vehicle: str
    earliest_start: datetime
    latest_end: datetime
    reserve: bool
    stops: list[StopOut]


class BoardOut(Out):
    """A day: its duties with their stops, its trips, the places of both."""

    day: date
    plan: PlanOut | None
    duties: list[LaneOut]
    trips: list[TripOut]
    places: list[PlaceOut]
