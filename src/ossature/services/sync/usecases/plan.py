"""Making a plan, approving it, looking at it."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from ossature.kernel import clock
from ossature.kernel.auth.policies import require_another, responsible
from ossature.kernel.context import Actor, Ctx
from ossature.kernel.db import lease
from ossature.kernel.db.engine import Database
from ossature.services.sync.domain.guards import DOUBT_THE_READ, Guard, check_approval, guard
from ossature.services.sync.domain.plan import Plan, numbered, read_plan, write_plan
from ossature.services.sync.domain.problems import PlanApplied, PlanUnknown, TargetLocked
from ossature.services.sync.domain.values import PlanView
from ossature.services.sync.settings import SyncSettings
from ossature.services.sync.store import plans, state
from ossature.services.sync.usecases.comparing import Compared, compare
from ossature.services.sync.usecases.pipelines import Wired, chosen, lock_name, require_profile

NOBODY = UUID(int=0)
"""An id that no user and no key has."""


@dataclass(frozen=True, slots=True)
class Author:
    """Who asked for a plan. id: of who answers for it; None for the house itself."""

    name: str
    id: UUID | None

    @classmethod
    def of(cls, actor: Actor) -> "Author":
        """The one who asks now."""
        return cls(actor.name, responsible(actor))


async def make_plan(
    ctx: Ctx,
    names: Sequence[str] = (),
    *,
    only: Sequence[str] = (),
    keys: Sequence[str] = (),
    profile: str | None = None,
    author: Author | None = None,
) -> PlanView:
    """What would be written, kept as a plan. Nothing is written at a target. author: None for who asks now.

    Raises: PipelineUnknown, PipelineInvalid, ProfileUnknown, SourceFailed, TargetFailed, TargetCredentialRefused,
    TargetLocked.
    """
    wired = await chosen(ctx, names)
    require_profile([one.spec for one in wired], profile)
    await ctx.db.commit()  # nothing is held open while others are waited for
    async with AsyncExitStack() as locks:
        for connection in sorted({one.spec.target.connection for one in wired}):
            await locks.enter_async_context(locked(ctx, connection))
        found = [await compare(ctx, one, only=only, profile=profile) for one in wired]
    plan = await _plan(ctx, wired, found, only=only, keys=keys, profile=profile)
    packed = plans.Packed.of(write_plan(plan))
    doubted = {one.pipeline for one in plan.guards if one.name in DOUBT_THE_READ}
    for one in found:
        name = one.planned.name
        await state.hold(ctx.db, ctx.tenant.id, name, one.held)
        await state.found_again(ctx.db, ctx.tenant.id, name, one.present)
        await state.missed(ctx.db, ctx.tenant.id, name, one.missed if name not in doubted else ())
    by = author or Author.of(ctx.actor)
    seconds = min(one.spec.limits.plan_ttl_s for one in wired)
    view = await plans.save_plan(
        ctx.db,
        ctx.tenant.id,
        plan,
        packed,
        author=by.name,
        author_id=by.id,
        expires_at=plan.created_at + timedelta(seconds=seconds),
    )
    if view.state == "empty" and not (only or keys or profile):
        for planned in plan.pipelines:  # both sides are as they should be, as after a good run
            rows = {"source_rows": planned.source_rows, "target_rows": planned.target_rows}
            await state.save_baseline(ctx.db, ctx.tenant.id, planned.name, **rows)
    await ctx.audit("sync.plan_made", view.sha256, state=view.state, counts=dict(view.counts))
    return view


def locked(ctx: Ctx, connection: str) -> AbstractAsyncContextManager[lease.Lease]:
    """A target for one at a time, over all processes. Raises: TargetLocked."""
    return _locked(ctx.port(Database), lock_name(ctx.tenant.id, connection), connection, ctx.settings[SyncSettings])


@asynccontextmanager
async def _locked(database: Database, name: str, connection: str, settings: SyncSettings) -> AsyncIterator[lease.Lease]:
    try:
        async with lease.holding(database, name, lasts_s=settings.lock_expires_s, wait_s=settings.lock_wait_s) as held:
            yield held
    except lease.LeaseTaken as taken:
        raise TargetLocked(f"Another run has the target {connection!r}.", target=connection) from taken


async def found(ctx: Ctx, sha256: str) -> PlanView:
    """A plan by its name, or at least the first 12 digits of it. Raises: PlanUnknown."""
    view = await plans.plan(ctx.db, ctx.tenant.id, sha256)
    if view is None:
        raise PlanUnknown(f"There is no plan {sha256[:12]}.")
    return view


async def content(ctx: Ctx, view: PlanView) -> bytes:
    """The bytes of a plan."""
    return await plans.content(ctx.db, ctx.tenant.id, view.id)


async def opened(ctx: Ctx, view: PlanView) -> Plan:
    """A plan out of its bytes. Raises: PlanTampered."""
    return read_plan(await content(ctx, view), sha256=view.sha256)


async def approve(ctx: Ctx, sha256: str, *, allow: Mapping[str, int], reason: str = "") -> PlanView:
    """Let a plan be applied. Raises: PlanUnknown, FourEyes, ApprovalMismatch, PlanApplied when it is past that."""
    view = await found(ctx, sha256)
    if ctx.settings[SyncSettings].four_eyes:
        # A command has no eyes: nobody knows who typed it. What the house itself has planned, any person may approve.
        require_another(ctx.actor, view.author_id or NOBODY)
    check_approval([Guard(**one) for one in view.guards], allow)
    said = {"approved_by": ctx.actor.name, "approved_at": clock.now()}
    said["approval"] = {"allow": dict(allow), "reason": reason}
    if not await plans.move(ctx.db, ctx.tenant.id, view.id, of=("ready", "blocked"), to="approved", more=said):
        raise PlanApplied(f"This plan is {view.state}.", state=view.state)
    await ctx.audit("sync.plan_approved", view.sha256, allow=dict(allow), reason=reason)
    return await found(ctx, view.sha256)


async def reject(ctx: Ctx, sha256: str, *, reason: str = "") -> PlanView:
    """Have a plan never be applied. Raises: PlanUnknown, PlanApplied when it is past that."""
    view = await found(ctx, sha256)
    if not await plans.move(ctx.db, ctx.tenant.id, view.id, of=("ready", "blocked", "approved"), to="rejected"):
        raise PlanApplied(f"This plan is {view.state}.", state=view.state)
    await ctx.audit("sync.plan_rejected", view.sha256, reason=reason)
    return await found(ctx, view.sha256)


async def _plan(
    ctx: Ctx,
    wired: Sequence[Wired],
    found: Sequence[Compared],
    *,
    only: Sequence[str],
    keys: Sequence[str],
    profile: str | None,
) -> Plan:
    guards: list[Guard] = []
    for one, compared in zip(wired, found, strict=True):
        known = await state.baseline(ctx.db, ctx.tenant.id, one.spec.name)
        guards += guard(one.spec.name, compared.counts, known, one.spec.guards)
    every = [operation for one in found for operation in one.operations if not keys or operation.key in keys]
    names = [one.spec.name for one in wired]
    reported: dict[str, int] = {}
    for compared in found:
        for case, number in compared.reported.items():
            reported[case] = reported.get(case, 0) + number
    return Plan(
        created_at=ctx.now,
        pipelines=tuple(one.planned for one in found),
        operations=numbered(every, pipelines=names),
        guards=tuple(guards),
        only=tuple(sorted(only)),
        profile=profile,
        budget={
            "writes": sum(operation.calls.get("write", 0) for operation in every),
            "left_alone": dict(sorted(reported.items())),
            "quarantined": sum(len(one.held) for one in found),
        },
    )
