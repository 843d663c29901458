"""`predict-ratings`: a pass of all ratings and of the market's memory over a long simulated history, on one thread.

The same kernels run as plain Python in a process without numba, on fewer matches, in the same run; so do the updates of
Elo and pi-ratings of penaltyblog, one after the other, where `setup` installed it: two of the five ratings that a pass
here computes. The correction of one season is a replay from the snapshot before it.
"""

import subprocess
import sys
import time
import venv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from ossature.services.predict.domain import memory, ratings

PEER = Path.home() / ".cache" / "ossature-bench" / "ratings-peers"
PEER_PACKAGES = ("penaltyblog==1.13.1",)
TARGETS = {
    "matches_per_s": {"least": 1_000_000},
    "memory_matches_per_s": {"least": 10_000_000},
    "times_plain_python": {"least": 50},
    "times_penaltyblog": {"least": 3},
    "without_numba_to_plain": {"least": 0.5},
    "correction_share_of_pass": {"most": 0.05},
}
_TEAMS, _LEAGUES, _MATCHES, _PLAIN = 900, 38, 276_000, 3_000
_WITHOUT_NUMBA = """
import sys
sys.modules["numba"] = None
from bench.predict_ratings import plain
plain()
"""


def setup() -> None:
    """Install penaltyblog in an environment of its own."""
    venv.create(PEER, with_pip=True)
    subprocess.run([PEER / "bin" / "pip", "install", "--quiet", *PEER_PACKAGES], check=True, timeout=600)


def run(*, quick: bool) -> dict[str, Any]:
    """The result of the bench, as `bench.result` wants it; without the peer that target counts as missed."""
    count, rounds = (_MATCHES // 10, 3) if quick else (_MATCHES, 7)
    matches = some_matches(count)
    priced = some_prices(matches)
    pass_s = _best(lambda: ratings.rate(matches, ratings.new_state(_TEAMS, _LEAGUES)), rounds)
    memory_s = _best(lambda: memory.remember(priced, memory.new_memory(_TEAMS, _LEAGUES)), rounds)
    correction_s, agreed = _correction(matches, rounds)
    plain_per_s, without_per_s = _plain_per_s()
    return {
        "agreed": agreed,
        "metrics": {
            "matches": count,
            "matches_per_s": round(count / pass_s),
            "memory_matches_per_s": round(count / memory_s),
            "plain_matches_per_s": round(plain_per_s),
            "without_numba_matches_per_s": round(without_per_s),
            "without_numba_to_plain": round(without_per_s / plain_per_s, 2),
            "times_plain_python": round(count / pass_s / plain_per_s, 1),
            "correction_share_of_pass": round(correction_s / pass_s, 4),
            **_peer(matches, pass_s),
        },
        "targets": TARGETS,
        "environment": {"versions": dict(one.split("==") for one in PEER_PACKAGES)},
    }


def some_matches(count: int) -> ratings.Matches:
    """Matches of about thirty years; only their number and their order matter here."""
    random = np.random.default_rng(8)
    home = random.integers(0, _TEAMS, count)
    shots = random.poisson(5.0, (2, count)).astype(np.float64)
    shots[:, : count // 3] = np.nan
    return ratings.Matches(
        day=np.sort(random.integers(0, 11_000, count)),
        home=home,
        away=(home + random.integers(1, _TEAMS, count)) % _TEAMS,
        league=home % _LEAGUES,
        neutral=np.zeros(count, dtype=np.bool_),
        goals_home=random.poisson(1.5, count).astype(np.float64),
        goals_away=random.poisson(1.2, count).astype(np.float64),
        shots_home=shots[0],
        shots_away=shots[1],
    )


def some_prices(matches: ratings.Matches) -> memory.Priced:
    """What a market might have said of them."""
    said = np.random.default_rng(9).normal(0.4, 0.8, (2, len(matches.day)))
    return memory.Priced(*matches[:5], ahead=matches.goals_home - matches.goals_away, outcome=said[0], total=said[1])


def plain() -> None:
    """Print matches a second: of the kernel as the plain Python that it is, and of the way without numba.

    Run in a process without numba.
    """
    matches, constants = some_matches(_PLAIN), ratings.Constants()

    def on_arrays() -> None:
        state, known = ratings.new_state(_TEAMS, _LEAGUES), np.empty((_PLAIN, len(ratings.FEATURES)))
        ratings._pass(matches, state.teams, state.leagues, constants, known)  # noqa: SLF001 - the very function that is compiled

    kernel_s = _best(on_arrays, 3)
    without_s = _best(lambda: ratings.rate(matches, ratings.new_state(_TEAMS, _LEAGUES)), 3)
    sys.stdout.buffer.write(orjson.dumps([_PLAIN / kernel_s, _PLAIN / without_s]))


def _plain_per_s() -> list[float]:
    done = subprocess.run([sys.executable, "-c", _WITHOUT_NUMBA], capture_output=True, check=True)
    found: list[float] = orjson.loads(done.stdout)
    return found


def _peer(matches: ratings.Matches, pass_s: float) -> dict[str, float]:
    """Updates a second of penaltyblog's Elo and pi-ratings, and how many times faster the whole pass here is."""
    if not (PEER / "bin" / "python").exists():
        return {}
    given = {
        "home": matches.home.tolist(),
        "away": matches.away.tolist(),
        "ahead": (matches.goals_home - matches.goals_away).astype(int).tolist(),
    }
    command = [PEER / "bin" / "python", Path(__file__).with_name("ratings_peers.py")]
    done = subprocess.run(command, input=orjson.dumps(given), capture_output=True, check=True)
    taken: dict[str, float] = orjson.loads(done.stdout)
    count = len(matches.day)
    return {
        "penaltyblog_elo_per_s": round(count / taken["elo"]),
        "penaltyblog_pi_per_s": round(count / taken["pi"]),
        "times_penaltyblog": round((taken["elo"] + taken["pi"]) / pass_s, 1),
    }


def _correction(matches: ratings.Matches, rounds: int) -> tuple[float, bool]:
    """Seconds to rate the last of thirty seasons again from a snapshot, and whether it ends as the whole pass does."""
    cut = int(np.searchsorted(matches.day, 11_000 - 365))
    earlier, season = _between(matches, 0, cut), _between(matches, cut, len(matches.day))
    snapshot, whole = ratings.new_state(_TEAMS, _LEAGUES), ratings.new_state(_TEAMS, _LEAGUES)
    ratings.rate(earlier, snapshot)
    ratings.rate(matches, whole)
    replayed = ratings.copied(snapshot)
    ratings.rate(season, replayed)
    taken_s = _best(lambda: ratings.rate(season, ratings.copied(snapshot)), rounds)
    return taken_s, ratings.fingerprint(replayed) == ratings.fingerprint(whole)


def _between(matches: ratings.Matches, first: int, end: int) -> ratings.Matches:
    return ratings.Matches(**{name: getattr(matches, name)[first:end] for name in matches._fields})


def _best(work: Callable[[], object], rounds: int) -> float:
    """The least CPU seconds of some rounds, the first (which may compile) left out."""
    work()
    taken = []
    for _ in range(rounds):
        started = time.process_time()
        work()
        taken.append(time.process_time() - started)
    return min(taken)
