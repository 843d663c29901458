"""A service whose job takes its time and says how far it is; run as a script, a worker process that does that work."""

import asyncio
import signal
import sys
from pathlib import Path

from pydantic import SecretStr

from ossature.kernel.config import Config, MainSettings
from ossature.kernel.context import Ctx
from ossature.kernel.db.settings import DatabaseSettings
from ossature.kernel.house import House
from ossature.kernel.jobs.run import current
from ossature.kernel.service import Job, Service
from ossature.kernel.testing.houses import SECRET

STEPS = 4


async def fire(ctx: Ctx, pots: int, seen: str = "") -> dict[str, int]:
    """Fire some pots, one after the other. seen: a folder in which somebody makes a file for each pot that was seen."""
    del ctx
    for pot in range(1, pots + 1):
        current().progress(100 * (pot - 1) / pots, f"pot {pot} of {pots}")
        while seen and not await asyncio.to_thread((Path(seen) / str(pot)).exists):  # noqa: ASYNC110 - a file
            await asyncio.sleep(0.02)
    current().progress(100, "all fired")
    return {"pots": pots}


async def glance(ctx: Ctx) -> None:
    """Nothing that takes time."""
    del ctx


FIRE = Job(name="kiln.fire", run=fire, attempts=1)
GLANCE = Job(name="kiln.glance", run=glance)
KILN = Service(name="kiln", jobs=(FIRE, GLANCE))


async def main(url: str, var_dir: Path) -> None:
    """Work until told to stop."""
    main_settings = MainSettings(
        profile="testing", var_dir=var_dir, secret_key=SecretStr(SECRET), public_url="http://house.test"
    )
    async with House.open([KILN], Config([main_settings, DatabaseSettings(url=url)])) as house:
        worker = house.worker()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, worker.stop)
        await worker.run()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
