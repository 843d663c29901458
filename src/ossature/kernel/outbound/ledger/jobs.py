"""What the ledger has done on a schedule: expired attempts are charged, old rows forgotten, the sums looked at."""

from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from ossature.kernel.outbound.ledger.metrics import note_differences
from ossature.kernel.outbound.ledger.settings import LedgerSettings
from ossature.kernel.outbound.ledger.values import Ledger
from ossature.kernel.service import Every, Job

if TYPE_CHECKING:
    from ossature.kernel.context import Ctx

log = structlog.get_logger()
_REAP_GROUP = 1_000


async def reap_attempts(ctx: "Ctx") -> int:
    """Charge every open attempt that expired; how many."""
    ledger = ctx.port(Ledger)  # type: ignore[type-abstract] # a promise is asked for by its Protocol
    reaped = group = await ledger.reap(limit=_REAP_GROUP)
    while group == _REAP_GROUP:
        group = await ledger.reap(limit=_REAP_GROUP)
        reaped += group
    if reaped:
        log.warning("ledger.reaped", attempts=reaped)
    return reaped


async def prune_ledger(ctx: "Ctx") -> dict[str, int]:
    """Forget attempts and windows that are older than the settings say; how many."""
    settings = ctx.settings[LedgerSettings]
    pruned = await ctx.port(Ledger).prune(  # type: ignore[type-abstract] # as above
        attempts_older_than=timedelta(days=settings.attempts_keep_days),
        windows_older_than=timedelta(days=settings.windows_keep_days),
    )
    return {"attempts": pruned.attempts, "windows": pruned.windows}


async def verify_ledger(ctx: "Ctx") -> int:
    """Compare every counter with the sum of its attempts; how many differ. A difference is an alert."""
    differences = await ctx.port(Ledger).verify()  # type: ignore[type-abstract] # as above
    note_differences(len(differences))
    for each in differences[:20]:
        log.error(
            "ledger.difference",
            window=each.window_name,
            starts_at=each.starts_at.isoformat(),
            used=each.used,
            used_by_attempts=each.used_by_attempts,
            reserved=each.reserved,
            reserved_by_attempts=each.reserved_by_attempts,
        )
    return len(differences)


JOBS = (
    Job(name="outbound.reap_attempts", run=reap_attempts, every=Every(interval=timedelta(seconds=15)), attempts=1),
    Job(name="outbound.verify_ledger", run=verify_ledger, every=Every(interval=timedelta(hours=1)), attempts=1),
    Job(
        name="outbound.prune_ledger",
        run=prune_ledger,
        every=Every(cron="40 3 * * *"),
        attempts=1,
        time_limit_s=3600.0,
    ),
)
"""For the service that offers a `Ledger`."""
