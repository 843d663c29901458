"""What every back-end does. `at` is the time; `open_ledger` opens another door to the same store."""

import asyncio
from datetime import UTC, datetime, time, timedelta
from uuid import UUID, uuid4

import pytest

from ossature.kernel.outbound.ledger.values import (
    AttemptExists,
    AttemptState,
    DayLimit,
    Ledger,
    Refused,
    Reserved,
    Take,
    WindowSpec,
)

from .conftest import TENANT, Open, SetClock, a_window, an_attempt

pytestmark = pytest.mark.usefixtures("at")


async def fill(ledger: Ledger, window: WindowSpec, times: int) -> list[Reserved | Refused]:
    return [await ledger.reserve(an_attempt(window)) for _ in range(times)]


async def test_exactly_as_many_units_as_the_limit_are_given(ledger: Ledger) -> None:
    window = a_window(limit=10)
    answers = await asyncio.gather(*(ledger.reserve(an_attempt(window)) for _ in range(50)))
    assert sum(isinstance(each, Reserved) for each in answers) == 10
    (state,) = await ledger.states([window])
    assert (state.used, state.reserved, state.remaining) == (0, 10, 0)


async def test_two_processes_share_a_limit(open_ledger: Open) -> None:
    one, two = await open_ledger(), await open_ledger()
    window = a_window(limit=25)
    answers = await asyncio.gather(*(door.reserve(an_attempt(window)) for _ in range(40) for door in (one, two)))
    assert sum(isinstance(each, Reserved) for each in answers) == 25
    assert await two.verify() == []


async def test_a_refusal_names_the_window_and_when_it_opens(ledger: Ledger, at: SetClock) -> None:
    window = a_window(limit=1)
    at.forward(seconds=20)
    await fill(ledger, window, 1)
    assert await ledger.reserve(an_attempt(window)) == Refused(window, 40.0)


async def test_of_several_full_windows_the_one_that_stays_shut_longest_is_named(ledger: Ledger) -> None:
    minute, day = a_window(limit=1), a_window(limit=1, period="day")
    await ledger.reserve(an_attempt(minute, day))
    refused = await ledger.reserve(an_attempt(minute, day))
    assert refused == Refused(day, 12 * 3600.0)


async def test_a_refused_attempt_takes_nothing_from_any_window(ledger: Ledger) -> None:
    consumer, provider = a_window("consumer:key:1", limit=5), a_window(limit=1)
    await ledger.reserve(an_attempt(consumer, provider))
    assert isinstance(await ledger.reserve(an_attempt(consumer, provider)), Refused)
    (state,) = await ledger.states([consumer])
    assert state.remaining == 4


async def test_more_than_the_whole_limit_never_fits(ledger: Ledger) -> None:
    window = a_window(limit=10)
    assert await ledger.reserve(an_attempt(Take(window, 11))) == Refused(window, None)


async def test_takes_from_one_window_are_added_up(ledger: Ledger) -> None:
    window = a_window(limit=10)
    assert isinstance(await ledger.reserve(an_attempt(Take(window, 6), Take(window, 5))), Refused)
    await ledger.reserve(an_attempt(Take(window, 6), Take(window, 4)))
    (state,) = await ledger.states([window])
    assert state.reserved == 10


async def test_an_attempt_of_nothing_is_always_given(ledger: Ledger) -> None:
    window = a_window(limit=0)
    assert isinstance(await ledger.reserve(an_attempt(Take(window, 0))), Reserved)


async def test_settling_charges_what_was_used_and_gives_back_the_rest(ledger: Ledger) -> None:
    window = a_window(unit="tokens", limit=1_000)
    attempt = an_attempt(Take(window, 600))
    await ledger.reserve(attempt)
    assert await ledger.settle(attempt.attempt_id, {"tokens": 250})
    (state,) = await ledger.states([window])
    assert (state.used, state.reserved, state.remaining) == (250, 0, 750)
    assert await ledger.verify() == []


async def test_a_unit_that_is_not_named_is_charged_as_reserved(ledger: Ledger) -> None:
    calls, tokens = a_window(), a_window(unit="tokens", limit=1_000)
    attempt = an_attempt(Take(calls, 1), Take(tokens, 600))
    await ledger.reserve(attempt)
    await ledger.settle(attempt.attempt_id, {"tokens": 20})
    assert [state.used for state in await ledger.states([calls, tokens])] == [1, 20]


async def test_an_excess_is_charged_in_full(ledger: Ledger) -> None:
    window = a_window(unit="tokens", limit=1_000)
    attempt = an_attempt(Take(window, 600))
    await ledger.reserve(attempt)
    await ledger.settle(attempt.attempt_id, {"tokens": 1_100})
    (state,) = await ledger.states([window])
    assert (state.used, state.remaining) == (1_100, 0)
    assert isinstance(await ledger.reserve(an_attempt(Take(window, 1))), Refused)


async def test_an_attempt_ends_once_however_often_it_is_settled(ledger: Ledger) -> None:
    window = a_window()
    attempt = an_attempt(window)
    await ledger.reserve(attempt)
    ends = await asyncio.gather(*(ledger.settle(attempt.attempt_id, {"requests": 1}) for _ in range(5)))
    assert ends.count(True) == 1
    assert not await ledger.release(attempt.attempt_id)
    (state,) = await ledger.states([window])
    assert (state.used, state.reserved) == (1, 0)


async def test_a_released_attempt_gives_everything_back_and_stays_released(ledger: Ledger) -> None:
    window = a_window(limit=1)
    attempt = an_attempt(window)
    await ledger.reserve(attempt)
    assert await ledger.release(attempt.attempt_id)
    assert not await ledger.settle(attempt.attempt_id, {"requests": 1})
    assert isinstance(await ledger.reserve(an_attempt(window)), Reserved)
    assert await ledger.verify() == []


async def test_ending_an_attempt_that_nobody_reserved_does_nothing(ledger: Ledger) -> None:
    assert not await ledger.settle(uuid4(), {"requests": 1})
    assert not await ledger.release(uuid4())


async def test_an_attempt_is_reserved_once_and_its_neighbours_do_not_suffer(ledger: Ledger) -> None:
    window = a_window()
    attempt = an_attempt(window)
    await ledger.reserve(attempt)
    again, other = await asyncio.gather(
        ledger.reserve(attempt), ledger.reserve(an_attempt(window)), return_exceptions=True
    )
    assert isinstance(again, AttemptExists)
    assert isinstance(other, Reserved)
    (state,) = await ledger.states([window])
    assert state.reserved == 2


async def test_an_expired_attempt_is_charged_as_reserved(ledger: Ledger, at: SetClock) -> None:
    window = a_window(unit="tokens", limit=1_000, period="day")
    await ledger.reserve(an_attempt(Take(window, 600), expires_in_s=60))
    at.forward(seconds=59)
    assert await ledger.reap() == 0
    at.forward(seconds=2)
    assert await ledger.reap() == 1
    assert await ledger.reap() == 0
    (state,) = await ledger.states([window])
    assert (state.used, state.reserved) == (600, 0)
    assert await ledger.verify() == []


async def test_a_settlement_after_reaping_adds_only_the_excess(ledger: Ledger, at: SetClock) -> None:
    window = a_window(unit="tokens", limit=1_000, period="day")
    small, large = an_attempt(Take(window, 100)), an_attempt(Take(window, 100))
    await ledger.reserve(small)
    await ledger.reserve(large)
    at.forward(seconds=61)
    await ledger.reap()
    for _ in range(2):
        assert not await ledger.settle(small.attempt_id, {"tokens": 40})
        assert not await ledger.settle(large.attempt_id, {"tokens": 130})
    (state,) = await ledger.states([window])
    assert state.used == 230
    assert await ledger.verify() == []


async def test_a_late_settlement_goes_to_the_window_it_was_taken_from(ledger: Ledger, at: SetClock) -> None:
    window = a_window(limit=10)
    attempt = an_attempt(Take(window, 4), expires_in_s=600)
    await ledger.reserve(attempt)
    at.forward(seconds=60)
    await ledger.settle(attempt.attempt_id, {"requests": 9})
    (state,) = await ledger.states([window])
    assert (state.used, state.reserved) == (0, 0)
    assert await ledger.verify() == []


async def test_a_fixed_window_starts_again_at_its_edge(ledger: Ledger, at: SetClock) -> None:
    window = a_window(limit=2)
    at.forward(seconds=59)
    await fill(ledger, window, 3)
    at.forward(seconds=1)
    answers = await fill(ledger, window, 3)
    assert [isinstance(each, Reserved) for each in answers] == [True, True, False]


async def test_a_day_ends_at_midnight_in_its_zone(ledger: Ledger, at: SetClock) -> None:
    window = a_window(limit=1, period="day", zone="America/Los_Angeles")
    at.at = datetime(2026, 3, 8, 20, 0, tzinfo=UTC)  # the day on which the clocks went forward
    await fill(ledger, window, 1)
    assert await ledger.reserve(an_attempt(window)) == Refused(window, 11 * 3600.0)
    at.forward(hours=11)
    assert isinstance(await ledger.reserve(an_attempt(window)), Reserved)


@pytest.mark.parametrize("kind", ["sliding", "log"])
async def test_a_rolling_window_never_passes_its_limit_over_an_edge(ledger: Ledger, at: SetClock, kind: str) -> None:
    window = a_window(kind=kind, limit=10, seconds=10.0)
    at.forward(seconds=9.5)
    assert all(isinstance(each, Reserved) for each in await fill(ledger, window, 10))
    given = []
    for _ in range(30):
        at.forward(seconds=0.5)
        given.append((at.at, isinstance(await ledger.reserve(an_attempt(window)), Reserved)))
    first = next(when for when, was in given if was)
    assert timedelta(seconds=10) <= first - (given[0][0] - timedelta(seconds=0.5)) <= timedelta(seconds=11)
    assert await ledger.verify() == []


@pytest.mark.parametrize(("kind", "wait_s"), [("sliding", 10.0), ("log", 9.000001)])
async def test_a_rolling_window_says_when_enough_has_left(
    ledger: Ledger, at: SetClock, kind: str, wait_s: float
) -> None:
    window = a_window(kind=kind, limit=3, seconds=10.0)
    for _ in range(3):
        await fill(ledger, window, 1)
        at.forward(seconds=1)
    refused = await ledger.reserve(an_attempt(Take(window, 2)))
    assert isinstance(refused, Refused)
    assert refused.retry_after_s == pytest.approx(wait_s - 1)
    at.forward(seconds=wait_s - 1)
    assert isinstance(await ledger.reserve(an_attempt(Take(window, 2))), Reserved)


async def test_a_pace_hands_out_slots_one_after_the_other(ledger: Ledger, at: SetClock) -> None:
    window = a_window(kind="pace", limit=2, seconds=1.0, max_wait_s=1.2)
    answers = await fill(ledger, window, 4)
    assert [each.wait_s for each in answers if isinstance(each, Reserved)] == [0.0, 0.5, 1.0]
    assert isinstance(answers[3], Refused)
    assert answers[3].retry_after_s == pytest.approx(0.3)
    at.forward(seconds=10)
    assert await ledger.reserve(attempt := an_attempt(window)) == Reserved(attempt.attempt_id, 0.0)


async def test_two_paces_give_one_slot_that_suits_both(ledger: Ledger) -> None:
    fast = a_window("upstream:acme:1", kind="pace", limit=10, seconds=1.0)
    slow = a_window("consumer:key:1", kind="pace", limit=1, seconds=1.0)
    await ledger.reserve(an_attempt(slow))
    both = await ledger.reserve(an_attempt(fast, slow))
    after = await ledger.reserve(an_attempt(fast))
    assert isinstance(both, Reserved)
    assert isinstance(after, Reserved)
    assert after.wait_s - both.wait_s == pytest.approx(0.1)


async def test_a_refused_attempt_takes_no_slot(ledger: Ledger) -> None:
    pace, empty = a_window(kind="pace", limit=1, seconds=1.0), a_window("consumer:key:1", limit=0)
    assert isinstance(await ledger.reserve(an_attempt(pace, empty)), Refused)
    answer = await ledger.reserve(an_attempt(pace))
    assert isinstance(answer, Reserved)
    assert answer.wait_s == 0.0


async def test_the_limit_follows_the_time_of_day(ledger: Ledger, at: SetClock) -> None:
    window = a_window(limit=1, limits=(DayLimit(time(22), time(6), 3),), period="day", zone="Europe/Zurich")
    answers = await fill(ledger, window, 2)
    assert answers[1] == Refused(window, 9 * 3600.0)  # noon UTC is 13:00 in Zurich
    at.forward(hours=9)
    answers = await fill(ledger, window, 3)
    assert [isinstance(each, Reserved) for each in answers] == [True, True, False]


async def test_an_upstream_that_says_less_is_left_is_believed(ledger: Ledger) -> None:
    for window in (a_window(), a_window("b", kind="sliding"), a_window("c", kind="log")):
        await fill(ledger, window, 2)
        await ledger.clamp(window, remaining=3)
        (state,) = await ledger.states([window])
        assert (state.remaining, state.outside) == (3, 5)
        answers = await fill(ledger, window, 4)
        assert [isinstance(each, Reserved) for each in answers] == [True, True, True, False]
    assert await ledger.verify() == []


async def test_an_upstream_that_says_more_is_left_is_not(ledger: Ledger) -> None:
    window = a_window()
    await fill(ledger, window, 8)
    await ledger.clamp(window, remaining=9)
    (state,) = await ledger.states([window])
    assert state.remaining == 2


async def test_with_nothing_left_a_window_is_held_until_the_upstream_resets_it(ledger: Ledger, at: SetClock) -> None:
    window = a_window()
    at.forward(seconds=50)
    await ledger.clamp(window, remaining=0, reset_at=at.at + timedelta(seconds=30))
    at.forward(seconds=15)  # our own window is over by now
    assert await ledger.reserve(an_attempt(window)) == Refused(window, 15.0)
    (state,) = await ledger.states([window])
    assert state.held_until == at.at + timedelta(seconds=15)
    at.forward(seconds=15)
    assert isinstance(await ledger.reserve(an_attempt(window)), Reserved)


async def test_a_reset_in_the_far_future_holds_no_longer_than_the_window_is(ledger: Ledger, at: SetClock) -> None:
    window = a_window()
    await ledger.clamp(window, remaining=0, reset_at=at.at + timedelta(days=365))
    at.forward(seconds=60)
    assert isinstance(await ledger.reserve(an_attempt(window)), Reserved)


async def test_a_clock_that_is_set_back_makes_rolling_windows_no_wider(ledger: Ledger, at: SetClock) -> None:
    windows = [a_window(kind="sliding"), a_window("b", kind="log")]
    for window in windows:
        await fill(ledger, window, 10)
    at.forward(hours=-1)
    for window in windows:
        assert isinstance(await ledger.reserve(an_attempt(window)), Refused)


async def test_a_state_says_when_the_window_is_whole_again(ledger: Ledger, at: SetClock) -> None:
    day, log, pace = a_window(period="day"), a_window(kind="log"), a_window(kind="pace", seconds=10.0)
    before = await ledger.states([day, log, pace])
    assert [state.resets_at for state in before] == [at.at + timedelta(hours=12), None, at.at]
    await ledger.reserve(an_attempt(day, log, pace))
    after = await ledger.states([day, log, pace])
    assert [state.remaining for state in after] == [9, 9, 10]
    assert after[1].resets_at == at.at + timedelta(seconds=60, microseconds=1)
    assert after[2].resets_at == at.at + timedelta(seconds=1)


async def test_an_attempts_trail_is_its_tenants_only(ledger: Ledger, at: SetClock) -> None:
    window = a_window(unit="tokens", limit=1_000)
    attempt = an_attempt(Take(window, 600))
    await ledger.reserve(attempt)
    trail = await ledger.attempt(TENANT, attempt.attempt_id)
    assert trail is not None
    assert (trail.state, dict(trail.actual), trail.finished_at) == (AttemptState.OPEN, {}, None)
    await ledger.settle(attempt.attempt_id, {"tokens": 250}, estimated=True, outcome="truncated")
    trail = await ledger.attempt(TENANT, attempt.attempt_id)
    assert trail is not None
    assert (trail.state, trail.outcome, trail.estimated) == (AttemptState.SETTLED, "truncated", True)
    assert trail.takes == ((window.name, "tokens", 600),)
    assert (dict(trail.actual), trail.finished_at) == ({"tokens": 250}, at.at)
    assert await ledger.attempt(UUID(int=8), attempt.attempt_id) is None
    assert await ledger.attempt(TENANT, uuid4()) is None


async def test_what_is_forgotten_leaves_counters_that_still_verify(ledger: Ledger, at: SetClock) -> None:
    minute, month, log = a_window(), a_window(period="month"), a_window("b", kind="log")
    for end in (True, False):
        attempt = an_attempt(minute, month, log, expires_in_s=10**7)
        await ledger.reserve(attempt)
        if end:
            await ledger.settle(attempt.attempt_id, {})
    at.forward(days=8)
    pruned = await ledger.prune(attempts_older_than=timedelta(days=7), windows_older_than=timedelta(days=30))
    assert (pruned.attempts, pruned.windows) == (1, 0)  # the open attempt keeps its windows
    assert await ledger.verify() == []
    assert [state.used for state in await ledger.states([month])] == [1]
    await ledger.settle(attempt.attempt_id, {})
    at.forward(days=8)
    pruned = await ledger.prune(attempts_older_than=timedelta(days=7), windows_older_than=timedelta(days=10))
    assert (pruned.attempts, pruned.windows) == (1, 2)
    assert [state.used for state in await ledger.states([month])] == [2]
    assert await ledger.verify() == []


async def test_a_closed_ledger_refuses(ledger: Ledger) -> None:
    await ledger.close()
    with pytest.raises(Exception, match="closed"):
        await ledger.reserve(an_attempt(a_window()))
