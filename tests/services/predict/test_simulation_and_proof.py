"""The simulated world, whose truth is known, and the chain of rows in a file."""

import hashlib
from collections import Counter

import numpy as np
import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from ossature.services.predict.domain import proof, score
from ossature.services.predict.domain.simulate import World, opinion, simulate


@pytest.fixture(scope="module")
def rows() -> list[dict]:
    return simulate(World(seed=7, seasons=6, leagues=2, teams=12))


def test_the_same_seed_is_the_same_world_and_another_seed_another() -> None:
    world = World(seed=3, seasons=1, teams=6)

    assert simulate(world) == simulate(world)
    assert simulate(world) != simulate(World(seed=4, seasons=1, teams=6))


def test_every_pair_meets_twice_and_teams_change_tiers(rows: list[dict]) -> None:
    season = [row for row in rows if row["season"] == "2019-20" and row["div"] == "S00"]
    pairs = Counter((row["home"], row["away"]) for row in season)
    later = {row["home"] for row in rows if row["season"] == "2020-21" and row["div"] == "S00"}

    assert len(season) == 12 * 11
    assert set(pairs.values()) == {1}
    assert len({row["home"] for row in season} - later) == 2


def test_results_come_from_the_true_probabilities(rows: list[dict]) -> None:
    truth = np.array([[row["true_home"], row["true_draw"], row["true_away"]] for row in rows])
    goals = np.array([[row["FTHG"], row["FTAG"]] for row in rows], dtype=float)
    outcomes = score.outcome(goals[:, 0], goals[:, 1])
    found = score.summary(truth, outcomes)

    assert found.ece < found.ece_floor + 0.012
    assert all(row["HTHG"] <= row["FTHG"] <= row["HST"] <= row["HS"] for row in rows)


def test_closing_prices_are_nearer_to_the_truth_than_early_ones(rows: list[dict]) -> None:
    truth = np.array([[row["true_home"], row["true_draw"], row["true_away"]] for row in rows])

    def apart(book: str) -> float:
        return float(np.abs(np.array([opinion(row, book) for row in rows]) - truth).mean())

    assert apart("PSC") < apart("Avg") < apart("B365")
    assert all(1.0 < sum(1 / row[f"Avg{side}"] for side in "HDA") < 1.12 for row in rows)


def test_the_name_of_a_match_is_the_hash_of_what_it_is(rows: list[dict]) -> None:
    row = rows[0]
    text = f"{row['div']}|{row['date']:%Y%m%d}|{row['home']}|{row['away']}"

    assert row["match_id"] == hashlib.sha1(text.encode()).hexdigest()[:12]


def test_an_odd_tier_is_refused() -> None:
    with pytest.raises(ValueError, match="even number"):
        simulate(World(teams=7))


values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**53) + 1, 2**53 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_categories=["Cs"])),
)


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=5), values, max_size=6))
@settings(max_examples=300, deadline=None)
def test_a_row_has_the_canonical_form_of_rfc_8785(row: dict) -> None:
    assert proof.canonical(row).encode() == rfc8785.dumps(row)


def test_a_number_without_a_json_form_is_refused() -> None:
    for value in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="no JSON form"):
            proof.canonical({"p": value})


def test_a_chain_shows_the_first_row_that_was_altered_moved_or_lost() -> None:
    rows = list(proof.chained({"p_home": 0.1 * n, "name": f"row {n}"} for n in range(5)))

    assert proof.first_fault(rows) is None
    assert proof.first_fault([*rows[:2], {**rows[2], "p_home": 0.9}, *rows[3:]]) == 3
    assert proof.first_fault([rows[0], rows[2], *rows[3:]]) == 2
    assert proof.first_fault([rows[1], rows[0]]) == 1
