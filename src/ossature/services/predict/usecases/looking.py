"""What is there to see of a match: its forecast with where it stands, and what predictions were worth together."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final
from uuid import UUID

from ossature.kernel.context import Ctx
from ossature.kernel.errors import FieldError
from ossature.kernel.jobs.pool import in_thread
from ossature.services.predict.domain.extras import needed
from ossature.services.predict.domain.matches import (
    CHAMPION,
    MARKETS,
    ForecastNotReady,
    Freeze,
    Hits,
    MarketPrice,
    MarketUnknown,
    Match,
    MatchUnknown,
    ModelUnknown,
    ModelVersion,
    NoChampion,
    Official,
    Prediction,
    PredictionUnknown,
    Scored,
    twentieth,
)
from ossature.services.predict.store import catalogue, facts, models, predictions, scores

if TYPE_CHECKING:
    from ossature.services.predict.domain.markets import Selection
    from ossature.services.predict.domain.worth import Worth

_LIMIT_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Forecast:
    """The newest prediction of a match. official: whether it is the frozen one; bin: of its favourite's probability."""

    match: Match
    prediction: Prediction
    official: bool
    market: MarketPrice | None
    bin: Hits | None


@dataclass(frozen=True, slots=True)
class WorkedOut:
    """What follows from the grid of a prediction: selections by market, and the chance of each score."""

    markets: dict[str, "list[Selection]"]
    grid: list[list[float]] | None


@dataclass(frozen=True, slots=True)
class MatchView:
    """A match with its newest and its official prediction, and the scores of the official ones, oldest first."""

    match: Match
    newest: Prediction | None
    official: Prediction | None
    frozen: Freeze | None
    scores: tuple[Scored, ...]


async def tenants(ctx: Ctx) -> list[UUID]:
    """The tenants that have matches; `ctx` is one of the house itself."""
    return await catalogue.tenants(ctx.db)


async def read_match(ctx: Ctx, match_id: UUID) -> MatchView:
    """A match with what was predicted of it and what that was worth. Raises: MatchUnknown."""
    (view,) = await with_predictions(ctx, [await found_match(ctx, match_id)])
    return view


async def found_match(ctx: Ctx, match_id: UUID) -> Match:
    """A match. Raises: MatchUnknown."""
    match = await catalogue.match(ctx.db, ctx.tenant.id, match_id)
    if match is None:
        raise MatchUnknown
    return match


async def with_predictions(ctx: Ctx, matches: list[Match]) -> list[MatchView]:
    """These matches with what was predicted of them, in their order."""
    ids = [match.id for match in matches]
    newest = await predictions.latest(ctx.db, ctx.tenant.id, CHAMPION, ids)
    frozen = {
        (one.match_id, one.kickoff_at): one
        for one in await predictions.freezes(ctx.db, ctx.tenant.id, ids)
        if one.model == CHAMPION
    }
    official = await predictions.numbered(ctx.db, ctx.tenant.id, [one.prediction_seq for one in frozen.values()])
    worth: dict[UUID, list[Scored]] = {}
    for score in await scores.scores_of(ctx.db, ctx.tenant.id, ids):
        worth.setdefault(score.match_id, []).append(score)
    found = []
    for match in matches:
        freeze = frozen.get((match.id, match.kickoff_at))
        found.append(
            MatchView(
                match,
                newest.get(match.id),
                None if freeze is None else official.get(freeze.prediction_seq),
                freeze,
                tuple(worth.get(match.id, ())),
            )
        )
    return found


async def forecast_of(ctx: Ctx, view: MatchView) -> Forecast:
    """What is predicted of a match: the official row once there is one, else the newest.

    Raises: NoChampion, ForecastNotReady.
    """
    prediction = view.official or view.newest
    if prediction is None:
        if await models.champion(ctx.db, ctx.tenant.id, CHAMPION) is None:
            raise NoChampion
        raise ForecastNotReady
    needed("numpy")
    from ossature.services.predict.domain.worth import hits_of, market_price  # noqa: PLC0415 - loads numpy

    quotes = await facts.quotes_of(ctx.db, ctx.tenant.id, [view.match.id])
    n, hits = await scores.hits(ctx.db, ctx.tenant.id, prediction.model, twentieth(max(prediction.p)))
    return Forecast(view.match, prediction, view.official is not None, market_price(quotes), hits_of(n, hits))


def chosen_markets(text: str) -> frozenset[str]:
    """The markets of a list with commas; `all` is all of them. Raises: MarketUnknown."""
    names = {name for name in text.split(",") if name}
    unknown = sorted(names - {*MARKETS, "all"})
    if unknown:
        said = f"{unknown[0]!r} is none of all, {', '.join(MARKETS)}."
        raise MarketUnknown(said, errors=[FieldError("query/markets", said, "enum")])
    return frozenset(MARKETS if "all" in names else names)


def worked_out(prediction: Prediction, *, wanted: frozenset[str], with_grid: bool) -> WorkedOut:
    """The wanted markets of a prediction, and its grid: none of both without expected goals."""
    rates = prediction.lam_home, prediction.lam_away, prediction.rho
    if not (wanted or with_grid) or None in rates:
        return WorkedOut({}, None)
    from ossature.services.predict.domain.grid import score_grid  # noqa: PLC0415 - loads numpy
    from ossature.services.predict.domain.markets import all_markets  # noqa: PLC0415 - likewise

    grid = score_grid(*(float(rate) for rate in rates if rate is not None))
    found: dict[str, list[Selection]] = {}
    for one in all_markets(grid) if wanted else ():
        if one.market in wanted:
            found.setdefault(one.market, []).append(one)
    return WorkedOut(found, grid.tolist() if with_grid else None)


async def read_model(ctx: Ctx, model_id: UUID) -> ModelVersion:
    """One version of a model. Raises: ModelUnknown."""
    found = await models.model(ctx.db, ctx.tenant.id, model_id)
    if found is None:
        raise ModelUnknown
    return found


async def read_prediction(ctx: Ctx, prediction_id: UUID) -> Prediction:
    """One link of the chain. Raises: PredictionUnknown."""
    found = await predictions.prediction(ctx.db, ctx.tenant.id, prediction_id)
    if found is None:
        raise PredictionUnknown
    return found


async def read_worth(
    ctx: Ctx, *, competition: str | None = None, first: datetime | None = None, last: datetime | None = None
) -> "Worth":
    """What official predictions of finished matches were worth together. Raises: Misconfigured without the extra."""
    needed("numpy")
    found = await scores.officials(
        ctx.db, ctx.tenant.id, model=CHAMPION, competition=competition, first=first, last=last
    )
    missed = await predictions.missed(
        ctx.db, ctx.tenant.id, now=ctx.now, competition=competition, first=first, last=last
    )
    return await in_thread(_worth_of, found, missed, time_limit_s=_LIMIT_S)


def _worth_of(found: Sequence[tuple[Official, Scored]], missed: int) -> "Worth":
    from ossature.services.predict.domain.worth import worth  # noqa: PLC0415 - loads numpy

    return worth(found, missed=missed)
