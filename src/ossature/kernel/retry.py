"""Trying again, in one place: how often, how long apart, for what, and when it is better not to.

    POLICY = Retry("smtp", attempts=4, first_s=0.5)
    await POLICY.run(lambda: send(mail), on=(ConnectionError,))

HTTP, the database, mail, webhooks and jobs all wait by it: it knows nothing of what it repeats. A small loop of ours,
since the usual libraries know neither a budget nor an upstream's own Retry-After.
"""

import math
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal, TypeVar

from prometheus_client import Counter

from ossature.kernel import clock, deadline

_T = TypeVar("_T")

RETRIES = Counter("retries", "What was tried again, by policy and reason.", ("policy", "reason"))
GIVEN_UP = Counter("retries_given_up", "What was not tried again and failed for good.", ("policy", "reason"))


class Strategy(StrEnum):
    """How the wait grows with the attempts."""

    EXPONENTIAL = "exponential"
    LINEAR = "linear"
    CONSTANT = "constant"
    FIBONACCI = "fibonacci"


class Budget:
    """How many retries a destination bears: a share of its calls, so that an outage is not multiplied.

    Each call adds `share` of a retry, up to `most`; each retry takes one. One budget per destination and process.
    """

    __slots__ = ("_left", "_most", "_share")

    def __init__(self, *, share: float = 0.2, most: float = 10.0) -> None:
        self._share = share
        self._most = most
        self._left = most

    def earn(self) -> None:
        """Count one call."""
        self._left = min(self._most, self._left + self._share)

    def spend(self) -> bool:
        """Take one retry; False when there is none left."""
        if self._left < 1:
            return False
        self._left -= 1
        return True


@dataclass(frozen=True, slots=True)
class Again:
    """An attempt that failed and will be repeated: the `number` of it (from 1), why, and the wait before the next."""

    policy: str
    number: int
    error: BaseException
    wait_s: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """What may follow a failure.

    asked_s: the least wait that the other side asked for. exactly: that wait and no jitter on top. most: retries that
    this kind of failure bears, if fewer than the policy has.
    """

    asked_s: float = 0.0
    exactly: bool = False
    most: int | None = None


Judge = Callable[[Any], Verdict | None]
"""Whether an error is worth another try; None for no."""

WORTH_IT = Verdict()


def _always(_: BaseException) -> Verdict:
    return WORTH_IT


def _never_told(_: Again) -> None:
    """Nobody wants to know."""


def _reason(error: BaseException) -> str:
    """What an error is called in the metrics: its kind if it has one, else its type."""
    return str(getattr(error, "kind", None) or type(error).__name__)


@dataclass(frozen=True, slots=True)
class Retry:
    """How something is tried again.

    attempts: in all, the first included. first_s, most_s: the shortest and the longest wait. jitter: `full` chooses
    each wait at random between nothing and its length, so that those who failed together do not return together;
    `tenth` adds up to a tenth to a wait that is meant as it stands. waits_s: the waits one by one, in place of a strategy.
    total_s: no further attempt begins after this long. longest_asked_s: a Retry-After beyond it ends the matter.
    """

    name: str
    attempts: int = 3
    strategy: Strategy = Strategy.EXPONENTIAL
    first_s: float = 0.1
    most_s: float = 10.0
    jitter: Literal["full", "tenth", "none"] = "full"
    waits_s: Sequence[float] = ()
    total_s: float = 60.0
    longest_asked_s: float = 30.0
    budget: Budget | None = None
    on_retry: Callable[[Again], None] = _never_told
    dice: random.Random | None = field(default=None, repr=False, compare=False)

    def length_s(self, number: int) -> float:
        """The wait after attempt `number` (from 1), before jitter."""
        if self.waits_s:
            return self.waits_s[min(number, len(self.waits_s)) - 1]
        return min(self.most_s, self.first_s * _GROWTH[self.strategy](min(number, 60)))

    def wait_s(self, number: int, *, asked_s: float = 0.0) -> float:
        """The wait after attempt `number`: chosen anew each time, never less than what the other side asked for.

        Source: M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
        """
        length_s = self.length_s(number)
        chance = (self.dice or random).random()
        match self.jitter:
            case "full":
                return asked_s + chance * length_s
            case "tenth":
                return max(asked_s, length_s * (1 + chance / 10))
            case "none":
                return max(asked_s, length_s)

    async def run(
        self,
        call: Callable[[], Awaitable[_T]],
        *,
        on: tuple[type[Exception], ...],
        judge: Judge = _always,
        budget: Budget | None = None,
    ) -> _T:
        """What `call` gives, after as many attempts as it takes and this policy allows.

        on: errors that may be worth another try; `judge` decides about each. budget: of this destination, in place of
        the policy's own. Raises: the last error, as it came.
        """
        started = time.perf_counter()
        budget = budget or self.budget
        if budget is not None:
            budget.earn()
        number = 1
        while True:
            try:
                return await call()
            except on as error:
                left_s = deadline.remaining_s(self.total_s - (time.perf_counter() - started))
                wait_s = self.next_s(number, judge(error), within_s=left_s, budget=budget)
                if wait_s is None:
                    GIVEN_UP.labels(self.name, _reason(error)).inc()
                    raise
                again = Again(self.name, number, error, wait_s)
            RETRIES.labels(self.name, _reason(again.error)).inc()
            self.on_retry(again)
            await clock.sleep(again.wait_s)
            number += 1

    def next_s(
        self,
        number: int,
        verdict: Verdict | None = WORTH_IT,
        *,
        within_s: float = math.inf,
        budget: Budget | None = None,
    ) -> float | None:
        """How long to wait after attempt `number`, or None for no further one; jobs and deliveries do so in their rows."""
        if verdict is None or number >= self.attempts or verdict.asked_s > self.longest_asked_s:
            return None
        if verdict.most is not None and number > verdict.most:
            return None
        wait_s = verdict.asked_s if verdict.exactly else self.wait_s(number, asked_s=verdict.asked_s)
        if wait_s >= within_s:
            return None
        if budget is not None and not budget.spend():
            return None
        return wait_s


def _fibonacci(number: int) -> int:
    one, two = 1, 1
    for _ in range(number - 1):
        one, two = two, one + two
    return one


_GROWTH: Mapping[Strategy, Callable[[int], float]] = {
    Strategy.EXPONENTIAL: lambda number: 2.0 ** (number - 1),
    Strategy.LINEAR: float,
    Strategy.CONSTANT: lambda _: 1.0,
    Strategy.FIBONACCI: _fibonacci,
}
