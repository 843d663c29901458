"""A house of jobs: one table, jobs that say what they did, and workers that are stopped at the end."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from ossature.kernel import clock
from ossature.kernel.db.engine import Database
from ossature.kernel.db.transaction import Db
from ossature.kernel.jobs.claims import Claim
from ossature.kernel.jobs.domain import HOUSE_TENANT_ID, JobView, State
from ossature.kernel.jobs.queue import Jobs
from ossature.kernel.jobs.settings import JobSettings
from ossature.kernel.jobs.worker import Worker
from ossature.kernel.service import Job


async def make_ctx(claim: Claim, db: Db) -> Any:
    """As much of a context as these jobs look at."""
    return SimpleNamespace(db=db, id=claim.request_id, trace=claim.trace, tenant_id=claim.tenant_id, now=clock.now())


class Shop:
    """Jobs of one test on one database."""

    def __init__(self, database: Database, jobs: list[Job], settings: Mapping[str, Any]) -> None:
        self.database = database
        quick = {"drain_s": 1.0, "poll_s": 0.2}
        self.settings = JobSettings(**{**quick, **settings})
        self.jobs = Jobs(database, {job.name: job for job in jobs}, self.settings)

    async def put(self, job: Job, arguments: Mapping[str, Any] | None = None, /, **options: Any) -> UUID:
        """Enqueue one job in a transaction of its own."""
        options.setdefault("tenant_id", HOUSE_TENANT_ID)
        async with self.database.begin() as db:
            return await self.jobs.enqueue(db, job, arguments, **options)

    async def see(self, job_id: UUID, tenant_id: UUID = HOUSE_TENANT_ID) -> JobView:
        """The job as it is now."""
        async with self.database.begin() as db:
            return await self.jobs.get(db, tenant_id, job_id)

    async def until(self, job_id: UUID, *states: State, within_s: float = 60.0) -> JobView:
        """The job once it is in one of these states."""
        async with asyncio.timeout(within_s):
            while (seen := await self.see(job_id)).state not in states:  # noqa: ASYNC110 - the row is what is watched
                await asyncio.sleep(0.01)
        return seen

    async def run_due(self, **options: Any) -> int:
        """Run what is due."""
        return await Worker(self.jobs, make_ctx, self.queues, **options).run_due()

    @property
    def queues(self) -> tuple[str, ...]:
        """All queues of the registry."""
        return tuple(sorted({job.queue for job in self.jobs.registry.values()}))

    @asynccontextmanager
    async def working(self, **options: Any) -> AsyncIterator[Worker]:
        """A worker that runs for the length of a block and then drains."""
        worker = Worker(self.jobs, make_ctx, self.queues, **options)
        task = asyncio.create_task(worker.run())
        try:
            yield worker
        finally:
            worker.stop()
            await asyncio.wait_for(task, 60)


@pytest.fixture
async def shop(database: Database) -> AsyncIterator[Callable[..., Shop]]:
    """Opens a shop with these jobs; settings by keyword."""
    opened: list[Shop] = []

    def open_shop(*jobs: Job, **settings: Any) -> Shop:
        opened.append(Shop(database, list(jobs), settings))
        return opened[-1]

    yield open_shop
    for one in opened:
        await one.jobs.close()
