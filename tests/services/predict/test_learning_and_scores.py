"""The logit, the pool and the scores."""

import numpy as np
import pytest

from ossature.services.predict.domain import logit, pool, score


def _drawn(chances: np.ndarray, seed: int = 5) -> np.ndarray:
    random = np.random.default_rng(seed)
    return (random.random((len(chances), 1)) > np.cumsum(chances, axis=1)[:, :-1]).sum(axis=1)


def _truth(count: int, seed: int = 4) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    inputs = random.normal(0, 1, (count, 3))
    scores = np.column_stack([0.9 * inputs[:, 0] + 0.4, 0.2 * inputs[:, 1], np.zeros(count)])
    chances = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    return inputs, chances


def test_a_logit_finds_the_probabilities_behind_the_outcomes() -> None:
    inputs, chances = _truth(40_000)

    fitted = logit.fit(inputs, _drawn(chances), count=3)

    found = fitted.probabilities(inputs)
    assert found.sum(axis=1) == pytest.approx(np.ones(len(inputs)))
    assert np.abs(found - chances).mean() < 0.01
    assert np.abs(fitted.weights[:, 3]).max() < 0.05  # the third input says nothing


def test_the_same_rows_give_the_same_logit_and_others_another() -> None:
    inputs, chances = _truth(2_000)
    outcomes = _drawn(chances)

    one, same = logit.fit(inputs, outcomes, count=3), logit.fit(inputs.copy(), outcomes, count=3)

    assert one.fingerprint() == same.fingerprint()
    assert one.fingerprint() != logit.fit(inputs[1:], outcomes[1:], count=3).fingerprint()


def test_a_logit_of_nothing_or_of_holes_is_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        logit.fit(np.array([[np.nan]]), np.array([0]), count=3)
    with pytest.raises(ValueError, match="one row"):
        logit.fit(np.empty((0, 2)), np.empty(0, dtype=int), count=3)


def test_scores_of_known_forecasts() -> None:
    chances = np.array([[0.5, 0.3, 0.2], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    outcomes = np.array([0, 0, 0])

    assert score.rps(chances, outcomes) == pytest.approx([(0.5**2 + 0.2**2) / 2, 0.0, 1.0])
    assert score.brier(chances, outcomes) == pytest.approx([0.38, 0.0, 2.0])
    assert score.log_loss(chances, outcomes)[0] == pytest.approx(-np.log(0.5))


def test_a_calibrated_forecaster_is_at_the_floor_and_an_overconfident_one_above_it() -> None:
    _, chances = _truth(15_000)
    outcomes = _drawn(chances)
    sharp = chances**1.5 / (chances**1.5).sum(axis=1, keepdims=True)

    honest, proud = score.summary(chances, outcomes), score.summary(sharp, outcomes)

    assert honest.ece < honest.ece_floor + 0.004
    assert proud.ece > proud.ece_floor + 0.02
    assert honest.rps < proud.rps


def test_a_paired_gap_counts_a_day_once() -> None:
    random = np.random.default_rng(1)
    days = np.repeat(np.arange(50), 8)
    of_day = random.normal(0.01, 0.05, 50)[days]

    together = score.paired(of_day, np.zeros(400), days)
    apart = score.paired(of_day, np.zeros(400), np.arange(400))

    assert together.mean == pytest.approx(of_day.mean())
    assert together.high - together.low > 2 * (apart.high - apart.low)


def test_reliability_bins_hold_all_forecasts_and_their_intervals_the_truth() -> None:
    random = np.random.default_rng(2)
    said = random.random(6_000)
    bins = score.reliability(said, (random.random(6_000) < said).astype(float), bins=10)

    assert sum(each.n for each in bins) == 6_000
    assert [each.said for each in bins] == sorted(each.said for each in bins)
    assert sum(each.low <= each.said <= each.high for each in bins) >= 8


def test_wilson_stays_within_zero_and_one() -> None:
    assert score.wilson(0, 10)[0] == pytest.approx(0, abs=1e-12)
    assert score.wilson(10, 10)[1] == pytest.approx(1, abs=1e-12)
    assert score.wilson(50, 100) == pytest.approx((0.4038, 0.5962), abs=1e-4)


def test_the_pool_learns_whom_to_trust() -> None:
    _, good = _truth(6_000)
    outcomes = _drawn(good)
    blind = np.full_like(good, 1 / 3)

    weights = pool.learn_weights(np.stack([blind, good]), outcomes)

    assert weights.sum() == pytest.approx(1)
    assert weights[1] > 0.9
    mixed = pool.pooled(np.stack([blind, good]), weights)
    assert score.rps(mixed, outcomes).mean() <= score.rps(good, outcomes).mean() + 1e-4


def test_few_rows_leave_the_members_equal() -> None:
    _, good = _truth(500)

    assert pool.learn_weights(np.stack([good, good, good]), _drawn(good)) == pytest.approx(np.full(3, 1 / 3))


def test_members_that_agree_have_no_dispersion_and_their_votes_are_counted() -> None:
    one, other = np.array([[0.6, 0.3, 0.1]]), np.array([[0.1, 0.3, 0.6]])
    half = np.array([0.5, 0.5])

    assert pool.dispersion(np.stack([one, one]), half)[0] == pytest.approx(0, abs=1e-12)
    assert pool.dispersion(np.stack([one, other]), half)[0] > 0.1
    assert pool.votes(np.stack([one, one, other])).tolist() == [[2, 0, 1]]
