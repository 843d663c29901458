"""Jobs on the live channel: the topic `jobs`, for whoever may read them.

A frame says `{"jobs": [{id, name, queue, state, attempt, percent, message}, ...], "more": 0}`: what is newest of each job
that went on since the frame before, at most two frames a second from each process. `more` counts jobs that were left
out because very many went on at once; what they are can be read over HTTP, as all of this can.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

import structlog
from sqlalchemy.exc import DBAPIError

from ossature.kernel import background
from ossature.kernel.errors import Unavailable
from ossature.kernel.http.ports import Fanout
from ossature.kernel.jobs.domain import JobNews
from ossature.kernel.jobs.queue import Jobs

log = structlog.get_logger()

TOPIC: Final = "jobs"
_EVERY_S = 0.5
_MOST = 50
# Jobs that say how far they are were written for somebody who watches: they are not left out for short ones.
_MOST_WATCHED = 500


@dataclass(slots=True)
class _Batch:
    """What is to be told to one tenant."""

    newest: dict[UUID, JobNews] = field(default_factory=dict)
    more: int = 0

    def add(self, news: JobNews) -> None:
        most = _MOST if news.percent is None else _MOST_WATCHED
        if news.id in self.newest or len(self.newest) < most:
            self.newest[news.id] = news
        else:
            self.more += 1


class JobFeed:
    """Tells on the live channel what becomes of the jobs of this process. `telling()` must be open for that."""

    def __init__(self, jobs: Jobs, fanout: Fanout) -> None:
        self._jobs = jobs
        self._fanout = fanout
        self._batches: dict[UUID, _Batch] = {}
        self._news = asyncio.Event()

    def hear(self, news: JobNews) -> None:
        """Take note that a job went on."""
        self._batches.setdefault(news.tenant_id, _Batch()).add(news)
        self._news.set()

    @asynccontextmanager
    async def telling(self) -> AsyncIterator[None]:
        """While open, what happens to jobs here is told; what is known at the end is told as well."""
        stop = self._jobs.on_news(self.hear)
        task = background.start(self._tell_for_ever, "jobs.feed")
        try:
            yield
        finally:
            stop()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await self._tell()

    async def _tell_for_ever(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            await self._tell()
            await asyncio.sleep(_EVERY_S)

    async def _tell(self) -> None:
        batches, self._batches = self._batches, {}
        for tenant_id, batch in batches.items():
            data = {"jobs": [_said(news) for news in batch.newest.values()], "more": batch.more}
            try:
                await self._fanout.publish(tenant_id, topic=TOPIC, type=TOPIC, data=data)
            except (Unavailable, DBAPIError, OSError) as error:
                log.warning("jobs.not_told", error=repr(error))  # the table says it all the same


def _said(news: JobNews) -> dict[str, Any]:
    return {
        "id": str(news.id),
        "name": news.name,
        "queue": news.queue,
        "state": news.state.value,
        "attempt": news.attempt,
        "percent": news.percent,
        "message": news.message,
    }
