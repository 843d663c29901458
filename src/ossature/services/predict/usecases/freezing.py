"""Make the last prediction before kick-off the official one, once."""

from datetime import datetime, timedelta
from typing import Final

from ossature.kernel import clock
from ossature.kernel.context import Ctx
from ossature.kernel.db.chain import Verdict
from ossature.kernel.service import Job
from ossature.services.predict.domain.matches import Freeze
from ossature.services.predict.settings import PredictSettings
from ossature.services.predict.store import predictions
from ossature.services.predict.usecases.scoring import SCORE


async def freeze_due(ctx: Ctx, *, now: datetime | None = None) -> int:
    """Freeze what begins within the lead, and what nobody froze in time; how many became official.

    What was predicted before kick-off stays so, however late this runs. Once a match is frozen nothing more is predicted of
    it. now: a moment of the past, for matches that are simulated.
    """
    lead = timedelta(seconds=ctx.settings[PredictSettings].freeze_lead_s)
    moment = clock.now() if now is None else now
    async with ctx.db.step():
        await predictions.hold(ctx.db, ctx.tenant.id)
        due = await predictions.due(ctx.db, ctx.tenant.id, now=moment, lead=lead)
        made = [
            Freeze(match_id=match_id, model=model, kickoff_at=kickoff_at, prediction_seq=seq, frozen_at=moment)
            for match_id, kickoff_at, model, seq in due
        ]
        await predictions.add_freezes(ctx.db, ctx.tenant.id, made)
    return len(made)


async def freeze(ctx: Ctx) -> dict[str, int]:
    """Freeze what is due, as a job; what was over by then is scored."""
    frozen = await freeze_due(ctx)
    if frozen:
        await ctx.enqueue(SCORE, unique="score")
    return {"frozen": frozen}


async def verify_chain(ctx: Ctx) -> Verdict:
    """Whether every prediction is as it was written, and none is missing."""
    return await predictions.verify(ctx.db, ctx.tenant.id)


FREEZE: Final = Job(name="predict.freeze", run=freeze, queue="predict.price", attempts=5, time_limit_s=120)
