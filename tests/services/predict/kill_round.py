"""Predicts or freezes in a process of its own: `kill_round.py WORK WHERE INSTANT`, and dies there.

WHERE: a boundary of the work, a number of milliseconds after which it dies wherever it is, or `nowhere`.
"""

import asyncio
import os
import signal
import sys
import threading
from dataclasses import replace
from datetime import datetime
from typing import Any

from ossature.kernel import clock
from ossature.kernel.config import Config
from ossature.kernel.db import chain
from ossature.kernel.guests import everybody, settings_of
from ossature.kernel.house import House
from ossature.kernel.tenants import store as tenants
from ossature.kernel.testing.clocks import FakeClock
from ossature.services.predict.service import service
from ossature.services.predict.store import predictions
from ossature.services.predict.usecases.freezing import freeze_due
from ossature.services.predict.usecases.pricing import Forecasters, price_matches

HERE = replace(service, offers={**service.offers, Forecasters: lambda _: Forecasters(apart=False)})


def die() -> None:
    """End at once, with nothing tidied up."""
    os.kill(os.getpid(), signal.SIGKILL)


def arm(where: str) -> None:
    """Have this process die."""
    if where.isdigit():
        threading.Timer(int(where) / 1000, die).start()
        return
    module, name = {
        "append": (predictions, "append"),
        "move": (chain, "move"),
        "freeze": (predictions, "add_freezes"),
    }.get(where.partition("-")[2], (None, ""))
    if module is None:
        return
    real = getattr(module, name)

    async def deadly(*given: Any, **more: Any) -> None:
        if where.startswith("before"):
            die()
        await real(*given, **more)
        die()

    setattr(module, name, deadly)


async def main(work: str, where: str, at: str) -> None:
    """Do the work once, at that instant."""
    config = Config.load(settings_of(everybody([HERE])))
    async with House.open([HERE], config) as house:
        async with house.database.begin() as db:
            first = await tenants.first_tenant(db)
        assert first is not None
        print("ready", flush=True)
        sys.stdin.readline()
        arm(where)
        with clock.using(FakeClock(datetime.fromisoformat(at))):
            async with house.occasion(tenant=first.brief) as ctx:
                if work == "price":
                    await price_matches(ctx)
                await freeze_due(ctx)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
