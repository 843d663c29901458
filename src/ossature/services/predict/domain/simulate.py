"""A seeded world of leagues in which the true probabilities are known.

Teams have an attack and a defence that drift; two tiers exchange teams after each season; every pair meets twice. Scores are
drawn from the true grid, never from a forecast. Bookmakers see the truth through noise (early prices more than closing
ones) and add their margin by the power rule, so that `devig.power` gives their opinion back.
"""

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, Final

import numpy as np

from ossature.services.predict.domain import grid
from ossature.services.predict.domain.devig import power
from ossature.services.predict.domain.native import Floats

_EARLY: Final = {"B365": (0.14, 1.055), "PS": (0.11, 1.03), "Avg": (0.10, 1.06), "Max": (0.10, 1.01)}
_CLOSING: Final = {"B365C": (0.08, 1.05), "PSC": (0.04, 1.025), "AvgC": (0.05, 1.05)}
_GOALS_HOME, _GOALS_AWAY, _RHO = 0.30, 0.06, -0.06
_FIRST_HALF: Final = 0.439
_TARGETS, _SHOTS_PER_GOAL = 3.2, 2.6
_MOVING_UP: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What is simulated. leagues: countries, of two tiers each; teams: in each tier, an even number."""

    seed: int = 1
    seasons: int = 3
    leagues: int = 1
    teams: int = 12
    first_season: int = 2019
    drift: float = 0.035


@dataclass(slots=True)
class _Team:
    name: str
    attack: float
    defence: float


@dataclass(slots=True)
class _Country:
    number: int
    tiers: list[list[_Team]] = field(default_factory=list)


def simulate(world: World) -> list[dict[str, Any]]:
    """Every match in the order of its days, as rows with the columns of `matches_odds`.

    The true probabilities are the columns `true_home`, `true_draw`, `true_away` and `true_over_2_5`.
    Raises: ValueError for a number of teams that is odd or below 6.
    """
    if world.teams % 2 or world.teams < 2 + 2 * _MOVING_UP:
        raise ValueError("a tier has an even number of teams, 6 or more")
    random = np.random.default_rng(world.seed)
    rows: list[dict[str, Any]] = []
    for country in [_founded(number, world, random) for number in range(world.leagues)]:
        for season in range(world.seasons):
            tables = [
                _play(country, tier, world.first_season + season, world.drift, random, rows)
                for tier in range(len(country.tiers))
            ]
            _exchange(country, tables)
    return sorted(rows, key=lambda row: (row["date"], row["div"], row["home"]))


def league_from(world: World, day: date, week: int) -> tuple[list[dict[str, Any]], date]:
    """A simulated world whose last season's given week begins on that day, and the day on which that season begins.

    week: 0 takes `day` for the very first day of the world.
    """
    rows = simulate(world)
    last = max(row["season"] for row in rows)
    opens = min(row["date"] for row in rows if row["season"] == last)
    moved = day - (opens + timedelta(days=7 * week) if week else rows[0]["date"])
    later = (opens + moved).year - int(last[:4])
    for row in rows:
        row["date"] += moved
        row["season"] = _season(int(row["season"][:4]) + later)
        row["match_id"] = match_id(row["div"], row["date"], row["home"], row["away"])
    return rows, opens + moved


def _season(year: int) -> str:
    return f"{year}-{(year + 1) % 100:02d}"


def _founded(number: int, world: World, random: np.random.Generator) -> _Country:
    country = _Country(number)
    for tier in range(2):
        strength = 0.12 - 0.24 * tier
        country.tiers.append(
            [
                _Team(
                    f"Team {number + 1}.{tier * world.teams + place + 1:02d}",
                    strength + float(random.normal(0, 0.20)),
                    strength + float(random.normal(0, 0.17)),
                )
                for place in range(world.teams)
            ]
        )
    return country


def _play(
    country: _Country, tier: int, year: int, drift: float, random: np.random.Generator, rows: list[dict[str, Any]]
) -> dict[str, int]:
    """Play one season of one tier; points by team."""
    teams = country.tiers[tier]
    points = {team.name: 0 for team in teams}
    for week, pairs in enumerate(_rounds(len(teams))):
        day = date(year, 8, 8) + timedelta(days=7 * week + tier % 2)
        for team in teams:
            team.attack += float(random.normal(0, drift)) - 0.01 * team.attack
            team.defence += float(random.normal(0, drift)) - 0.01 * team.defence
        for home, away in pairs:
            row = _match(f"S{country.number}{tier}", day, teams[home], teams[away], random)
            rows.append({**row, "season": _season(year)})
            ahead = row["FTHG"] - row["FTAG"]
            points[teams[home].name] += 3 if ahead > 0 else int(ahead == 0)
            points[teams[away].name] += 3 if ahead < 0 else int(ahead == 0)
    return points


def _rounds(teams: int) -> Iterator[list[tuple[int, int]]]:
    """A double round robin by the circle method: in each round every team plays once."""
    ring = list(range(teams))
    first: list[list[tuple[int, int]]] = []
    for turn in range(teams - 1):
        pairs = [(ring[i], ring[teams - 1 - i]) for i in range(teams // 2)]
        first.append([pair if (turn + place) % 2 else pair[::-1] for place, pair in enumerate(pairs)])
        ring = [ring[0], ring[-1], *ring[1:-1]]
    yield from first
    yield from ([(away, home) for home, away in pairs] for pairs in first)


def _match(div: str, day: date, home: _Team, away: _Team, random: np.random.Generator) -> dict[str, Any]:
    lam_home = float(np.exp(_GOALS_HOME + home.attack - away.defence))
    lam_away = float(np.exp(_GOALS_AWAY + away.attack - home.defence))
    scores = grid.score_grid(lam_home, lam_away, _RHO)
    drawn = int(np.searchsorted(np.cumsum(scores), random.random()))
    goals = divmod(min(drawn, scores.size - 1), scores.shape[1])
    halves = [int(random.binomial(count, _FIRST_HALF)) for count in goals]
    targets = [int(count + random.poisson(_TARGETS)) for count in goals]
    shots = [int(count + random.poisson(_TARGETS * _SHOTS_PER_GOAL)) for count in targets]
    sums = grid.heads(np.array([lam_home]), np.array([lam_away]), np.array([_RHO]))
    truth = {"home": sums.home[0], "draw": sums.draw[0], "away": sums.away[0], "over_2_5": sums.over_2_5[0]}
    return {
        "match_id": match_id(div, day, home.name, away.name),
        "div": div,
        "date": day,
        "time": "15:00",
        "home": home.name,
        "away": away.name,
        "kind": "main",
        **dict(zip(("FTHG", "FTAG", "HTHG", "HTAG"), (*goals, *halves), strict=True)),
        **dict(zip(("HST", "AST", "HS", "AS"), (*targets, *shots), strict=True)),
        **_prices(np.array([*truth.values()]), random),
        **{f"true_{name}": float(value) for name, value in truth.items()},
    }


def match_id(div: str, day: date, home: str, away: str) -> str:
    """The name of a match in files: twelve hexadecimal digits."""
    text = f"{div}|{day:%Y%m%d}|{home}|{away}"
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()[:12]


def _prices(truth: Floats, random: np.random.Generator) -> dict[str, float]:
    prices: dict[str, float] = {}
    for book, (noise, margin) in {**_EARLY, **_CLOSING}.items():
        wobble = truth[:3] * np.exp(random.normal(0, noise, 3) * np.array([1.0, 0.3, 1.0]))
        for side, price in zip("HDA", _priced(wobble / wobble.sum(), margin), strict=True):
            prices[f"{book}{side}"] = price
        over = 1.0 / (1.0 + (1.0 / truth[3] - 1.0) * float(np.exp(random.normal(0, noise))))
        name = {"PS": "P", "PSC": "PC"}.get(book, book)
        for side, price in zip("><", _priced(np.array([over, 1.0 - over]), margin), strict=True):
            prices[f"{name}{side}2.5"] = price
    return prices


def _priced(chances: Floats, margin: float) -> list[float]:
    """Odds to the cent whose shares sum to about `margin`, with more of it on long shots (the power rule, reversed)."""
    logs = [math.log(chance) for chance in chances]
    exponent = 1.0
    for _ in range(6):
        shares = [math.exp(exponent * log) for log in logs]
        slope = sum(share * log for share, log in zip(shares, logs, strict=True))
        exponent -= (sum(shares) - margin) / slope
    return [max(1.01, round(math.exp(-exponent * log), 2)) for log in logs]


def opinion(row: dict[str, Any], book: str) -> Floats:
    """What a book said of a simulated match: three probabilities."""
    answer: Floats = power(np.array([[row[f"{book}{side}"] for side in "HDA"]]))[0]
    return answer


def _exchange(country: _Country, tables: list[dict[str, int]]) -> None:
    """The worst of the upper tier and the best of the lower one change places."""
    upper, lower = country.tiers
    upper.sort(key=lambda team: (-tables[0][team.name], team.name))
    lower.sort(key=lambda team: (-tables[1][team.name], team.name))
    upper[-_MOVING_UP:], lower[:_MOVING_UP] = lower[:_MOVING_UP], upper[-_MOVING_UP:]
