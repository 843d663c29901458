"""The rating kernels: a day is a batch, a snapshot goes on where it was taken, and plain Python gives the same numbers."""

import subprocess
import sys

import numpy as np
import pytest

from ossature.services.predict.domain import memory, ratings

TEAMS, LEAGUES = 24, 2

PLAIN = """
import sys
sys.modules["numba"] = None
import numpy as np
from tests.services.predict.test_ratings import some_matches, some_prices, TEAMS, LEAGUES
from ossature.services.predict.domain import memory, native, ratings
assert not native.NATIVE
state = ratings.new_state(TEAMS, LEAGUES)
known = ratings.rate(some_matches(600), state)
market = memory.remember(some_prices(600), memory.new_memory(TEAMS, LEAGUES))
np.savez(sys.argv[1], known=known, market=market, elo=state.teams.elo)
"""


def some_matches(count: int, *, seed: int = 3) -> ratings.Matches:
    random = np.random.default_rng(seed)
    home = random.integers(0, TEAMS, count)
    away = (home + random.integers(1, TEAMS, count)) % TEAMS
    shots = random.poisson(5.0, (2, count)).astype(float)
    shots[:, random.random(count) < 0.3] = np.nan
    return ratings.Matches(
        day=np.sort(random.integers(0, count // 5, count)),
        home=home,
        away=away,
        league=(home >= TEAMS // 2).astype(np.int64),
        neutral=random.random(count) < 0.1,
        goals_home=random.poisson(1.5, count).astype(float),
        goals_away=random.poisson(1.2, count).astype(float),
        shots_home=shots[0],
        shots_away=shots[1],
    )


def some_prices(count: int, *, seed: int = 3) -> memory.Priced:
    matches, random = some_matches(count, seed=seed), np.random.default_rng(seed + 1)
    said = random.normal(0.4, 0.8, (2, count))
    said[:, random.random(count) < 0.2] = np.nan
    ahead = matches.goals_home - matches.goals_away
    return memory.Priced(*matches[:5], ahead=ahead, outcome=said[0], total=said[1])


def _until(matches: ratings.Matches, first: int, end: int) -> ratings.Matches:
    return ratings.Matches(*(one[first:end] for one in matches))


def test_plain_python_gives_the_numbers_of_the_compiled_kernel(tmp_path: object) -> None:
    kept = f"{tmp_path}/plain.npz"
    subprocess.run([sys.executable, "-c", PLAIN, kept], check=True)
    plain = np.load(kept)

    state = ratings.new_state(TEAMS, LEAGUES)
    known = ratings.rate(some_matches(600), state)
    market = memory.remember(some_prices(600), memory.new_memory(TEAMS, LEAGUES))

    np.testing.assert_allclose(known, plain["known"], rtol=0, atol=1e-9)
    np.testing.assert_allclose(market, plain["market"], rtol=0, atol=1e-9)
    np.testing.assert_allclose(state.teams.elo, plain["elo"], rtol=0, atol=1e-9)


def test_no_row_sees_its_own_day_or_a_later_one() -> None:
    matches = some_matches(400)
    cut = int(matches.day[200])
    later = matches.day >= cut
    altered = matches._replace(goals_home=np.where(later, 9.0, matches.goals_home))

    before = ratings.rate(matches, ratings.new_state(TEAMS, LEAGUES))
    after = ratings.rate(altered, ratings.new_state(TEAMS, LEAGUES))

    same = matches.day <= cut
    assert before[same].tobytes() == after[same].tobytes()
    assert not np.array_equal(before[~same], after[~same])


def test_the_memory_uses_no_price_of_its_own_day() -> None:
    priced = some_prices(400)
    cut = int(priced.day[200])
    altered = priced._replace(outcome=np.where(priced.day >= cut, 5.0, priced.outcome))

    before = memory.remember(priced, memory.new_memory(TEAMS, LEAGUES))
    after = memory.remember(altered, memory.new_memory(TEAMS, LEAGUES))

    same = priced.day <= cut
    assert before[same].tobytes() == after[same].tobytes()
    assert not np.array_equal(before[~same], after[~same])


def test_a_replay_from_a_snapshot_ends_where_a_replay_from_the_start_does() -> None:
    matches = some_matches(400)
    cut = int(np.searchsorted(matches.day, matches.day[200]))
    whole = ratings.new_state(TEAMS, LEAGUES)
    everything = ratings.rate(matches, whole)

    state = ratings.new_state(TEAMS, LEAGUES)
    ratings.rate(_until(matches, 0, cut), state)
    snapshot = ratings.copied(state)
    ratings.rate(_until(matches, cut, 400), state)
    rest = ratings.rate(_until(matches, cut, 400), snapshot)

    assert ratings.fingerprint(snapshot) == ratings.fingerprint(whole) == ratings.fingerprint(state)
    assert rest.tobytes() == everything[cut:].tobytes()


def test_a_match_without_a_result_is_described_and_teaches_nothing() -> None:
    matches = some_matches(50)
    unplayed = matches._replace(goals_home=np.full(50, np.nan), goals_away=np.full(50, np.nan))
    state = ratings.new_state(TEAMS, LEAGUES)

    known = ratings.rate(unplayed, state)

    assert np.isfinite(known[:, ratings.COLUMN["lam_home"]]).all()
    assert (state.teams.played == 0).all()


def test_a_winner_rises_and_a_neutral_ground_has_no_host() -> None:
    one = _until(some_matches(20), 0, 1)._replace(
        goals_home=np.array([4.0]), goals_away=np.array([0.0]), neutral=np.array([True])
    )
    state = ratings.new_state(TEAMS, LEAGUES)

    known = ratings.rate(one, state)[0]

    assert known[ratings.COLUMN["lam_home"]] == known[ratings.COLUMN["lam_away"]]
    assert state.teams.elo[one.home[0]] > state.teams.elo[one.away[0]]


def test_matches_out_of_order_are_refused() -> None:
    matches = some_matches(20)
    with pytest.raises(ValueError, match="order of their days"):
        ratings.rate(matches._replace(day=matches.day[::-1]), ratings.new_state(TEAMS, LEAGUES))
