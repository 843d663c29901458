"""Matches and forecasts over HTTP."""

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Query

from ossature.kernel.context import CurrentCtx
from ossature.kernel.db.listing import Found
from ossature.kernel.http.listing import Asked, Listing, answer, listing
from ossature.kernel.http.policy import policy
from ossature.services.predict.api.shapes import (
    CompetitionOut,
    ConfidenceOut,
    ForecastGoalsOut,
    ForecastModelOut,
    ForecastOut,
    GoalsOut,
    HitsOut,
    MarketPriceOut,
    MatchOut,
    OutcomeOut,
    PlaceOut,
    PredictionOut,
    ProofOut,
    QuoteOut,
    QuotesOut,
    ScoredOut,
    SelectionOut,
)
from ossature.services.predict.domain.matches import Match, Prediction
from ossature.services.predict.store import catalogue, facts, predictions
from ossature.services.predict.usecases import looking
from ossature.services.predict.usecases.looking import Forecast, MatchView

router = APIRouter(tags=["predict"])


@router.get("/competitions")
@policy(allow="read:predict.forecasts")
async def list_competitions(
    ctx: CurrentCtx, query: Annotated[Asked, listing(catalogue.COMPETITIONS, CompetitionOut)]
) -> Listing[CompetitionOut]:
    """The divisions."""
    return answer(await catalogue.list_competitions(ctx.db, ctx.tenant.id, query), CompetitionOut, query)


@router.get("/matches")
@policy(allow="read:predict.forecasts")
async def list_matches(
    ctx: CurrentCtx, query: Annotated[Asked, listing(catalogue.MATCHES, MatchOut)]
) -> Listing[MatchOut]:
    """The matches, latest kick-off first, with what is predicted of them."""
    found = await catalogue.list_matches(ctx.db, ctx.tenant.id, query)
    views = await looking.with_predictions(ctx, list(found.items))
    return answer(Found(tuple(_match(view) for view in views), found.next, found.total), MatchOut, query)


@router.get("/matches/{match_id}")
@policy(allow="read:predict.forecasts")
async def read_match(ctx: CurrentCtx, match_id: UUID) -> MatchOut:
    """One match."""
    return _match(await looking.read_match(ctx, match_id))


@router.get("/matches/{match_id}/forecast")
@policy(allow="read:predict.forecasts")
async def read_forecast(
    ctx: CurrentCtx,
    match_id: UUID,
    *,
    markets: Annotated[str, Query(max_length=300, description="Names of markets with commas, or `all`.")] = "",
    grid: Annotated[bool, Query(description="The chance of each score too.")] = False,
) -> ForecastOut:
    """What is predicted of a match: the official prediction once there is one, else the newest."""
    wanted = looking.chosen_markets(markets)
    forecast = await looking.forecast_of(ctx, await looking.read_match(ctx, match_id))
    return _forecast(forecast, wanted=wanted, with_grid=grid)


@router.get("/matches/{match_id}/predictions")
@policy(allow="read:predict.forecasts")
async def list_predictions(
    ctx: CurrentCtx, match_id: UUID, query: Annotated[Asked, listing(predictions.PREDICTIONS, PredictionOut)]
) -> Listing[PredictionOut]:
    """Everything that was predicted of a match, newest first."""
    await looking.found_match(ctx, match_id)
    return answer(await predictions.list_predictions(ctx.db, ctx.tenant.id, match_id, query), PredictionOut, query)


@router.get("/matches/{match_id}/odds")
@policy(allow="read:predict.forecasts")
async def list_odds(ctx: CurrentCtx, match_id: UUID) -> QuotesOut:
    """What books quoted for a match, oldest first."""
    await looking.found_match(ctx, match_id)
    found = await facts.quotes_of(ctx.db, ctx.tenant.id, [match_id])
    items = [
        QuoteOut(
            book=one.quote.book,
            market=one.quote.market,
            line=one.quote.line,
            phase=one.quote.phase,
            prices=list(one.quote.prices),
            number=one.number,
            seen_at=one.seen.at,
            seen_basis=one.seen.basis.value,
        )
        for one in found
    ]
    return QuotesOut(items=items, next=None)


@router.get("/predictions/{prediction_id}")
@policy(allow="read:predict.forecasts")
async def read_prediction(ctx: CurrentCtx, prediction_id: UUID) -> PredictionOut:
    """One prediction."""
    return PredictionOut.model_validate(await looking.read_prediction(ctx, prediction_id))


@router.get("/predictions/{prediction_id}/proof")
@policy(allow="read:predict.forecasts")
async def read_proof(ctx: CurrentCtx, prediction_id: UUID) -> ProofOut:
    """What proves a prediction: its canonical row and its place in the chain."""
    found = await looking.read_prediction(ctx, prediction_id)
    return ProofOut(seq=found.seq, row=found.body, previous=found.previous, hash=found.hash, level="L0")


def _match(view: MatchView) -> MatchOut:
    said = view.official or view.newest
    match = view.match
    return MatchOut(
        id=match.id,
        code=match.code,
        competition=match.competition,
        season=match.season,
        day=match.day,
        kickoff_at=match.kickoff_at,
        kickoff_is_exact=match.kickoff_is_exact,
        home=match.home,
        away=match.away,
        home_id=match.home_id,
        away_id=match.away_id,
        neutral=match.neutral,
        status=match.status,
        score=None if match.score is None else GoalsOut.model_validate(match.score),
        revision=match.revision,
        source_state=_state(match),
        outcome=None if said is None else _outcome(said.p),
        frozen=view.official is not None,
        abstained=said is not None and said.abstained,
        scores=[ScoredOut.model_validate(one) for one in view.scores],
    )


def _forecast(forecast: Forecast, *, wanted: frozenset[str], with_grid: bool) -> ForecastOut:
    said = forecast.prediction
    worked_out = looking.worked_out(said, wanted=wanted, with_grid=with_grid)
    return ForecastOut(
        match_id=said.match_id,
        phase=said.phase,
        as_of=said.as_of,
        inputs=said.inputs,
        source_state=_state(forecast.match),
        frozen=forecast.official,
        model=ForecastModelOut.model_validate(
            {"name": said.model, "version": said.model_version, "trained_until": said.trained_until}
        ),
        outcome=_outcome(said.p),
        goals=_goals(said),
        confidence=_confidence(forecast),
        abstained=said.abstained,
        reasons=list(said.reasons),
        market=None
        if forecast.market is None
        else MarketPriceOut(
            outcome=_outcome(forecast.market.p),
            book=forecast.market.book,
            phase=forecast.market.phase,
            seen_at=forecast.market.seen_at,
        ),
        proof=PlaceOut(id=said.id, seq=said.seq, hash=said.hash, level="L0"),
        markets={
            name: [SelectionOut.model_validate(one) for one in selections]
            for name, selections in worked_out.markets.items()
        },
        grid=worked_out.grid,
    )


def _confidence(forecast: Forecast) -> ConfidenceOut:
    names: tuple[Literal["home", "draw", "away"], ...] = ("home", "draw", "away")
    p, favourite = max(zip(forecast.prediction.p, names, strict=True))
    found = None if forecast.bin is None else HitsOut.model_validate(forecast.bin)
    return ConfidenceOut(favourite=favourite, p=p, bin=found)


def _goals(said: Prediction) -> ForecastGoalsOut | None:
    if said.lam_home is None or said.lam_away is None or said.rho is None:
        return None
    return ForecastGoalsOut(lam_home=said.lam_home, lam_away=said.lam_away, rho=said.rho)


def _outcome(p: tuple[float, float, float]) -> OutcomeOut:
    return OutcomeOut(home=p[0], draw=p[1], away=p[2])


def _state(match: Match) -> Literal["recorded", "simulated"]:
    return "simulated" if match.simulated else "recorded"
