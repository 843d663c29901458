"""What every model would have said, day by day, of matches whose result was not known yet.

The order of a day is that of the running service: refit if due, price every match, freeze, and only then learn. Ratings are
made in one pass whose rows never see their own day, so pricing a stretch between two fits at once gives the same.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from math import isnan
from typing import Any, Final

import numpy as np

from ossature.services.predict.domain import pool
from ossature.services.predict.domain.calendar import fit_days
from ossature.services.predict.domain.facts import ImportInvalid, NothingToLearn
from ossature.services.predict.domain.halves import at_half_time
from ossature.services.predict.domain.history import CLOSING_BOOKS, History, Known, know
from ossature.services.predict.domain.ladder import (
    FEW_MATCHES,
    INPUTS,
    MEMBERS,
    Forecasts,
    Ladder,
    fit,
    forecast,
    solved,
)
from ossature.services.predict.domain.native import Flags, Floats, Integers

HALF_TIME_MODELS: Final = ("poisson", "past-odds", "collective")
PHASES: Final = ("pre", "half-time", "diagnostic")
_EPOCH: Final = date(1970, 1, 1)
_DECIMALS: Final = 9
_SMALLEST: Final = 1e-6
_DISPERSION_ROWS: Final = 5_000
_DISPERSION_SHARE: Final = 0.98


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Which days (both inclusive), models, kinds of leagues, divisions (empty: all), phases, and how often to refit."""

    first: date
    last: date
    models: Sequence[str] = tuple(INPUTS)
    kinds: Sequence[str] = ("main", "extra")
    divisions: Sequence[str] = ()
    refit: str = "yearly"
    phases: Sequence[str] = ("pre", "half-time")
    with_closing: bool = False


@dataclass(slots=True)
class _Past:
    """What single models said out of sample, of which the collective learns whom to trust."""

    said: dict[str, list[Floats]] = field(default_factory=dict)
    outcomes: list[Integers] = field(default_factory=list)
    dispersions: dict[str, list[Floats]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Stretch:
    """The matches between two fits, and what every model says of them. trained_until: days since 1970."""

    rows: Integers
    trained_until: int
    versions: Mapping[str, str]
    said: Mapping[str, Forecasts]
    dispersion: Mapping[str, Floats]
    too_far: Mapping[str, float]


def stretches(history: History, request: Request, known: Known | None = None) -> Iterator[Stretch]:
    """One stretch for each fit, the warm-up left out.

    Raises: ImportInvalid when no match is in the window; NothingToLearn when its first day has no past.
    """
    if not asks_for(request, history):
        raise ImportInvalid(f"no match from {request.first} to {request.last}")
    known = know(history) if known is None else known
    days = [_number(day) for day in fit_days(request.first, request.last, request.refit)]
    ends = [*days[1:], _number(request.last) + 1]
    past = _Past()
    for day, end in zip(days, ends, strict=True):
        rows = np.flatnonzero((history.day >= day) & (history.day < end))
        try:
            ladder = fit(history, known, day)
        except NothingToLearn:
            if day >= _number(request.first):
                raise
            continue
        stretch = _priced(ladder, known, rows, past)
        if day >= _number(request.first):
            yield _wanted(stretch, history, request)
        _learn(past, stretch, known)


def rows_of(history: History, known: Known, stretch: Stretch, request: Request) -> list[dict[str, Any]]:
    """The rows of one stretch, without their links."""
    found = []
    for phase, model, said, which in _series(history, stretch, request):
        found += _rows(history, known, stretch, (phase, model), said, which)
    return found


def in_order(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows as a file has them and as they are chained: by day, phase, match and model."""
    place = {phase: place for place, phase in enumerate(PHASES)}
    return sorted(rows, key=lambda row: (row["date"], place[row["phase"]], row["match_id"], row["model"]))


def asks_for(request: Request, history: History) -> bool:
    """Whether any match of a history is in the window."""
    return bool(_asked(history, request, np.arange(len(history))).any())


def _number(day: date) -> int:
    return (day - _EPOCH).days


def _priced(ladder: Ladder, known: Known, rows: Integers, past: _Past) -> Stretch:
    said = forecast(ladder, known, rows)
    versions = {model: ladder.version(model) for model in said}
    dispersion, too_far = {}, {}
    for name, members in MEMBERS.items():
        weights = _weights(past, members)
        said[name] = _pooled([said[member] for member in members], weights)
        stacked = _stacked([said[member].chances for member in members])
        dispersion[name] = pool.dispersion(stacked, weights)
        earlier = np.concatenate(past.dispersions.get(name, [np.empty(0)]))[-_DISPERSION_ROWS:]
        too_far[name] = float(np.quantile(earlier, _DISPERSION_SHARE)) if len(earlier) else np.inf
        versions[name] = ladder.version(f"{name} {weights.tolist()}")
    return Stretch(rows, ladder.trained_until, versions, said, dispersion, too_far)


def _stacked(chances: Sequence[Floats]) -> Floats:
    return np.stack([np.clip(one, _SMALLEST, 1.0) for one in chances])


def _weights(past: _Past, members: Sequence[str]) -> Floats:
    if not past.outcomes:
        return np.full(len(members), 1.0 / len(members))
    chances = _stacked([np.concatenate(past.said[member]) for member in members])
    outcomes = np.concatenate(past.outcomes)
    scored = np.isfinite(chances.sum(axis=(0, 2))) & (outcomes >= 0)
    return pool.learn_weights(chances[:, scored], outcomes[scored])


def _pooled(members: Sequence[Forecasts], weights: Floats) -> Forecasts:
    """The pool of outcomes, and of over 2.5 goals of those members that have a grid; one grid behind both."""
    chances = pool.pooled(_stacked([one.chances for one in members]), weights)
    with_grid = [place for place, one in enumerate(members) if not np.isnan(one.over_2_5).all()]
    if not with_grid:
        return replace(members[-1], chances=chances)
    overs = np.stack([members[place].over_2_5 for place in with_grid])
    both = np.clip(np.stack([overs, 1.0 - overs], axis=2), _SMALLEST, 1.0)
    share = weights[with_grid] + _SMALLEST
    return solved(chances, pool.pooled(both, share / share.sum())[:, 0])


def _learn(past: _Past, stretch: Stretch, known: Known) -> None:
    for model in {member for members in MEMBERS.values() for member in members}:
        past.said.setdefault(model, []).append(stretch.said[model].chances)
    past.outcomes.append(known.outcome[stretch.rows])
    for name, values in stretch.dispersion.items():
        past.dispersions.setdefault(name, []).append(values[np.isfinite(values)])


def _wanted(stretch: Stretch, history: History, request: Request) -> Stretch:
    """The same stretch with only the matches that were asked for."""
    keep = _asked(history, request, stretch.rows)
    said = {
        model: Forecasts(*(getattr(one, name)[keep] for name in Forecasts.__slots__))
        for model, one in stretch.said.items()
    }
    dispersion = {name: values[keep] for name, values in stretch.dispersion.items()}
    return replace(stretch, rows=stretch.rows[keep], said=said, dispersion=dispersion)


def _asked(history: History, request: Request, rows: Integers) -> Flags:
    keep = (history.day[rows] >= _number(request.first)) & (history.day[rows] <= _number(request.last))
    keep &= np.isin(history.kind[rows], list(request.kinds))
    if request.divisions:
        keep &= np.isin(history.div[rows], list(request.divisions))
    return keep


def _series(history: History, stretch: Stretch, request: Request) -> Iterator[tuple[str, str, Forecasts, Integers]]:
    """Phase, model, forecasts, and the places within the stretch that have a row."""
    for model in request.models:
        said = stretch.said[model]
        usable = np.flatnonzero(np.isfinite(said.chances.sum(axis=1)))
        if "pre" in request.phases:
            yield "pre", model, said, usable
        if "half-time" in request.phases and model in HALF_TIME_MODELS:
            goals_home, goals_away = (history.number(name)[stretch.rows] for name in ("HTHG", "HTAG"))
            known = usable[np.isfinite((goals_home + goals_away)[usable])]
            yield "half-time", model, at_half_time(said, goals_home, goals_away), known
    if request.with_closing:
        closing = history.outcome_chances(CLOSING_BOOKS)[stretch.rows]
        nothing = np.full(len(closing), np.nan)
        said = Forecasts(closing, nothing, nothing, nothing, nothing, nothing)
        yield "diagnostic", "market-closing", said, np.flatnonzero(np.isfinite(closing.sum(axis=1)))


def _rows(
    history: History, known: Known, stretch: Stretch, of: tuple[str, str], forecasts: Forecasts, which: Integers
) -> list[dict[str, Any]]:
    """Rows without their links, of one phase and model; `which` are places within the stretch."""
    phase, model = of
    columns = (_sharp(forecasts.chances), *(getattr(forecasts, name) for name in Forecasts.__slots__[1:]))
    values = np.column_stack(columns)[which].round(_DECIMALS).tolist()
    fixed = {
        "phase": phase,
        "model": model,
        "inputs": INPUTS.get(model, "closing_odds"),
        "model_version": stretch.versions.get(model, "0" * 12),
        "trained_until": str(np.datetime64(stretch.trained_until, "D")),
    }
    apart = _rounded(stretch.dispersion.get(model), which)
    found = []
    for n, place in enumerate(stretch.rows[which].tolist()):
        match = _match(history, place)
        reasons = _reasons(model, float(known.played[place]), apart[n], stretch.too_far.get(model))
        found.append(
            {
                **match,
                **fixed,
                "as_of": f"{match['date']}T00:00:00Z",
                **{name: None if isnan(said) else said for name, said in zip(_NUMBERS, values[n], strict=True)},
                "abstained": bool(reasons),
                "reasons": ";".join(reasons),
                "dispersion": apart[n],
            }
        )
    return found


def _match(history: History, place: int) -> dict[str, str]:
    return {
        "match_id": str(history.match_id[place]),
        "div": str(history.div[place]),
        "season": str(history.season[place]),
        "date": (_EPOCH + timedelta(days=int(history.day[place]))).isoformat(),
        "home": str(history.home[place]),
        "away": str(history.away[place]),
        "kind": str(history.kind[place]),
    }


def _rounded(dispersion: Floats | None, which: Integers) -> list[float | None]:
    if dispersion is None:
        return [None] * len(which)
    return [float(value) for value in dispersion[which].round(_DECIMALS)]


_NUMBERS: Final = ("p_home", "p_draw", "p_away", "lam_home", "lam_away", "rho", "p_over_2_5", "p_btts")
COLUMNS: Final = (
    *("match_id", "div", "season", "date", "home", "away", "kind", "phase", "model", "inputs"),
    *("model_version", "trained_until", "as_of", *_NUMBERS, "abstained", "reasons", "dispersion"),
    *("seq", "prev_hash", "hash"),
)
"""Names of the columns of a file of predictions, in their order."""


def _sharp(chances: Floats) -> Floats:
    """Nothing is impossible: every probability stays above 0 after rounding."""
    safe = np.clip(chances, _SMALLEST, 1.0)
    answer: Floats = safe / safe.sum(axis=1, keepdims=True)
    return answer


def _reasons(model: str, played: float, apart: float | None, too_far: float | None) -> list[str]:
    """Why a model would rather say nothing of a match."""
    if INPUTS.get(model, "own_odds") == "own_odds" and model not in MEMBERS:
        return []
    reasons = []
    if played == 0:
        reasons.append("unknown_team")
    elif played < FEW_MATCHES:
        reasons.append("few_matches")
    if apart is not None and too_far is not None and apart > too_far:
        reasons.append("dispersion")
    return reasons
