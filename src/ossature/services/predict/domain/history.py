"""A history of matches as columns: who played when, how it ended, and what the books said before and after.

The columns and their names are those of football-data.co.uk's notes, as the format `matches_odds` has them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from ossature.services.predict.domain import devig, memory, ratings
from ossature.services.predict.domain.facts import country_of
from ossature.services.predict.domain.native import Flags, Floats, Integers
from ossature.services.predict.domain.score import outcome

Texts = npt.NDArray[np.str_]

IDENTITY: Final = ("match_id", "div", "season", "date", "home", "away", "kind")
EARLY_BOOKS: Final = ("Avg", "BbAv", "PS", "B365", "WH", "GB", "IW", "BW")
CLOSING_BOOKS: Final = ("PSC", "AvgC")
MEMORY_BOOKS: Final = ("PSC", "AvgC", "BbAv", "Avg", "B365", "WH", "GB", "IW")
EARLY_TOTALS: Final = ("Avg", "BbAv", "P", "B365", "Max")
MEMORY_TOTALS: Final = ("PC", "AvgC", "BbAv", "Avg", "B365")
CLOSING_TOTALS: Final = ("PC", "AvgC")

RESULTS: Final = (
    *("FTHG", "FTAG", "HTHG", "HTAG", "HS", "AS", "HST", "AST"),
    *("HF", "AF", "HC", "AC", "HY", "AY", "HR", "AR"),
)
_CLOSING: Final = ("PSC", "PC", "B365C", "MaxC", "AvgC", "BFEC", "AHCh")


@dataclass(frozen=True, slots=True)
class History:
    """Matches in the order of their days. day: days since 1970; numbers: columns with NaN where nothing is known."""

    match_id: Texts
    div: Texts
    season: Texts
    day: Integers
    home: Texts
    away: Texts
    kind: Texts
    numbers: Mapping[str, Floats]

    def __len__(self) -> int:
        return len(self.match_id)

    def number(self, name: str) -> Floats:
        """One column; all NaN where the files do not have it."""
        return self.numbers.get(name, np.full(len(self), np.nan))

    def prices(self, books: Sequence[str], sides: Sequence[str]) -> Floats:
        """Of each match the prices of the first book that has all sides; NaN where none has."""
        return devig.first_complete(
            *(np.column_stack([self.number(f"{book}{side}") for side in sides]) for book in books)
        )

    def outcome_chances(self, books: Sequence[str]) -> Floats:
        """What the books said of home win, draw and away win, without their margin (power)."""
        return devig.power(self.prices(books, "HDA"))

    def over_chance(self, books: Sequence[str]) -> Floats:
        """What the books said of more than 2.5 goals, without their margin (power)."""
        chance: Floats = devig.power(self.prices(books, (">2.5", "<2.5")))[:, 0]
        return chance


def after_the_match(name: str) -> bool:
    """Whether a column is known only once the match has begun: what happened in it, and closing odds."""
    return name in RESULTS or name.startswith(_CLOSING)


@dataclass(frozen=True, slots=True)
class Known:
    """What was known on the morning of each match, and how it ended.

    results: inputs from results alone; past: the same and the market's memory. early, early_over: what the early odds of the
    match itself say, NaN where there are none. outcome is -1 and over False without a result.
    """

    results: Floats
    past: Floats
    rates: Floats
    played: Floats
    early: Floats
    early_over: Floats
    finished: Flags
    outcome: Integers
    over: Flags
    league: Integers


def know(history: History) -> Known:
    """One pass of all ratings over a history. A row holds nothing of its own day or of a later one."""
    matches, teams, leagues = _matches(history)
    rated = ratings.rate(matches, ratings.new_state(teams, leagues))
    ahead = matches.goals_home - matches.goals_away
    chances = history.outcome_chances(MEMORY_BOOKS)
    over = history.over_chance(MEMORY_TOTALS)
    priced = memory.Priced(
        *matches[:5], ahead=ahead, outcome=np.log(chances[:, 0] / chances[:, 2]), total=np.log(over / (1.0 - over))
    )
    fast = memory.remember(priced, memory.new_memory(teams, leagues), memory.FAST)
    slow = memory.remember(priced, memory.new_memory(teams, leagues), memory.SLOW)
    finished = np.isfinite(ahead)
    results = _inputs(rated)
    column = ratings.COLUMN
    return Known(
        results=results,
        # Where nobody ever quoted a price the memory has nothing to add.
        past=np.column_stack([results, fast[:, :4], slow[:, :2]]) if np.isfinite(chances).any() else results,
        rates=rated[:, [column["lam_home"], column["lam_away"]]],
        played=rated[:, [column["played_home"], column["played_away"]]].min(axis=1),
        early=history.outcome_chances(EARLY_BOOKS),
        early_over=history.over_chance(EARLY_TOTALS),
        finished=finished,
        outcome=np.where(finished, outcome(matches.goals_home, matches.goals_away), -1),
        over=np.where(finished, matches.goals_home + matches.goals_away, 0.0) > 2.5,
        league=matches.league,
    )


def _inputs(rated: Floats) -> Floats:
    """The inputs of a logit: differences and logarithms; shots only where they are known of five matches."""
    column = ratings.COLUMN
    rates = np.log(np.clip(rated[:, column["lam_home"] : column["shots_away"] + 1], 0.05, 50.0))
    rates[:, 2:] = np.where(rated[:, [column["shots_known"]]] >= 5, rates[:, 2:], 0.0)
    return np.column_stack([rated[:, : column["pi"] + 1], rates, rated[:, column["points_home"] : column["draws"] + 1]])


def _matches(history: History) -> tuple[ratings.Matches, int, int]:
    countries = np.array([country_of(str(div)) for div in history.div], dtype=np.str_)
    keys = np.char.add(np.char.add(countries, "|"), np.concatenate([history.home, history.away]).reshape(2, -1))
    names, codes = np.unique(keys, return_inverse=True)
    divisions, league = np.unique(history.div, return_inverse=True)
    numbered = codes.reshape(2, -1).astype(np.int64)
    matches = ratings.Matches(
        day=history.day,
        home=numbered[0],
        away=numbered[1],
        league=league.astype(np.int64),
        neutral=history.number("neutral") == 1.0,
        goals_home=history.number("FTHG"),
        goals_away=history.number("FTAG"),
        shots_home=history.number("HST"),
        shots_away=history.number("AST"),
    )
    return matches, len(names), len(divisions)
