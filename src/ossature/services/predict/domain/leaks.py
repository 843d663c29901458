"""Whether a forecast knows the future: later facts are taken away or mixed up, and no earlier row may change.

Facts are later when nobody knew them on the morning of a day: everything of later days, and of the day itself what
happened in its matches and their closing odds.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from ossature.services.predict.domain.history import History, Known, after_the_match, know
from ossature.services.predict.domain.native import Floats
from ossature.services.predict.domain.replaying import Request, rows_of, stretches

_SEED: Final = 20
_COLUMNS: Final = ("match_id", "div", "season", "day", "home", "away", "kind")


@dataclass(frozen=True, slots=True)
class Leak:
    """A model whose rows up to the day `cut` changed when later facts were `deleted` or `permuted`."""

    cut: str
    facts: str
    model: str


def leaks(history: History, request: Request, *, cuts: int = 5, plant: bool = False) -> list[Leak]:
    """Every leak on `cuts` days of the window; empty when there is none.

    plant: the goal difference of the match itself is an input of past-odds, which has to show.
    Raises: ImportInvalid when no match is in the window.
    """
    whole = _rows(history, request, plant=plant)
    days = sorted({row["date"] for row in whole})
    chosen = sorted({days[len(days) * n // (cuts + 1)] for n in range(1, cuts + 1)})
    return [
        Leak(cut, facts, model)
        for cut in chosen
        for facts, alter in _ALTERED.items()
        for model in _changed(whole, _rows(alter(history, cut), request, plant=plant), cut)
    ]


def _rows(history: History, request: Request, *, plant: bool) -> list[dict[str, Any]]:
    known = know(history)
    if plant:
        known = _planted(known, history)
    return [row for stretch in stretches(history, request, known) for row in rows_of(history, known, stretch, request)]


def _planted(known: Known, history: History) -> Known:
    ahead = np.nan_to_num(history.number("FTHG") - history.number("FTAG"))
    return replace(known, past=np.column_stack([known.past, ahead]))


def _changed(whole: list[dict[str, Any]], again: list[dict[str, Any]], cut: str) -> list[str]:
    """The models whose rows up to that day are not the same."""

    def by_model(rows: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
        kept: dict[str, list[dict[str, Any]]] = {}
        for row in rows:
            if row["date"] <= cut:
                kept.setdefault(row["model"], []).append(row)
        return kept

    before, after = by_model(whole), by_model(again)
    return sorted(model for model in before.keys() | after.keys() if before.get(model) != after.get(model))


def _deleted(history: History, cut: str) -> History:
    keep = history.day <= _day(cut)
    today = (history.day == _day(cut))[keep]
    numbers = {
        name: np.where(today, np.nan, column[keep]) if after_the_match(name) else column[keep]
        for name, column in history.numbers.items()
    }
    return replace(history, **{name: getattr(history, name)[keep] for name in _COLUMNS}, numbers=numbers)


def _permuted(history: History, cut: str) -> History:
    order = np.random.default_rng(_SEED)
    later, open_ = np.flatnonzero(history.day > _day(cut)), np.flatnonzero(history.day >= _day(cut))

    def mixed(name: str, column: Floats) -> Floats:
        moved, places = column.copy(), open_ if after_the_match(name) else later
        moved[places] = column[order.permutation(places)]
        return moved

    return replace(history, numbers={name: mixed(name, column) for name, column in history.numbers.items()})


_ALTERED: Final[dict[str, Callable[[History, str], History]]] = {"deleted": _deleted, "permuted": _permuted}


def _day(text: str) -> int:
    return int(np.datetime64(text, "D").astype(np.int64))
