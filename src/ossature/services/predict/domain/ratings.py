"""What was known of two teams on the morning of their match, learnt from results alone, in one pass over all matches.

Five ratings live side by side: Elo with goal difference; pi-ratings (Constantinou and Fenton 2013); online attack and
defence of a Poisson model, for goals and for shots on target; form averages. A day is a batch: all its matches are
described first, then all are learnt from, so no row ever sees its own day. A team is keyed by country, so that it keeps
its ratings when it is promoted; a new team starts below the mean of its league.
"""

import hashlib
import math
from collections.abc import Mapping
from typing import Final, NamedTuple

import numpy as np

from ossature.services.predict.domain.native import NATIVE, Flags, Floats, Integers, compiled_in_place

FEATURES: Final = (
    "elo", "pi", "lam_home", "lam_away", "shots_home", "shots_away",
    "points_home", "points_away", "form_home", "form_away", "points_at_home", "points_away_from_home",
    "goals_home", "goals_away", "draws", "played_home", "played_away", "shots_known",
    "rest_home_days", "rest_away_days", "new_home", "new_away",
)  # fmt: skip
"""Columns of what `rate` gives; differences are home minus away, `goals_*` and `draws` are means of the league."""

COLUMN: Final[Mapping[str, int]] = {name: place for place, name in enumerate(FEATURES)}
_PI, _LAM_HOME, _LAM_AWAY, _SHOTS_HOME, _SHOTS_AWAY = 1, 2, 3, 4, 5
_GOALS_CAP, _SHOTS_LEAST = 5.0, 1.0
_LONG_AGO_DAYS = 60.0


class Constants(NamedTuple):
    """Steps of all ratings; found by coordinate search on the seasons 2010 to 2019, each on the score of its own rating."""

    elo_step: float = 18.0
    elo_home: float = 15.0
    pi_step: float = 0.036
    pi_share: float = 0.75
    goal_step: float = 0.0168
    home_step: float = 0.00058
    shot_step: float = 0.032
    new_team: float = 0.15
    league_step: float = 0.00092


class Matches(NamedTuple):
    """All matches in order of their days. home, away and league are numbers of rows of the state.

    Goals and shots on target are NaN where they are not known; a match without goals is described and never learnt from.
    """

    day: Integers
    home: Integers
    away: Integers
    league: Integers
    neutral: Flags
    goals_home: Floats
    goals_away: Floats
    shots_home: Floats
    shots_away: Floats


class Teams(NamedTuple):
    """State of every team. Elo is NaN until the first match."""

    elo: Floats
    pi_home: Floats
    pi_away: Floats
    attack: Floats
    defence: Floats
    home_edge: Floats
    shot_attack: Floats
    shot_defence: Floats
    shot_played: Floats
    points: Floats
    form: Floats
    points_at_home: Floats
    points_away: Floats
    played: Floats
    last_day: Floats
    league: Floats


class Leagues(NamedTuple):
    """State of every league: logarithms of mean goals and shots, share of draws, and the means of its teams' ratings."""

    goals_home: Floats
    goals_away: Floats
    shots_home: Floats
    shots_away: Floats
    draws: Floats
    elo: Floats
    attack: Floats
    defence: Floats
    pi: Floats
    shot_attack: Floats
    shot_defence: Floats


class State(NamedTuple):
    """Everything that `rate` remembers between two matches."""

    teams: Teams
    leagues: Leagues


def new_state(teams: int, leagues: int) -> State:
    """The state before any match, of this many teams and leagues."""
    start = {"elo": np.nan, "points": 1.35, "form": 1.35, "points_at_home": 1.5, "points_away": 1.1}
    start |= {"last_day": -99_999.0, "league": -1.0}
    mean = {"goals_home": 0.40, "goals_away": 0.13, "shots_home": 1.5, "shots_away": 1.3, "draws": 0.26, "elo": 1500.0}
    return State(
        Teams(*(np.full(teams, start.get(name, 0.0)) for name in Teams._fields)),
        Leagues(*(np.full(leagues, mean.get(name, 0.0)) for name in Leagues._fields)),
    )


def copied(state: State) -> State:
    """A snapshot: the same state, which later matches do not change."""
    return State(Teams(*(one.copy() for one in state.teams)), Leagues(*(one.copy() for one in state.leagues)))


def fingerprint(state: State) -> str:
    """SHA-256 of a state, hexadecimal: two passes over the same matches end in the same one."""
    digest = hashlib.sha256()
    for column in (*state.teams, *state.leagues):
        digest.update(np.ascontiguousarray(column).tobytes())
    return digest.hexdigest()


def rate(matches: Matches, state: State, constants: Constants | None = None) -> Floats:
    """What was known before each match: one row of `FEATURES` for each. `state` moves on to the end of the last day.

    Raises: ValueError when the matches are not in the order of their days.
    """
    if np.any(np.diff(matches.day) < 0):
        raise ValueError("matches must be in the order of their days")
    known = np.full((len(matches.day), len(FEATURES)), np.nan)
    if NATIVE:
        _pass(matches, state.teams, state.leagues, constants or Constants(), known)
        return known
    # Lists are read three times as fast as arrays, one number at a time.
    teams, leagues = Teams(*(one.tolist() for one in state.teams)), Leagues(*(one.tolist() for one in state.leagues))
    _pass(Matches(*(one.tolist() for one in matches)), teams, leagues, constants or Constants(), known)
    for kept, moved in zip((*state.teams, *state.leagues), (*teams, *leagues), strict=True):
        kept[:] = moved
    return known


@compiled_in_place
def _pass(matches: Matches, teams: Teams, leagues: Leagues, constants: Constants, known: Floats) -> None:
    first, count = 0, len(matches.day)
    while first < count:
        end = first
        while end < count and matches.day[end] == matches.day[first]:
            end += 1
        for i in range(first, end):
            _welcome(teams, leagues, matches.home[i], matches.league[i], constants.new_team)
            _welcome(teams, leagues, matches.away[i], matches.league[i], constants.new_team)
            _describe(matches, teams, leagues, i, known)
        for i in range(first, end):
            if not math.isnan(matches.goals_home[i]):
                _learn(matches, teams, leagues, constants, i, known)
        first = end


@compiled_in_place
def _welcome(teams: Teams, leagues: Leagues, team: int, league: int, below: float) -> None:
    if math.isnan(teams.elo[team]):
        teams.elo[team] = leagues.elo[league] - 60.0
        teams.attack[team] = leagues.attack[league] - below
        teams.defence[team] = leagues.defence[league] - below
        teams.pi_home[team] = leagues.pi[league] - 0.15
        teams.pi_away[team] = leagues.pi[league] - 0.15
        teams.shot_attack[team] = leagues.shot_attack[league] - below * 0.6
        teams.shot_defence[team] = leagues.shot_defence[league] - below * 0.6


@compiled_in_place
def _describe(matches: Matches, teams: Teams, leagues: Leagues, i: int, known: Floats) -> None:
    home, away, league, neutral = matches.home[i], matches.away[i], matches.league[i], matches.neutral[i]
    edge = 0.0 if neutral else teams.home_edge[home]
    goals_home, goals_away = _sides(leagues.goals_home[league], leagues.goals_away[league], neutral)
    shots_home, shots_away = _sides(leagues.shots_home[league], leagues.shots_away[league], neutral)
    pi_home, pi_away = teams.pi_home[home], teams.pi_away[away]
    if neutral:
        pi_home, pi_away = (pi_home + teams.pi_away[home]) / 2, (pi_away + teams.pi_home[away]) / 2
    known[i, 0] = teams.elo[home] - teams.elo[away]
    known[i, 1] = _pi_goals(pi_home) - _pi_goals(pi_away)
    known[i, 2] = math.exp(goals_home + teams.attack[home] - teams.defence[away] + edge)
    known[i, 3] = math.exp(goals_away + teams.attack[away] - teams.defence[home] - edge)
    known[i, 4] = math.exp(shots_home + teams.shot_attack[home] - teams.shot_defence[away])
    known[i, 5] = math.exp(shots_away + teams.shot_attack[away] - teams.shot_defence[home])
    known[i, 6], known[i, 7] = teams.points[home], teams.points[away]
    known[i, 8], known[i, 9] = teams.form[home], teams.form[away]
    known[i, 10], known[i, 11] = teams.points_at_home[home], teams.points_away[away]
    known[i, 12], known[i, 13], known[i, 14] = goals_home, goals_away, leagues.draws[league]
    known[i, 15], known[i, 16] = teams.played[home], teams.played[away]
    known[i, 17] = teams.shot_played[home]
    known[i, 18] = min(matches.day[i] - teams.last_day[home], _LONG_AGO_DAYS)
    known[i, 19] = min(matches.day[i] - teams.last_day[away], _LONG_AGO_DAYS)
    known[i, 20] = 1.0 if teams.league[home] != league else 0.0
    known[i, 21] = 1.0 if teams.league[away] != league else 0.0


@compiled_in_place
def _sides(home: float, away: float, neutral: bool) -> tuple[float, float]:  # noqa: FBT001 - a kernel has no keywords
    if neutral:
        return (home + away) / 2, (home + away) / 2
    return home, away


@compiled_in_place
def _pi_goals(rating: float) -> float:
    goals: float = 10.0 ** (abs(rating) / 3.0) - 1.0
    return goals if rating >= 0 else -goals


@compiled_in_place
def _learn(matches: Matches, teams: Teams, leagues: Leagues, constants: Constants, i: int, known: Floats) -> None:
    home, away, league = matches.home[i], matches.away[i], matches.league[i]
    ahead = matches.goals_home[i] - matches.goals_away[i]
    _learn_elo(teams, home, away, ahead, 0.0 if matches.neutral[i] else constants.elo_home, constants.elo_step)
    _learn_pi(teams, home, away, ahead - known[i, _PI], constants)
    _learn_goals(matches, teams, leagues, constants, i, known)
    leagues.draws[league] += 0.002 * ((1.0 if ahead == 0 else 0.0) - leagues.draws[league])
    if not math.isnan(matches.shots_home[i]) and not math.isnan(matches.shots_away[i]):
        _learn_shots(matches, teams, leagues, constants.shot_step, i, known)
    _learn_means(teams, leagues, home, away, league)
    points = 3.0 if ahead > 0 else (1.0 if ahead == 0 else 0.0)
    against = 3.0 if ahead < 0 else (1.0 if ahead == 0 else 0.0)
    _learn_form(teams, home, points, matches.day[i], league)
    _learn_form(teams, away, against, matches.day[i], league)
    teams.points_at_home[home] += 0.12 * (points - teams.points_at_home[home])
    teams.points_away[away] += 0.12 * (against - teams.points_away[away])


@compiled_in_place
def _learn_elo(teams: Teams, home: int, away: int, ahead: float, edge: float, step: float) -> None:
    expected = 1.0 / (1.0 + 10.0 ** (-(teams.elo[home] + edge - teams.elo[away]) / 400.0))
    score = 1.0 if ahead > 0 else (0.5 if ahead == 0 else 0.0)
    margin = abs(ahead)
    step *= 1.0 if margin <= 1 else (1.5 if margin == 2 else (11.0 + margin) / 8.0)
    if teams.played[home] < 15 or teams.played[away] < 15:
        step *= 1.3
    teams.elo[home] += step * (score - expected)
    teams.elo[away] -= step * (score - expected)


@compiled_in_place
def _learn_pi(teams: Teams, home: int, away: int, error: float, constants: Constants) -> None:
    surprise = 3.0 * math.log10(1.0 + abs(error)) * constants.pi_step
    surprise = surprise if error > 0 else -surprise
    teams.pi_home[home] += surprise
    teams.pi_away[home] += surprise * constants.pi_share
    teams.pi_away[away] -= surprise
    teams.pi_home[away] -= surprise * constants.pi_share


@compiled_in_place
def _learn_goals(matches: Matches, teams: Teams, leagues: Leagues, constants: Constants, i: int, known: Floats) -> None:
    home, away, league = matches.home[i], matches.away[i], matches.league[i]
    step_home = constants.goal_step * (1.0 + 2.0 * math.exp(-teams.played[home] / 12.0))
    step_away = constants.goal_step * (1.0 + 2.0 * math.exp(-teams.played[away] / 12.0))
    more_home = min(matches.goals_home[i], _GOALS_CAP) - known[i, _LAM_HOME]
    more_away = min(matches.goals_away[i], _GOALS_CAP) - known[i, _LAM_AWAY]
    teams.attack[home] += step_home * more_home
    teams.defence[away] -= step_away * more_home
    teams.attack[away] += step_away * more_away
    teams.defence[home] -= step_home * more_away
    if not matches.neutral[i]:
        teams.home_edge[home] += constants.home_step * (more_home - more_away)
        teams.home_edge[home] *= 0.999
        leagues.goals_home[league] += constants.league_step * more_home / 1.5
        leagues.goals_away[league] += constants.league_step * more_away / 1.2


@compiled_in_place
def _learn_shots(matches: Matches, teams: Teams, leagues: Leagues, step: float, i: int, known: Floats) -> None:
    home, away, league = matches.home[i], matches.away[i], matches.league[i]
    expected_home, expected_away = known[i, _SHOTS_HOME], known[i, _SHOTS_AWAY]
    more_home = (matches.shots_home[i] - expected_home) / max(expected_home, _SHOTS_LEAST)
    more_away = (matches.shots_away[i] - expected_away) / max(expected_away, _SHOTS_LEAST)
    more_home = min(max(more_home, -1.0), 2.0)
    more_away = min(max(more_away, -1.0), 2.0)
    step_home = step * (1.0 + 2.0 * math.exp(-teams.shot_played[home] / 10.0))
    step_away = step * (1.0 + 2.0 * math.exp(-teams.shot_played[away] / 10.0))
    teams.shot_attack[home] += step_home * more_home
    teams.shot_defence[away] -= step_away * more_home
    teams.shot_attack[away] += step_away * more_away
    teams.shot_defence[home] -= step_home * more_away
    leagues.shots_home[league] += 0.004 * more_home
    leagues.shots_away[league] += 0.004 * more_away
    teams.shot_played[home] += 1.0
    teams.shot_played[away] += 1.0
    attack, defence = teams.shot_attack, teams.shot_defence
    leagues.shot_attack[league] += 0.01 * ((attack[home] + attack[away]) / 2 - leagues.shot_attack[league])
    leagues.shot_defence[league] += 0.01 * ((defence[home] + defence[away]) / 2 - leagues.shot_defence[league])


@compiled_in_place
def _learn_means(teams: Teams, leagues: Leagues, home: int, away: int, league: int) -> None:
    pi = (teams.pi_home[home] + teams.pi_away[home] + teams.pi_home[away] + teams.pi_away[away]) / 4
    leagues.elo[league] += 0.01 * ((teams.elo[home] + teams.elo[away]) / 2 - leagues.elo[league])
    leagues.attack[league] += 0.01 * ((teams.attack[home] + teams.attack[away]) / 2 - leagues.attack[league])
    leagues.defence[league] += 0.01 * ((teams.defence[home] + teams.defence[away]) / 2 - leagues.defence[league])
    leagues.pi[league] += 0.01 * (pi - leagues.pi[league])


@compiled_in_place
def _learn_form(teams: Teams, team: int, points: float, day: int, league: int) -> None:
    teams.points[team] += 0.06 * (points - teams.points[team])
    teams.form[team] += 0.25 * (points - teams.form[team])
    teams.played[team] += 1.0
    teams.last_day[team] = day
    teams.league[team] = league
