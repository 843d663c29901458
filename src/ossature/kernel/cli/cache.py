"""`ossature cache`: what caches hold; clear or invalidate them in all processes."""

from dataclasses import asdict
from typing import Annotated, Any

import typer

from ossature.kernel.cache.caches import Caches
from ossature.kernel.cli.session import Session

app = typer.Typer(no_args_is_help=True, help="Look at caches; clear or invalidate them.")


@app.command()
def stats(ctx: typer.Context) -> None:
    """What each cache holds. Hits and misses are metrics of the serving processes: see /metrics.

    Example: ossature cache stats
    """
    session = Session.of(ctx)

    async def work() -> dict[str, Any]:
        async with session.house() as house:
            return asdict(await house.port(Caches).stats())

    found = session.run(work())
    session.out.value(found, "\n".join(f"{name:<16} {value}" for name, value in found.items()))


@app.command()
def clear(ctx: typer.Context) -> None:
    """Forget everything, in all processes.

    Example: ossature cache clear
    """
    session = Session.of(ctx)

    async def work() -> int:
        async with session.house() as house:
            return await house.port(Caches).clear()

    gone = session.run(work())
    session.out.value({"removed": gone}, f"{gone} entries are gone.")


@app.command()
def invalidate(
    ctx: typer.Context, pattern: Annotated[str, typer.Argument(help="Keys with * in them, such as hub:weather:*")]
) -> None:
    """Forget what a pattern names, in all processes.

    Example: ossature cache invalidate "hub:weather:*"
    """
    session = Session.of(ctx)

    async def work() -> int:
        async with session.house() as house:
            return await house.port(Caches).invalidate(pattern)

    gone = session.run(work())
    session.out.value({"removed": gone}, f"{gone} entries are gone.")
