"""The ladder of models: each rung knows a little more, and is kept only while it beats the one below.

base-rate -> elo -> poisson -> results-only -> past-odds; early-odds is the market itself. All are fitted on what was
finished before the day of the fit, and every forecast with goals comes from one grid of scores.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from ossature.services.predict.domain import grid, logit
from ossature.services.predict.domain.facts import NothingToLearn
from ossature.services.predict.domain.history import History, Known
from ossature.services.predict.domain.native import Flags, Floats, Integers
from ossature.services.predict.domain.score import log_loss

INPUTS: Final[Mapping[str, str]] = {
    "base-rate": "results",
    "elo": "results",
    "poisson": "results",
    "results-only": "results",
    "past-odds": "past_odds",
    "early-odds": "own_odds",
    "collective": "past_odds",
    "collective-market": "own_odds",
}
"""Every model, and what it may know: results, odds of earlier matches, or odds of the match itself."""

MEMBERS: Final[Mapping[str, tuple[str, ...]]] = {
    "collective": ("elo", "poisson", "results-only", "past-odds"),
    "collective-market": ("results-only", "past-odds", "early-odds"),
}
FEW_MATCHES: Final = 8
_WINDOW_DAYS: Final = 12 * 365
_BASE_DAYS: Final = 5 * 365
_RHO_ROWS: Final = 40_000
_SMALLEST: Final = 1e-6


@dataclass(frozen=True, slots=True)
class Forecasts:
    """What one model says of some matches. chances: (n, 3); the others are NaN where the model has no grid."""

    chances: Floats
    lam_home: Floats
    lam_away: Floats
    rho: Floats
    over_2_5: Floats
    btts: Floats


@dataclass(frozen=True, slots=True)
class Ladder:
    """All models of one fit. trained_until: the day of the newest match that they learnt from."""

    trained_until: int
    base: Floats
    rho: float
    elo: logit.Logit
    results: logit.Logit
    results_over: logit.Logit
    past: logit.Logit
    past_over: logit.Logit

    def version(self, model: str) -> str:
        """Twelve hexadecimal digits that change with anything the model has learnt."""
        parts = {
            "elo": (self.elo,),
            "results-only": (self.results, self.results_over),
            "past-odds": (self.past, self.past_over),
            "early-odds": (self.past_over,),
        }
        digest = hashlib.sha256(f"{model} {self.trained_until} {self.rho}".encode())
        digest.update(np.round(self.base, 9).tobytes())
        for part in parts.get(model, (self.elo, self.results, self.results_over, self.past, self.past_over)):
            digest.update(part.fingerprint().encode())
        return digest.hexdigest()[:12]


def fit(history: History, known: Known, day: int) -> Ladder:
    """All models, learnt from matches that were finished before `day`. Raises: NothingToLearn."""
    before = (history.day < day) & known.finished
    rows = before & (history.day >= day - _WINDOW_DAYS) & (known.played >= FEW_MATCHES)
    if not rows.any():
        raise NothingToLearn(f"no two teams have played {FEW_MATCHES} matches before {np.datetime64(day, 'D')}")
    goals = rows & (history.kind == "main") if (rows & (history.kind == "main")).any() else rows
    # Class 0 is "over", so that the first column of the answer is its probability.
    under = (~known.over).astype(np.int64)
    return Ladder(
        trained_until=int(history.day[before].max()),
        base=_base(known, before & (history.day >= day - _BASE_DAYS)),
        rho=_rho(known, np.flatnonzero(rows)[-_RHO_ROWS:]),
        elo=logit.fit(known.results[rows][:, :1], known.outcome[rows], count=3),
        results=logit.fit(known.results[rows], known.outcome[rows], count=3),
        results_over=logit.fit(known.results[goals], under[goals], count=2),
        past=logit.fit(known.past[rows], known.outcome[rows], count=3),
        past_over=logit.fit(known.past[goals], under[goals], count=2),
    )


def forecast(ladder: Ladder, known: Known, rows: Integers) -> dict[str, Forecasts]:
    """What every single model says of these rows; early-odds is NaN where there are no early odds."""
    results, past = known.results[rows], known.past[rows]
    rates, rho = known.rates[rows], np.full(len(rows), ladder.rho)
    market, over = known.early[rows], known.early_over[rows]
    past_over = ladder.past_over.probabilities(past)[:, 0]
    return {
        "base-rate": _without_grid(ladder.base[known.league[rows]]),
        "elo": _without_grid(ladder.elo.probabilities(results[:, :1])),
        "poisson": of_grid(rates[:, 0], rates[:, 1], rho),
        "results-only": solved(ladder.results.probabilities(results), ladder.results_over.probabilities(results)[:, 0]),
        "past-odds": solved(ladder.past.probabilities(past), past_over),
        "early-odds": solved(market, np.where(np.isnan(over), past_over, over)),
    }


def solved(chances: Floats, over: Floats) -> Forecasts:
    """The forecast whose grid says these chances; rows of NaN stay NaN."""
    usable = np.isfinite(chances.sum(axis=1)) & np.isfinite(over)
    columns = np.full((3, len(chances)), np.nan)
    safe = np.clip(chances[usable], _SMALLEST, 1.0)
    safe /= safe.sum(axis=1, keepdims=True)
    found = grid.solve(safe[:, 0], safe[:, 1], np.clip(over[usable], _SMALLEST, 1.0 - _SMALLEST))
    columns[:, usable] = found.lam_home, found.lam_away, found.rho
    return _spread(usable, of_grid(*(column[usable] for column in columns)), len(chances))


def of_grid(lam_home: Floats, lam_away: Floats, rho: Floats) -> Forecasts:
    """The forecast of these grids."""
    lam_home, lam_away = (np.clip(rate, grid.LEAST_RATE, grid.MOST_RATE) for rate in (lam_home, lam_away))
    sums = grid.heads(lam_home, lam_away, rho)
    return Forecasts(np.column_stack(sums[:3]), lam_home, lam_away, rho, sums.over_2_5, sums.btts)


def _spread(usable: Flags, found: Forecasts, count: int) -> Forecasts:
    def whole(column: Floats) -> Floats:
        spread = np.full((count, *column.shape[1:]), np.nan)
        spread[usable] = column
        return spread

    return Forecasts(*(whole(getattr(found, name)) for name in Forecasts.__slots__))


def _without_grid(chances: Floats) -> Forecasts:
    nothing = np.full(len(chances), np.nan)
    return Forecasts(chances, nothing, nothing, nothing, nothing, nothing)


def _base(known: Known, rows: Flags) -> Floats:
    """Frequencies of the three outcomes in each league over five years, drawn towards those of all leagues."""
    everywhere = np.bincount(known.outcome[rows], minlength=3) / rows.sum()
    leagues = int(known.league.max()) + 1
    counts = np.zeros((leagues, 3))
    np.add.at(counts, (known.league[rows], known.outcome[rows]), 1.0)
    answer: Floats = (counts + 20.0 * everywhere) / (counts.sum(axis=1, keepdims=True) + 20.0)
    return answer


def _rho(known: Known, rows: Integers) -> float:
    """The rho with the least log-loss of the online Poisson on the newest rows, to four decimals."""
    rates, outcomes = known.rates[rows], known.outcome[rows]

    def loss(rho: float) -> float:
        found = of_grid(rates[:, 0], rates[:, 1], np.full(len(rows), rho))
        return float(log_loss(found.chances, outcomes).mean())

    return round(_lowest(loss, -0.2, 0.1), 4)


def _lowest(function: Callable[[float], float], low: float, high: float) -> float:
    """Where a function with one valley is lowest, by golden section."""
    golden = (5**0.5 - 1) / 2
    inner, outer = high - golden * (high - low), low + golden * (high - low)
    at_inner, at_outer = function(inner), function(outer)
    for _ in range(20):
        if at_inner < at_outer:
            high, outer, at_outer = outer, inner, at_inner
            inner = high - golden * (high - low)
            at_inner = function(inner)
        else:
            low, inner, at_inner = inner, outer, at_outer
            outer = low + golden * (high - low)
            at_outer = function(outer)
    return (low + high) / 2
