"""`ossature scheduler`: a process that starts scheduled jobs when they are due."""

import typer

from ossature.kernel.cli.clocks import REAL, ClockSpec, use_clock
from ossature.kernel.cli.process import Process, run_on_loop
from ossature.kernel.cli.session import Session

app = typer.Typer()


@app.command()
def scheduler(
    ctx: typer.Context,
    *,
    clock_spec: ClockSpec = REAL,
) -> None:
    """Enqueue scheduled jobs until SIGTERM. Of several schedulers one leads; the others wait to take over.

    Example: ossature scheduler
    """
    session = Session.of(ctx)
    session.only_here()

    async def work() -> None:
        config = session.config()
        use_clock(clock_spec, config)
        async with Process.open(session, config) as process:
            await process.run(queues=[], schedules=True)

    run_on_loop(work())
