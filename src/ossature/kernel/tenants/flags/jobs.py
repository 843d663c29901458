"""Scheduled work of flags."""

from datetime import timedelta
from typing import Final

from ossature.kernel.context import Ctx
from ossature.kernel.service import Every, Job
from ossature.kernel.tenants.flags import store
from ossature.kernel.tenants.flags.settings import FlagSettings


async def purge_counts(ctx: Ctx) -> int:
    """Forget who was shown what so long ago that no experiment counts on it; how many rows."""
    keep = timedelta(days=ctx.settings[FlagSettings].keep_days)
    return await store.purge(ctx.db, ctx.now - keep)


PURGE: Final = Job(
    name="tenants.purge_flag_counts", run=purge_counts, every=Every(interval=timedelta(days=1)), time_limit_s=3600
)
