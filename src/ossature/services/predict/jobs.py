"""When predict works by itself: what is due is looked for across tenants, and done in a job of each."""

from datetime import timedelta
from typing import Final
from uuid import UUID

from ossature.kernel.context import Ctx
from ossature.kernel.jobs.queue import Jobs
from ossature.kernel.service import Every, Job
from ossature.services.predict.usecases.freezing import FREEZE
from ossature.services.predict.usecases.looking import tenants
from ossature.services.predict.usecases.pricing import PRICE
from ossature.services.predict.usecases.scoring import SCORE


async def freeze_all(ctx: Ctx) -> int:
    """Have every tenant freeze what is due; how many tenants there are."""
    return await _everywhere(ctx, FREEZE)


async def price_all(ctx: Ctx) -> int:
    """Have every tenant predict what came within its horizon; how many tenants there are."""
    return await _everywhere(ctx, PRICE)


async def _everywhere(ctx: Ctx, job: Job) -> int:
    found: list[UUID] = await tenants(ctx)
    for tenant_id in found:
        await ctx.port(Jobs).enqueue(ctx.db, job, tenant_id=tenant_id, unique=job.name.rpartition(".")[2])
    return len(found)


FREEZE_ALL: Final = Job(
    name="predict.freeze_all", run=freeze_all, every=Every(interval=timedelta(seconds=30)), attempts=1
)
PRICE_ALL: Final = Job(name="predict.price_all", run=price_all, every=Every(interval=timedelta(hours=1)), attempts=1)
JOBS: Final = (PRICE, FREEZE, SCORE, FREEZE_ALL, PRICE_ALL)
