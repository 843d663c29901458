"""Matches, forecasts and what they were worth, as they are kept."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

from ossature.kernel.errors import Conflict, InvalidInput, NotFound, Unavailable
from ossature.services.predict.domain.facts import MatchStatus, Phase, Score

CHAIN: Final = "predict.predictions"
"""The chain of each tenant's predictions."""

CHAMPION: Final = "past-odds"
"""The model whose forecasts are shown: a logit of ratings and the market's memory."""

_BINS: Final = 20


MARKETS: Final = (
    *("1x2", "double_chance", "draw_no_bet", "total", "odd_even", "exact_goals", "asian_total", "asian_handicap"),
    *("european_handicap", "btts", "team_total_home", "team_total_away", "clean_sheet", "win_to_nil"),
    *("winning_margin", "correct_score"),
)
"""Every market that a grid of scores answers, as `domain.markets` names them."""


class MarketUnknown(InvalidInput):
    """There is no market of this name; the detail says which there are."""

    title = "Market unknown"


class ModelUnknown(NotFound):
    """There is no such version of a model."""

    title = "Model unknown"


class MatchUnknown(NotFound):
    """There is no such match."""

    title = "Match unknown"


class PredictionUnknown(NotFound):
    """There is no such prediction."""

    title = "Prediction unknown"


class ForecastNotReady(Conflict):
    """Nothing was predicted of this match yet: it is too far away, or it was over before anybody asked."""

    title = "Forecast not ready"
    retry_after_s = 60.0


class NoChampion(Unavailable):
    """There is no model yet that may predict: too few results are stored to learn from."""

    title = "No champion"
    retry_after_s = 3600.0


class ArtefactAltered(Unavailable):
    """The stored model is not the one that was registered: its bytes have another SHA-256."""

    title = "Model altered"


@dataclass(frozen=True, slots=True, kw_only=True)
class Competition:
    """A division. code: its name in files."""

    id: UUID
    code: str
    kind: str
    country: str
    sport: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """A match. day: as its source has it; revision: 1 at the first final result, one more with each correction."""

    id: UUID
    code: str
    competition: str
    kind: str
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
    score: Score | None
    revision: int
    simulated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelVersion:
    """A model as it was learnt. version: changes with anything that it learnt; artefact: canonical JSON of its numbers."""

    id: UUID
    name: str
    version: str
    stage: str
    fitted_on: date
    trained_from: date
    trained_until: date
    rows: int
    artefact: str
    sha256: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """One link of a tenant's chain. p: home win, draw, away win; lam: expected goals; hash, previous: hexadecimal."""

    id: UUID
    seq: int
    match_id: UUID
    model: str
    model_version: str
    trained_until: str
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
    reasons: tuple[str, ...]
    inputs_hash: str
    body: str
    previous: str
    hash: str

    @property
    def p(self) -> tuple[float, float, float]:
        """Home win, draw, away win."""
        return self.p_home, self.p_draw, self.p_away


@dataclass(frozen=True, slots=True, kw_only=True)
class NewPrediction:
    """A row before it has its place. row: the columns of a file of predictions, without the last three."""

    match_id: UUID
    kickoff_at: datetime
    row: dict[str, Any]
    inputs_hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Freeze:
    """The official prediction of one model for one kick-off."""

    match_id: UUID
    model: str
    kickoff_at: datetime
    prediction_seq: int
    frozen_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Official:
    """A frozen prediction of a finished match: what was said, what happened, what the market said. day: of the match."""

    match_id: UUID
    revision: int
    seq: int
    model: str
    p: tuple[float, float, float]
    score: Score
    day: date
    abstained: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """What a frozen prediction was worth once its match was over. bin: favourite's probability in twentieths."""

    prediction_seq: int
    match_id: UUID
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


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketPrice:
    """What a book says of a match without its margin: home win, draw, away win."""

    p: tuple[float, float, float]
    book: str
    phase: Phase
    seen_at: datetime


@dataclass(frozen=True, slots=True)
class Hits:
    """How often forecasts of about the same confidence came true, with its 95 % interval (Wilson)."""

    n: int
    observed: float
    low: float
    high: float


def twentieth(p: float) -> int:
    """The bin of a favourite's probability: 0 below 0.05, 19 from 0.95 on."""
    return min(int(p * _BINS), _BINS - 1)
