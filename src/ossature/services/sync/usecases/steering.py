"""Starting, pausing, resuming and cancelling runs, and finding those that their process has left."""

from datetime import timedelta
from typing import Literal
from uuid import UUID

from ossature.kernel import clock
from ossature.kernel.context import Ctx
from ossature.kernel.db import lease
from ossature.kernel.jobs.queue import Jobs
from ossature.services.sync.domain.problems import RunOver, TargetLocked
from ossature.services.sync.domain.values import RunView
from ossature.services.sync.settings import SyncSettings
from ossature.services.sync.store import journal
from ossature.services.sync.store.journal import Journal
from ossature.services.sync.usecases.apply import found_run, open_run
from ossature.services.sync.usecases.pipelines import lock_name

APPLY = "sync.apply_run"
"""The job that works on a run."""

_MOST_RESUMED = 10
_LEFT = "Its process ended, and so did those that went on with it; look why, then resume it."


async def start(ctx: Ctx, sha256: str) -> RunView:
    """A run of a plan that a worker takes up. Raises: as `open_run`."""
    run = await open_run(ctx, sha256)
    await _hand_over(ctx, ctx.tenant.id, run.id)
    return run


async def steer(ctx: Ctx, run_id: UUID, wish: Literal["pause", "cancel"]) -> RunView:
    """Have a run stop before its next operation; the one under way is finished, and its outcome known.

    Raises: RunUnknown, RunOver.
    """
    await _wish(ctx, run_id, wish)
    # Whoever works on it hears of it; if nobody does, this one finds out what was in doubt, and stops it.
    await _hand_over(ctx, ctx.tenant.id, run_id)
    return await found_run(ctx, run_id)


async def resume(ctx: Ctx, run_id: UUID) -> RunView:
    """Have a run go on from where it stands. Raises: RunUnknown, RunOver."""
    await unwish(ctx, run_id)
    await _hand_over(ctx, ctx.tenant.id, run_id)
    return await found_run(ctx, run_id)


async def unwish(ctx: Ctx, run_id: UUID) -> None:
    """Forget that a run was to stop. Raises: RunUnknown, RunOver."""
    await _wish(ctx, run_id, None)


async def require_free(ctx: Ctx, connections: set[str]) -> None:
    """Return when nobody has one of these targets now. Raises: TargetLocked."""
    for connection in sorted(connections):
        held = await lease.look(ctx.db, lock_name(ctx.tenant.id, connection))
        if held is not None and not held.is_free:
            raise TargetLocked(f"Another run has the target {connection!r}.", target=connection)


async def take_up(ctx: Ctx) -> int:
    """Have the runs that nobody works on be taken up again, over all tenants; how many there were.

    A run is left when it says `running` and its targets are free, or when it has waited for longer than a lock lasts. One
    that was left too often is paused, and says so. In a system's view.
    """
    limit = clock.now() - timedelta(seconds=ctx.settings[SyncSettings].lock_expires_s)
    taken = 0
    for tenant_id, run in await journal.unended(ctx.db):
        if not await _is_left(ctx, tenant_id, run) or (run.state == "queued" and run.started_at > limit):
            continue
        taken += 1
        if run.resumed_n < _MOST_RESUMED:
            async with ctx.db.step():
                await _hand_over(ctx, tenant_id, run.id)
        else:
            await ctx.port(Journal).pause(tenant_id, run.id, problem=_LEFT)
    return taken


async def _is_left(ctx: Ctx, tenant_id: UUID, run: RunView) -> bool:
    for target in await journal.targets_of(ctx.db, tenant_id, run.id):
        held = await lease.look(ctx.db, lock_name(tenant_id, target))
        if held is not None and not held.is_free:
            return False
    return True


async def _wish(ctx: Ctx, run_id: UUID, wish: str | None) -> None:
    run = await found_run(ctx, run_id)
    if not await journal.wish(ctx.db, ctx.tenant.id, run_id, wish):
        raise RunOver(f"It has {run.state} already.", state=run.state)
    await ctx.audit(f"sync.run_{wish or 'resume'}", str(run_id))


async def _hand_over(ctx: Ctx, tenant_id: UUID, run_id: UUID) -> None:
    """One waiting job for a run at most; one that works on it already goes first."""
    jobs = ctx.port(Jobs)
    job = jobs.registry[APPLY]
    arguments = {"run_id": str(run_id)}
    await jobs.enqueue(ctx.db, job, arguments, tenant_id=tenant_id, request_id=ctx.id, unique=str(run_id))
