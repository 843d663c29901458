"""`Feed`: what an open page hears of jobs, from the live channel inside this process; no page asks the database for it."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any
from uuid import UUID

from nicegui import background_tasks, ui

from ossature.kernel.errors import PermissionDenied, Problem, Unauthenticated
from ossature.kernel.http.job_feed import TOPIC
from ossature.kernel.http.ports import Fanout, Message
from ossature.kernel.jobs.domain import JobNews, State

Hear = Callable[[Sequence[JobNews], int], Awaitable[None]]
"""Called with what is newest of each job that went on, and how many more jobs went on that are not among them."""


class Feed:
    """The news of jobs for one open page. Until `open` it is silent."""

    def __init__(self, fanout: Fanout) -> None:
        self._fanout = fanout
        self._hearers: list[Hear] = []
        self._newest: dict[UUID, JobNews] = {}
        self._more = 0
        self._news = asyncio.Event()

    def on_news(self, hear: Hear) -> None:
        """Have `hear` called on this page, as long as it is open, when jobs go on."""
        self._hearers.append(hear)

    async def open(self, tenant_ids: Sequence[UUID], allowed: Callable[[], Awaitable[object]]) -> None:
        """Listen to these tenants until the page is closed.

        allowed: asked before anything is told; it raises when the person may no longer see jobs.
        """
        client = ui.context.client
        for tenant_id in tenant_ids:
            client.on_delete(await self._fanout.subscribe(tenant_id, partial(self._receive, tenant_id)))
        task = background_tasks.create(self._tell_for_ever(allowed), name="console.feed", context=client.content)

        def end() -> None:
            task.cancel()

        client.on_delete(end)

    def _receive(self, tenant_id: UUID, frame: Message) -> None:
        if frame.topic != TOPIC:
            return
        for said in frame.data["jobs"]:
            news = _news(tenant_id, said)
            self._newest[news.id] = news
        self._more += int(frame.data["more"])
        self._news.set()

    async def _tell_for_ever(self, allowed: Callable[[], Awaitable[object]]) -> None:
        client = ui.context.client
        while True:
            await self._news.wait()
            self._news.clear()
            newest, self._newest = self._newest, {}
            more, self._more = self._more, 0
            try:
                await allowed()
                for hear in tuple(self._hearers):
                    await hear(tuple(newest.values()), more)
            except Problem as problem:
                client.handle_exception(problem)
                if isinstance(problem, Unauthenticated | PermissionDenied):
                    return


def _news(tenant_id: UUID, said: Mapping[str, Any]) -> JobNews:
    return JobNews(
        id=UUID(said["id"]),
        tenant_id=tenant_id,
        name=said["name"],
        queue=said["queue"],
        state=State(said["state"]),
        attempt=said["attempt"],
        percent=said["percent"],
        message=said["message"],
    )
