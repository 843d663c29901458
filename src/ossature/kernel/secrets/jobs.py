"""What happens to the key ring by itself."""

from typing import Final

from ossature.kernel.context import Ctx
from ossature.kernel.secrets import usecases
from ossature.kernel.service import Every, Job

REENCRYPT: Final = Job(
    name="secrets.reencrypt", run=usecases.reencrypt, attempts=3, time_limit_s=6 * 3600, concurrency=1
)
"""Killed in the middle it goes on where it was: a value that is under the active key is not looked at again."""


async def check_keys(ctx: Ctx) -> str | None:
    """Turn the ring if its active key is old; in any case look for values that are not under it."""
    turned = await usecases.turn_old(ctx)
    await ctx.enqueue(REENCRYPT, {}, unique=REENCRYPT.name)
    return turned


CHECK: Final = Job(name="secrets.check_keys", run=check_keys, every=Every(cron="20 4 * * 1"))
JOBS: Final = (REENCRYPT, CHECK)
