"""One grid behind every market: what it says never contradicts itself."""

from collections import defaultdict
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ossature.services.predict.domain import devig, grid
from ossature.services.predict.domain.markets import Selection, all_markets

rates = st.floats(0.05, 6.5)
rhos = st.floats(-0.5, 0.5)


def _found(selections: list[Selection], market: str, outcome: str, line: float | None = None) -> Selection:
    return next(one for one in selections if (one.market, one.outcome, one.line) == (market, outcome, line))


@given(rates, rates, rhos)
@settings(max_examples=60, deadline=None)
def test_the_grid_is_a_distribution_and_its_sums_agree_with_the_heads(home: float, away: float, rho: float) -> None:
    cells = grid.score_grid(home, away, rho)
    heads = grid.heads(np.array([home]), np.array([away]), np.array([rho]))
    goals_home, goals_away = np.indices(cells.shape)

    assert (cells >= 0).all()
    assert cells.sum() == pytest.approx(1, abs=1e-9)
    assert heads.home[0] == pytest.approx(cells[goals_home > goals_away].sum(), abs=1e-9)
    assert heads.draw[0] == pytest.approx(cells[goals_home == goals_away].sum(), abs=1e-9)
    assert heads.away[0] == pytest.approx(cells[goals_home < goals_away].sum(), abs=1e-9)
    assert heads.over_2_5[0] == pytest.approx(cells[goals_home + goals_away > 2].sum(), abs=1e-9)
    assert heads.btts[0] == pytest.approx(cells[(goals_home > 0) & (goals_away > 0)].sum(), abs=1e-9)


@given(rates, rates, rhos)
@settings(max_examples=30, deadline=None)
def test_no_market_contradicts_another(home: float, away: float, rho: float) -> None:
    selections = all_markets(grid.score_grid(home, away, rho))
    near = {"abs": 1e-9}
    p_home, p_draw, p_away = (_found(selections, "1x2", name).win for name in ("home", "draw", "away"))

    for one in selections:
        assert one.win + one.half_win + one.push + one.half_loss + one.loss == pytest.approx(1, **near)
    level = _found(selections, "asian_handicap", "home", 0.0)
    no_bet = _found(selections, "draw_no_bet", "home")
    assert (level.win, level.push, level.loss) == pytest.approx((no_bet.win, no_bet.push, no_bet.loss), **near)
    assert _found(selections, "asian_handicap", "home", -0.5).win == pytest.approx(p_home, **near)
    assert _found(selections, "double_chance", "home_or_draw").win == pytest.approx(p_home + p_draw, **near)
    assert _found(selections, "european_handicap", "home", 1).win == pytest.approx(p_home + p_draw, **near)
    overs = [one.win for one in selections if one.market == "total" and one.outcome == "over"]
    assert all(over >= higher - 1e-12 for over, higher in pairwise(overs))
    sums: dict[str, float] = defaultdict(float)
    for one in selections:
        sums[one.market] += one.win
    for market in ("1x2", "odd_even", "exact_goals", "winning_margin", "correct_score", "btts"):
        assert sums[market] == pytest.approx(1, **near), market
    margins = sum(one.win for one in selections if one.market == "winning_margin" and one.outcome.startswith("away"))
    assert margins == pytest.approx(p_away, **near)


def test_a_quarter_line_settles_half_of_the_stake() -> None:
    selections = all_markets(grid.score_grid(1.6, 1.1, -0.05))
    quarter = _found(selections, "asian_handicap", "home", -0.25)
    p_home, p_draw = (_found(selections, "1x2", name).win for name in ("home", "draw"))

    assert quarter.win == pytest.approx(p_home)
    assert quarter.half_loss == pytest.approx(p_draw)
    assert quarter.half_win == quarter.push == 0


def test_fair_odds_gain_nothing_on_average() -> None:
    for one in all_markets(grid.score_grid(1.3, 1.4, 0.02)):
        odds = one.fair_odds
        if odds is not None:
            gain = (one.win + one.half_win / 2) * (odds - 1) - one.loss - one.half_loss / 2
            assert gain == pytest.approx(0, abs=1e-9)


@given(st.floats(0.2, 3.5), st.floats(0.2, 3.5), st.floats(-0.2, 0.1))
@settings(max_examples=60, deadline=None)
def test_solving_gives_the_grid_back(home: float, away: float, rho: float) -> None:
    wanted = grid.heads(np.array([home]), np.array([away]), np.array([rho]))

    solved = grid.solve(wanted.home, wanted.draw, wanted.over_2_5)

    assert solved.residual[0] < 1e-6
    found = grid.heads(solved.lam_home, solved.lam_away, solved.rho)
    assert found.home[0] == pytest.approx(wanted.home[0], abs=1e-6)
    assert found.draw[0] == pytest.approx(wanted.draw[0], abs=1e-6)


def test_heads_that_no_grid_has_are_met_as_far_as_rho_goes() -> None:
    solved = grid.solve(np.array([0.30]), np.array([0.55]), np.array([0.60]))

    found = grid.heads(solved.lam_home, solved.lam_away, solved.rho)
    assert solved.residual[0] > 0.05
    assert found.over_2_5[0] == pytest.approx(0.60, abs=1e-6)
    assert found.home[0] - found.away[0] == pytest.approx(0.15, abs=1e-6)


@pytest.mark.parametrize("method", devig.METHODS)
def test_every_way_to_remove_the_margin_gives_probabilities_in_the_order_of_the_odds(method: str) -> None:
    odds = np.array([[1.50, 4.20, 7.50], [2.62, 3.30, 2.80], [1.05, 13.0, 34.0]])

    fair = devig.METHODS[method](odds)

    assert fair.sum(axis=1) == pytest.approx(np.ones(3))
    assert (np.argsort(-fair, axis=1) == np.argsort(odds, axis=1)).all()


def test_the_power_method_finds_its_exponent() -> None:
    odds = np.array([[1.50, 4.20, 7.50]])

    fair = devig.power(odds)[0]

    exponents = np.log(fair) / np.log(1 / odds[0])
    assert exponents == pytest.approx(np.full(3, exponents[0]), abs=1e-9)
    assert fair[2] < devig.proportional(odds)[0, 2]


def test_shin_and_power_are_close_and_a_fair_book_is_left_alone() -> None:
    odds = np.array([[2.0, 4.0, 4.0]])

    assert devig.power(odds)[0] == pytest.approx([0.5, 0.25, 0.25])
    assert devig.shin(odds)[0] == pytest.approx([0.5, 0.25, 0.25], abs=1e-6)


def test_a_price_that_is_none_spoils_only_its_own_row() -> None:
    odds = np.array([[2.0, np.nan, 4.0], [2.0, 1.0, 4.0], [2.1, 3.4, 3.7]])

    fair = devig.power(odds)

    assert np.isnan(fair[:2]).all()
    assert fair[2].sum() == pytest.approx(1)
    second = devig.first_complete(odds, np.array([[2.2, 3.1, 3.9]] * 3))
    assert second[:, 0] == pytest.approx([2.2, 2.2, 2.1])


@pytest.mark.parametrize("wanted", [(1 - 2e-6, 1e-6, 1e-6), (1e-6, 1e-6, 1 - 1e-6), (1e-6, 1 - 2e-6, 0.5)])
def test_what_is_all_but_certain_still_has_a_grid(wanted: tuple[float, float, float]) -> None:
    solved = grid.solve(*(np.array([one]) for one in wanted))

    assert np.isfinite([solved.lam_home[0], solved.lam_away[0], solved.rho[0]]).all()
    assert solved.residual[0] > 0
