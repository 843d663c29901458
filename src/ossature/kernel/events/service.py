"""Facts and signals as a part of the house: their tables, settings and housekeeping."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from ossature.kernel.events import store
from ossature.kernel.events.outbox import Outbox
from ossature.kernel.events.settings import EventSettings
from ossature.kernel.service import Every, Job, Service

if TYPE_CHECKING:
    from ossature.kernel.context import Ctx

_BATCH = 1000


async def purge_outbox(ctx: Ctx) -> int:
    """Forget facts that are older than `keep_days` and delivered to everybody; how many."""
    outbox = ctx.port(Outbox)
    keep_days = ctx.settings[EventSettings].keep_days
    total = 0
    while True:
        async with ctx.db.step():
            gone = await outbox.purge(ctx.db, keep_days=keep_days, limit=_BATCH)
        total += gone
        if gone < _BATCH:
            return total


PURGE = Job(name="events.purge_outbox", run=purge_outbox, every=Every(interval=timedelta(days=1)), time_limit_s=3600)

service = Service(
    name="events",
    title="Facts and signals",
    settings=(EventSettings,),
    tables=(
        store.OutboxRow,
        store.DeliveryRow,
        store.SignalRow,
        store.LiveHeadRow,
        store.LiveFrameRow,
    ),
    jobs=(PURGE,),
)
