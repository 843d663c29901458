"""Every market of a football match as sums over its one grid of scores, so that no two prices contradict each other."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from ossature.services.predict.domain.native import Flags, Floats

GOAL_LINES: Final = tuple(half + 0.5 for half in range(7))
ASIAN_TOTALS: Final = tuple(quarter / 4 for quarter in range(2, 27))
ASIAN_HANDICAPS: Final = tuple(quarter / 4 for quarter in range(-12, 13))
EUROPEAN_HANDICAPS: Final = (-3, -2, -1, 1, 2, 3)
TEAM_LINES: Final = (0.5, 1.5, 2.5, 3.5)
_MOST_SHOWN: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """One thing that can be asked of a score, and the chance of each way it can end; the five chances sum to 1.

    line: of a total or of a handicap of the home team, None elsewhere.
    """

    market: str
    outcome: str
    line: float | None = None
    win: float
    half_win: float = 0.0
    push: float = 0.0
    half_loss: float = 0.0
    loss: float

    @property
    def fair_odds(self) -> float | None:
        """The decimal odds at which nobody gains on average; None where it cannot be won."""
        gained, lost = self.win + self.half_win / 2, self.loss + self.half_loss / 2
        return None if gained <= 0.0 else 1.0 + lost / gained


def all_markets(grid: Floats) -> list[Selection]:
    """Every market of `score_grid`'s answer."""
    goals = np.arange(float(len(grid)))
    home, away = np.broadcast_arrays(goals[:, None], goals[None, :])
    return [
        *_outcomes(grid, home, away),
        *_totals(grid, home + away),
        *_asian(grid, home + away, home - away),
        *_european(grid, home - away),
        *_teams(grid, home, away),
        *_scores(grid, home, away),
    ]


def _plain(grid: Floats, market: str, outcome: str, holds: Flags, line: float | None = None) -> Selection:
    """A selection that is won where `holds` and lost elsewhere."""
    won = float(grid[holds].sum())
    return Selection(market=market, outcome=outcome, line=line, win=won, loss=1.0 - won)


def _outcomes(grid: Floats, home: Floats, away: Floats) -> Iterator[Selection]:
    won, level, lost = home > away, home == away, home < away
    for name, holds in (("home", won), ("draw", level), ("away", lost)):
        yield _plain(grid, "1x2", name, holds)
    for name, holds in (("home_or_draw", won | level), ("home_or_away", won | lost), ("draw_or_away", level | lost)):
        yield _plain(grid, "double_chance", name, holds)
    p_home, p_draw, p_away = (float(grid[holds].sum()) for holds in (won, level, lost))
    yield Selection(market="draw_no_bet", outcome="home", win=p_home, push=p_draw, loss=p_away)
    yield Selection(market="draw_no_bet", outcome="away", win=p_away, push=p_draw, loss=p_home)


def _totals(grid: Floats, goals: Floats) -> Iterator[Selection]:
    for line in GOAL_LINES:
        yield _plain(grid, "total", "over", goals > line, line)
        yield _plain(grid, "total", "under", goals < line, line)
    for parity, name in ((1, "odd"), (0, "even")):
        yield _plain(grid, "odd_even", name, goals % 2 == parity)
    for count in range(_MOST_SHOWN + 1):
        yield _plain(grid, "exact_goals", str(count), goals == count)
    yield _plain(grid, "exact_goals", f"{_MOST_SHOWN + 1}+", goals > _MOST_SHOWN)


def _asian(grid: Floats, goals: Floats, ahead: Floats) -> Iterator[Selection]:
    for line in ASIAN_TOTALS:
        yield _settled(grid, "asian_total", "over", line, goals - line)
        yield _settled(grid, "asian_total", "under", line, line - goals)
    for line in ASIAN_HANDICAPS:
        yield _settled(grid, "asian_handicap", "home", line, ahead + line)
        yield _settled(grid, "asian_handicap", "away", line, -ahead - line)


def _settled(grid: Floats, market: str, outcome: str, line: float, beyond: Floats) -> Selection:
    """A selection with quarter lines. beyond: goals past the line; half the stake stands a quarter to either side."""

    def chance(low: float, high: float) -> float:
        return float(grid[(beyond > low) & (beyond < high)].sum())

    return Selection(
        market=market,
        outcome=outcome,
        line=line,
        win=chance(0.3, np.inf),
        half_win=chance(0.2, 0.3),
        push=chance(-0.2, 0.2),
        half_loss=chance(-0.3, -0.2),
        loss=chance(-np.inf, -0.3),
    )


def _european(grid: Floats, ahead: Floats) -> Iterator[Selection]:
    for line in EUROPEAN_HANDICAPS:
        yield _plain(grid, "european_handicap", "home", ahead + line > 0, line)
        yield _plain(grid, "european_handicap", "draw", ahead + line == 0, line)
        yield _plain(grid, "european_handicap", "away", ahead + line < 0, line)


def _teams(grid: Floats, home: Floats, away: Floats) -> Iterator[Selection]:
    both = (home > 0) & (away > 0)
    yield _plain(grid, "btts", "yes", both)
    yield _plain(grid, "btts", "no", ~both)
    for name, own, other in (("home", home, away), ("away", away, home)):
        for line in TEAM_LINES:
            yield _plain(grid, f"team_total_{name}", "over", own > line, line)
            yield _plain(grid, f"team_total_{name}", "under", own < line, line)
        yield _plain(grid, "clean_sheet", name, other == 0)
        yield _plain(grid, "win_to_nil", name, (own > other) & (other == 0))
        for margin in (1, 2, 3):
            yield _plain(grid, "winning_margin", f"{name}_{margin}", own - other == margin)
        yield _plain(grid, "winning_margin", f"{name}_4+", own - other > 3)
    yield _plain(grid, "winning_margin", "draw", home == away)


def _scores(grid: Floats, home: Floats, away: Floats) -> Iterator[Selection]:
    for a in range(_MOST_SHOWN + 1):
        for b in range(_MOST_SHOWN + 1):
            yield _plain(grid, "correct_score", f"{a}-{b}", (home == a) & (away == b))
    yield _plain(grid, "correct_score", "other", (home > _MOST_SHOWN) | (away > _MOST_SHOWN))
