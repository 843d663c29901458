"""From decimal odds to probabilities: three ways to take the bookmaker's margin away.

Odds are arrays of one row for each match and one column for each outcome. A row with an odd that is missing or not above
1 has no answer: its probabilities are NaN.
"""

import math
from collections.abc import Callable, Mapping
from typing import Final

import numpy as np

from ossature.services.predict.domain.native import Floats, compiled

_LOWEST, _HIGHEST = 0.5, 3.0
_CLOSE = 1e-13


def proportional(odds: Floats) -> Floats:
    """Probabilities when the margin is taken from all outcomes alike."""
    shares = 1.0 / _usable(odds)
    answer: Floats = shares / shares.sum(axis=1, keepdims=True)
    return answer


def power(odds: Floats) -> Floats:
    """Probabilities (1 / odds)^k with the k in 0.5 to 3 that makes them sum to 1: long shots carry more of the margin."""
    return _power(_usable(odds))


def shin(odds: Floats) -> Floats:
    """Probabilities when a share of the stakes is insiders' money. Source: Shin 1993."""
    return _shin(_usable(odds))


METHODS: Final[Mapping[str, Callable[[Floats], Floats]]] = {"proportional": proportional, "power": power, "shin": shin}


def first_complete(*groups: Floats) -> Floats:
    """Of each row the first group of odds that is whole, NaN where none is: books start and stop."""
    chosen = _usable(groups[0])
    for group in groups[1:]:
        lacking = np.isnan(chosen.sum(axis=1, keepdims=True))
        chosen = np.where(lacking, _usable(group), chosen)
    return chosen


def _usable(odds: Floats) -> Floats:
    return np.where(np.isfinite(odds) & (odds > 1.0), odds, np.nan)


@compiled
def _power(odds: Floats) -> Floats:
    fair = np.empty_like(odds)
    for i in range(odds.shape[0]):
        exponent = _exponent(odds[i])
        total = 0.0
        for j in range(odds.shape[1]):
            fair[i, j] = math.exp(-exponent * math.log(odds[i, j]))
            total += fair[i, j]
        for j in range(odds.shape[1]):
            fair[i, j] /= total
    return fair


@compiled
def _exponent(odds: Floats) -> float:
    """Newton on a sum that is convex and falls in k: from the second step on it comes to the root from below."""
    exponent = 1.0
    for _ in range(50):
        total, slope = -1.0, 0.0
        for price in odds:
            log = math.log(price)
            share = math.exp(-exponent * log)
            total += share
            slope -= share * log
        step = total / slope
        exponent -= step
        if not abs(step) > _CLOSE:
            break
    return min(max(exponent, _LOWEST), _HIGHEST)


@compiled
def _shin(odds: Floats) -> Floats:
    fair = np.empty_like(odds)
    for i in range(odds.shape[0]):
        book = 0.0
        for price in odds[i]:
            book += 1.0 / price
        low, high = 0.0, 0.4
        for _ in range(60):
            insiders = (low + high) / 2
            total = 0.0
            for price in odds[i]:
                total += _shin_share(price, book, insiders)
            if total > 1.0:
                low = insiders
            else:
                high = insiders
        total = 0.0
        for j in range(odds.shape[1]):
            fair[i, j] = _shin_share(odds[i, j], book, low)
            total += fair[i, j]
        for j in range(odds.shape[1]):
            fair[i, j] /= total
    return fair


@compiled
def _shin_share(price: float, book: float, insiders: float) -> float:
    root = math.sqrt(insiders * insiders + 4.0 * (1.0 - insiders) / (price * price * book))
    return (root - insiders) / (2.0 * (1.0 - insiders))
