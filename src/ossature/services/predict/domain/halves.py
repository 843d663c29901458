"""What is still open at half-time: the score so far, and Poisson goals at the rates of the second half."""

import math
from typing import Final

import numpy as np

from ossature.services.predict.domain.ladder import Forecasts
from ossature.services.predict.domain.native import Floats, compiled

SECOND_HALF: Final = 0.561
"""The share of goals that falls after half-time."""

_SIDE: Final = 16


def at_half_time(before: Forecasts, goals_home: Floats, goals_away: Floats) -> Forecasts:
    """The forecast at half-time with this score, from the one before the match. Its rates are those that remain."""
    lam_home, lam_away = before.lam_home * SECOND_HALF, before.lam_away * SECOND_HALF
    sums = np.empty((5, len(lam_home)))
    _remaining(lam_home, lam_away, goals_home, goals_away, sums)
    return Forecasts(sums[:3].T, lam_home, lam_away, np.zeros(len(lam_home)), sums[3], sums[4])


@compiled
def _remaining(lam_home: Floats, lam_away: Floats, goals_home: Floats, goals_away: Floats, sums: Floats) -> None:
    for i in range(len(lam_home)):
        more_home, more_away = _poisson(lam_home[i]), _poisson(lam_away[i])
        win = level = over = both = 0.0
        for a in range(_SIDE):
            for b in range(_SIDE):
                chance = more_home[a] * more_away[b]
                home, away = goals_home[i] + a, goals_away[i] + b
                win += chance if home > away else 0.0
                level += chance if home == away else 0.0
                over += chance if home + away > 2.5 else 0.0
                both += chance if home > 0 and away > 0 else 0.0
        sums[0, i], sums[1, i], sums[2, i] = win, level, 1.0 - win - level
        sums[3, i], sums[4, i] = over, both


@compiled
def _poisson(rate: float) -> Floats:
    chances = np.empty(_SIDE)
    chances[0] = math.exp(-rate)
    total = chances[0]
    for goals in range(1, _SIDE):
        chances[goals] = chances[goals - 1] * rate / goals
        total += chances[goals]
    chances /= total
    return chances
