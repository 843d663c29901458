"""Random histories against the plainest possible count: no true window ever holds more than its limit."""

import asyncio
import itertools
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis
from sqlalchemy import create_engine

from ossature.kernel import clock
from ossature.kernel.db.table import Table
from ossature.kernel.outbound.ledger import store
from ossature.kernel.outbound.ledger.redis import RedisLedger
from ossature.kernel.outbound.ledger.sqlite import SqliteLedger
from ossature.kernel.outbound.ledger.values import Ledger, Refused, Reserved, Take

from .conftest import NOON, SetClock, a_window, an_attempt

TABLES: list[Any] = [store.WindowRow.__table__, store.PaceRow.__table__, store.AttemptRow.__table__]
WINDOWS = (
    a_window("a", limit=7, seconds=10.0),
    a_window("b", kind="sliding", limit=6, seconds=10.0),
    a_window("c", kind="log", limit=5, seconds=10.0),
    a_window("d", kind="pace", limit=4, seconds=10.0, max_wait_s=3.0),
    a_window("e", limit=9, period="minute", zone="Asia/Kolkata"),
)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("reserve"), st.sets(st.integers(0, 4), min_size=1, max_size=3), st.integers(1, 3)),
        st.tuples(st.just("settle"), st.integers(0, 20), st.integers(0, 4)),
        st.tuples(st.just("release"), st.integers(0, 20), st.just(0)),
        st.tuples(st.just("wait"), st.integers(0, 40), st.just(0)),
        st.tuples(st.just("reap"), st.just(0), st.just(0)),
    ),
    max_size=40,
)


async def play(ledger: Ledger, at: SetClock, history: list[Any]) -> tuple[list[Any], list[Any]]:
    """Every answer, and what was given: (when it may be sent, window, units)."""
    answers: list[Any] = []
    given_out: list[Any] = []
    open_ids = []
    for what, first, second in history:
        if what == "reserve":
            attempt = an_attempt(*(Take(WINDOWS[i], second) for i in sorted(first)), expires_in_s=15)
            answer = await ledger.reserve(attempt)
            if isinstance(answer, Reserved):
                open_ids.append(attempt.attempt_id)
                given_out += [(at.at + timedelta(seconds=answer.wait_s), at.at, i, second) for i in first]
                answers.append(round(answer.wait_s, 6))
            else:
                answers.append((answer.window.name, answer.retry_after_s and round(answer.retry_after_s, 6)))
        elif what == "settle" and open_ids:
            answers.append(await ledger.settle(open_ids[first % len(open_ids)], {"requests": second}))
        elif what == "release" and open_ids:
            answers.append(await ledger.release(open_ids[first % len(open_ids)]))
        elif what == "wait":
            at.forward(seconds=first / 7)
        elif what == "reap":
            answers.append(await ledger.reap())
    answers.append([(s.used, s.reserved, s.resets_at) for s in await ledger.states(WINDOWS)])
    answers.append(await ledger.verify())
    return answers, given_out


async def on_sqlite(path: Path, history: list[Any]) -> tuple[list[Any], list[Any]]:
    engine = create_engine(f"sqlite:///{path}")
    Table.metadata.create_all(engine, tables=TABLES)
    engine.dispose()
    ledger = SqliteLedger(path)
    try:
        with clock.using(at := SetClock(NOON)):
            return await play(ledger, at, history)
    finally:
        await ledger.close()


@given(steps)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_sent_never_passes_a_limit_in_any_true_window(tmp_path: Path, history: list[Any]) -> None:
    # What is given back may be given again: here nothing is released, nor settled with less than was reserved.
    kept = [("settle", each[1], 4) if each[0] == "settle" else each for each in history if each[0] != "release"]
    answers, given_out = asyncio.run(on_sqlite(tmp_path / f"{uuid4().hex}.db", kept))
    assert answers[-1] == []
    for index, seconds in ((1, 10.0), (2, 10.0)):
        sent = [(when, units) for _, when, i, units in given_out if i == index]
        for start, _ in sent:
            held = sum(units for when, units in sent if start <= when < start + timedelta(seconds=seconds))
            assert held <= WINDOWS[index].limit
    slots = sorted((sends, units) for sends, _, i, units in given_out if i == 3)
    for (one, units), (other, _) in itertools.pairwise(slots):
        assert other - one >= timedelta(seconds=2.5 * units) - timedelta(microseconds=5)


@given(steps)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_script_in_redis_decides_as_the_book_does(tmp_path: Path, redis_url: str, history: list[Any]) -> None:
    async def on_redis() -> tuple[list[Any], list[Any]]:
        ledger = RedisLedger(Redis.from_url(redis_url), prefix=f"test-{uuid4().hex}", time_source="process")
        try:
            with clock.using(at := SetClock(NOON)):
                return await play(ledger, at, history)
        finally:
            async for key in ledger._redis.scan_iter(f"{ledger._prefix}*", count=10_000):
                await ledger._redis.delete(key)
            await ledger.close()

    assert asyncio.run(on_redis()) == asyncio.run(on_sqlite(tmp_path / f"{uuid4().hex}.db", history))


def test_a_refusal_is_kept_if_one_comes_back_when_told(tmp_path: Path) -> None:
    async def run() -> None:
        path = tmp_path / "ledger.db"
        await on_sqlite(path, [])
        ledger = SqliteLedger(path)
        with clock.using(at := SetClock(NOON)):
            for window in WINDOWS:
                while isinstance(await ledger.reserve(an_attempt(window)), Reserved):
                    at.forward(seconds=0.1)
                refused = await ledger.reserve(an_attempt(window))
                assert isinstance(refused, Refused)
                at.forward(seconds=refused.retry_after_s or pytest.fail("it fits some time"))
                assert isinstance(await ledger.reserve(an_attempt(window)), Reserved)
        await ledger.close()

    asyncio.run(run())
