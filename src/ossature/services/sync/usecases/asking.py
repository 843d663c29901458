"""Having things planned and run by a worker, and how everything stands."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from ossature.kernel.context import Ctx
from ossature.kernel.db import lease
from ossature.kernel.errors import FieldError, InvalidInput
from ossature.kernel.jobs.queue import Jobs
from ossature.services.sync.domain.config import Pipeline, read_pipeline
from ossature.services.sync.domain.layout import Layout
from ossature.services.sync.domain.values import OpView, RecordView
from ossature.services.sync.store import journal, state
from ossature.services.sync.store import pipelines as stored
from ossature.services.sync.usecases.pipelines import chosen_specs, found, lock_name, require_profile
from ossature.services.sync.usecases.plan import Author
from ossature.services.sync.usecases.steering import require_free

MAKE_PLAN = "sync.make_plan"
RUN_PIPELINES = "sync.run_pipelines"
_PAST = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineStatus:
    """How a pipeline stands. last_good_at: of its last run without a fault, or the last plan of everything that was empty."""

    name: str
    enabled: bool
    last_good_at: datetime | None
    source_rows: int | None
    target_rows: int | None
    quarantined: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """An operation that was sent and has no answer yet."""

    run_id: UUID
    n: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetStatus:
    """How a target stands. fence: how often it changed hands. held_by: host and process, while somebody has it."""

    connection: str
    fence: int
    held_by: str | None
    in_doubt: Doubt | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """How everything stands."""

    pipelines: Sequence[PipelineStatus]
    targets: Sequence[TargetStatus]


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """A record as it is known, and the newest operations on it, each with its run. key: canonical."""

    pipeline: str
    key: str
    record: RecordView | None
    operations: Sequence[tuple[UUID, OpView]]


async def request_plan(
    ctx: Ctx, names: Sequence[str], *, only: Sequence[str], keys: Sequence[str], profile: str | None
) -> UUID:
    """A job that makes a plan. Raises: PipelineUnknown, PipelineInvalid, ProfileUnknown, TargetLocked."""
    asked = {"only": list(only), "keys": list(keys), "profile": profile}
    return await _enqueue(ctx, MAKE_PLAN, names, asked)


async def request_run(ctx: Ctx, names: Sequence[str]) -> UUID:
    """A job that plans, and applies what nothing forbids. Raises: PipelineUnknown, PipelineInvalid, TargetLocked."""
    return await _enqueue(ctx, RUN_PIPELINES, names, {})


async def status(ctx: Ctx) -> Status:
    """How every pipeline and target stands."""
    good = await state.baselines(ctx.db, ctx.tenant.id)
    held = await state.held_n(ctx.db, ctx.tenant.id)
    pipelines, targets = [], set[str]()
    for view in await stored.pipelines(ctx.db, ctx.tenant.id):
        at, rows = good.get(view.name, (None, None))
        pipelines.append(
            PipelineStatus(
                name=view.name,
                enabled=view.enabled,
                last_good_at=at,
                source_rows=None if rows is None else rows.source_rows,
                target_rows=None if rows is None else rows.target_rows,
                quarantined=held.get(view.name, 0),
            )
        )
        targets.add(read_pipeline(view.toml).target.connection)
    return Status(pipelines=pipelines, targets=[await _target(ctx, one) for one in sorted(targets)])


async def history(ctx: Ctx, pipeline: str, key: Sequence[str]) -> History:
    """A record as it is known. key: one text for each field of the key. Raises: PipelineUnknown, InvalidInput."""
    spec = read_pipeline((await found(ctx, pipeline)).toml)
    canonical = canonical_key(spec, key)
    return History(
        pipeline=pipeline,
        key=canonical,
        record=await state.record(ctx.db, ctx.tenant.id, pipeline, canonical),
        operations=await journal.ops_of_key(ctx.db, ctx.tenant.id, pipeline, canonical, limit=_PAST),
    )


def canonical_key(spec: Pipeline, key: Sequence[str]) -> str:
    """The key that a record is kept under. Raises: InvalidInput when it has another number of fields, or says nothing."""
    layout = Layout.of(spec)
    if len(key) == len(spec.key):
        canonical = layout.key_of(layout.record(dict(zip(spec.key, key, strict=True))))
        if canonical is not None:
            return canonical
    message = f"Give one text for each of {', '.join(spec.key)}."
    raise InvalidInput(errors=[FieldError("query/key", message, "key")])


async def _target(ctx: Ctx, connection: str) -> TargetStatus:
    seen = await lease.look(ctx.db, lock_name(ctx.tenant.id, connection))
    doubt = await journal.in_doubt(ctx.db, ctx.tenant.id, connection)
    return TargetStatus(
        connection=connection,
        fence=0 if seen is None else seen.fence,
        held_by=None if seen is None or seen.is_free else f"{seen.holder.host}:{seen.holder.pid}",
        in_doubt=None if doubt is None else Doubt(run_id=doubt[0], n=doubt[1]),
    )


async def _enqueue(ctx: Ctx, name: str, pipelines: Sequence[str], asked: dict[str, Any]) -> UUID:
    specs = await chosen_specs(ctx, pipelines)
    require_profile([spec for spec, _ in specs], asked.get("profile"))
    await require_free(ctx, {spec.target.connection for spec, _ in specs})
    by = Author.of(ctx.actor)
    arguments = {"pipelines": list(pipelines), "author": {**asdict(by), "id": by.id and str(by.id)}, **asked}
    job_id = await ctx.enqueue(ctx.port(Jobs).registry[name], arguments)
    await ctx.audit(name, ",".join(pipelines) or "all")
    return job_id
