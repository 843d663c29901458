"""The collective decision: a weighted geometric mean of the members' probabilities, and how far they disagree.

Weights are learnt from the log-loss of the members' past out-of-sample forecasts. A count of votes is shown beside it
and never turned into a probability.
"""

from typing import Final

import numpy as np

from ossature.services.predict.domain.native import Floats, Integers

LEAST_ROWS: Final = 2_000
MOST_ROWS: Final = 20_000
_STEPS: Final = 400
_DECIMALS: Final = 6


def pooled(members: Floats, weights: Floats) -> Floats:
    """The weighted geometric mean, made to sum to 1. members: (m, n, k) probabilities; weights: (m,), not negative, sum 1."""
    mixed = np.exp(np.tensordot(weights, np.log(members), axes=1))
    answer: Floats = mixed / mixed.sum(axis=1, keepdims=True)
    return answer


def learn_weights(members: Floats, outcomes: Integers) -> Floats:
    """The weights with the least pooled log-loss on the newest 20,000 rows; equal below 2,000 rows.

    Exponentiated gradient on a convex loss, with a fixed number of steps; rounded, so that the same rows give the same
    weights.
    """
    count = len(members)
    weights = np.full(count, 1.0 / count)
    if len(outcomes) < LEAST_ROWS:
        return weights
    recent, said = np.log(members[:, -MOST_ROWS:]), outcomes[-MOST_ROWS:]
    told = recent[:, np.arange(len(said)), said]
    for _ in range(_STEPS):
        mixed = np.exp(np.tensordot(weights, recent, axes=1))
        mixed /= mixed.sum(axis=1, keepdims=True)
        slope = ((recent * mixed).sum(axis=2) - told).mean(axis=1)
        weights = weights * np.exp(-20.0 * (slope - slope.mean()))
        weights /= weights.sum()
    weights = np.round(weights, _DECIMALS)
    answer: Floats = weights / weights.sum()
    return answer


def dispersion(members: Floats, weights: Floats) -> Floats:
    """How far the members disagree on each match: weighted Jensen-Shannon divergence, in nats."""
    mixed = np.tensordot(weights, members, axes=1)
    own = np.tensordot(weights, (members * np.log(members)).sum(axis=2), axes=1)
    answer: Floats = np.maximum(own - (mixed * np.log(mixed)).sum(axis=1), 0.0)
    return answer


def votes(members: Floats) -> Integers:
    """How many members have each outcome as their favourite: (n, k)."""
    favourite = members.argmax(axis=2)
    answer: Integers = (favourite[:, :, None] == np.arange(members.shape[2])).sum(axis=0)
    return answer
