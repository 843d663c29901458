"""What pipelines, connections, plans and runs look like to those who read them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineView:
    """A stored pipeline. version: SHA-256 of its text; version_n counts from 1."""

    id: UUID
    name: str
    title: str
    enabled: bool
    version: str
    version_n: int
    toml: str
    changed_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """A system that records come from or go to.

    kind: `csv`, `sql`, `file` or `n2f`. public: its open fields, such as `root` or `base_url`. secrets: field -> name of the
    setting `OSSATURE_SYNC_SECRET_<NAME>` that holds it.
    """

    name: str
    kind: str
    public: Mapping[str, Any]
    secrets: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanView:
    """A stored plan. state: building, empty, ready, blocked, approved, applying, applied, partially_applied, rejected."""

    id: UUID
    sha256: str
    pipelines: Sequence[str]
    author: str
    author_id: UUID | None
    state: str
    counts: Mapping[str, int]
    guards: Sequence[Mapping[str, Any]]
    budget: Mapping[str, Any]
    created_at: datetime
    expires_at: datetime
    approved_by: str | None
    approved_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunView:
    """One application of a plan. counts: operations by state.

    state: queued, running, paused, succeeded, partial, failed, cancelled. wish: `pause` or `cancel`, asked for by somebody.
    """

    id: UUID
    plan_sha256: str
    author: str
    state: str
    wish: str | None
    counts: Mapping[str, int]
    started_at: datetime
    finished_at: datetime | None
    resumed_n: int
    problem: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OpView:
    """One operation of a run. evidence: `response`, `readback` or `verified`, once it is done."""

    n: int
    pipeline: str
    kind: str
    key: str
    state: str
    attempt: int
    evidence: str | None
    problem: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionView:
    """One saved form of a pipeline. sha256: of its text; n counts from 1."""

    n: int
    sha256: str
    author: str
    created_at: datetime
    toml: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A row of the source that cannot become a record."""

    key: str
    field: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldView:
    """A row in quarantine. attempts: how many reads it failed at. state: `held`."""

    pipeline: str
    key: str
    field: str
    reason: str
    attempts: int
    state: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordView:
    """What is known of a record of a target. owner: `created` or `adopted`. missing_reads: in a row without it."""

    owner: str
    missing_reads: int
    missing_since: datetime | None
