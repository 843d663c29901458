"""Retries, breakers, the board that processes share, deadlines."""

import asyncio
import random
from typing import Any
from uuid import uuid4

import pytest

from ossature.kernel import clock, deadline
from ossature.kernel.db.engine import Database
from ossature.kernel.outbound.board import SYNC_S, Board
from ossature.kernel.outbound.breaker import FEW_CALLS, OPEN_S, Breaker, BreakerKey, BreakerState
from ossature.kernel.retry import Again, Budget, Retry, Strategy, Verdict

KEY = BreakerKey("sky", "weather", "k1")


class Instant(clock.SystemClock):
    """A clock whose sleeps are over at once, and noted."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await asyncio.sleep(0)


class Flaky:
    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.called = 0

    async def __call__(self) -> str:
        self.called += 1
        if self.errors:
            raise self.errors.pop(0)
        return "well"


@pytest.mark.parametrize(
    ("strategy", "lengths"),
    [
        (Strategy.EXPONENTIAL, [1, 2, 4, 8, 10]),
        (Strategy.LINEAR, [1, 2, 3, 4, 5]),
        (Strategy.CONSTANT, [1, 1, 1, 1, 1]),
        (Strategy.FIBONACCI, [1, 1, 2, 3, 5]),
    ],
)
def test_waits_grow_by_the_strategy_up_to_the_longest(strategy: Strategy, lengths: list[float]) -> None:
    policy = Retry("test", strategy=strategy, first_s=1, most_s=10)
    assert [policy.length_s(number) for number in range(1, 6)] == lengths


def test_full_jitter_uses_the_whole_length_and_never_less_than_was_asked() -> None:
    policy = Retry("test", first_s=8, most_s=8, dice=random.Random(7))
    waits = [policy.wait_s(1) for _ in range(500)]
    assert min(waits) < 0.5
    assert max(waits) > 7.5
    assert sum(waits) / 500 == pytest.approx(4, abs=0.4)
    assert min(policy.wait_s(1, asked_s=3) for _ in range(100)) >= 3


async def test_it_is_tried_again_as_often_as_the_policy_says() -> None:
    heard: list[Again] = []
    with clock.using(Instant()):
        policy = Retry("test", attempts=3, on_retry=heard.append)
        flaky = Flaky(ConnectionError(), ConnectionError())
        assert await policy.run(flaky, on=(ConnectionError,)) == "well"
        assert [again.number for again in heard] == [1, 2]
        with pytest.raises(ConnectionError):
            await policy.run(Flaky(*[ConnectionError()] * 3), on=(ConnectionError,))


async def test_what_is_not_named_or_not_worth_it_is_raised_at_once() -> None:
    policy, unnamed, hopeless = Retry("test"), Flaky(ValueError("mine")), Flaky(ConnectionError())
    with pytest.raises(ValueError, match="mine"):
        await policy.run(unnamed, on=(ConnectionError,))
    with pytest.raises(ConnectionError):
        await policy.run(hopeless, on=(ConnectionError,), judge=lambda _: None)
    assert (unnamed.called, hopeless.called) == (1, 1)


async def test_a_pause_that_was_asked_for_is_kept_unless_it_is_too_long() -> None:
    instant = Instant()
    with clock.using(instant):
        policy = Retry("test", longest_asked_s=5)
        await policy.run(Flaky(ConnectionError()), on=(ConnectionError,), judge=lambda _: Verdict(4.0))
        assert instant.slept[0] >= 4
        with pytest.raises(ConnectionError):
            await policy.run(Flaky(ConnectionError()), on=(ConnectionError,), judge=lambda _: Verdict(6.0))


async def test_a_destination_bears_only_so_many_retries() -> None:
    budget = Budget(share=0.1, most=2)
    with clock.using(Instant()):
        policy = Retry("test", attempts=2, budget=budget)
        outcomes = []
        for _ in range(10):
            flaky = Flaky(ConnectionError())
            try:
                outcomes.append(await policy.run(flaky, on=(ConnectionError,)))
            except ConnectionError:
                outcomes.append("gave up")
    assert outcomes[:2] == ["well", "well"]
    assert outcomes.count("gave up") >= 7


async def test_no_attempt_begins_that_could_not_end_in_time() -> None:
    policy, flaky = Retry("test", first_s=1, jitter="none"), Flaky(ConnectionError())
    with deadline.within(0.5), pytest.raises(ConnectionError):
        await policy.run(flaky, on=(ConnectionError,))
    assert flaky.called == 1


async def test_the_earlier_deadline_holds() -> None:
    assert deadline.remaining_s(7) == 7
    with deadline.within(1):
        with deadline.within(100):
            assert deadline.remaining_s(1000) <= 1
        with deadline.within(0.1):
            assert deadline.remaining_s(1000) <= 0.1
        assert 0.9 < deadline.remaining_s(1000) <= 1
        assert await asyncio.create_task(_remaining()) <= 1


async def _remaining() -> float:
    return deadline.remaining_s(1000)


class Hand:
    """A monotonic clock that is turned by hand."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def used(breaker: Breaker, *, good: int = 0, bad: int = 0) -> Breaker:
    for failed in [False] * good + [True] * bad:
        assert breaker.enter()
        breaker.leave(failed=failed)
    return breaker


def test_five_failures_open_it_where_calls_are_few() -> None:
    breaker = used(Breaker(KEY), good=3, bad=4)
    assert breaker.state is BreakerState.CLOSED
    used(breaker, bad=1)
    assert (breaker.state, breaker.enter()) == (BreakerState.OPEN, False)


def test_half_of_the_calls_open_it_where_they_are_many() -> None:
    breaker = used(Breaker(KEY), good=FEW_CALLS + 30, bad=49)
    assert breaker.state is BreakerState.CLOSED
    assert used(breaker, bad=1).state is BreakerState.OPEN


def test_failures_of_more_than_a_minute_ago_are_forgotten() -> None:
    hand = Hand()
    breaker = used(Breaker(KEY, now=hand), bad=4)
    hand.seconds += 61
    assert used(breaker, bad=1).state is BreakerState.CLOSED


def test_one_probe_decides_whether_it_closes_or_opens_again() -> None:
    hand = Hand()
    breaker = used(Breaker(KEY, now=hand), bad=5)
    hand.seconds += OPEN_S
    assert breaker.state is BreakerState.HALF_OPEN
    assert (breaker.enter(), breaker.enter()) == (True, False)
    breaker.leave(failed=True)
    assert breaker.state is BreakerState.OPEN
    hand.seconds += OPEN_S
    assert breaker.enter()
    breaker.leave(failed=False)
    assert used(breaker, bad=4).state is BreakerState.CLOSED


def test_a_probe_that_says_nothing_leaves_the_question_open() -> None:
    hand = Hand()
    breaker = used(Breaker(KEY, now=hand), bad=5)
    hand.seconds += OPEN_S
    assert breaker.enter()
    breaker.leave(failed=None)
    assert (breaker.state, breaker.enter()) == (BreakerState.HALF_OPEN, True)


async def test_what_one_process_learns_the_others_know(database: Database) -> None:
    told: list[tuple[str, Any]] = []
    key = BreakerKey(f"sky_{uuid4().hex[:6]}", "weather", "k1")
    one, two = Board(database, tell=lambda event, facts: told.append((event, facts["provider"]))), Board(database)
    for _ in range(5):
        one.breaker(key).enter()
        one.leave(key, failed=True, ms=10, error="upstream_5xx")
    await one.sync()
    await two.sync()
    assert two.breaker(key).state is BreakerState.OPEN
    assert 25 < two.breaker(key).retry_after_s <= OPEN_S
    one.breaker(key).open(for_s=0)
    one.breaker(key).enter()
    one.leave(key, failed=False, ms=10)
    await one.sync()
    await two.sync()
    assert two.breaker(key).state is BreakerState.CLOSED
    assert told == [("provider.down", key.provider), ("provider.up", key.provider)]


async def test_old_news_of_others_does_not_undo_what_was_seen_here(database: Database) -> None:
    one, two = Board(database), Board(database)
    two.breaker(KEY).enter()
    for board in (one, two):
        for _ in range(5):
            board.breaker(KEY).enter()
            board.leave(KEY, failed=True, ms=1)
    one.breaker(KEY).open(for_s=0)
    one.breaker(KEY).enter()
    one.leave(KEY, failed=False, ms=1)  # closed again, before two saw its own failures
    await one.sync()
    for _ in range(5):
        two.breaker(KEY).enter()
        two.leave(KEY, failed=True, ms=1)
    two.breaker(KEY).open()
    two._known_at[KEY] = clock.now()
    await two.sync()
    assert two.breaker(KEY).state is BreakerState.OPEN


async def test_boards_share_by_themselves(database: Database) -> None:
    one, two = Board(database), Board(database)
    await one.start()
    await two.start()
    for _ in range(5):
        one.breaker(KEY).enter()
        one.leave(KEY, failed=True, ms=1)
    for _ in range(1_200):
        await asyncio.sleep(0.05)
        if two.breaker(KEY).state is BreakerState.OPEN:
            break
    assert two.breaker(KEY).state is BreakerState.OPEN
    await one.close()
    await two.close()


async def test_a_board_whose_database_failed_for_a_while_shares_again(database: Database) -> None:
    one, two = Board(database), Board(database)
    await one.start()
    async with database.begin() as db:
        await db.write_text("ALTER TABLE outbound_provider_state RENAME TO elsewhere")
    for _ in range(5):
        one.breaker(KEY).enter()
        one.leave(KEY, failed=True, ms=1)
    await asyncio.sleep(1.5 * SYNC_S)  # it has tried, and could not
    async with database.begin() as db:
        await db.write_text("ALTER TABLE elsewhere RENAME TO outbound_provider_state")

    for _ in range(1_200):
        await asyncio.sleep(0.05)
        await two.sync()
        if two.breaker(KEY).state is BreakerState.OPEN:
            break
    assert two.breaker(KEY).state is BreakerState.OPEN
    await one.close()
