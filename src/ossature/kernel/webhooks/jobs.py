"""Scheduled work of webhooks."""

from datetime import timedelta
from typing import Final

from ossature.kernel import clock
from ossature.kernel.context import Ctx
from ossature.kernel.service import Every, Job
from ossature.kernel.webhooks import store
from ossature.kernel.webhooks.settings import WebhooksSettings

_BATCH = 1000


async def purge_deliveries(ctx: Ctx) -> int:
    """Forget old entries of the delivery log; how many."""
    keep_days = ctx.settings[WebhooksSettings].keep_days
    total = 0
    while True:
        async with ctx.db.step():
            gone = await store.purge(ctx.db, clock.now(), keep_days=keep_days, limit=_BATCH)
        total += gone
        if gone < _BATCH:
            return total


PURGE: Final = Job(
    name="webhooks.purge_deliveries",
    run=purge_deliveries,
    every=Every(interval=timedelta(days=1)),
    time_limit_s=3600,
)
