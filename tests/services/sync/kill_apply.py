"""Applies a plan in a process of its own and kills it at one boundary: `kill_apply.py WHERE PLAN`.

A place that it does not know, such as `before_answer`, leaves the killing to whoever started it.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from ossature.kernel.config import Config
from ossature.kernel.guests import everybody, settings_of
from ossature.kernel.house import House
from ossature.kernel.outbound.provider import Call
from ossature.kernel.tenants import store as tenants
from ossature.services.sync.domain.plan import Operation
from ossature.services.sync.providers.file_target import FileTarget
from ossature.services.sync.providers.n2f_account import N2fAccount
from ossature.services.sync.service import service
from ossature.services.sync.store.journal import Journal
from ossature.services.sync.usecases import apply as applying


def die() -> None:
    """End at once, with nothing tidied up."""
    os.kill(os.getpid(), signal.SIGKILL)


def arm(where: str) -> None:
    """Have this process die at a boundary of the journal."""
    intend, settle, write, post = Journal.intend, Journal.settle, FileTarget.write, N2fAccount.write

    async def intended(self: Journal, *given: Any, **more: Any) -> None:
        if where == "before_intent":
            die()
        await intend(self, *given, **more)
        if where == "after_intent":
            die()

    async def written(self: FileTarget, ops: Sequence[Operation], before: Mapping[str, Mapping[str, Any]]) -> None:
        await write(self, ops, before)
        if where == "after_answer":
            die()

    async def posted(self: N2fAccount, call: Call) -> None:
        await post(self, call)
        if where == "after_answer":
            die()

    async def settled(self: Journal, *given: Any, **more: Any) -> None:
        await settle(self, *given, **more)
        if where == "after_result":
            die()

    Journal.intend, Journal.settle, FileTarget.write = intended, settled, written  # type: ignore[method-assign, assignment]
    N2fAccount.write = posted  # type: ignore[method-assign]


async def main(where: str, sha256: str) -> None:
    """Apply the plan of that name."""
    arm(where)
    config = Config.load(settings_of(everybody([service])))
    async with House.open([service], config) as house:
        async with house.database.begin() as db:
            first = await tenants.first_tenant(db)
        assert first is not None
        async with house.occasion(tenant=first.brief) as ctx:
            run = await applying.open_run(ctx, sha256)
            await applying.work_on(ctx, UUID(str(run.id)))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
