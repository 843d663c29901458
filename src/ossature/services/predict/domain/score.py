"""What a forecast was worth: proper scores, calibration, and paired comparisons on identical matches.

Probabilities are arrays of one row for each match: home win, draw, away win. Outcomes are 0, 1 and 2 in that order.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from ossature.services.predict.domain.native import Floats, Integers

BINS: Final = 15
_Z95: Final = 1.959963984540054


@dataclass(frozen=True, slots=True)
class Summary:
    """Means over `n` matches; `ece_floor` is what a perfectly calibrated forecaster would show on as many."""

    n: int
    rps: float
    log_loss: float
    brier: float
    accuracy: float
    ece: float
    ece_floor: float


@dataclass(frozen=True, slots=True)
class Gap:
    """A mean difference on identical matches; its interval (95 %) treats the matches of one day as one."""

    n: int
    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Bin:
    """Forecasts of about the same probability: how many, what they said on average, how often it came true (Wilson 95 %)."""

    n: int
    said: float
    observed: float
    low: float
    high: float


def outcome(goals_home: Floats, goals_away: Floats) -> Integers:
    """0 where the home team won, 1 where nobody did, 2 where the away team won."""
    return np.where(goals_home > goals_away, 0, np.where(goals_home == goals_away, 1, 2)).astype(np.int64)


def rps(chances: Floats, outcomes: Integers) -> Floats:
    """Ranked probability score of each match; 0 is perfect. Source: Constantinou and Fenton 2012."""
    happened = _happened(chances, outcomes)
    apart = np.cumsum(chances - happened, axis=1)[:, :-1]
    answer: Floats = (apart**2).sum(axis=1) / (chances.shape[1] - 1)
    return answer


def log_loss(chances: Floats, outcomes: Integers) -> Floats:
    """Minus the logarithm of the probability of what happened."""
    answer: Floats = -np.log(np.clip(chances[np.arange(len(outcomes)), outcomes], 1e-12, 1.0))
    return answer


def brier(chances: Floats, outcomes: Integers) -> Floats:
    """Sum of squared differences from what happened."""
    answer: Floats = ((chances - _happened(chances, outcomes)) ** 2).sum(axis=1)
    return answer


def ece(chances: Floats, outcomes: Integers, *, bins: int = BINS) -> float:
    """Expected calibration error: bins of equal count, mean over the outcomes of share times |said - observed|."""
    happened = _happened(chances, outcomes)
    apart = 0.0
    for kind in range(chances.shape[1]):
        for members in np.array_split(np.argsort(chances[:, kind], kind="stable"), bins):
            if len(members):
                apart += len(members) * abs(chances[members, kind].mean() - happened[members, kind].mean())
    return float(apart / len(chances) / chances.shape[1])


def ece_floor(chances: Floats, *, seed: int = 0, rounds: int = 20) -> float:
    """The mean calibration error of these very forecasts if results were drawn from them: no forecaster shows less."""
    random = np.random.default_rng(seed)
    edges = np.cumsum(chances, axis=1)[:, :-1]
    errors = []
    for _ in range(rounds):
        drawn = (random.random((len(chances), 1)) > edges).sum(axis=1)
        errors.append(ece(chances, drawn))
    return float(np.mean(errors))


def summary(chances: Floats, outcomes: Integers) -> Summary:
    """All means at once. Raises: ValueError without matches."""
    if len(outcomes) == 0:
        raise ValueError("there is nothing to score")
    return Summary(
        n=len(outcomes),
        rps=float(rps(chances, outcomes).mean()),
        log_loss=float(log_loss(chances, outcomes).mean()),
        brier=float(brier(chances, outcomes).mean()),
        accuracy=float((chances.argmax(axis=1) == outcomes).mean()),
        ece=ece(chances, outcomes),
        ece_floor=ece_floor(chances),
    )


def paired(ours: Floats, theirs: Floats, days: Integers) -> Gap:
    """Mean of `ours` - `theirs`, with errors clustered by day. Raises: ValueError without matches."""
    if len(ours) == 0:
        raise ValueError("there is nothing to compare")
    apart = ours - theirs
    mean = float(apart.mean())
    _, group = np.unique(days, return_inverse=True)
    of_days = np.bincount(group, weights=apart - mean)
    wide = _Z95 * float(np.sqrt((of_days**2).sum())) / len(apart)
    return Gap(len(apart), mean, mean - wide, mean + wide)


def reliability(said: Floats, came_true: Floats, *, bins: int = BINS) -> list[Bin]:
    """Bins of equal count, from the lowest probability to the highest. came_true: 1 or 0 for each forecast."""
    order = np.argsort(said, kind="stable")
    found = []
    for members in np.array_split(order, bins):
        if len(members):
            hits, n = int(came_true[members].sum()), len(members)
            low, high = wilson(hits, n)
            found.append(Bin(n, float(said[members].mean()), hits / n, low, high))
    return found


def wilson(hits: int, n: int) -> tuple[float, float]:
    """The 95 % interval of a frequency. Source: Wilson 1927."""
    share, z2 = hits / n, _Z95**2
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = _Z95 * np.sqrt(share * (1 - share) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    return max(0.0, float(middle - half)), min(1.0, float(middle + half))


def _happened(chances: Floats, outcomes: Integers) -> Floats:
    answer: Floats = (outcomes[:, None] == np.arange(chances.shape[1])).astype(np.float64)
    return answer
