"""The product with one more service, whose job says how far it is and goes on when it is told to: for journeys that watch one.

It nails as many planks as the file `planks` in the folder of the product says.
"""

import asyncio
import sys
from datetime import timedelta
from pathlib import Path

from ossature.app import services
from ossature.kernel.cli.main import run
from ossature.kernel.context import Ctx
from ossature.kernel.jobs.run import current
from ossature.kernel.service import Every, Job, Service

STEPS = 8
_NAILED = "planks"


def nail(folder: Path, planks: int) -> None:
    """Have a boat that is built there go on until so many of its planks are nailed."""
    part = folder / f".{_NAILED}"
    part.write_text(str(planks))
    part.replace(folder / _NAILED)


def _nailed() -> int:
    return int(Path(_NAILED).read_text())


async def build(ctx: Ctx) -> None:
    """Build a boat, plank by plank."""
    del ctx
    for plank in range(STEPS):
        current().progress(100 * plank / STEPS, f"plank {plank + 1} of {STEPS}")
        while _nailed() <= plank:  # noqa: ASYNC110 - it is another process that says so
            await asyncio.sleep(0.05)
    current().progress(100, "afloat")


BUILD = Job(name="workshop.build", run=build, every=Every(interval=timedelta(days=300)))
WORKSHOP = Service(name="workshop", jobs=(BUILD,))

if __name__ == "__main__":
    sys.exit(run(lambda: (*services(), WORKSHOP), sys.argv[1:]))
