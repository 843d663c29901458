import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from ossature.kernel import clock
from ossature.kernel.clock import ReplayClock
from ossature.kernel.jobs.domain import HOUSE_TENANT_ID, ScheduleNotFound
from ossature.kernel.jobs.schedule import Scheduler, jitter_most_s, list_schedules, next_after, plan_next, run_now
from ossature.kernel.jobs.store import ScheduleRow
from ossature.kernel.service import Every, Job

from .conftest import Shop

OpenShop = Callable[..., Shop]
START = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


class StillClock:
    """A clock that a test moves by hand."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at

    async def sleep(self, seconds: float) -> None:
        del seconds
        await asyncio.sleep(0)


async def nothing(_ctx: Any) -> None:
    return


def a_schedule(**every: Any) -> Job:
    return Job(name="test.scheduled", run=nothing, every=Every(**{"jitter_s": 0.0, **every}))


async def count_jobs(here: Shop) -> int:
    async with here.database.begin() as db:
        return len(await here.jobs.list(db, HOUSE_TENANT_ID, limit=2000))


async def after_absence(here: Shop, absent: timedelta) -> int:
    """How many jobs a scheduler makes that comes back after an absence."""
    with clock.using(StillClock(START)) as now:
        assert isinstance(now, StillClock)
        await Scheduler(here.jobs).learn()
        now.at += absent
        again = Scheduler(here.jobs)
        await again.learn()
        await again.fire_due()
        return await count_jobs(here)


@pytest.mark.parametrize(("missed", "runs"), [("skip", 0), ("once", 1), ("all", 3)])
async def test_missed_runs_are_forgotten_or_made_up_for_as_the_schedule_says(
    shop: OpenShop, missed: str, runs: int
) -> None:
    here = shop(a_schedule(interval=HOUR, missed=missed))
    assert await after_absence(here, 3 * HOUR + 20 * MINUTE) == runs


async def test_a_run_that_comes_too_late_for_its_expiry_is_dropped(shop: OpenShop) -> None:
    here = shop(a_schedule(interval=HOUR, missed="all", expires_after_s=1800))
    assert await after_absence(here, 3 * HOUR + 20 * MINUTE) == 1


async def test_a_run_is_made_once_however_many_schedulers_there_are(shop: OpenShop) -> None:
    here = shop(a_schedule(interval=MINUTE))
    with clock.using(StillClock(START)) as now:
        assert isinstance(now, StillClock)
        schedulers = [Scheduler(here.jobs) for _ in range(3)]
        await schedulers[0].learn()
        for _ in range(4):
            now.at += MINUTE
            await asyncio.gather(*(scheduler.fire_due() for scheduler in schedulers))
        assert await count_jobs(here) == 4


async def test_on_a_replayed_clock_schedules_run_as_fast_as_it_does(shop: OpenShop) -> None:
    here = shop(a_schedule(interval=MINUTE, missed="all"))
    with clock.using(ReplayClock(START, 600)):
        first, second = Scheduler(here.jobs), Scheduler(here.jobs)
        tasks = [asyncio.create_task(scheduler.run()) for scheduler in (first, second)]
        async with asyncio.timeout(60):
            while await count_jobs(here) < 5:  # noqa: ASYNC110 - what is watched is no event
                await asyncio.sleep(0.05)
        passed = (clock.now() - START) / MINUTE
        made = await count_jobs(here)
        for scheduler in (first, second):
            scheduler.stop()
        await asyncio.wait(tasks)
    assert made <= passed + 1


async def test_a_changed_schedule_is_planned_anew_and_one_that_is_gone_is_forgotten(shop: OpenShop) -> None:
    with clock.using(StillClock(START)):
        for job, expected in (
            (a_schedule(interval=HOUR), START + HOUR),
            (a_schedule(cron="30 13 * * *"), START + 1.5 * HOUR),
        ):
            here = shop(job)
            await Scheduler(here.jobs).learn()
            async with here.database.begin() as db:
                (view,) = await list_schedules(db)
            assert view.planned_at == expected
        here = shop(Job(name="test.other", run=nothing))
        await Scheduler(here.jobs).learn()
        async with here.database.begin() as db:
            assert await db.all(select(ScheduleRow.name)) == []


async def test_a_schedule_can_be_run_now(shop: OpenShop) -> None:
    here = shop(a_schedule(interval=DAY))
    async with here.database.begin() as db:
        await run_now(here.jobs, db, "test.scheduled")
        with pytest.raises(ScheduleNotFound):
            await run_now(here.jobs, db, "test.unheard_of")
    assert await here.run_due() == 1


def test_start_times_are_spread_over_the_whole_jitter() -> None:
    every = Every(cron="0 3 * * *")
    gap = DAY
    most_s = jitter_most_s(every, gap)
    waits = []
    for _ in range(2000):
        planned_at, fire_at = plan_next(every, START)
        waits.append((fire_at - planned_at).total_seconds())
    tenths = [sum(most_s * k / 10 <= wait < most_s * (k + 1) / 10 for wait in waits) for k in range(10)]
    assert most_s == 300
    assert sum(tenths) == 2000
    assert min(tenths) > 130
    assert max(tenths) < 270


@pytest.mark.parametrize(
    ("gap", "own_s", "expected_s"),
    [
        (timedelta(seconds=10), None, 5),
        (timedelta(seconds=45), None, 15),
        (timedelta(minutes=2), None, 30),
        (timedelta(hours=24), None, 300),
        (timedelta(days=7), None, 1800),
        (timedelta(days=30), None, 3600),
        (timedelta(hours=24), 7200, 7200),
        (timedelta(minutes=2), 7200, 60),
        (timedelta(hours=24), 0, 0),
    ],
)
def test_jitter_follows_the_frequency_and_never_exceeds_half_of_it(
    gap: timedelta, own_s: float | None, expected_s: float
) -> None:
    assert jitter_most_s(Every(interval=gap, jitter_s=own_s), gap) == expected_s


def local_times(cron: str, start: datetime, count: int) -> list[str]:
    every, found, moment = Every(cron=cron, zone="Europe/Zurich"), [], start
    for _ in range(count):
        moment = next_after(every, moment)
        found.append(f"{moment:%m-%d %H:%M}")
    return found


def test_on_the_day_when_clocks_go_forward_a_time_that_does_not_exist_is_run_after_the_gap() -> None:
    start = datetime(2026, 3, 28, 0, 0, tzinfo=UTC)
    assert local_times("30 2 * * *", start, 3) == ["03-28 01:30", "03-29 01:00", "03-30 00:30"]


def test_on_the_day_when_clocks_go_back_a_time_that_exists_twice_is_run_once() -> None:
    start = datetime(2026, 10, 24, 12, 0, tzinfo=UTC)
    assert local_times("30 2 * * *", start, 2) == ["10-25 00:30", "10-26 01:30"]


def test_intervals_keep_their_length_over_both_switch_days() -> None:
    every = Every(interval=timedelta(hours=6), zone="Europe/Zurich")
    moment = datetime(2026, 10, 24, 12, 0, tzinfo=UTC)
    for _ in range(8):
        following = next_after(every, moment)
        assert following - moment == timedelta(hours=6)
        moment = following


async def test_a_schedule_goes_on_after_the_clock_was_far_ahead_for_a_while(shop: OpenShop) -> None:
    here = shop(a_schedule(interval=HOUR))
    with clock.using(StillClock(START)) as now:
        assert isinstance(now, StillClock)
        scheduler = Scheduler(here.jobs)
        await scheduler.learn()
        now.at += 365 * DAY
        await scheduler.fire_due()
        now.at = START + 2 * MINUTE
        before = await count_jobs(here)
        await scheduler.fire_due()
        now.at = START + HOUR + MINUTE
        await scheduler.fire_due()
        assert await count_jobs(here) == before + 1


async def test_a_clock_that_is_set_back_a_little_repeats_no_run(shop: OpenShop) -> None:
    here = shop(a_schedule(interval=HOUR))
    with clock.using(StillClock(START)) as now:
        assert isinstance(now, StillClock)
        scheduler = Scheduler(here.jobs)
        await scheduler.learn()
        now.at = START + HOUR + timedelta(seconds=1)
        await scheduler.fire_due()
        now.at = START + HOUR - timedelta(seconds=1)
        await scheduler.fire_due()
        now.at = START + HOUR + timedelta(seconds=2)
        await scheduler.fire_due()
        assert await count_jobs(here) == 1
