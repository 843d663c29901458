"""Evaluate a file of predictions: what it was worth, against what the market said of the same matches."""

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np

from ossature.services.predict.domain import score
from ossature.services.predict.domain.facts import ImportInvalid
from ossature.services.predict.domain.history import CLOSING_BOOKS, EARLY_BOOKS, History
from ossature.services.predict.domain.native import Flags, Floats
from ossature.services.predict.domain.replaying import COLUMNS
from ossature.services.predict.usecases.replay import FORMATS, schema

# The average of all books, as the comparison with the market has it; a single book would flatter us.
_EARLY: Final = EARLY_BOOKS[:2]


def read_predictions(path: Path) -> list[dict[str, Any]]:
    """The rows of a file that `replay` wrote. Raises: ImportInvalid for another file."""
    if path.suffix not in FORMATS or not path.is_file():
        raise ImportInvalid(f"{path}: no file of predictions ({', '.join(FORMATS)})")
    import polars as pl  # noqa: PLC0415 - of the extra `predict`

    try:
        if path.suffix == ".jsonl":
            # Row by row: a reader of tables would round what it guesses to be of another type.
            with path.open(encoding="utf-8") as file:
                rows = [json.loads(line) for line in file]
            columns = set.intersection(*(set(row) for row in rows)) if rows else set()
        else:
            whole = pl.read_parquet(path) if path.suffix == ".parquet" else pl.read_csv(path, schema_overrides=schema())
            columns = set(whole.columns)
            whole = whole.select([name for name in COLUMNS if name in columns])
            rows = whole.with_columns(pl.col(pl.String).fill_null("")).to_dicts()
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, ValueError, TypeError) as error:
        raise ImportInvalid(f"{path.name} is no file of predictions.", file=path.name) from error
    missing = [name for name in COLUMNS if name not in columns]
    if missing:
        raise ImportInvalid(f"{path.name}: column {missing[0]} is missing", file=path.name, column=missing[0])
    return rows


def evaluate(history: History, rows: Iterable[dict[str, Any]], *, kind: str = "main") -> list[dict[str, Any]]:
    """One entry for each phase and model: its scores, and its gaps to closing and early odds.

    Only matches with closing odds are scored, in main leagues only those with early odds too: all models and the market
    are compared on the same. Early odds are the average of all books.
    """
    place = {str(name): n for n, name in enumerate(history.match_id)}
    outcomes = score.outcome(history.number("FTHG"), history.number("FTAG"))
    markets = {"closing": history.outcome_chances(CLOSING_BOOKS)}
    if kind == "main":
        markets["early"] = history.outcome_chances(_EARLY)
    scored = _scored(history, markets) & (history.kind == kind)
    grouped: dict[tuple[str, str], list[tuple[int, tuple[float, ...]]]] = {}
    for row in rows:
        n = place.get(row["match_id"])
        if n is not None and scored[n]:
            said = (row["p_home"], row["p_draw"], row["p_away"])
            grouped.setdefault((row["phase"], row["model"]), []).append((n, said))
    found = []
    for (phase, model), of_model in sorted(grouped.items()):
        where = np.array([n for n, _ in of_model])
        chances: Floats = np.array([three for _, three in of_model])
        ours = score.rps(chances, outcomes[where])
        gaps = {
            f"to_{name}": asdict(score.paired(ours, score.rps(market[where], outcomes[where]), history.day[where]))
            for name, market in markets.items()
        }
        found.append({"phase": phase, "model": model, **asdict(score.summary(chances, outcomes[where])), **gaps})
    return found


def _scored(history: History, markets: dict[str, Floats]) -> Flags:
    known = history.number("FTHG") + sum(market.sum(axis=1) for market in markets.values())
    scored: Flags = np.isfinite(known)
    return scored
