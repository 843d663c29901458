"""The shapes of sync on the wire."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import Path
from pydantic import Field, JsonValue

from ossature.kernel.http.input import Input
from ossature.kernel.http.validation import Line, Output

NAME = r"^[a-z0-9][a-z0-9_-]*(\.[a-z0-9][a-z0-9_-]*)*$"
Name = Annotated[str, Field(pattern=NAME, max_length=120, examples=["hr.people"])]
PipelineName = Annotated[str, Path(pattern=NAME, max_length=120)]
ConnectionName = Annotated[str, Path(pattern=NAME, max_length=120)]
Sha256 = Annotated[str, Path(pattern=r"^[0-9a-f]{12,64}$", description="SHA-256 of the plan, or its first 12 digits.")]
Reason = Annotated[str, Field(max_length=500, description="Why; it stands in the audit trail.")]
Kind = Literal["create", "update", "delete", "deactivate"]
Key = Annotated[Line, Field(max_length=500)]
_EXAMPLE = """schema = "ossature.sync/1"
name = "hr.people"
key = ["mail"]
[source]
connection = "files"
path = "people.csv"
[map]
mail = { column = "Mail", lower = true }
[target]
connection = "files"
collection = "staff"
"""
Toml = Annotated[str, Field(max_length=200_000, description="The pipeline file.", examples=[_EXAMPLE])]


class PipelineIn(Input):
    """A pipeline, as its file."""

    toml: Toml


class PipelineSwitch(Input):
    """Whether a pipeline is planned when all are."""

    enabled: bool


class PipelineOut(Output):
    """A pipeline. version: SHA-256 of its text; version_n counts from 1."""

    name: str
    title: str
    enabled: bool
    version: str
    version_n: int
    toml: str
    changed_at: datetime


class VersionOut(Output):
    """One saved form of a pipeline, for good."""

    n: int
    sha256: str
    author: str
    created_at: datetime
    toml: str


class ValidOut(Output):
    """A pipeline file without a fault."""

    name: str
    version: str


class EndOut(Output):
    """One end of a pipeline. problem: empty when it is well. columns: of its first rows."""

    connection: str
    problem: str
    columns: list[str]


class CheckedOut(Output):
    """What trying a pipeline gave. missing: columns that the map reads and the source does not have."""

    good: bool
    source: EndOut
    target: EndOut
    missing: list[str]


_Field = Annotated[Line, Field(max_length=120)]


class ConnectionIn(Input):
    """A system that records come from or go to. secrets: field -> NAME of the setting OSSATURE_SYNC_SECRET_NAME."""

    kind: Annotated[Name, Field(max_length=40, examples=["file"])]
    public: dict[_Field, Annotated[Line, Field(max_length=2000)]] = Field(
        default_factory=dict, max_length=50, examples=[{"folder": "hr"}]
    )
    secrets: dict[_Field, Annotated[str, Field(pattern=r"^[A-Za-z0-9_]{1,100}$")]] = Field(
        default_factory=dict, max_length=20
    )


class NewConnection(ConnectionIn):
    """A connection that is not there yet."""

    name: Annotated[Name, Field(examples=["files"])]


class ConnectionOut(Output):
    """A connection. secrets: names of settings, never values."""

    name: str
    kind: str
    public: dict[str, Any]
    secrets: dict[str, str]


class PlanIn(Input):
    """What is to be planned. pipelines: all that are enabled without a name. only: kinds of operations; empty for all."""

    pipelines: list[Name] = Field(default_factory=list, max_length=200)
    only: list[Kind] = Field(default_factory=list, max_length=4)
    keys: list[Key] = Field(default_factory=list, max_length=1000, description="Only these records.")
    profile: Name | None = None


class StartedOut(Output):
    """What was started. job_id: at /v1/jobs. run_id: of the run, once there is one."""

    job_id: UUID | None
    run_id: UUID | None


class GuardOut(Output):
    """A limit that a plan passes. quantity, measured: what an approval repeats. level: a `warn` forbids nothing."""

    name: str
    pipeline: str
    quantity: str
    measured: int
    limit: float
    level: Literal["block", "warn"]


class PlanOut(Output):
    """A plan. counts: operations by kind. demands: the numbers that an approval repeats."""

    sha256: str
    pipelines: list[str]
    author: str
    state: str
    counts: dict[str, int]
    guards: list[GuardOut]
    demands: dict[str, int]
    budget: dict[str, JsonValue]
    created_at: datetime
    expires_at: datetime
    approved_by: str | None
    approved_at: datetime | None


class ChangeOut(Output):
    """One field of one operation. rule: under which it differs."""

    name: str
    before: JsonValue
    after: JsonValue
    rule: str


class OperationOut(Output):
    """One write of a plan, or (`adopt`) one record taken into care. reason: the case that it was decided on."""

    n: int
    pipeline: str
    op: str
    key: list[str]
    reason: str
    fields: list[ChangeOut]
    before: dict[str, JsonValue] | None
    after: dict[str, JsonValue] | None
    undoable: bool


class ApprovalIn(Input):
    """An approval repeats exactly the numbers that the plan `demands`."""

    allow: dict[Annotated[str, Field(pattern=r"^[a-z_]{1,40}$")], Annotated[int, Field(ge=0, lt=2**31)]] = Field(
        default_factory=dict, max_length=20, examples=[{"creates": 37}]
    )
    reason: Reason = ""


class RejectionIn(Input):
    """Why a plan is never to be applied."""

    reason: Annotated[Reason, Field(examples=["Not tonight."])] = ""


class RunIn(Input):
    """What is to be applied: one plan, or (without one) whatever these pipelines need, unless a guard forbids it."""

    plan: Annotated[str, Field(pattern=r"^[0-9a-f]{12,64}$")] | None = None
    pipelines: list[Name] = Field(default_factory=list, max_length=200)


class RunOut(Output):
    """A run. counts: operations by state, once it has stopped. wish: `pause` or `cancel`, which somebody asked for."""

    id: UUID
    plan_sha256: str
    author: str
    state: str
    wish: str | None
    counts: dict[str, int]
    started_at: datetime
    finished_at: datetime | None
    resumed_n: int
    problem: str | None


class OpOut(Output):
    """One operation of a run. evidence: `response`, `readback` or `verified`, once it is done."""

    n: int
    pipeline: str
    kind: str
    key: list[str]
    state: str
    attempt: int
    evidence: str | None
    problem: str | None


class HeldOut(Output):
    """A row of a source that cannot become a record. attempts: at how many reads."""

    pipeline: str
    key: list[str]
    field: str
    reason: str
    attempts: int
    state: str
    created_at: datetime


class PastOut(OpOut):
    """One operation on a record, and the run that it was part of."""

    run_id: UUID


class RecordOut(Output):
    """One record's history. owner: `created` or `adopted`; null for one that is not in our care."""

    pipeline: str
    key: list[str]
    owner: str | None
    missing_reads: int
    missing_since: datetime | None
    operations: list[PastOut]


class PipelineStatusOut(Output):
    """How a pipeline stands. last_good_at: of its last good run, or plan that found nothing to do; null before the first."""

    name: str
    enabled: bool
    last_good_at: datetime | None
    source_rows: int | None
    target_rows: int | None
    quarantined: int


class DoubtOut(Output):
    """An operation that was sent and has no answer yet."""

    run_id: UUID
    n: int


class TargetStatusOut(Output):
    """How a target stands. fence: how often it changed hands. held_by: host and process, while somebody has it."""

    connection: str
    fence: int
    held_by: str | None
    in_doubt: DoubtOut | None


class StatusOut(Output):
    """How everything stands."""

    pipelines: list[PipelineStatusOut]
    targets: list[TargetStatusOut]
