"""Score official predictions when their matches are over, and again when a result was corrected."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from ossature.kernel.context import Ctx
from ossature.kernel.jobs.pool import in_thread
from ossature.kernel.service import Job
from ossature.services.predict.domain.extras import needed
from ossature.services.predict.domain.facts import Phase, SeenQuote
from ossature.services.predict.domain.matches import Official, Scored
from ossature.services.predict.store import facts, predictions, scores

_LIMIT_S: Final = 120.0
_MARKET_BOOKS: Final = ("PS", "Avg")
"""Books whose closing prices are the market, the first complete one; as `evaluate` has them."""


async def score_due(ctx: Ctx, *, now: datetime | None = None) -> int:
    """Score every official prediction whose match has a result that it was not scored on yet; how many.

    now: a moment of the past, for matches that are simulated. Raises: Misconfigured without the extra `predict`.
    """
    moment, scored = ctx.now if now is None else now, 0
    while due := await scores.unscored(ctx.db, ctx.tenant.id):
        needed("numpy")
        ids = {one.match_id for one in due}
        market = _closing(await facts.quotes_of(ctx.db, ctx.tenant.id, ids))
        before = {one.prediction_seq for one in await scores.scores_of(ctx.db, ctx.tenant.id, ids)}
        await ctx.db.commit()  # nothing is held open while the numbers are made
        made = await in_thread(_worth_of, due, market, before, moment, time_limit_s=_LIMIT_S)
        async with ctx.db.step():
            await predictions.hold(ctx.db, ctx.tenant.id)
            # Another process may have scored some meanwhile, or a correction made a new revision of a result.
            still = {(one.seq, one.revision) for one in await scores.unscored(ctx.db, ctx.tenant.id)}
            new = [one for one in made if (one.prediction_seq, one.match_revision) in still]
            await scores.add_scores(ctx.db, ctx.tenant.id, new)
        scored += len(new)
    return scored


def _worth_of(
    due: Sequence[Official], market: Mapping[UUID, Sequence[float]], before: Collection[int], at: datetime
) -> list[Scored]:
    from ossature.services.predict.domain.worth import worth_of  # noqa: PLC0415 - loads numpy

    return worth_of(due, market, before, at=at)


def _closing(quotes: Sequence[SeenQuote]) -> dict[UUID, tuple[float, ...]]:
    """The closing prices of home win, draw and away win by match, of the first book that has all three."""
    found: dict[UUID, dict[str, tuple[float, ...]]] = {}
    for one in quotes:
        prices = tuple(price for price in one.quote.prices if price is not None)
        if one.quote.phase is Phase.CLOSING and one.quote.market == "1x2" and len(prices) == len(one.quote.prices):
            found.setdefault(one.match_id, {})[one.quote.book] = prices
    ranked = {match_id: [books[book] for book in _MARKET_BOOKS if book in books] for match_id, books in found.items()}
    return {match_id: prices[0] for match_id, prices in ranked.items() if prices}


async def score(ctx: Ctx) -> dict[str, int]:
    """Score what is due, as a job."""
    return {"scored": await score_due(ctx)}


SCORE: Final = Job(name="predict.score", run=score, queue="predict.price", attempts=5, time_limit_s=300)
