"""The shapes of predict on the wire. Probabilities are within 0 and 1, goals are expected numbers, instants are UTC."""

from datetime import date, datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from ossature.services.predict.domain.facts import MatchStatus, Phase


class Out(BaseModel):
    """Base of answers."""

    model_config = ConfigDict(from_attributes=True, frozen=True)


class ImportOut(Out):
    """What an import changed; the same file again changes nothing. results: first ones and corrections."""

    matches: int
    new_matches: int
    results: int
    corrections: int
    quotes: int


class EnqueuedOut(Out):
    """Work that was begun."""

    job_id: UUID


class CompetitionOut(Out):
    """A division."""

    id: UUID
    code: str
    kind: str
    country: str
    sport: str


class GoalsOut(Out):
    """Goals after 90 minutes, and at half-time where that is known."""

    home: int
    away: int
    half_home: int | None
    half_away: int | None


class OutcomeOut(Out):
    """Probabilities that sum to 1."""

    home: float
    draw: float
    away: float


class ScoredOut(Out):
    """What the official prediction was worth by one revision of the result. market_rps: null without closing prices."""

    prediction_seq: int
    match_revision: int
    model: str
    rps: float
    log_loss: float
    brier: float
    hit: bool
    bin: int
    market_rps: float | None
    reason: str
    scored_at: datetime


class MatchOut(Out):
    """A match, what is predicted of it, and what that was worth. outcome: null before anything was predicted."""

    id: UUID
    code: str
    competition: str
    season: str
    day: date
    kickoff_at: datetime
    kickoff_is_exact: bool
    home: str
    away: str
    home_id: UUID
    away_id: UUID
    neutral: bool
    status: MatchStatus
    score: GoalsOut | None
    revision: int
    source_state: Literal["recorded", "simulated"]
    outcome: OutcomeOut | None
    frozen: bool
    abstained: bool
    scores: list[ScoredOut]


class PredictionOut(Out):
    """One link of the chain."""

    id: UUID
    seq: int
    match_id: UUID
    model: str
    model_version: str
    trained_until: date
    inputs: str
    phase: str
    as_of: datetime
    p_home: float
    p_draw: float
    p_away: float
    lam_home: float | None
    lam_away: float | None
    rho: float | None
    p_over_2_5: float | None
    p_btts: float | None
    abstained: bool
    reasons: list[str]
    inputs_hash: str
    hash: str


class ProofOut(Out):
    """What proves a prediction: its canonical row (RFC 8785), whose SHA-256 is `hash`, and the hash of the row before it.

    level: `L0` says that the row stands in the chain of this house, and nothing about when it was made.
    """

    seq: int
    row: str
    previous: str
    hash: str
    level: Literal["L0"]


class ModelOut(Out):
    """A version of a model. rows: matches that it learnt from; sha256: of its artefact."""

    id: UUID
    name: str
    version: str
    stage: str
    fitted_on: date
    trained_from: date
    trained_until: date
    rows: int
    sha256: str
    created_at: datetime


class ForecastModelOut(Out):
    """The model behind a forecast."""

    name: str
    version: str
    trained_until: date


class ForecastGoalsOut(Out):
    """The parameters of the grid of scores."""

    lam_home: float
    lam_away: float
    rho: float


class BinOut(Out):
    """Forecasts of about the same probability: how many, what they said, how often it came true with its 95 % interval."""

    n: int
    said: float
    observed: float
    low: float
    high: float


class HitsOut(Out):
    """How often favourites of about this probability won, with the 95 % interval."""

    n: int
    observed: float
    low: float
    high: float


class ConfidenceOut(Out):
    """The favourite's probability, and how often such forecasts came true; null before any was scored."""

    favourite: Literal["home", "draw", "away"]
    p: float
    bin: HitsOut | None


class MarketPriceOut(Out):
    """What a book says of the match without its margin. phase: early or closing."""

    outcome: OutcomeOut
    book: str
    phase: Phase
    seen_at: datetime


class PlaceOut(Out):
    """Where a prediction stands in the chain."""

    id: UUID
    seq: int
    hash: str
    level: Literal["L0"]


class SelectionOut(Out):
    """One thing that can be asked of a score, and the chance of each way it can end. fair_odds: null where it cannot win."""

    outcome: str
    line: float | None
    win: float
    half_win: float
    push: float
    half_loss: float
    loss: float
    fair_odds: float | None


class ForecastOut(Out):
    """What is predicted of a match. markets and grid: only what was asked for; grid[home goals][away goals]."""

    match_id: UUID
    phase: str
    as_of: datetime
    inputs: str
    source_state: Literal["recorded", "simulated"]
    frozen: bool
    model: ForecastModelOut
    outcome: OutcomeOut
    goals: ForecastGoalsOut | None
    confidence: ConfidenceOut
    abstained: bool
    reasons: list[str]
    market: MarketPriceOut | None
    proof: PlaceOut
    markets: dict[str, list[SelectionOut]]
    grid: list[list[float]] | None


class QuoteOut(Out):
    """What a book quoted, in the order of the market's outcomes: home, draw, away; or over, under."""

    book: str
    market: str
    line: float
    phase: Phase
    prices: list[float | None]
    number: int
    seen_at: datetime
    seen_basis: str


class QuotesOut(Out):
    """Every quote of a match, oldest first."""

    items: list[QuoteOut]
    next: None


class GapOut(Out):
    """A mean difference on identical matches with its 95 % interval, matches of one day taken as one."""

    n: int
    mean: float
    low: float
    high: float


class SummaryOut(Out):
    """Means over `n` matches; `ece_floor` is what a perfectly calibrated forecaster would show on as many."""

    n: int
    rps: float
    log_loss: float
    brier: float
    accuracy: float
    ece: float
    ece_floor: float


class EvaluationOut(Out):
    """What official predictions were worth. summary, market_gap: null without matches (with closing prices).

    abstained: of them, though they are scored too; missed: matches that began without an official prediction.
    """

    model: str
    summary: SummaryOut | None
    market_gap: GapOut | None
    abstained: int
    missed: int


class ReliabilityOut(Out):
    """Every outcome of every scored match as one forecast, in bins of equal count."""

    model: str
    bins: list[BinOut]
