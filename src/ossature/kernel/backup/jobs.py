"""Scheduled backups and drills.

The schedule is a setting, so a job looks often and does something when the time has come.
"""

import asyncio
from datetime import datetime, timedelta
from typing import Final

import structlog

from ossature.kernel import clock
from ossature.kernel.backup import drill as drills
from ossature.kernel.backup import metrics
from ossature.kernel.backup.backups import Backups
from ossature.kernel.backup.domain import BackupDamaged, Manifest
from ossature.kernel.context import Ctx
from ossature.kernel.errors import Problem
from ossature.kernel.service import Every, Job

log = structlog.get_logger()

_LOOK: Final = timedelta(minutes=5)
# A look that comes a little early must not put the backup off until the next one.
_EARLY: Final = timedelta(seconds=30)


class DrillFailed(Problem):
    """A backup was restored into a scratch database, and something was wrong with it: the report says what."""

    title = "Drill failed"


async def make_due(ctx: Ctx) -> str:
    """Make a backup when its time has come, prove it, thin the others out; its name, empty when there was none to make.

    Raises: BackupDamaged when what was just written does not read as it should.
    """
    backups = Backups(ctx.settings)
    try:
        if not _due(await asyncio.to_thread(backups.last_taken_at), backups.settings.every_s):
            return ""
        made = await _make(backups)
    except BaseException:
        metrics.MADE.labels("failed").inc()
        raise
    else:
        metrics.MADE.labels("ok").inc()
        return made.name
    finally:
        await asyncio.to_thread(tell, backups)


async def _make(backups: Backups) -> Manifest:
    """A new backup that was read again. Raises: BackupDamaged."""
    made = await backups.create()
    faults = await backups.verify(made)
    if faults:
        await asyncio.to_thread(backups.shelf.remove, made.name)
        raise BackupDamaged(f"{'; '.join(faults)}.")
    removed = await asyncio.to_thread(backups.prune)
    log.info("backup.made", backup=made.name, bytes=made.size_bytes, rows=made.rows, removed=len(removed))
    return made


async def hold_due_drill(ctx: Ctx) -> bool:
    """Hold a drill when its time has come; whether it had. Raises: DrillFailed."""
    backups = Backups(ctx.settings)
    latest = await asyncio.to_thread(backups.latest)
    before = await asyncio.to_thread(drills.last, backups)
    wanted = backups.settings.drill_every_s if backups.settings.every_s else 0
    if latest is None or not _due(before.at if before else None, wanted):
        return False
    found = await drills.drill(backups, latest)
    await asyncio.to_thread(tell, backups)
    log.info("backup.drilled", backup=found.backup, rpo_s=found.rpo_s, rto_s=found.rto_s, faults=len(found.faults))
    if not found.passed:
        raise DrillFailed(f"{found.backup}: {'; '.join(found.faults[:5])}.")
    return True


def tell(backups: Backups) -> None:
    """Set the figures to what lies in the folder, whoever put it there."""
    manifests = backups.shelf.manifests()
    metrics.INTERVAL_SECONDS.set(backups.settings.every_s)
    metrics.KEPT.set(len(manifests))
    metrics.LAST_TIMESTAMP_SECONDS.set(manifests[0].taken_at.timestamp() if manifests else 0)
    metrics.LAST_BYTES.set(manifests[0].size_bytes if manifests else 0)
    held = drills.last(backups)
    metrics.DRILL_TIMESTAMP_SECONDS.set(held.at.timestamp() if held else 0)
    metrics.DRILL_FAULTS.set(len(held.faults) if held else 0)
    metrics.RPO_SECONDS.set(held.rpo_s if held else 0)
    metrics.RTO_SECONDS.set(held.rto_s if held else 0)


def _due(last: datetime | None, every_s: int) -> bool:
    if not every_s:
        return False
    return last is None or clock.now() - last >= timedelta(seconds=every_s) - _EARLY


MAKE_DUE: Final = Job(
    name="backup.make_due",
    run=make_due,
    every=Every(interval=_LOOK, jitter_s=0),
    concurrency=1,
    attempts=1,
    time_limit_s=6 * 3600,
)
HOLD_DUE_DRILL: Final = Job(
    name="backup.hold_due_drill",
    run=hold_due_drill,
    every=Every(interval=timedelta(hours=1)),
    concurrency=1,
    attempts=1,
    time_limit_s=6 * 3600,
)
