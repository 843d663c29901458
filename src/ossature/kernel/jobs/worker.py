"""`Worker`: claims jobs, has each run in a context and a transaction of its own, and writes how they ended."""

import asyncio
import math
import sys
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from functools import partial

import structlog

from ossature.kernel import clock
from ossature.kernel.db.transaction import Db
from ossature.kernel.jobs import claims, metrics, store
from ossature.kernel.jobs.attempt import Attempt, MakeCtx, news
from ossature.kernel.jobs.claims import Claim, Ending, Look
from ossature.kernel.jobs.domain import JobView, State
from ossature.kernel.jobs.lanes import Lane
from ossature.kernel.jobs.queue import Jobs
from ossature.kernel.retry import Again, Retry

log = structlog.get_logger()

OnDead = Callable[[Db, JobView], Awaitable[None]]
"""Called in the transaction that declares a job dead; may publish a fact."""

_TROUBLE_PAUSE_S = 0.5


def _told(again: Again) -> None:
    log.warning("worker.heartbeat_trouble", error=type(again.error).__name__, detail=str(again.error)[:300])


_REGISTER = Retry(
    "worker", attempts=sys.maxsize, waits_s=(_TROUBLE_PAUSE_S,), jitter="none", total_s=math.inf, on_retry=_told
)
_TICK_S = 0.5
_CROWDED_PAUSE_S = 0.005
_MEASURE_S = 15.0
_PURGE_S = 3600.0
_LAST_WORDS_S = 5.0


class Worker:
    """Runs the jobs of some queues until it is stopped. Any number of them may work on one database.

    A worker has a lease, renewed by a heartbeat; when it is lost (the process hung, or was cut off) its jobs go to
    others, and whatever it still writes about them is refused.
    """

    def __init__(
        self,
        jobs: Jobs,
        make_ctx: MakeCtx,
        queues: Sequence[str] = ("default",),
        *,
        concurrency: int | None = None,
        on_dead: OnDead | None = None,
        strict: bool = False,
    ) -> None:
        """strict: a job that sends too many alike statements fails, instead of being told of."""
        self._jobs = jobs
        self._strict = strict
        self._make_ctx = make_ctx
        self._queues = tuple(queues)
        self._most = concurrency or jobs.settings.concurrency
        self._on_dead = on_dead
        self._lanes = jobs.lanes(self._queues)
        self._glance = claims.glance(self._lanes)
        self.id = clock.new_id()
        self._running: dict[int, Attempt] = {}
        self._endings: list[Ending] = []
        self._wake = asyncio.Event()
        self._turning = asyncio.Lock()
        self._stopping = False
        self._begun = 0
        self._first_lane = 0
        self._timer: asyncio.Task[None] | None = None
        self._timer_at: datetime | None = None

    async def run(self) -> None:
        """Work until `stop()`; then finish or hand over what runs, and return."""
        end_local = self._jobs.on_work(self._wake.set)
        try:
            async with self._jobs.transport.listen(self._queues, self._wake.set, self._has_room):
                await self._register()
                heart = asyncio.create_task(self._beat(), name="worker heartbeat")
                log.info("worker.started", worker=str(self.id), queues=self._queues, concurrency=self._most)
                try:
                    await self._work()
                finally:
                    await self._drain()
                    await _ended(heart)
                    await self._leave()
        finally:
            end_local()
            log.info("worker.stopped", worker=str(self.id))

    def stop(self) -> None:
        """Claim nothing more; `run()` returns once what runs has ended or was handed over."""
        self._stopping = True
        self._wake.set()

    async def run_due(self) -> int:
        """Run everything that is due, also what that enqueues, and return; how many attempts there were."""
        await self._register()
        before = self._begun
        try:
            while True:
                more = await self._turn()
                if self._running:
                    tasks = [attempt.task for attempt in self._running.values() if attempt.task]
                    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                    await asyncio.sleep(0)  # let the attempts that ended say so
                elif not more and not self._endings:
                    return self._begun - before
        finally:
            await self._leave()

    def _has_room(self) -> bool:
        return not self._stopping and len(self._running) < self._most

    async def _work(self) -> None:
        while not self._stopping:
            self._wake.clear()
            try:
                more = await self._turn()
            except Exception as error:  # noqa: BLE001 - the worker is an edge: it outlives its database
                log.warning("worker.trouble", error=type(error).__name__, detail=str(error)[:300])
                await asyncio.sleep(_TROUBLE_PAUSE_S)
                continue
            if not more:
                await self._rest()

    async def _rest(self) -> None:
        try:
            async with asyncio.timeout(self._jobs.settings.poll_s):
                await self._wake.wait()
        except TimeoutError:
            return  # time for a look of our own
        if self._running and self._most - len(self._running) < self._most // 4:
            # Nearly full: claiming a few jobs at a time beats one transaction per job that ends.
            await asyncio.sleep(_CROWDED_PAUSE_S)

    async def _turn(self) -> bool:
        """Look, write what ended, claim what there is room for; whether another turn may find more at once."""
        async with self._turning:
            looked = await self._look()
            now = clock.now()
            lanes = self._in_turn(looked.lanes) if self._has_room() else ()
            promotes = looked.later_at is not None and looked.later_at <= now
            if not (self._endings or lanes or promotes):
                return False
            claimed = await self._book(lanes, now, promotes=promotes)
            for claim in claimed:
                self._begin(claim)
            return promotes or bool(claimed and self._has_room())

    async def _look(self) -> Look:
        async with self._jobs.database.begin() as db:
            looked = await claims.look(db, self._glance, self._lanes, self.id)
            wishes = await claims.wishes(db, self.id) if looked.wishes else ()
        for wish in wishes:
            running = self._running.get(wish.position)
            if running is not None and running.claim.attempt == wish.attempt:
                running.stop(wish.wish)
        self._set_timer(looked.later_at)
        return looked

    def _in_turn(self, lanes: Sequence[Lane]) -> Sequence[Lane]:
        """The lanes, a different one first each time, so that a full one does not starve the others."""
        if not lanes:
            return ()
        self._first_lane = (self._first_lane + 1) % len(lanes)
        return (*lanes[self._first_lane :], *lanes[: self._first_lane])

    async def _book(self, lanes: Sequence[Lane], now: datetime, *, promotes: bool) -> list[Claim]:
        """Everything that this turn writes, in one transaction: endings, jobs whose time has come, claims."""
        endings, self._endings = self._endings, []
        claimed: list[Claim] = []
        written: Sequence[Ending] = ()
        try:
            async with self._jobs.database.begin() as db:
                written = await self._write(db, [e for e in endings if e.state is not State.DEAD], now)
                if promotes:
                    await claims.promote(db, now)
                for lane in lanes:
                    free = self._most - len(self._running) - len(claimed)
                    claimed += await claims.claim(db, lane, self.id, now=now, most=free)
            while dead := [e for e in endings if e.state is State.DEAD]:
                await self._bury(dead[0], now)
                endings.remove(dead[0])
        except BaseException:
            # Whether or not the commit arrived: writing an ending twice changes nothing, and claims that we do not
            # know of are given back by the heartbeat.
            self._endings = endings + self._endings
            raise
        self._tell_successors(endings)
        for ending in written:
            self._jobs.tell(news(ending))
        return claimed

    async def _write(self, db: Db, endings: Sequence[Ending], now: datetime) -> Sequence[Ending]:
        """Write how jobs ended; those that were still this worker's."""
        succeeded = [e for e in endings if e.state is State.SUCCEEDED]
        mine = await claims.succeed(db, succeeded, now) if succeeded else ()
        written = [ending for ending in succeeded if ending.claim.position in mine]
        others = [ending for ending in endings if ending.state is not State.SUCCEEDED]
        written += [ending for ending in others if await claims.finish(db, ending, now)]
        if lost := len(endings) - len(written):
            metrics.LOST.inc(lost)
            log.warning("worker.endings_refused", jobs=lost)
        return written

    async def _bury(self, ending: Ending, now: datetime) -> None:
        """Declare a job dead and say so; a hook that fails does not keep it alive."""
        for hook in (self._on_dead, None):
            try:
                async with self._jobs.database.begin() as db:
                    if await claims.finish(db, ending, now):
                        db.after_commit(partial(self._jobs.tell, news(ending)))
                        if hook is not None:
                            await hook(db, await self._jobs.get(db, ending.claim.tenant_id, ending.claim.id))
            except Exception:
                if hook is None:
                    raise
                log.exception("worker.on_dead_failed", job=ending.claim.name, job_id=str(ending.claim.id))
            else:
                return

    def _tell_successors(self, endings: Sequence[Ending]) -> None:
        """Jobs that waited for these to end may run now, perhaps elsewhere."""
        limited = {lane.name for lane in self._lanes if lane.limited}
        for queue in {e.claim.queue for e in endings if e.claim.order_key or e.claim.lane in limited}:
            self._jobs.wake(queue)

    def _begin(self, claim: Claim) -> None:
        attempt = Attempt(self._jobs, self._make_ctx, claim, strict=self._strict)
        self._running[claim.position] = attempt
        self._begun += 1
        self._jobs.tell(attempt.news)
        attempt.start().add_done_callback(lambda task: self._ended(attempt, task))

    def _ended(self, attempt: Attempt, task: "asyncio.Task[Ending | None]") -> None:
        self._running.pop(attempt.claim.position, None)
        self._wake.set()
        if task.cancelled():
            return
        ending = task.result()
        if ending is not None:
            self._endings.append(ending)
        elif attempt.claim.order_key or attempt.claim.lane != attempt.claim.queue:
            self._jobs.wake(attempt.claim.queue)

    def _set_timer(self, at: datetime | None) -> None:
        """Wake up when the next delayed job becomes due, by the installed clock."""
        if at == self._timer_at and (at is None or (self._timer is not None and not self._timer.done())):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = at
        self._timer = asyncio.create_task(self._wake_at(at)) if at is not None else None

    async def _wake_at(self, at: datetime) -> None:
        await clock.sleep(max(0.0, (at - clock.now()).total_seconds()))
        self._wake.set()

    async def _register(self) -> None:
        self.id = clock.new_id()
        async with self._jobs.database.begin() as db:
            now = clock.now()
            await claims.register(db, self.id, self._queues, lease_s=self._jobs.settings.lease_s, now=now)
            for job in self._jobs.registry.values():
                if job.queue in self._queues:
                    await claims.realign(db, job.name, self._jobs.lane(job))
        await self._reap()

    async def _leave(self) -> None:
        if self._timer is not None:
            await _ended(self._timer)
            self._timer = self._timer_at = None
        async with self._jobs.database.begin() as db:
            await claims.leave(db, self.id, now=clock.now())

    async def _reap(self) -> None:
        async with self._jobs.database.begin() as db:
            reaped = await claims.reap(db, now=clock.now())
        if reaped:
            metrics.REAPED.inc(reaped)
            log.warning("worker.reaped", jobs=reaped)
            for queue in self._queues:
                self._jobs.wake(queue)

    async def _drain(self) -> None:
        """Let short jobs end; hand over long ones, and those that are not done in time."""
        self._stopping = True
        for attempt in list(self._running.values()):
            if attempt.job is not None and attempt.job.long:
                attempt.stop("drain")
        await self._settle(self._jobs.settings.drain_s)
        for attempt in list(self._running.values()):
            attempt.stop("drain")
        await self._settle(_LAST_WORDS_S)
        async with self._turning:
            await self._book((), clock.now(), promotes=False)

    async def _settle(self, limit_s: float) -> None:
        tasks = [attempt.task for attempt in self._running.values() if attempt.task is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=limit_s)
            await asyncio.sleep(0)

    async def _beat(self) -> None:
        """Keep the lease, look after the leases of others, show progress and figures."""
        loop = asyncio.get_running_loop()
        lease_s = self._jobs.settings.lease_s
        beaten = reaped = measured = purged = loop.time()
        while True:
            await asyncio.sleep(min(_TICK_S, lease_s / 6))
            try:
                await self._report()
                if loop.time() - beaten >= lease_s / 3:
                    kept = await self._keep_lease()
                    beaten = loop.time() if kept else beaten - lease_s
                if loop.time() - reaped >= lease_s / 2:
                    reaped = loop.time()
                    await self._reap()
                if loop.time() - measured >= _MEASURE_S:
                    measured = loop.time()
                    await self._measure()
                if loop.time() - purged >= _PURGE_S:
                    purged = loop.time()
                    await self._jobs.purge()
            except Exception as error:  # noqa: BLE001 - the worker is an edge: it outlives its database
                log.warning("worker.heartbeat_trouble", error=type(error).__name__, detail=str(error)[:300])
            if loop.time() - beaten > lease_s:
                await self._start_over()
                beaten = loop.time()

    async def _keep_lease(self) -> bool:
        async with self._turning, self._jobs.database.begin() as db:
            if not await claims.beat(db, self.id, lease_s=self._jobs.settings.lease_s):
                return False
            known = [*self._running, *(ending.claim.position for ending in self._endings)]
            await claims.give_back_strays(db, self.id, known, now=clock.now())
        return True

    async def _start_over(self) -> None:
        """Our jobs are others' now: stop them here, and begin again as a new worker."""
        log.error("worker.lease_lost", worker=str(self.id), jobs=len(self._running))
        for attempt in list(self._running.values()):
            attempt.stop("lost")

        async def registered() -> None:
            async with self._turning:
                await self._register()

        await _REGISTER.run(registered, on=(Exception,))

    async def _report(self) -> None:
        reports = [attempt for attempt in self._running.values() if attempt.reported]
        if not reports:
            return
        async with self._turning, self._jobs.database.begin() as db:
            for attempt in reports:
                attempt.reported = False
                run = attempt.run
                await claims.report(db, attempt.claim, percent=run.percent, message=run.message)
                db.after_commit(partial(self._jobs.tell, attempt.news))

    async def _measure(self) -> None:
        async with self._jobs.database.begin() as db:
            for queue in await store.count(db, clock.now()):
                metrics.WAITING.labels(queue.queue).set(queue.due)
                metrics.LATER.labels(queue.queue).set(queue.later)
                metrics.OLDEST_WAIT_SECONDS.labels(queue.queue).set(queue.oldest_wait_s)


async def _ended(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.wait([task])
