"""Warm answers: fetched anew shortly before they go stale, so that nobody waits for them; within what the quotas allow."""

from datetime import timedelta
from typing import TYPE_CHECKING, Final

import structlog
from prometheus_client import Counter

from ossature.kernel.errors import Problem
from ossature.kernel.outbound.engine import Engine
from ossature.kernel.outbound.settings import OutboundSettings, Warm
from ossature.kernel.service import Every, Job

if TYPE_CHECKING:
    from ossature.kernel.context import Ctx

log = structlog.get_logger()

WARMED: Final = Counter("cache_warmed", "Looks at answers that are kept warm.", ("operation", "outcome"))
_EVERY = timedelta(seconds=30)


async def warm_answers(ctx: "Ctx") -> dict[str, int]:
    """Fetch what would be stale before the next look; how many were `fetched`, still `fresh`, `spared` or `failed`.

    Each goes through the ledger like any other question. Where little is left of the quota it is spared: those who
    really ask come first.
    """
    counts: dict[str, int] = {}
    settings = ctx.settings[OutboundSettings]
    for each in settings.warm:
        try:
            outcome = await _warmed(ctx, each, settings.warm_leaves)
        except Problem as problem:
            outcome = "failed"
            log.warning("outbound.not_warmed", operation=each.operation, problem=problem.slug, detail=problem.detail)
        counts[outcome] = counts.get(outcome, 0) + 1
        WARMED.labels(each.operation, outcome).inc()
    return counts


async def _warmed(ctx: "Ctx", warm: Warm, leaves: float) -> str:
    engine = ctx.port(Engine)
    found = await engine.foresee(ctx, warm.operation, warm.query)
    if found.fresh_for_s > _EVERY.total_seconds():
        return "fresh"
    if found.plenty < leaves:
        return "spared"
    await engine.ask(ctx, warm.operation, warm.query, cache="refresh")
    return "fetched"


WARM: Final = Job(name="outbound.warm_answers", run=warm_answers, every=Every(interval=_EVERY), attempts=1)
