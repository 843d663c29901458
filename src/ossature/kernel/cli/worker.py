"""`ossature worker`: a process that runs jobs."""

from typing import Annotated

import typer

from ossature.kernel.cli.clocks import REAL, ClockSpec, use_clock
from ossature.kernel.cli.process import Process, run_on_loop, url_of
from ossature.kernel.cli.serve import listen
from ossature.kernel.cli.session import Session

app = typer.Typer()


@app.command()
def worker(
    ctx: typer.Context,
    *,
    queues: Annotated[str, typer.Option(help="Which queues, separated by commas; all by default.")] = "",
    probe_port: Annotated[
        int | None, typer.Option(min=0, help="Also answer /health and /metrics on this port.")
    ] = None,
    probe_host: Annotated[str, typer.Option(help="Address of the probes.")] = "127.0.0.1",
    clock_spec: ClockSpec = REAL,
) -> None:
    """Run jobs until SIGTERM; what runs then is finished, or handed over when it takes too long.

    Example: ossature worker --queues default,mail
    """
    session = Session.of(ctx)
    session.only_here()

    async def work() -> None:
        config = session.config()
        use_clock(clock_spec, config)
        async with Process.open(session, config) as process:
            probes = listen(probe_host, probe_port) if probe_port is not None else None
            if probes is not None:
                session.out.remark(f"Probes on {url_of(probes)}.")
            chosen = [name.strip() for name in queues.split(",") if name.strip()] or None
            await process.run(listening=probes, names=[], queues=chosen)

    run_on_loop(work())
