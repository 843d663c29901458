"""The tables of sync. Those of `journal` and `state` are written through durable transactions only."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKeyConstraint, Index, LargeBinary, String, text
from sqlalchemy.orm import Mapped, mapped_column

from ossature.kernel import clock
from ossature.kernel.db.table import Table, TenantOwned
from ossature.kernel.db.types import Json

_INTENT = text("state = 'intent'")


class PipelineRow(TenantOwned, Table):
    """A pipeline of a tenant, in its present version."""

    __tablename__ = "sync_pipeline"
    __table_args__ = (
        Index("uq_sync_pipeline_name", "tenant_id", "name", unique=True),
        Index("ix_sync_pipeline_listed", "tenant_id", "name", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=clock.new_id)
    name: Mapped[str] = mapped_column(String(120))
    title: Mapped[str] = mapped_column(String(200))
    enabled: Mapped[bool]
    version: Mapped[str] = mapped_column(String(64))
    version_n: Mapped[int]
    toml: Mapped[str]
    changed_at: Mapped[datetime]


class PipelineVersionRow(TenantOwned, Table):
    """One saved form of a pipeline, for good."""

    __tablename__ = "sync_pipeline_version"

    pipeline_id: Mapped[UUID] = mapped_column(primary_key=True)
    n: Mapped[int] = mapped_column(primary_key=True)
    sha256: Mapped[str] = mapped_column(String(64))
    toml: Mapped[str]
    author: Mapped[str] = mapped_column(String(200))

    __table_args__ = (ForeignKeyConstraint(["pipeline_id"], ["sync_pipeline.id"], ondelete="CASCADE"),)


class ConnectionRow(TenantOwned, Table):
    """A system that records come from or go to. secrets: names of settings, never values."""

    __tablename__ = "sync_connection"
    __table_args__ = (
        Index("uq_sync_connection_name", "tenant_id", "name", unique=True),
        Index("ix_sync_connection_listed", "tenant_id", "name", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=clock.new_id)
    name: Mapped[str] = mapped_column(String(120))
    kind: Mapped[str] = mapped_column(String(40))
    public: Mapped[dict[str, Any]]
    secrets: Mapped[dict[str, Any]]


class PlanRow(TenantOwned, Table):
    """A plan as lists and decisions need it; its bytes lie in `sync_plan_blob`."""

    __tablename__ = "sync_plan"
    __table_args__ = (
        Index("uq_sync_plan_sha256", "tenant_id", "sha256", unique=True),
        Index("ix_sync_plan_listed", "tenant_id", "created_at", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=clock.new_id)
    sha256: Mapped[str] = mapped_column(String(64))
    pipelines: Mapped[list[Any]]
    author: Mapped[str] = mapped_column(String(200))
    author_id: Mapped[UUID | None]
    state: Mapped[str] = mapped_column(String(20))
    counts: Mapped[dict[str, Any]]
    guards: Mapped[list[Any]]
    budget: Mapped[dict[str, Any]]
    expires_at: Mapped[datetime]
    approved_by: Mapped[str | None] = mapped_column(String(200))
    approved_at: Mapped[datetime | None]
    approval: Mapped[dict[str, Any] | None] = mapped_column(Json)


class PlanBlobRow(TenantOwned, Table):
    """A piece of a plan's bytes, compressed."""

    __tablename__ = "sync_plan_blob"

    plan_id: Mapped[UUID] = mapped_column(primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True)
    chunk: Mapped[bytes] = mapped_column(LargeBinary)

    __table_args__ = (ForeignKeyConstraint(["plan_id"], ["sync_plan.id"], ondelete="CASCADE"),)


class RunRow(TenantOwned, Table):
    """One application of a plan. wish: `pause` or `cancel`, what somebody asked of it; it stands until it is resumed."""

    __tablename__ = "sync_run"
    __table_args__ = (
        Index("ix_sync_run_listed", "tenant_id", "created_at", "id"),
        Index("uq_sync_run_plan", "tenant_id", "plan_id", unique=True),
        ForeignKeyConstraint(["plan_id"], ["sync_plan.id"], ondelete="CASCADE"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=clock.new_id)
    plan_id: Mapped[UUID]
    plan_sha256: Mapped[str] = mapped_column(String(64))
    author: Mapped[str] = mapped_column(String(200))
    state: Mapped[str] = mapped_column(String(20))
    wish: Mapped[str | None] = mapped_column(String(10))
    counts: Mapped[dict[str, Any]]
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    resumed_n: Mapped[int]
    problem: Mapped[str | None] = mapped_column(String(500))


class OpRow(TenantOwned, Table):
    """One operation of a run, from its plan to its proof. At most one of a target is in doubt: the database says so."""

    __tablename__ = "sync_op"
    __table_args__ = (
        Index(
            "uq_sync_op_in_doubt", "tenant_id", "target", unique=True, sqlite_where=_INTENT, postgresql_where=_INTENT
        ),
        Index("ix_sync_op_state", "run_id", "state", "n"),
        Index("ix_sync_op_key", "tenant_id", "pipeline", "key", "run_id", "n"),
        ForeignKeyConstraint(["run_id"], ["sync_run.id"], ondelete="CASCADE"),
    )

    run_id: Mapped[UUID] = mapped_column(primary_key=True)
    n: Mapped[int] = mapped_column(primary_key=True)
    pipeline: Mapped[str] = mapped_column(String(120))
    target: Mapped[str] = mapped_column(String(120))
    kind: Mapped[str] = mapped_column(String(20))
    key: Mapped[str] = mapped_column(String(500))
    state: Mapped[str] = mapped_column(String(20))
    attempt: Mapped[int]
    fence: Mapped[int]
    sent_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    evidence: Mapped[str | None] = mapped_column(String(20))
    problem: Mapped[str | None] = mapped_column(String(500))


class RecordStateRow(TenantOwned, Table):
    """What is known of a record of the target since the last time."""

    __tablename__ = "sync_record_state"

    pipeline: Mapped[str] = mapped_column(String(120), primary_key=True)
    key_hash: Mapped[str] = mapped_column(String(32), primary_key=True)
    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    owner: Mapped[str] = mapped_column(String(10))
    applied_hash: Mapped[str] = mapped_column(String(32))
    target_hash: Mapped[str] = mapped_column(String(32))
    missing_since: Mapped[datetime | None]
    missing_reads: Mapped[int]

    __table_args__ = (ForeignKeyConstraint(["tenant_id"], ["tenants_tenant.id"], ondelete="CASCADE"),)


class QuarantineRow(TenantOwned, Table):
    """A row of the source that cannot become a record, until it changes."""

    __tablename__ = "sync_quarantine"

    pipeline: Mapped[str] = mapped_column(String(120), primary_key=True)
    key_hash: Mapped[str] = mapped_column(String(32), primary_key=True)
    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(String(500))
    field: Mapped[str] = mapped_column(String(120))
    reason: Mapped[str] = mapped_column(String(500))
    attempts: Mapped[int]
    state: Mapped[str] = mapped_column(String(20))

    __table_args__ = (
        Index("ix_sync_quarantine_listed", "tenant_id", "pipeline", "key_hash"),
        ForeignKeyConstraint(["tenant_id"], ["tenants_tenant.id"], ondelete="CASCADE"),
    )


class BaselineRow(TenantOwned, Table):
    """How much there was at the last good run of a pipeline."""

    __tablename__ = "sync_baseline"

    pipeline: Mapped[str] = mapped_column(String(120), primary_key=True)
    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    source_rows: Mapped[int]
    target_rows: Mapped[int]
    at: Mapped[datetime]

    __table_args__ = (ForeignKeyConstraint(["tenant_id"], ["tenants_tenant.id"], ondelete="CASCADE"),)


TABLES: tuple[type[Table], ...] = (
    PipelineRow,
    PipelineVersionRow,
    ConnectionRow,
    PlanRow,
    PlanBlobRow,
    RunRow,
    OpRow,
    RecordStateRow,
    QuarantineRow,
    BaselineRow,
)
