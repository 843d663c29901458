"""Market memory: one number for each team that learns from the odds of its past matches.

The market's opinion of a finished match is z = ln(p_home / p_away) after the margin was removed, and the same for its
totals. A team's number moves towards that opinion, and a little by the surprise of the result. It holds about 60 % of
what separates ratings of results from the market itself. The odds of a match are never used before it is over.
"""

import math
from typing import Final, NamedTuple

import numpy as np

from ossature.services.predict.domain.native import NATIVE, Flags, Floats, Integers, compiled_in_place

FEATURES: Final = ("market", "market_total", "strength_home", "strength_away", "prices_home", "prices_away")
"""Columns of what `remember` gives: the expected z of the outcome and of totals, the two numbers, prices seen of each."""

_GAP_DAYS = 40
_MARGIN_CAP = 3.0


class Steps(NamedTuple):
    """How fast the memory learns: from a price, from a result, from a total, and more from a price after a gap of 40 days."""

    price: float = 0.35
    result: float = 0.02
    total: float = 0.08
    after_gap: float = 0.15


FAST: Final = Steps()
SLOW: Final = Steps(price=0.10, total=0.04, after_gap=0.0)


class Priced(NamedTuple):
    """All matches in order of their days, as the memory sees them. z values are NaN where there was no price."""

    day: Integers
    home: Integers
    away: Integers
    league: Integers
    neutral: Flags
    ahead: Floats
    outcome: Floats
    total: Floats


class Memory(NamedTuple):
    """State: strength is NaN until a team's first match; the last three belong to leagues."""

    strength: Floats
    totals: Floats
    prices: Floats
    last_day: Floats
    home_edge: Floats
    league_strength: Floats
    league_totals: Floats


def new_memory(teams: int, leagues: int) -> Memory:
    """The memory before any match."""
    return Memory(
        strength=np.full(teams, np.nan),
        totals=np.zeros(teams),
        prices=np.zeros(teams),
        last_day=np.full(teams, -99_999.0),
        home_edge=np.full(leagues, 0.55),
        league_strength=np.zeros(leagues),
        league_totals=np.zeros(leagues),
    )


def remember(priced: Priced, memory: Memory, steps: Steps = FAST) -> Floats:
    """What the market was expected to say before each match: one row of `FEATURES` each. `memory` moves on.

    Raises: ValueError when the matches are not in the order of their days.
    """
    if np.any(np.diff(priced.day) < 0):
        raise ValueError("matches must be in the order of their days")
    known = np.empty((len(priced.day), len(FEATURES)))
    if NATIVE:
        _pass(priced, memory, steps, known)
        return known
    moved = Memory(*(one.tolist() for one in memory))
    _pass(Priced(*(one.tolist() for one in priced)), moved, steps, known)
    for kept, column in zip(memory, moved, strict=True):
        kept[:] = column
    return known


@compiled_in_place
def _pass(priced: Priced, memory: Memory, steps: Steps, known: Floats) -> None:
    first, count = 0, len(priced.day)
    while first < count:
        end = first
        while end < count and priced.day[end] == priced.day[first]:
            end += 1
        for i in range(first, end):
            _describe(priced, memory, i, known)
        for i in range(first, end):
            if not math.isnan(priced.ahead[i]):
                _learn(priced, memory, steps, i, known)
        first = end


@compiled_in_place
def _describe(priced: Priced, memory: Memory, i: int, known: Floats) -> None:
    home, away, league = priced.home[i], priced.away[i], priced.league[i]
    for team in (home, away):
        if math.isnan(memory.strength[team]):
            memory.strength[team] = memory.league_strength[league] - 0.4
    edge = 0.0 if priced.neutral[i] else memory.home_edge[league]
    known[i, 0] = memory.strength[home] - memory.strength[away] + edge
    known[i, 1] = memory.totals[home] + memory.totals[away] + memory.league_totals[league]
    known[i, 2], known[i, 3] = memory.strength[home], memory.strength[away]
    known[i, 4], known[i, 5] = memory.prices[home], memory.prices[away]


@compiled_in_place
def _learn(priced: Priced, memory: Memory, steps: Steps, i: int, known: Floats) -> None:
    home, away, league = priced.home[i], priced.away[i], priced.league[i]
    said = priced.outcome[i]
    if math.isnan(said):
        said = known[i, 0]
    else:
        error = said - known[i, 0]
        memory.strength[home] += _step(memory, steps, home, priced.day[i]) * error
        memory.strength[away] -= _step(memory, steps, away, priced.day[i]) * error
        if not priced.neutral[i]:
            memory.home_edge[league] += 0.003 * error
        memory.prices[home] += 1.0
        memory.prices[away] += 1.0
    surprise = min(max(priced.ahead[i], -_MARGIN_CAP), _MARGIN_CAP) - 0.62 * said
    memory.strength[home] += steps.result * surprise
    memory.strength[away] -= steps.result * surprise
    if not math.isnan(priced.total[i]):
        error = priced.total[i] - known[i, 1]
        memory.totals[home] += steps.total * error
        memory.totals[away] += steps.total * error
        memory.league_totals[league] += 0.01 * error
    memory.last_day[home] = priced.day[i]
    memory.last_day[away] = priced.day[i]
    mean = (memory.strength[home] + memory.strength[away]) / 2
    memory.league_strength[league] += 0.01 * (mean - memory.league_strength[league])


@compiled_in_place
def _step(memory: Memory, steps: Steps, team: int, day: int) -> float:
    more = steps.after_gap if day - memory.last_day[team] > _GAP_DAYS else 0.0
    step: float = max(steps.price, 0.5 / (1.0 + memory.prices[team])) + more
    return step
