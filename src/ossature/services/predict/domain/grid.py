"""One distribution of scores for each forecast, from which every market is a sum.

Two Poisson rates with the correction rho for the four lowest scores (Dixon and Coles 1997). A grid has the smallest side
of 11, 16 and 21 that leaves out at most 1e-5, and is then made to sum to 1.
"""

import math
from typing import Final, NamedTuple

import numpy as np

from ossature.services.predict.domain.native import Floats, compiled

SIDES: Final = (11, 16, 21)
LEAST_RATE, MOST_RATE = 0.05, 6.5
LEAST_RHO, MOST_RHO = -0.3, 0.25
_LEFT_OUT = 1e-5
_CLOSE = 1e-9


class Heads(NamedTuple):
    """The sums that a forecast shows first; one value for each match."""

    home: Floats
    draw: Floats
    away: Floats
    over_2_5: Floats
    btts: Floats


class Solved(NamedTuple):
    """Rates and rho of each match, and the largest difference between a wanted head and the grid's."""

    lam_home: Floats
    lam_away: Floats
    rho: Floats
    residual: Floats


def heads(lam_home: Floats, lam_away: Floats, rho: Floats) -> Heads:
    """Outcome, over 2.5 goals and both teams to score, summed over the grid of each match.

    Rates are clipped to 0.05 to 6.5 goals, rho to what leaves every cell at least 0.
    """
    return Heads(*_heads_of_all(*_clipped(lam_home, lam_away, rho)))


def score_grid(lam_home: float, lam_away: float, rho: float) -> Floats:
    """Probability of each score, home goals down and away goals across; sums to 1."""
    home, away, one_rho = _clipped(np.array([lam_home]), np.array([lam_away]), np.array([rho]))
    side = _side(home[0], away[0])
    grid = np.outer(_poisson(home[0], side), _poisson(away[0], side))
    for goals_home in (0, 1):
        for goals_away in (0, 1):
            grid[goals_home, goals_away] *= _correction(goals_home, goals_away, home[0], away[0], one_rho[0])
    answer: Floats = grid / grid.sum()
    return answer


def solve(home: Floats, draw: Floats, over_2_5: Floats) -> Solved:
    """The rates and rho whose grid says these probabilities of home win, draw and over 2.5 goals.

    Exact below 1e-6 unless rho meets its bound: then the difference of home and away win and the total are kept, and
    `residual` says how far the draw is off.
    """
    columns = np.empty((len(home), 4))
    _solve_all(home, draw, over_2_5, columns)
    return Solved(columns[:, 0], columns[:, 1], columns[:, 2], columns[:, 3])


def rho_bounds(lam_home: float, lam_away: float) -> tuple[float, float]:
    """The lowest and the highest rho that leave every cell of this grid at least 0."""
    return _bounds(lam_home, lam_away)


def _clipped(lam_home: Floats, lam_away: Floats, rho: Floats) -> tuple[Floats, Floats, Floats]:
    home, away = np.clip(lam_home, LEAST_RATE, MOST_RATE), np.clip(lam_away, LEAST_RATE, MOST_RATE)
    low = np.maximum(np.maximum(-1.0 / home, -1.0 / away), LEAST_RHO)
    high = np.minimum(np.minimum(1.0 / (home * away), 1.0), MOST_RHO)
    return home, away, np.clip(rho, low, high)


@compiled
def _bounds(home: float, away: float) -> tuple[float, float]:
    low = max(-1.0 / home, -1.0 / away, LEAST_RHO)
    high = min(1.0 / (home * away), 1.0, MOST_RHO)
    return low, high


@compiled
def _heads_of_all(home: Floats, away: Floats, rho: Floats) -> tuple[Floats, Floats, Floats, Floats, Floats]:
    sums = np.empty((5, len(home)))
    for i in range(len(home)):
        sums[0, i], sums[1, i], sums[2, i], sums[3, i], sums[4, i] = _heads(home[i], away[i], rho[i])
    return sums[0], sums[1], sums[2], sums[3], sums[4]


@compiled
def _heads(lam_home: float, lam_away: float, rho: float) -> tuple[float, float, float, float, float]:
    side = _side(lam_home, lam_away)
    home, away = _poisson(lam_home, side), _poisson(lam_away, side)
    win = level = under = 0.0
    fewer = 0.0  # chance that away scores less than a
    for a in range(side):
        win += home[a] * fewer
        level += home[a] * away[a]
        fewer += away[a]
        for b in range(max(0, 3 - a)):
            under += home[a] * away[b]
    total_home, total_away = _sum(home), fewer
    lose = total_home * total_away - win - level
    blank = home[0] * total_away + away[0] * total_home - home[0] * away[0]
    # The four corrections move mass among the lowest scores: 0-0 and 1-1 are level, 1-0 is won, 0-1 is lost.
    nil = home[0] * away[0] * (_correction(0, 0, lam_home, lam_away, rho) - 1.0)
    one = home[1] * away[1] * (_correction(1, 1, lam_home, lam_away, rho) - 1.0)
    ahead = home[1] * away[0] * (_correction(1, 0, lam_home, lam_away, rho) - 1.0)
    behind = home[0] * away[1] * (_correction(0, 1, lam_home, lam_away, rho) - 1.0)
    moved = nil + one + ahead + behind
    mass = total_home * total_away + moved
    over = 1.0 - (under + moved) / mass
    btts = 1.0 - (blank + nil + ahead + behind) / mass
    return (win + ahead) / mass, (level + nil + one) / mass, (lose + behind) / mass, over, btts


@compiled
def _sum(values: Floats) -> float:
    total = 0.0
    for value in values:
        total += value
    return total


@compiled
def _correction(goals_home: int, goals_away: int, lam_home: float, lam_away: float, rho: float) -> float:
    if goals_home == 0 and goals_away == 0:
        return 1.0 - lam_home * lam_away * rho
    if goals_home == 0:
        return 1.0 + lam_home * rho
    if goals_away == 0:
        return 1.0 + lam_away * rho
    return 1.0 - rho


@compiled
def _poisson(rate: float, side: int) -> Floats:
    chances = np.empty(side)
    chances[0] = math.exp(-rate)
    for goals in range(1, side):
        chances[goals] = chances[goals - 1] * rate / goals
    return chances


@compiled
def _side(lam_home: float, lam_away: float) -> int:
    for side in SIDES:
        kept_home, kept_away = _sum(_poisson(lam_home, side)), _sum(_poisson(lam_away, side))
        if 1.0 - kept_home * kept_away <= _LEFT_OUT:
            return side
    return SIDES[-1]


@compiled
def _solve_all(home: Floats, draw: Floats, over: Floats, columns: Floats) -> None:
    for i in range(len(home)):
        columns[i, 0], columns[i, 1], columns[i, 2], columns[i, 3] = _solve(home[i], draw[i], over[i])


@compiled
def _solve(home: float, draw: float, over: float) -> tuple[float, float, float, float]:
    """Newton with a numeric Jacobian; unknowns are the logarithms of the rates, and rho."""
    away = 1.0 - home - draw
    goals = 2.6 * (over / 0.5) ** 0.8
    log_home = math.log(goals / 2) + 0.45 * math.log(home / away) * 0.9
    log_away = math.log(goals / 2) - 0.45 * math.log(home / away) * 0.9
    rho, free = -0.05, True
    least, most = math.log(LEAST_RATE), math.log(MOST_RATE)
    for _ in range(60):
        log_home, log_away, new_rho, size = _step(log_home, log_away, rho, free, home, draw, over)
        log_home, log_away = min(max(log_home, least), most), min(max(log_away, least), most)
        low, high = _bounds(math.exp(log_home), math.exp(log_away))
        rho = min(max(new_rho, low), high)
        if free and rho != new_rho and size < 0.05:
            free = False  # rho stays at its bound; the other two unknowns keep balance and total
        if size < _CLOSE:
            break
    lam_home, lam_away = math.exp(log_home), math.exp(log_away)
    found = _heads(lam_home, lam_away, rho)
    residual = max(abs(found[0] - home), abs(found[1] - draw), abs(found[3] - over))
    return lam_home, lam_away, rho, residual


@compiled
def _step(
    log_home: float,
    log_away: float,
    rho: float,
    free: bool,  # noqa: FBT001 - a kernel has no keywords
    home: float,
    draw: float,
    over: float,
) -> tuple[float, float, float, float]:
    """One step, at most half a unit of a logarithm and 0.2 of rho: the new unknowns and the size of the step."""
    balance = home - (1.0 - home - draw)
    nudge = 1e-6
    here = _errors(log_home, log_away, rho, balance, draw, over)
    by_home = _errors(log_home + nudge, log_away, rho, balance, draw, over)
    by_away = _errors(log_home, log_away + nudge, rho, balance, draw, over)
    a, b = (by_home[0] - here[0]) / nudge, (by_away[0] - here[0]) / nudge
    d, e = (by_home[1] - here[1]) / nudge, (by_away[1] - here[1]) / nudge
    if free:
        by_rho = _errors(log_home, log_away, rho - nudge, balance, draw, over)
        c, f, k = (here[0] - by_rho[0]) / nudge, (here[1] - by_rho[1]) / nudge, (here[2] - by_rho[2]) / nudge
        g, h = (by_home[2] - here[2]) / nudge, (by_away[2] - here[2]) / nudge
    else:
        c, f, g, h, k = 0.0, 0.0, 0.0, 0.0, 1.0
    last = here[2] if free else 0.0
    scale = a * (e * k - f * h) - b * (d * k - f * g) + c * (d * h - e * g)
    if scale == 0.0:
        return log_home, log_away, rho, 0.0  # at the rim of what a grid can say no step leads on
    x = -(here[0] * (e * k - f * h) - b * (here[1] * k - f * last) + c * (here[1] * h - e * last)) / scale
    y = -(a * (here[1] * k - f * last) - here[0] * (d * k - f * g) + c * (d * last - here[1] * g)) / scale
    z = -(a * (e * last - here[1] * h) - b * (d * last - here[1] * g) + here[0] * (d * h - e * g)) / scale
    x, y, z = min(max(x, -0.5), 0.5), min(max(y, -0.5), 0.5), min(max(z, -0.2), 0.2)
    return log_home + x, log_away + y, rho + z, max(abs(x), abs(y), abs(z))


@compiled
def _errors(
    log_home: float, log_away: float, rho: float, balance: float, draw: float, over: float
) -> tuple[float, float, float]:
    found = _heads(math.exp(log_home), math.exp(log_away), rho)
    return found[0] - found[2] - balance, found[3] - over, found[1] - draw
