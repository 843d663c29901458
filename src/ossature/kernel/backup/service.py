"""Backups as a part of the house: settings, schedule, check and alerts."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from ossature.kernel import clock
from ossature.kernel.backup import drill as drills
from ossature.kernel.backup.backups import Backups
from ossature.kernel.backup.jobs import HOLD_DUE_DRILL, MAKE_DUE
from ossature.kernel.backup.settings import BackupSettings
from ossature.kernel.service import Alert, Check, CheckResult, Health, Service

if TYPE_CHECKING:
    from ossature.kernel.house import House


async def look(house: House) -> CheckResult:
    """Whether there is a backup that is not too old, and whether the last drill went well."""
    backups = Backups(house.config)
    last = await asyncio.to_thread(backups.last_taken_at)
    every_s = backups.settings.every_s
    facts = {"last": "none" if last is None else f"{last:%Y-%m-%d %H:%M:%S}"}
    if not every_s:
        return CheckResult(Health.OK, "None are scheduled." if last is None else "", facts=facts)
    if last is None or (clock.now() - last).total_seconds() > 2 * every_s:
        return CheckResult(
            Health.DEGRADED,
            "There is no backup yet." if last is None else f"The newest is of {facts['last']}.",
            "Look at the job backup.make_due; make one: ossature backup create",
            facts,
        )
    held = await asyncio.to_thread(drills.last, backups)
    if held is not None and not held.passed:
        advice = "Read the report in the folder drills; hold another: ossature backup drill"
        return CheckResult(Health.DEGRADED, f"The last drill failed: {held.faults[0]}", advice, facts)
    return CheckResult(Health.OK, facts=facts)


service: Final = Service(
    name="backup",
    title="Backups",
    settings=(BackupSettings,),
    jobs=(MAKE_DUE, HOLD_DUE_DRILL),
    checks=(Check(name="backups", run=look),),
    alerts=(
        Alert(
            "BackupTooOld",
            "max(backup_interval_seconds) > 0 and time() - max(backup_last_timestamp_seconds)"
            " > 2 * max(backup_interval_seconds)",
            600,
            "critical",
            "The newest good backup is older than two of the times that were set between them",
            "backup-too-old",
        ),
        Alert(
            "BackupDrillFailed",
            "max(backup_drill_faults and backup_drill_timestamp_seconds"
            " == scalar(max(backup_drill_timestamp_seconds))) > 0",
            0,
            "warning",
            "The newest backup could not be restored as it should",
            "backup-too-old",
        ),
    ),
)
