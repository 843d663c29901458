"""Forecasts of matches that are still to be played, by a model that is kept between two fits.

The same functions as in a replay give the same numbers: ratings are made in one pass over everything that was known, the
champion is a logit of them and of the market's memory, and every row comes from one grid of scores.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final

import numpy as np

from ossature.services.predict.domain.facts import KnownMatch, Phase
from ossature.services.predict.domain.history import History, Known, know
from ossature.services.predict.domain.ladder import FEW_MATCHES, fit, solved
from ossature.services.predict.domain.logit import Logit
from ossature.services.predict.domain.matches import CHAMPION, ArtefactAltered, NewPrediction
from ossature.services.predict.domain.native import Floats, Integers
from ossature.services.predict.domain.proof import canonical, instant
from ossature.services.predict.domain.replaying import Request, Stretch, rows_of

_EPOCH: Final = date(1970, 1, 1)
_PARTS: Final = ("mean", "scale", "weights")
_DECIMALS: Final = 9
_SIDES: Final = {"1x2": ("H", "D", "A"), "total": (">2.5", "<2.5")}


@dataclass(frozen=True, slots=True)
class Champion:
    """A fitted model, small enough to be a row. trained_from, trained_until: days of the oldest and the newest match."""

    version: str
    fitted_on: date
    trained_from: date
    trained_until: date
    rows: int
    outcome: Logit
    over: Logit

    def artefact(self) -> str:
        """The model as canonical JSON; the same model always has the same text."""
        fields = {
            "name": CHAMPION,
            "version": self.version,
            "fitted_on": self.fitted_on.isoformat(),
            "trained_from": self.trained_from.isoformat(),
            "trained_until": self.trained_until.isoformat(),
            "rows": self.rows,
            **{f"{label}.{part}": _text(getattr(of, part)) for label, of in self._logits() for part in _PARTS},
        }
        return canonical(fields)

    def _logits(self) -> tuple[tuple[str, Logit], ...]:
        return ("outcome", self.outcome), ("over", self.over)


def champion_of(artefact: str, sha256: str) -> Champion:
    """The model that an artefact holds. Raises: ArtefactAltered when its bytes are not those that were registered."""
    if hashlib.sha256(artefact.encode()).hexdigest() != sha256:
        raise ArtefactAltered
    said = json.loads(artefact)
    outcome, over = (
        Logit(*(np.array(json.loads(said[f"{label}.{part}"])) for part in _PARTS)) for label in ("outcome", "over")
    )
    days = {name: date.fromisoformat(said[name]) for name in ("fitted_on", "trained_from", "trained_until")}
    return Champion(version=said["version"], **days, rows=said["rows"], outcome=outcome, over=over)


@dataclass(frozen=True, slots=True)
class Forecasted:
    """What a round of pricing gave. champion: a new one, None where the one that was given still holds."""

    champion: Champion | None
    new: tuple[NewPrediction, ...]


def forecast_matches(
    matches: Sequence[KnownMatch],
    *,
    as_of: datetime,
    until: datetime,
    artefact: tuple[str, str] | None,
    refit_days: int,
) -> Forecasted:
    """Forecasts of everything that begins after `as_of` and not later than `until`, from what was known at `as_of`.

    artefact: the present champion with its SHA-256; without one, or when it was fitted `refit_days` ago, a new one is fitted.
    Raises: NothingToLearn, ArtefactAltered.
    """
    history = history_of(matches)
    known = know(history)
    today = as_of.date()
    kept = None if artefact is None else champion_of(*artefact)
    # With its first prices a history gets inputs that a model of before does not have.
    fits = kept is not None and kept.outcome.mean.shape[0] == known.past.shape[1]
    due = kept is None or not fits or (today - kept.fitted_on).days >= refit_days
    champion = fit_champion(history, known, today) if due or kept is None else kept
    open_ = [place for place, one in enumerate(matches) if one.score is None and as_of < one.kickoff_at <= until]
    rows = np.array(open_, dtype=np.int64)
    new = _rows(matches, history, known, champion, rows, as_of=as_of) if len(rows) else ()
    return Forecasted(champion if champion is not kept else None, tuple(new))


def fit_champion(history: History, known: Known, day: date) -> Champion:
    """The champion as a replay would fit it on that day. Raises: NothingToLearn."""
    number = (day - _EPOCH).days
    ladder = fit(history, known, number)
    used = known.finished & (history.day < number) & (known.played >= FEW_MATCHES)
    return Champion(
        version=ladder.version(CHAMPION),
        fitted_on=day,
        trained_from=_EPOCH + timedelta(days=int(history.day[used].min())),
        trained_until=_EPOCH + timedelta(days=ladder.trained_until),
        rows=int(used.sum()),
        outcome=ladder.past,
        over=ladder.past_over,
    )


def history_of(matches: Sequence[KnownMatch]) -> History:
    """Matches, in the order of their days, as columns."""
    columns: dict[str, list[float]] = {}

    def put(name: str, place: int, value: float | None) -> None:
        if value is not None:
            columns.setdefault(name, [np.nan] * len(matches))[place] = value

    for place, one in enumerate(matches):
        for name, count in one.counts.items():
            put(name, place, count)
        put("neutral", place, float(one.neutral))
        if one.score is not None:
            put("FTHG", place, one.score.home)
            put("FTAG", place, one.score.away)
            put("HTHG", place, one.score.half_home)
            put("HTAG", place, one.score.half_away)
        for quote in one.quotes:
            book = quote.book + ("C" if quote.phase is Phase.CLOSING else "")
            for side, price in zip(_SIDES[quote.market], quote.prices, strict=True):
                put(f"{book}{side}", place, price)

    def text(name: str) -> Any:  # noqa: ANN401 - an array of texts
        return np.array([getattr(one, name) for one in matches], dtype=np.str_)

    return History(
        match_id=text("code"),
        div=text("competition"),
        season=text("season"),
        day=np.array([(one.day - _EPOCH).days for one in matches], dtype=np.int64),
        home=text("home"),
        away=text("away"),
        kind=text("kind"),
        numbers={name: np.array(values) for name, values in columns.items()},
    )


def _rows(
    matches: Sequence[KnownMatch],
    history: History,
    known: Known,
    champion: Champion,
    rows: Integers,
    *,
    as_of: datetime,
) -> list[NewPrediction]:
    inputs = known.past[rows]
    said = solved(champion.outcome.probabilities(inputs), champion.over.probabilities(inputs)[:, 0])
    stretch = Stretch(
        rows=rows,
        trained_until=(champion.trained_until - _EPOCH).days,
        versions={CHAMPION: champion.version},
        said={CHAMPION: said},
        dispersion={},
        too_far={},
    )
    days = [matches[place].day for place in rows]
    request = Request(first=min(days), last=max(days), models=(CHAMPION,), phases=("pre",))
    found = []
    for place, row, vector in zip(rows, rows_of(history, known, stretch, request), inputs, strict=True):
        one = matches[place]
        found.append(
            NewPrediction(
                match_id=one.id,
                kickoff_at=one.kickoff_at,
                row={**row, "as_of": instant(as_of)},
                inputs_hash=_digest(one, champion, vector, str(row["reasons"])),
            )
        )
    return found


def _digest(one: KnownMatch, champion: Champion, vector: Floats, reasons: str) -> str:
    """SHA-256 of everything that a forecast depends on."""
    text = "|".join((champion.version, one.code, one.kickoff_at.isoformat(), reasons, _text(vector)))
    return hashlib.sha256(text.encode()).hexdigest()


def _text(numbers: Floats) -> str:
    """Numbers to nine decimals; minus zero is zero."""
    return json.dumps((np.round(numbers, _DECIMALS) + 0.0).tolist(), separators=(",", ":"))
