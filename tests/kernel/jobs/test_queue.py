import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from ossature.kernel import clock
from ossature.kernel.jobs.domain import (
    HOUSE_TENANT_ID,
    GiveUp,
    JobArgumentsRefused,
    JobArgumentsTooLarge,
    JobNotCancellable,
    JobNotFound,
    JobNotRetryable,
    State,
    UnknownJob,
    retry_delay_s,
)
from ossature.kernel.service import Backoff, Job
from ossature.kernel.testing.clocks import FakeClock

from .conftest import Shop

OpenShop = Callable[..., Shop]
done: list[Any] = []


async def note(_ctx: Any, what: Any = None) -> Any:
    done.append(what)
    return {"noted": what}


NOTE = Job(name="test.note", run=note)
ASIDE = Job(name="test.aside", run=note, queue="aside")
ORDERED = Job(name="test.ordered", run=note, ordered_by="what")


@pytest.fixture(autouse=True)
def _nothing_done_yet() -> None:
    done.clear()


async def test_a_job_runs_once_and_keeps_its_result(shop: OpenShop) -> None:
    here = shop(NOTE)
    job_id = await here.put(NOTE, {"what": 7})
    assert await here.run_due() == 1
    assert await here.run_due() == 0
    seen = await here.see(job_id)
    assert (seen.state, seen.result, seen.attempt, seen.failures) == (State.SUCCEEDED, {"noted": 7}, 1, 0)
    assert done == [7]


async def test_a_job_of_a_transaction_that_failed_does_not_exist(shop: OpenShop) -> None:
    here = shop(NOTE)

    async def enqueue_and_fail() -> None:
        async with here.database.begin() as db:
            await here.jobs.enqueue(db, NOTE, {"what": 1}, tenant_id=HOUSE_TENANT_ID)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await enqueue_and_fail()
    assert await here.run_due() == 0


async def test_many_jobs_are_enqueued_at_once_and_keep_their_order(shop: OpenShop) -> None:
    here = shop(NOTE)
    async with here.database.begin() as db:
        ids = await here.jobs.enqueue_many(db, NOTE, [{"what": n} for n in range(50)], tenant_id=HOUSE_TENANT_ID)
    assert sorted(ids) == ids
    assert await here.run_due(concurrency=1) == 50
    assert done == list(range(50))


async def test_uuids_and_instants_are_arguments_that_arrive_as_text(shop: OpenShop) -> None:
    here = shop(NOTE)
    value, at = uuid4(), clock.now()
    await here.put(NOTE, {"what": [value, at]})
    await here.run_due()
    assert done == [[str(value), at.isoformat()]]


async def test_arguments_that_are_no_json_or_too_large_or_of_no_known_job_are_refused(shop: OpenShop) -> None:
    here = shop(NOTE, ORDERED, arguments_most_bytes=1024)
    with pytest.raises(JobArgumentsRefused):
        await here.put(NOTE, {"what": object()})
    with pytest.raises(JobArgumentsTooLarge):
        await here.put(NOTE, {"what": "x" * 1100})
    with pytest.raises(JobArgumentsRefused):
        await here.put(ORDERED, {})
    with pytest.raises(UnknownJob):
        await here.put(Job(name="test.stranger", run=note))


async def test_of_jobs_with_one_unique_key_only_one_waits(shop: OpenShop) -> None:
    here = shop(NOTE)
    first = await here.put(NOTE, {"what": 1}, unique="k")
    assert await here.put(NOTE, {"what": 2}, unique="k") == first
    other = await here.put(NOTE, {"what": 3}, unique="other")
    assert other != first
    await here.run_due()
    assert await here.put(NOTE, {"what": 4}, unique="k") != first
    await here.run_due()
    assert done == [1, 3, 4]


async def test_the_more_urgent_job_runs_first(shop: OpenShop) -> None:
    here = shop(NOTE)
    for what, priority in (("low", -1), ("normal", None), ("high", 5)):
        await here.put(NOTE, {"what": what}, priority=priority)
    await here.run_due(concurrency=1)
    assert done == ["high", "normal", "low"]


async def test_a_delayed_job_waits_for_its_time(shop: OpenShop) -> None:
    here = shop(NOTE)
    with clock.using(FakeClock(clock.now())) as time_stands:
        assert isinstance(time_stands, FakeClock)
        await here.put(NOTE, {"what": "later"}, delay_s=60)
        await here.put(NOTE, {"what": "tomorrow"}, at=clock.now() + timedelta(days=1))
        assert await here.run_due() == 0
        time_stands.advance(61)
        assert await here.run_due() == 1
    assert done == ["later"]


async def test_a_waiting_worker_wakes_up_for_a_delayed_job_by_itself(shop: OpenShop) -> None:
    here = shop(NOTE, poll_s=3600.0)
    async with here.working():
        await here.until(await here.put(NOTE, {"what": "later"}, delay_s=0.3), State.SUCCEEDED)


async def test_jobs_with_the_same_ordering_value_run_one_after_the_other(shop: OpenShop) -> None:
    seen: list[tuple[str, int]] = []
    running: dict[str, int] = {}

    async def step(_ctx: Any, key: str, number: int) -> None:
        running[key] = running.get(key, 0) + 1
        assert running[key] == 1
        await asyncio.sleep(0.01)
        running[key] -= 1
        seen.append((key, number))

    job = Job(name="test.step", run=step, ordered_by="key")
    here = shop(job)
    for number in range(5):
        for key in ("a", "b"):
            await here.put(job, {"key": key, "number": number})
    async with here.working(), here.working():
        async with asyncio.timeout(60):
            while len(seen) < 10:  # noqa: ASYNC110 - what is watched is no event
                await asyncio.sleep(0.01)
    assert [n for k, n in seen if k == "a"] == [0, 1, 2, 3, 4]
    assert [n for k, n in seen if k == "b"] == [0, 1, 2, 3, 4]


async def test_a_failing_job_is_tried_again_and_dies_after_its_attempts(shop: OpenShop) -> None:
    async def fail(_ctx: Any) -> None:
        done.append("tried")
        raise ValueError("no")

    job = Job(name="test.fail", run=fail, attempts=3, backoff=Backoff(first_s=0.01, most_s=0.02))
    here = shop(job)
    died: list[UUID] = []

    async def on_dead(_db: Any, view: Any) -> None:
        died.append(view.id)

    async with here.working(on_dead=on_dead):
        job_id = await here.put(job)
        seen = await here.until(job_id, State.DEAD)
    assert done == ["tried"] * 3
    assert (seen.attempt, seen.failures, seen.error) == (3, 3, "ValueError: no")
    assert died == [job_id]
    async with here.database.begin() as db:
        assert [view.id for view in await here.jobs.list(db, HOUSE_TENANT_ID, state=State.DEAD)] == [job_id]


async def test_a_job_is_dead_even_if_telling_of_it_fails(shop: OpenShop) -> None:
    async def fail(_ctx: Any) -> None:
        raise ValueError("no")

    async def on_dead(_db: Any, _view: Any) -> None:
        raise ConnectionError("nobody hears it")

    job = Job(name="test.fail", run=fail, attempts=1)
    here = shop(job, NOTE)
    job_id, other_id = await here.put(job), await here.put(NOTE)
    await here.run_due(on_dead=on_dead)
    assert ((await here.see(job_id)).state, done) == (State.DEAD, [None])
    assert (await here.see(other_id)).state is State.SUCCEEDED


async def test_a_job_that_gives_up_is_dead_at_once_and_can_be_started_again(shop: OpenShop) -> None:
    async def give_up(_ctx: Any) -> None:
        done.append("tried")
        raise GiveUp("the file is gone")

    job = Job(name="test.give_up", run=give_up)
    here = shop(job)
    job_id = await here.put(job)
    await here.run_due()
    assert (await here.see(job_id)).state is State.DEAD
    async with here.database.begin() as db:
        again = await here.jobs.retry(db, HOUSE_TENANT_ID, job_id)
    assert (again.state, again.failures) == (State.QUEUED, 0)
    await here.run_due()
    assert done == ["tried", "tried"]


async def test_what_a_failing_job_wrote_is_undone(shop: OpenShop) -> None:
    other = Job(name="test.other", run=note)

    async def write_and_fail(ctx: Any) -> None:
        await here.jobs.enqueue(ctx.db, other, tenant_id=HOUSE_TENANT_ID)
        raise GiveUp

    job = Job(name="test.write", run=write_and_fail)
    here = shop(job, other)
    await here.put(job)
    assert await here.run_due() == 1


async def test_a_result_that_is_no_json_fails_the_job(shop: OpenShop) -> None:
    async def bad(_ctx: Any) -> Any:
        return object()

    job = Job(name="test.bad", run=bad, attempts=1)
    here = shop(job)
    job_id = await here.put(job)
    await here.run_due()
    assert (await here.see(job_id)).state is State.DEAD


async def test_a_cancelled_job_is_not_run(shop: OpenShop) -> None:
    here = shop(NOTE)
    job_id = await here.put(NOTE)
    async with here.database.begin() as db:
        assert (await here.jobs.cancel(db, HOUSE_TENANT_ID, job_id)).state is State.CANCELLED
    assert await here.run_due() == 0
    async with here.database.begin() as db:
        with pytest.raises(JobNotCancellable):
            await here.jobs.cancel(db, HOUSE_TENANT_ID, job_id)


async def test_another_tenants_job_cannot_be_seen_or_steered(shop: OpenShop) -> None:
    here = shop(NOTE)
    job_id = await here.put(NOTE)
    stranger = uuid4()
    async with here.database.begin() as db:
        for verb in (here.jobs.get, here.jobs.cancel, here.jobs.retry, here.jobs.pause, here.jobs.resume):
            with pytest.raises(JobNotFound):
                await verb(db, stranger, job_id)
        assert await here.jobs.list(db, stranger) == []


async def test_only_jobs_that_ended_badly_can_be_retried(shop: OpenShop) -> None:
    here = shop(NOTE)
    job_id = await here.put(NOTE)
    await here.run_due()
    async with here.database.begin() as db:
        with pytest.raises(JobNotRetryable):
            await here.jobs.retry(db, HOUSE_TENANT_ID, job_id)


async def test_jobs_are_listed_latest_first_page_by_page(shop: OpenShop) -> None:
    here = shop(NOTE)
    ids = [await here.put(NOTE) for _ in range(5)]
    async with here.database.begin() as db:
        first = await here.jobs.list(db, HOUSE_TENANT_ID, limit=3)
        second = await here.jobs.list(db, HOUSE_TENANT_ID, limit=3, before=first[-1].id)
    assert [view.id for view in (*first, *second)] == ids[::-1]


async def test_jobs_are_found_by_state_name_and_queue(shop: OpenShop) -> None:
    here = shop(NOTE, ASIDE)
    ended = await here.put(NOTE)
    await here.run_due()
    aside, later = await here.put(ASIDE), await here.put(NOTE, delay_s=60)
    async with here.database.begin() as db:
        for wanted, ids in (
            ({"state": State.SUCCEEDED}, [ended]),
            ({"name": "test.note"}, [later, ended]),
            ({"queue": "aside"}, [aside]),
            ({"queue": "aside", "state": State.SUCCEEDED}, []),
        ):
            found = await here.jobs.list(db, HOUSE_TENANT_ID, **wanted)
            assert [view.id for view in found] == ids


async def test_queues_say_how_full_they_are(shop: OpenShop) -> None:
    here = shop(NOTE)
    await here.put(NOTE)
    await here.put(NOTE, delay_s=60)
    async with here.database.begin() as db:
        (queue,) = await here.jobs.queues(db)
    assert (queue.queue, queue.due, queue.later, queue.running) == ("default", 1, 1, 0)
    assert 0 <= queue.oldest_wait_s < 3600


async def test_ended_jobs_are_purged_when_their_days_are_over(shop: OpenShop) -> None:
    brief = Job(name="test.brief", run=note, keep_days=0)
    here = shop(brief, NOTE)
    gone, kept = await here.put(brief), await here.put(NOTE)
    await here.run_due()
    assert await here.jobs.purge() == 1
    with pytest.raises(JobNotFound):
        await here.see(gone)
    assert (await here.see(kept)).state is State.SUCCEEDED


async def test_a_job_that_expired_before_it_began_is_not_run(shop: OpenShop) -> None:
    here = shop(NOTE)
    job_id = await here.put(NOTE, expires_at=clock.now() - timedelta(seconds=1))
    await here.run_due()
    assert (await here.see(job_id)).state is State.CANCELLED
    assert done == []


def test_waits_between_attempts_are_random_below_a_doubling_bound() -> None:
    backoff = Backoff(first_s=1.0, most_s=10.0)
    for failures, bound_s in ((1, 1.0), (2, 2.0), (4, 8.0), (5, 10.0), (500, 10.0)):
        waits = [retry_delay_s(backoff, failures) for _ in range(300)]
        assert 0 <= min(waits) < 0.2 * bound_s
        assert 0.8 * bound_s < max(waits) <= bound_s
