"""How service levels were kept, by the hour: counted by the edge, added up by all processes, known for as long as it is asked."""

import asyncio
import math
from datetime import UTC, datetime, timedelta

import pytest

from ossature.kernel import clock
from ossature.kernel.db.engine import Database
from ossature.kernel.db.settings import DatabaseSettings
from ossature.kernel.http.budgets import store
from ossature.kernel.http.budgets.domain import Counts, allowed, spent, together
from ossature.kernel.http.budgets.tally import Tally
from ossature.kernel.observe.metrics import Requests
from ossature.kernel.service import Objective

PROMISE = Objective("GET /v1/budgets/{pot_id}", p95_ms=100, error_rate=0.01, availability=0.999)
OTHER = Objective("POST /v1/budgets", p95_ms=100)
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


def _counted(*answers: tuple[int, float]) -> Requests:
    """The requests of a process that gave these answers: (status, seconds)."""
    requests = Requests()
    requests.promise([PROMISE, OTHER])
    for status, seconds in answers:
        requests.observe(*PROMISE.key, status, seconds)
    return requests


def test_a_budget_is_what_may_miss_the_promise() -> None:
    counts = Counts(requests=1000, slow=50, failed=5, unavailable=2)

    assert spent(PROMISE, "latency", counts) == pytest.approx(1)
    assert spent(PROMISE, "errors", counts) == pytest.approx(0.5)
    assert spent(PROMISE, "availability", counts) == pytest.approx(2)
    assert allowed(PROMISE, "errors", 1000) == pytest.approx(10)
    assert spent(PROMISE, "errors", Counts()) is None


def test_where_nothing_may_go_wrong_one_failure_is_too_much() -> None:
    never = Objective("GET /v1/never", p95_ms=100, error_rate=0)

    assert spent(never, "errors", Counts(requests=10)) == 0
    assert spent(never, "errors", Counts(requests=10, failed=1)) == math.inf


async def test_what_two_processes_answered_is_added_up(database: Database) -> None:
    one = _counted((200, 0.01), (200, 0.2), (500, 0.01))
    other = _counted((503, 0.3), (200, 0.01))
    one.observe("GET", "/v1/without/promise", 500, 9.0)

    await asyncio.gather(*(Tally(database, each, every_s=60).write() for each in (one, other)))
    one.observe(*PROMISE.key, 200, 0.01)
    await Tally(database, one, every_s=60).write()

    async with database.begin() as db:
        found = await store.days(db, since=LONG_AGO)
        hours = await store.hours(db, PROMISE.key, since=LONG_AGO)
    assert set(found) == {PROMISE.key}
    assert together(found[PROMISE.key].values()) == Counts(requests=6, slow=2, failed=2, unavailable=1)
    assert together(hours.values()) == together(found[PROMISE.key].values())
    assert all(hour.tzinfo is not None and hour.minute == 0 for hour in hours)


async def test_what_is_open_is_written_at_its_end(database: Database) -> None:
    requests = _counted()
    async with Tally(database, requests, every_s=3600).keeping():
        requests.observe(*PROMISE.key, 200, 0.01)

    async with database.begin() as db:
        found = await store.days(db, since=LONG_AGO)
    assert together(found[PROMISE.key].values()) == Counts(requests=1)


async def test_what_cannot_be_written_is_written_later(
    sqlite_url: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    requests = _counted((200, 0.2))
    bare = Database(DatabaseSettings(url=f"sqlite:///{tmp_path_factory.mktemp('bare') / 'no-tables.db'}"))
    whole = Database(DatabaseSettings(url=sqlite_url))
    tally = Tally(bare, requests, every_s=60)
    await tally.write()
    requests.observe(*PROMISE.key, 200, 0.01)
    tally._database = whole
    await tally.write()
    await tally.write()

    async with whole.begin() as db:
        found = await store.days(db, since=LONG_AGO)
    assert together(found[PROMISE.key].values()) == Counts(requests=2, slow=1)
    for each in (bare, whole):
        await each.close()


async def test_old_hours_are_forgotten(database: Database) -> None:
    now = clock.now().replace(minute=0, second=0, microsecond=0)
    old = now - timedelta(days=100)
    async with database.begin() as db:
        await store.add(db, {(at, *PROMISE.key): Counts(requests=1) for at in (old, now)})
        assert await store.purge(db, before=now - timedelta(days=90)) == 1
        assert list(await store.hours(db, PROMISE.key, since=LONG_AGO)) == [now]
