"""`Jobs`: how work is handed over, watched and steered. One per process."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID

import orjson

from ossature.kernel import clock
from ossature.kernel.db.engine import Database
from ossature.kernel.db.transaction import Db
from ossature.kernel.jobs import store
from ossature.kernel.jobs.domain import (
    WAITING,
    JobArgumentsRefused,
    JobArgumentsTooLarge,
    JobNews,
    JobNotCancellable,
    JobNotFound,
    JobNotPausable,
    JobNotRetryable,
    JobView,
    QueueView,
    State,
    UnknownJob,
    lane_of,
    storable_json,
)
from ossature.kernel.jobs.lanes import Lane
from ossature.kernel.jobs.settings import JobSettings
from ossature.kernel.jobs.store import NewJob
from ossature.kernel.jobs.transport.port import Transport
from ossature.kernel.jobs.transport.table import PostgresTransport, SqliteTransport
from ossature.kernel.service import Job

_ENDED_KEEP_DAYS = 7
_NEWS_MOST = 20


class Jobs:
    """The job table, and the news about it.

    A job is enqueued in the caller's transaction: it exists if and only if what the caller wrote does.
    """

    def __init__(
        self,
        database: Database,
        registry: Mapping[str, Job],
        settings: JobSettings | None = None,
        transport: Transport | None = None,
    ) -> None:
        """Registry: every job of the installation, by name. transport: None takes the database itself."""
        self.database = database
        self.registry = dict(registry)
        self.settings = settings or JobSettings()
        self.transport: Transport = transport or (
            SqliteTransport(database, self.settings) if database.embedded else PostgresTransport(database)
        )
        self._wakers: list[Callable[[], None]] = []
        self._hearers: list[Callable[[JobNews], None]] = []
        self._last_id = 0

    async def close(self) -> None:
        """Give the transport's connections back."""
        await self.transport.close()

    async def enqueue(  # noqa: PLR0913 - each is something a caller may say
        self,
        db: Db,
        job: Job,
        arguments: Mapping[str, Any] | None = None,
        *,
        tenant_id: UUID,
        request_id: str | None = None,
        trace: str | None = None,
        at: datetime | None = None,
        delay_s: float = 0.0,
        unique: str | None = None,
        priority: int | None = None,
        expires_at: datetime | None = None,
    ) -> UUID:
        """Have a job run once the transaction of `db` is committed; its id.

        arguments: JSON values, also UUIDs and datetimes, which arrive as text. at, delay_s: not before then.
        unique: while a job of this name and key waits for its first run, its id is given back and nothing is added.
        trace: W3C traceparent. expires_at: not begun by then, it is cancelled.
        Raises: UnknownJob, JobArgumentsRefused, JobArgumentsTooLarge.
        """
        run_at = at or (clock.now() + timedelta(seconds=delay_s) if delay_s > 0 else None)
        new = replace(
            self._new(job, arguments or {}, tenant_id=tenant_id, run_at=run_at),
            priority=job.priority if priority is None else priority,
            unique_key=unique,
            request_id=request_id,
            trace=trace,
            expires_at=expires_at,
        )
        if unique is None:
            await store.add(db, tenant_id, [new])
        else:
            put_id = await store.add_unique(db, tenant_id, new)
            if put_id != new.id:
                return put_id
        self._announce(db, job.queue, tenant_id, [new])
        return new.id

    async def enqueue_many(
        self,
        db: Db,
        job: Job,
        arguments: Sequence[Mapping[str, Any]],
        *,
        tenant_id: UUID,
        request_id: str | None = None,
        trace: str | None = None,
    ) -> list[UUID]:
        """Have a job run once for each of these arguments, in this order; the ids. One statement, whatever the number."""
        new = [
            replace(self._new(job, one, tenant_id=tenant_id), request_id=request_id, trace=trace) for one in arguments
        ]
        await store.add(db, tenant_id, new)
        self._announce(db, job.queue, tenant_id, new)
        return [one.id for one in new]

    async def get(self, db: Db, tenant_id: UUID, job_id: UUID) -> JobView:
        """One job. Raises: JobNotFound."""
        found = await store.get(db, tenant_id, job_id)
        if found is None:
            raise JobNotFound
        return found

    async def list(
        self,
        db: Db,
        tenant_id: UUID | None,
        *,
        state: State | None = None,
        name: str | None = None,
        queue: str | None = None,
        before: UUID | None = None,
        limit: int = 50,
    ) -> Sequence[JobView]:
        """Jobs of a tenant (None, on a system view: of all), the latest first. before: last id of the page before.

        Dead letters are `state=State.DEAD`.
        """
        return await store.find(db, tenant_id, state=state, name=name, queue=queue, before=before, limit=limit)

    async def queues(self, db: Db) -> Sequence[QueueView]:
        """How full each queue is, over all tenants."""
        return await store.count(db, clock.now())

    async def cancel(self, db: Db, tenant_id: UUID, job_id: UUID) -> JobView:
        """Stop a job: at once if it waits, within about a second if it runs. Raises: JobNotFound, JobNotCancellable."""
        keep = timedelta(days=_ENDED_KEEP_DAYS)
        states = (*WAITING, State.PAUSED)
        if not await store.end_waiting(db, tenant_id, job_id, now=clock.now(), keep=keep, states=states):
            found = await self.get(db, tenant_id, job_id)
            if not await store.wish(db, tenant_id, job_id, "cancel"):
                raise JobNotCancellable(f"It is {found.state} already.", state=found.state)
        return await self._steered(db, tenant_id, job_id)

    async def retry(self, db: Db, tenant_id: UUID, job_id: UUID) -> JobView:
        """Run a dead, cancelled or failed (and waiting) job now, by the same id, with all attempts. Raises: JobNotFound, JobNotRetryable."""
        return await self._start_again(
            db, tenant_id, job_id, (State.DEAD, State.CANCELLED, State.FAILED), JobNotRetryable
        )

    async def pause(self, db: Db, tenant_id: UUID, job_id: UUID) -> JobView:
        """Take a job out of the line until `resume`; a running one of a `long` kind stops and keeps its checkpoint.

        Raises: JobNotFound, JobNotPausable.
        """
        if not await store.pause_waiting(db, tenant_id, job_id):
            found = await self.get(db, tenant_id, job_id)
            kind = self.registry.get(found.name)
            if kind is None or not kind.long or not await store.wish(db, tenant_id, job_id, "pause"):
                raise JobNotPausable(f"It is {found.state}.", state=found.state)
        return await self._steered(db, tenant_id, job_id)

    async def resume(self, db: Db, tenant_id: UUID, job_id: UUID) -> JobView:
        """Put a paused job back in line: it goes on from its checkpoint. Raises: JobNotFound, JobNotPausable."""
        return await self._start_again(db, tenant_id, job_id, (State.PAUSED,), JobNotPausable)

    async def purge(self) -> int:
        """Delete ended jobs whose days are over, in small transactions; how many there were."""
        total = 0
        while True:
            async with self.database.begin() as db:
                gone = await store.purge(db, clock.now())
            total += gone
            if not gone:
                return total

    def lanes(self, queues: Sequence[str]) -> tuple[Lane, ...]:
        """The lines in which jobs of these queues stand, with their limits."""
        lanes = []
        for queue in queues:
            most = self.settings.queue_concurrency.get(queue)
            rate = self.settings.queue_per_minute.get(queue)
            lanes.append(Lane(queue, queue, queue_concurrency=most, queue_per_minute=rate))
            lanes.extend(
                Lane(
                    lane_of(job.name, queue, limited=True),
                    queue,
                    job=job.name,
                    concurrency=job.concurrency,
                    per_minute=job.per_minute,
                    queue_concurrency=most,
                    queue_per_minute=rate,
                )
                for job in self.registry.values()
                if job.queue == queue and _limited(job)
            )
        return tuple(lanes)

    def lane(self, job: Job) -> str:
        """The line in which a job stands."""
        return lane_of(job.name, job.queue, limited=_limited(job))

    def on_work(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Call `wake` when this process enqueued something; gives back what ends that."""
        self._wakers.append(wake)
        return lambda: self._wakers.remove(wake)

    def on_news(self, hear: Callable[[JobNews], None]) -> Callable[[], None]:
        """Call `hear`, which must be short, when a job goes on in this process; gives back what ends that."""
        self._hearers.append(hear)
        return lambda: self._hearers.remove(hear)

    def tell(self, news: JobNews) -> None:
        """A job went on, and that is committed."""
        for hear in self._hearers:
            hear(news)

    def wake(self, queue: str, jobs: Sequence[UUID] = ()) -> None:
        """Tell workers, here and elsewhere, to look at the table."""
        for wake in self._wakers:
            wake()
        # A worker that is awake goes on until its lanes are empty: more news would only be read in vain.
        self.transport.send(queue, jobs[:_NEWS_MOST])

    def _announce(self, db: Db, queue: str, tenant_id: UUID, new: Sequence[NewJob]) -> None:
        """Jobs were handed over, all to one queue: workers and whoever watches learn of it with the commit."""

        def committed() -> None:
            self.wake(queue, [one.id for one in new[:_NEWS_MOST]])
            for one in new if self._hearers else ():
                self.tell(JobNews(one.id, tenant_id, one.name, queue, State.QUEUED))

        db.after_commit(committed)

    async def _steered(self, db: Db, tenant_id: UUID, job_id: UUID) -> JobView:
        """The job as it is now; its worker, and those who wait behind it, learn of it with the commit."""
        found = await self.get(db, tenant_id, job_id)

        def committed() -> None:
            self.wake(found.queue)
            self.tell(found.news)

        db.after_commit(committed)
        return found

    async def _start_again(
        self,
        db: Db,
        tenant_id: UUID,
        job_id: UUID,
        states: Sequence[State],
        refusal: type[JobNotRetryable | JobNotPausable],
    ) -> JobView:
        if not await store.put_in_line(db, tenant_id, job_id, now=clock.now(), states=states):
            found = await self.get(db, tenant_id, job_id)
            raise refusal(f"It is {found.state}.", state=found.state)
        return await self._steered(db, tenant_id, job_id)

    def _new(
        self, job: Job, arguments: Mapping[str, Any], *, tenant_id: UUID, run_at: datetime | None = None
    ) -> NewJob:
        if job.name not in self.registry:
            raise UnknownJob(f"{job.name!r} is not among the jobs of this installation.", job=job.name)
        document = self._json(job, arguments)
        now = clock.now()
        return NewJob(
            id=self._new_id(),
            name=job.name,
            queue=job.queue,
            lane=self.lane(job),
            priority=job.priority,
            run_at=run_at or now,
            due=run_at is None or run_at <= now,
            arguments=document,
            attempts=job.attempts,
            created_at=now,
            order_key=_order_key(job, tenant_id, document),
        )

    def _json(self, job: Job, arguments: Mapping[str, Any]) -> dict[str, Any]:
        try:
            encoded = storable_json(orjson.dumps(dict(arguments)))
        except TypeError as error:
            raise JobArgumentsRefused(f"The arguments of {job.name} are not JSON: {error}.", job=job.name) from error
        if len(encoded) > self.settings.arguments_most_bytes:
            raise JobArgumentsTooLarge(
                f"The arguments of {job.name} have {len(encoded)} bytes.", most_bytes=self.settings.arguments_most_bytes
            )
        document: dict[str, Any] = orjson.loads(encoded)
        return document

    def _new_id(self) -> UUID:
        """A UUID version 7 that is above every one made here before, also within one millisecond."""
        self._last_id = max(clock.new_id().int, self._last_id + 1)
        return UUID(int=self._last_id)


def _limited(job: Job) -> bool:
    return job.concurrency is not None or job.per_minute is not None


def _order_key(job: Job, tenant_id: UUID, arguments: Mapping[str, Any]) -> str | None:
    """What jobs that run one after the other have in common: a digest, since a value may be of any length."""
    if job.ordered_by is None:
        return None
    if job.ordered_by not in arguments:
        raise JobArgumentsRefused(f"{job.name} is ordered by {job.ordered_by!r}, which is missing.", job=job.name)
    same = orjson.dumps([str(tenant_id), job.name, arguments[job.ordered_by]], option=orjson.OPT_SORT_KEYS)
    return sha256(same).hexdigest()
