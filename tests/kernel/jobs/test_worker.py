import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import literal, select, update

from ossature.kernel import clock
from ossature.kernel.jobs import claims, run
from ossature.kernel.jobs.domain import HOUSE_TENANT_ID, State
from ossature.kernel.jobs.store import JobRow, WorkerRow
from ossature.kernel.jobs.worker import Worker
from ossature.kernel.service import Backoff, Job
from ossature.kernel.testing.clocks import FakeClock

from .conftest import Shop, make_ctx

OpenShop = Callable[..., Shop]
done: list[Any] = []


@pytest.fixture(autouse=True)
def _nothing_done_yet() -> None:
    done.clear()


async def note(_ctx: Any, what: Any = None) -> None:
    done.append(what)


async def hang(_ctx: Any, seconds: float = 60) -> None:
    try:
        await asyncio.sleep(seconds)
    except asyncio.CancelledError:
        done.append("stopped")
        raise


NOTE = Job(name="test.note", run=note)
HANG = Job(name="test.hang", run=hang)


async def test_a_waiting_worker_picks_a_job_up_at_once(shop: OpenShop) -> None:
    here = shop(NOTE, poll_s=3600.0)  # what does not wake it is never found
    async with here.working():
        await here.until(await here.put(NOTE), State.SUCCEEDED)
        await here.until(await here.put(NOTE), State.SUCCEEDED)


async def test_a_worker_hears_of_jobs_that_others_enqueue(shop: OpenShop) -> None:
    """The other one has a `Jobs` of its own, as another process would have."""
    here, elsewhere = shop(NOTE, poll_s=3600.0), shop(NOTE)
    async with here.working():
        await here.until(await here.put(NOTE), State.SUCCEEDED)  # from here on it listens
        await here.until(await elsewhere.put(NOTE), State.SUCCEEDED)


async def test_a_running_job_can_be_cancelled(shop: OpenShop) -> None:
    here = shop(HANG)
    async with here.working():
        job_id = await here.put(HANG)
        await here.until(job_id, State.LEASED)
        async with here.database.begin() as db:
            await here.jobs.cancel(db, HOUSE_TENANT_ID, job_id)
        await here.until(job_id, State.CANCELLED)
    assert done == ["stopped"]


async def test_a_job_that_takes_too_long_is_stopped_and_has_failed(shop: OpenShop) -> None:
    job = Job(name="test.slow", run=hang, time_limit_s=0.05, attempts=1)
    here = shop(job)
    job_id = await here.put(job)
    await here.run_due()
    seen = await here.see(job_id)
    assert (seen.state, seen.error) == (State.DEAD, "TimeoutError: ")


async def test_a_stopping_worker_lets_short_jobs_end_and_hands_over_the_others(shop: OpenShop) -> None:
    here = shop(HANG, drain_s=3.0)
    async with here.working():
        short, endless = await here.put(HANG, {"seconds": 0.1}), await here.put(HANG)
        await here.until(endless, State.LEASED)
    assert (await here.see(short)).state is State.SUCCEEDED
    seen = await here.see(endless)
    assert (seen.state, seen.failures) == (State.QUEUED, 0)


async def test_a_long_job_goes_on_from_its_checkpoint(shop: OpenShop) -> None:
    async def collect(ctx: Any) -> int:
        this = run.current()
        for number in range(this.checkpoint or 0, 6):
            done.append(number)
            await ctx.db.write_text("UPDATE jobs_job SET line = line WHERE 0 = 1")
            await this.save(ctx.db, number + 1)
            await ctx.db.commit()
            this.progress(100 * (number + 1) / 6, f"day {number}")
            await asyncio.sleep(0.05 if number != 2 or this.attempt > 1 else 30)
        return 6

    job = Job(name="test.collect", run=collect, long=True, time_limit_s=0.01)
    here = shop(job)
    async with here.working():
        job_id = await here.put(job)
        async with asyncio.timeout(60):
            while (await here.see(job_id)).message != "day 2":  # noqa: ASYNC110 - what is watched is no event
                await asyncio.sleep(0.02)
        async with here.database.begin() as db:
            await here.jobs.pause(db, HOUSE_TENANT_ID, job_id)
        await here.until(job_id, State.PAUSED)
        await asyncio.sleep(0.1)
        async with here.database.begin() as db:
            await here.jobs.resume(db, HOUSE_TENANT_ID, job_id)
        seen = await here.until(job_id, State.SUCCEEDED)
    assert done == [0, 1, 2, 3, 4, 5]
    assert seen.result == 6
    assert seen.percent is not None
    assert seen.percent >= 50


async def test_a_worker_whose_lease_was_taken_over_cannot_complete_the_job(shop: OpenShop) -> None:
    table = Job(name="test.mark", run=note)

    taken_over = asyncio.Event()

    async def slow_write(ctx: Any) -> None:
        await taken_over.wait()
        await here.jobs.enqueue(ctx.db, table, {"what": "effect"}, tenant_id=HOUSE_TENANT_ID)

    job = Job(name="test.slow_write", run=slow_write)
    here = shop(job, table)
    job_id = await here.put(job)
    running = asyncio.create_task(Worker(here.jobs, make_ctx).run_due())
    await here.until(job_id, State.LEASED)
    async with here.database.begin() as db:  # somebody else took it over in the meantime
        taken = {"attempt": JobRow.attempt + 1, "worker_id": uuid4()}
        await db.execute(update(JobRow).where(JobRow.id == job_id).values(**taken))
    taken_over.set()
    await running
    seen = await here.see(job_id)
    assert (seen.state, seen.attempt) == (State.LEASED, 2)
    assert done == []


async def test_jobs_of_a_worker_that_went_silent_are_given_to_another(shop: OpenShop) -> None:
    here = shop(HANG, NOTE)
    silent = Worker(here.jobs, make_ctx)
    quick = Job(name="test.hang", run=note)
    job_id = await here.put(HANG)
    stuck = asyncio.create_task(silent.run_due())  # it has no heartbeat
    await here.until(job_id, State.LEASED)
    here.jobs.registry["test.hang"] = quick
    async with here.database.begin() as db:  # its time is over
        await db.execute(update(WorkerRow).values(lease_until_s=0.0))
    async with here.working():
        seen = await here.until(job_id, State.SUCCEEDED)
    assert (seen.attempt, seen.failures) == (2, 1)
    stuck.cancel()
    await asyncio.wait([stuck])


async def test_a_worker_that_lost_its_lease_stops_what_it_runs_and_begins_again(shop: OpenShop) -> None:
    here = shop(HANG, lease_s=3.0)
    async with here.working() as worker:
        before = worker.id
        job_id = await here.put(HANG)
        await here.until(job_id, State.LEASED)
        async with here.database.begin() as db:
            await db.execute(update(WorkerRow).values(lease_until_s=0.0))
            await claims.reap(db, now=clock.now())
        async with asyncio.timeout(60):
            while not (done and worker.id != before):  # noqa: ASYNC110 - what is watched is no event
                await asyncio.sleep(0.02)
        assert done[0] == "stopped"


async def test_no_more_jobs_run_at_a_time_than_their_concurrency_allows(shop: OpenShop) -> None:
    running, most = 0, 0

    async def count(_ctx: Any) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.02)
        running -= 1
        done.append(1)

    job = Job(name="test.count", run=count, concurrency=2)
    here = shop(job, NOTE)
    for _ in range(10):
        await here.put(job)
    async with here.working(), here.working(), asyncio.timeout(60):
        while len(done) < 10:  # noqa: ASYNC110 - what is watched is no event
            await asyncio.sleep(0.01)
    assert most == 2


async def test_a_queue_runs_no_more_jobs_than_it_is_allowed(shop: OpenShop) -> None:
    running, most = 0, 0

    async def count(_ctx: Any) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.02)
        running -= 1
        done.append(1)

    one, other = (Job(name=f"test.{name}", run=count, queue="narrow") for name in ("one", "other"))
    here = shop(one, other, queue_concurrency={"narrow": 3})
    for _ in range(6):
        await here.put(one)
        await here.put(other)
    async with here.working(), here.working(), asyncio.timeout(60):
        while len(done) < 12:  # noqa: ASYNC110 - what is watched is no event
            await asyncio.sleep(0.01)
    assert most == 3


async def test_no_more_jobs_start_within_a_minute_than_their_rate_allows(shop: OpenShop) -> None:
    job = Job(name="test.paced", run=note, per_minute=3)
    here = shop(job, NOTE)
    for number in range(6):
        await here.put(job, {"what": number})
    await here.put(NOTE, {"what": "free"})
    assert await here.run_due() == 4
    assert sorted(done, key=str) == [0, 1, 2, "free"]


async def test_no_more_jobs_of_a_queue_start_within_a_minute_than_its_rate_allows(shop: OpenShop) -> None:
    free, paced = (
        Job(name="test.free", run=note, queue="mail"),
        Job(name="test.own", run=note, queue="mail", per_minute=2),
    )
    here = shop(free, paced, NOTE, queue_per_minute={"mail": 5})
    for number in range(10):
        await here.put(free, {"what": f"free {number}"})
        await here.put(paced, {"what": f"own {number}"})
    await here.put(NOTE, {"what": "of another queue"})

    async with here.working(), here.working(), asyncio.timeout(60):
        while len(done) < 6:  # noqa: ASYNC110 - what is watched is no event
            await asyncio.sleep(0.01)
    assert await here.run_due() == 0, "whoever comes later in this minute starts nothing"
    assert "of another queue" in done
    assert len([what for what in done if str(what).startswith("own")]) <= 2
    assert len(done) == 6

    with clock.using(FakeClock(clock.now() + timedelta(seconds=61))):
        assert await here.run_due() == 5


async def test_a_job_that_nobody_here_knows_is_left_to_others(shop: OpenShop) -> None:
    here = shop(NOTE)
    job_id = await here.put(NOTE)
    here.jobs.registry.clear()
    await Worker(here.jobs, make_ctx).run_due()
    seen = await here.see(job_id)
    assert (seen.state, seen.failures, done) == (State.QUEUED, 0, [])


async def test_a_job_whose_workers_always_die_is_dead_in_the_end(shop: OpenShop) -> None:
    job = Job(name="test.poison", run=note, attempts=2, backoff=Backoff(first_s=0.01, most_s=0.01))
    here = shop(job)
    job_id = await here.put(job)
    async with here.database.begin() as db:
        await db.execute(update(JobRow).values(failures=2))
    await here.run_due()
    assert (await here.see(job_id)).state is State.DEAD
    assert done == []


async def test_the_context_knows_where_the_job_came_from(shop: OpenShop) -> None:
    async def look(ctx: Any) -> None:
        done.append((ctx.id, ctx.trace, ctx.tenant_id))

    job = Job(name="test.look", run=look)
    here = shop(job)
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    await here.put(job, request_id="req-1", trace=trace)
    await here.run_due()
    assert done == [("req-1", trace, HOUSE_TENANT_ID)]


@pytest.mark.parametrize(
    ("strict", "long", "state"),
    [(True, False, State.DEAD), (True, True, State.SUCCEEDED), (False, False, State.SUCCEEDED)],
)
async def test_alike_statements_of_a_job_are_its_failure_where_that_is_wanted(
    shop: OpenShop, *, strict: bool, long: bool, state: State
) -> None:
    async def ask_one_by_one(ctx: Any) -> None:
        for number in range(20):
            await ctx.db.scalar(select(literal(number)))

    job = Job(name="test.one_by_one", run=ask_one_by_one, attempts=1, long=long)
    here = shop(job)
    job_id = await here.put(job)
    await here.run_due(strict=strict)
    seen = await here.see(job_id)

    assert seen.state is state
    assert ("StatementsRepeat" in (seen.error or "")) is (state is State.DEAD)


HOSTILE = "a\x00b \ud800"


async def test_what_a_database_cannot_store_stops_no_worker(shop: OpenShop) -> None:
    async def fail(_ctx: Any) -> None:
        run.current().progress(50, HOSTILE)
        raise ValueError(HOSTILE)

    async def give(_ctx: Any) -> list[str]:
        return ["a\x00b", "\\u0000", "\\\x00"]

    failing = Job(name="test.fail", run=fail, attempts=1)
    giving = Job(name="test.give", run=give)
    here = shop(failing, giving, NOTE)
    failed, gave = await here.put(failing), await here.put(giving)
    await here.put(NOTE, {"what": "x\x00y"})
    assert await here.run_due() == 3
    seen = await here.see(failed)
    assert (seen.state, seen.error) == (State.DEAD, "ValueError: a\ufffdb ?")
    assert (await here.see(gave)).result == ["a\ufffdb", "\\u0000", "\\\ufffd"]
    assert done == ["x\ufffdy"]
