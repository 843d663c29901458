"""What may go wrong before a promise about a route is broken, and how much of that has gone wrong."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from ossature.kernel.observe.levels import budget_of
from ossature.kernel.service import Objective

PERIOD: Final = timedelta(days=30)
"""What a promise is about."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Requests to one route, and how many missed which part of its promise."""

    requests: int = 0
    slow: int = 0
    failed: int = 0
    unavailable: int = 0

    def plus(self, other: "Counts") -> "Counts":
        """Both together."""
        return Counts(
            self.requests + other.requests,
            self.slow + other.slow,
            self.failed + other.failed,
            self.unavailable + other.unavailable,
        )

    def missed(self, kind: str) -> int:
        """How many missed this part. kind: one of `levels.OBJECTIVES`."""
        return {"latency": self.slow, "errors": self.failed, "availability": self.unavailable}[kind]


def together(counts: Iterable[Counts]) -> Counts:
    """All of them in one."""
    whole = Counts()
    for one in counts:
        whole = whole.plus(one)
    return whole


def allowed(objective: Objective, kind: str, requests: int) -> float:
    """How many of so many requests may miss this part of the promise."""
    return budget_of(objective, kind) * requests


def spent(objective: Objective, kind: str, counts: Counts) -> float | None:
    """The share of the budget that is used up: 1 is all of it, more breaks the promise. None without requests."""
    if not counts.requests:
        return None
    missed, most = counts.missed(kind), allowed(objective, kind, counts.requests)
    if not most:
        return math.inf if missed else 0.0
    return missed / most
