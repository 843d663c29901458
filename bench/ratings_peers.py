"""What `bench.predict_ratings` runs in the peer's environment: Elo, then pi-ratings, of penaltyblog.

It reads matches as JSON from the standard input (`home`, `away`: numbers of teams; `ahead`: goals of home less those of
away) and prints the CPU seconds of each. penaltyblog: https://penaltyblog.readthedocs.io
"""

import json
import sys
import time


def main() -> None:
    """Print {"elo": s, "pi": s}: CPU seconds of one update for each match, one match after the other."""
    from penaltyblog.ratings import Elo, PiRatingSystem  # type: ignore[import-not-found]  # noqa: PLC0415 - in the peer's environment only

    given = json.load(sys.stdin)
    home, away = [f"team {team}" for team in given["home"]], [f"team {team}" for team in given["away"]]
    # Its Elo takes 0, 1 and 2 for home, draw and away.
    outcome = [0 if ahead > 0 else 1 if ahead == 0 else 2 for ahead in given["ahead"]]
    started = time.process_time()
    elo = Elo()
    for one in zip(home, away, outcome, strict=True):
        elo.update_ratings(*one)
    rated = time.process_time()
    pi = PiRatingSystem()
    for of_match in zip(home, away, given["ahead"], strict=True):
        pi.update_ratings(*of_match)
    print(json.dumps({"elo": rated - started, "pi": time.process_time() - rated}))


if __name__ == "__main__":
    main()
