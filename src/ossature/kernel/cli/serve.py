"""`ossature serve`: web processes that share one listening socket."""

import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Annotated

import typer

from ossature.kernel.cli import supervisor
from ossature.kernel.cli.clocks import REAL, ClockSpec, use_clock
from ossature.kernel.cli.process import Process, run_on_loop, tell_supervisor, url_of
from ossature.kernel.cli.session import Session
from ossature.kernel.config import MainSettings
from ossature.kernel.observe import logs, multiprocess
from ossature.kernel.observe.settings import ObserveSettings

app = typer.Typer()


@app.command()
def serve(  # noqa: PLR0913 - each is an option of the command line
    ctx: typer.Context,
    services: Annotated[list[str] | None, typer.Argument(help="Whose routes to serve; all by default.")] = None,
    *,
    role: Annotated[str, typer.Option(help="A role that a service declares: its routes and queues.")] = "",
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; OSSATURE_WORKERS by default.")] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 8000,
    clock_spec: ClockSpec = REAL,
    fd: Annotated[int | None, typer.Option(hidden=True, help="A listening socket to inherit.")] = None,
    ready_fd: Annotated[int | None, typer.Option(hidden=True, help="Where to say that this process serves.")] = None,
) -> None:
    """Serve requests: everything, or only some services. SIGTERM drains, SIGHUP restarts one process after the other.

    Example: ossature serve hub --workers 4 --host 0.0.0.0
    """
    session = Session.of(ctx)
    session.only_here()
    if fd is not None:
        inherited = socket.socket(fileno=fd)
        tell = partial(tell_supervisor, ready_fd) if ready_fd is not None else None
        run_on_loop(_one(session, inherited, services=services, role=role, clock_spec=clock_spec, on_ready=tell))
        return
    config = session.config()
    count = workers or config.main.workers
    listening = listen(host, port)
    session.out.remark(f"Listening on {url_of(listening)}, {count} process{'es' if count > 1 else ''}.")
    if count == 1:
        run_on_loop(_one(session, listening, services=services, role=role, clock_spec=clock_spec))
        return
    logs.configure(config[ObserveSettings], secrets=config.secrets())
    command = [
        sys.executable,
        "-m",
        "ossature.app",
        "serve",
        *(services or ()),
        f"--clock={clock_spec}",
        *([f"--role={role}"] if role else ()),
    ]
    folder = multiprocess.folder_of(config.main.var_dir / "run")
    with suppress(KeyboardInterrupt):
        supervisor.supervise(command, listening=listening, count=count, metrics_dir=folder)


async def _one(
    session: Session,
    listening: socket.socket,
    *,
    services: list[str] | None,
    role: str,
    clock_spec: str,
    on_ready: Callable[[], None] | None = None,
) -> None:
    alone = on_ready is None  # one of several processes cannot have the console: its pages live in one
    config = session.config(**({MainSettings.variable("workers"): "1"} if alone else {}))
    use_clock(clock_spec, config)
    async with Process.open(session, config) as process:
        queues = process.queues_of(role) if role else []
        await process.run(
            listening=listening,
            names=services,
            queues=queues,
            on_ready=on_ready,
            with_parent=not alone,
            console=alone and (services is None or "console" in services),
        )


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises: PortTaken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        raise supervisor.PortTaken(f"{host}:{port} cannot be listened on: {error.strerror}.") from error
    listening.listen(supervisor.BACKLOG)
    listening.setblocking(False)  # noqa: FBT003 - the socket's own interface
    return listening
