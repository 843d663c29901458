"""`Scheduler`: turns schedules into jobs, once each, whichever of its copies leads.

An occurrence has a planned time, which follows from the schedule alone, and a time to fire: that plus a random wait
(jitter), so that installations and jobs that share a schedule do not all knock at one door at once.
"""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import structlog
from cronsim import CronSim

from ossature.kernel import clock
from ossature.kernel.db.lease import Lease, LeaseLost, LeaseTaken, holding
from ossature.kernel.db.transaction import Db
from ossature.kernel.jobs import metrics, schedule_store
from ossature.kernel.jobs.domain import HOUSE_TENANT_ID, ScheduleNotFound, ScheduleView
from ossature.kernel.jobs.queue import Jobs
from ossature.kernel.service import Every, Job

log = structlog.get_logger()

LEASE = "jobs.scheduler"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LOOK_AGAIN_S = 60.0
_TROUBLE_PAUSE_S = 1.0
_GRACE_MOST = timedelta(seconds=60)
_CATCH_UP_MOST = 1000
_HOUR_S = 3600.0
_JITTER_BY_GAP_S = (
    (60.0, 15.0),
    (300.0, 30.0),
    (_HOUR_S, 60.0),
    (20 * _HOUR_S, 120.0),
    (6 * 24 * _HOUR_S, 300.0),  # daily; a day has 23 to 25 hours
    (25 * 24 * _HOUR_S, 1800.0),  # weekly
)
_JITTER_RARE_S = 3600.0


@dataclass(frozen=True, slots=True)
class _Occurrence:
    planned_at: datetime
    gap: timedelta


def next_after(every: Every, moment: datetime) -> datetime:
    """The first planned time after a moment (UTC).

    Intervals count elapsed time from 1970 in UTC. Cron fields are read in the schedule's zone: on the day when clocks go
    forward a time that does not exist is run right after the gap, and one that exists twice is run once.
    """
    if every.interval is not None:
        passed = (moment - _EPOCH) // every.interval
        return _EPOCH + (passed + 1) * every.interval
    return next(CronSim(every.cron or "", moment.astimezone(ZoneInfo(every.zone)))).astimezone(UTC)


def jitter_most_s(every: Every, gap: timedelta) -> float:
    """The longest random wait of a run, seconds: its own or by frequency, never above half the gap to the next run."""
    gap_s = gap.total_seconds()
    wanted_s = every.jitter_s
    if wanted_s is None:
        wanted_s = next((jitter_s for below_s, jitter_s in _JITTER_BY_GAP_S if gap_s < below_s), _JITTER_RARE_S)
    return min(wanted_s, gap_s / 2)


def describe(every: Every) -> str:
    """A schedule in words that are equal when it is."""
    when = f"every {every.interval}" if every.interval is not None else f"cron {every.cron} {every.zone}"
    jitter = "" if every.jitter_s is None else f", jitter {every.jitter_s:g} s"
    return f"{when}{jitter}"


class Scheduler:
    """Enqueues scheduled jobs for the house's tenant. Start as many as you like: one leads, the others wait."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs
        self._database = jobs.database
        self._schedules = {job.name: (job, job.every) for job in jobs.registry.values() if job.every is not None}
        self._stopped = asyncio.Event()
        self._watching_since = clock.now()

    async def run(self) -> None:
        """Lead or wait to lead, until `stop()`."""
        lease_s = self._jobs.settings.lease_s
        while not self._stopped.is_set():
            try:
                async with holding(self._database, LEASE, lasts_s=lease_s) as lease:
                    await self._lead(lease)
            except LeaseTaken:
                await self._pause(lease_s / 3)
            except LeaseLost:
                log.warning("scheduler.lease_lost")
            except Exception as error:  # noqa: BLE001 - the scheduler is a worker's edge: it outlives its database
                log.warning("scheduler.trouble", error=type(error).__name__, detail=str(error)[:300])
                await self._pause(_TROUBLE_PAUSE_S)

    def stop(self) -> None:
        """Have `run()` return."""
        self._stopped.set()

    async def fire_due(self, lease: Lease | None = None) -> datetime | None:
        """Enqueue what is due; when the next run fires. lease: refuses to write once it is lost."""
        async with self._database.begin() as db:
            found = await schedule_store.every(db)
        now = clock.now()
        for view in found:
            if view.name not in self._schedules:
                continue
            if view.fire_at <= now:
                await self._fire(view, now, lease)
            elif view.planned_at > _latest_plan(self._schedules[view.name][1], now):
                await self._plan_anew(view, now, lease)
        async with self._database.begin() as db:
            return min((s.fire_at for s in await schedule_store.every(db) if s.name in self._schedules), default=None)

    async def learn(self) -> None:
        """Write down schedules that are new or changed, forget those that are gone."""
        now = self._watching_since = clock.now()
        async with self._database.begin() as db, db.step():
            known = {view.name: view for view in await schedule_store.every(db)}
            for name, (_job, every) in self._schedules.items():
                plan = describe(every)
                if name not in known or known[name].plan != plan:
                    planned_at, fire_at = plan_next(every, now)
                    await schedule_store.put(db, name, plan=plan, planned_at=planned_at, fire_at=fire_at)
            await schedule_store.forget(db, [name for name in known if name not in self._schedules])

    async def _lead(self, lease: Lease) -> None:
        log.info("scheduler.leads", fence=lease.fence, schedules=len(self._schedules))
        await self.learn()
        while not self._stopped.is_set():
            fires_at = await self.fire_due(lease)
            wait_s = _LOOK_AGAIN_S if fires_at is None else (fires_at - clock.now()).total_seconds()
            await self._pause(min(max(wait_s, 0.0), _LOOK_AGAIN_S), by_clock=True)

    async def _pause(self, seconds: float, *, by_clock: bool = False) -> None:
        """Wait, by the installed clock or in real time; less when stopped."""
        sleep = asyncio.create_task(clock.sleep(seconds) if by_clock else asyncio.sleep(seconds))
        stop = asyncio.create_task(self._stopped.wait())
        try:
            await asyncio.wait([sleep, stop], return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleep.cancel()
            stop.cancel()

    async def _fire(self, view: ScheduleView, now: datetime, lease: Lease | None) -> None:
        """Enqueue the runs of one schedule and move it on, in one transaction that only one leader can commit."""
        job, every = self._schedules[view.name]
        due = _occurrences(every, view.planned_at, now)
        runs = self._runs(every, due, now)
        planned_at, fire_at = plan_next(every, due[-1].planned_at)
        async with self._database.begin() as db, db.step():
            if lease is not None:
                await lease.guard(db)
            if not await schedule_store.advance(
                db,
                view.name,
                seen_at=view.planned_at,
                planned_at=planned_at,
                fire_at=fire_at,
                last_at=now if runs else None,
            ):
                return
            for occurrence in runs:
                job_id = await self._enqueue(db, job, every, occurrence)
                await schedule_store.note_job(db, view.name, job_id)
        metrics.SCHEDULED.labels(view.name, "enqueued").inc(len(runs))
        metrics.SCHEDULED.labels(view.name, "dropped").inc(len(due) - len(runs))
        if len(due) > len(runs):
            log.info("schedule.runs_dropped", job=view.name, runs=len(due) - len(runs), missed=every.missed)

    async def _plan_anew(self, view: ScheduleView, now: datetime, lease: Lease | None) -> None:
        """Bring a schedule back that was planned when the clock was far ahead: it would wait until then."""
        planned_at, fire_at = plan_next(self._schedules[view.name][1], now)
        async with self._database.begin() as db, db.step():
            if lease is not None:
                await lease.guard(db)
            await schedule_store.advance(
                db, view.name, seen_at=view.planned_at, planned_at=planned_at, fire_at=fire_at, last_at=None
            )
        log.warning("schedule.clock_went_back", job=view.name, planned_at=view.planned_at.isoformat())

    async def _enqueue(self, db: Db, job: Job, every: Every, occurrence: _Occurrence) -> UUID:
        expires_at = None
        if every.expires_after_s is not None:
            expires_at = occurrence.planned_at + timedelta(seconds=every.expires_after_s)
        return await self._jobs.enqueue(
            db,
            job,
            tenant_id=HOUSE_TENANT_ID,
            request_id=f"{job.name}@{occurrence.planned_at:%Y%m%dT%H%M%SZ}",
            expires_at=expires_at,
        )

    def _runs(self, every: Every, due: Sequence[_Occurrence], now: datetime) -> Sequence[_Occurrence]:
        """Which of the occurrences that are due are to be run, by the policy for missed ones."""
        if every.expires_after_s is not None:
            patience = timedelta(seconds=every.expires_after_s)
            due = [occurrence for occurrence in due if now <= occurrence.planned_at + patience]
        if every.missed == "all" or not due:
            return due
        latest = due[-1]
        if every.missed == "once":
            return [latest]
        # Not missed: somebody led when it came, or took over so soon after that the change of leader is no reason.
        grace = min(_GRACE_MOST, latest.gap / 2)
        jitter = timedelta(seconds=jitter_most_s(every, latest.gap))
        return [latest] if latest.planned_at + jitter + grace >= self._watching_since else []


def plan_next(every: Every, after: datetime) -> tuple[datetime, datetime]:
    """The planned time after a moment, and when it fires: a random wait later, chosen anew for each run."""
    planned_at = next_after(every, after)
    most_s = jitter_most_s(every, next_after(every, planned_at) - planned_at)
    wait_s = random.uniform(0.0, most_s)  # noqa: S311 - spreads load, guards nothing
    return planned_at, planned_at + timedelta(seconds=wait_s)


def _latest_plan(every: Every, now: datetime) -> datetime:
    """The occurrence after the next one: nothing later is planned, unless the clock went back by a whole period.

    A smaller step back brings a run that was made too early, and not another one at the right time.
    """
    return next_after(every, next_after(every, now))


def _occurrences(every: Every, first: datetime, now: datetime) -> Sequence[_Occurrence]:
    """What is due from `first` on, at least that, the latest thousand."""
    if every.interval is not None and now > first:
        behind = (now - first) // every.interval - _CATCH_UP_MOST + 1
        first += max(0, behind) * every.interval
    found = []
    planned_at = first
    while True:
        following = next_after(every, planned_at)
        found.append(_Occurrence(planned_at, following - planned_at))
        if following > now:
            return found[-_CATCH_UP_MOST:]
        planned_at = following


async def list_schedules(db: Db) -> Sequence[ScheduleView]:
    """Every schedule by name, as its leader knows it."""
    return await schedule_store.every(db)


async def run_now(jobs: Jobs, db: Db, name: str) -> UUID:
    """Have a scheduled job run now, besides its schedule; the job's id. Raises: ScheduleNotFound."""
    job = jobs.registry.get(name)
    if job is None or job.every is None:
        raise ScheduleNotFound(f"No schedule is called {name!r}.", schedule=name)
    return await jobs.enqueue(db, job, tenant_id=HOUSE_TENANT_ID, request_id=f"{name}@now")
