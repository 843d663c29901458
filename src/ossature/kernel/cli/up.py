"""`ossature up`: everything in one process, for one machine and for trying it out."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from typer import Context

from ossature.kernel.auth.bootstrap import ensure_first_admin
from ossature.kernel.cli.clocks import REAL, ClockSpec, use_clock
from ossature.kernel.cli.process import Process, run_on_loop, url_of
from ossature.kernel.cli.serve import listen
from ossature.kernel.cli.session import Session
from ossature.kernel.cli.supervisor import PortTaken
from ossature.kernel.config import Config, MainSettings, environment_of_child
from ossature.kernel.console.service import installed as console_installed
from ossature.kernel.db import migrate
from ossature.kernel.db.engine import Database
from ossature.kernel.db.settings import DatabaseSettings
from ossature.kernel.guests import everybody, settings_of

app = typer.Typer()

SIM_PORT = 9900
STOP_LIMIT_S = 5.0


@app.command()
def up(
    ctx: Context,
    *,
    demo: Annotated[bool, typer.Option("--demo", help="Fill a demo tenant, and simulate the outside world.")] = False,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 8000,
    no_sim: Annotated[bool, typer.Option("--no-sim", help="With --demo: ask the real outside world.")] = False,
    clock_spec: ClockSpec = REAL,
) -> None:
    """Run web server, worker and scheduler in one process, on SQLite unless the settings say otherwise.

    Example: ossature up --demo
    """
    session = Session.of(ctx)
    session.only_here()
    listening = listen(host, port)
    kept_in = Config.load([]).main.var_dir / "simulated.json" if demo else None
    with simulated_world(wanted=demo and not no_sim, kept_in=kept_in) as simulator:
        services = everybody(session.services)
        simulated = [one.simulated(simulator) for one in services if one.simulated is not None] if simulator else []
        # What an operator has set stays as it is: only what is missing is made up for the demo.
        stated = {name: value for settings in simulated for name, value in settings.items()}
        # This is one process, whatever number `serve` would start: limits are not divided among others.
        alone = {MainSettings.variable("workers"): "1"}
        config = Config.load(settings_of(services), {**stated, **environment_of_child(), **alone})
        use_clock(clock_spec, config)
        if simulator:
            session.out.remark(f"The outside world is simulated at {simulator}.")
        run_on_loop(_run(session, config, listening, demo=demo))


async def _run(session: Session, config: Config, listening: socket.socket, *, demo: bool) -> None:
    database = Database(config[DatabaseSettings], var_dir=config.main.var_dir)
    try:
        steps = await migrate.upgrade(database)
        first = await ensure_first_admin(database)
    finally:
        await database.close()
    if steps:
        session.out.remark(f"Migrated: {', '.join(steps)}.")

    def ready() -> None:
        session.out.remark(f"ossature is up: {url_of(listening)}  (Ctrl-C ends it)")
        if first is not None:
            session.out.remark(f"Your API key, shown this once: {first.secret}")

    if not console_installed():
        session.out.remark("There is no console: it needs the extra, pip install 'ossature[console]'.")
    async with Process.open(session, config) as process:
        if demo:
            await process.house.fill_demo()
        await process.run(listening=listening, schedules=True, on_ready=ready, console=console_installed())


@contextmanager
def simulated_world(*, wanted: bool, kept_in: Path | None = None) -> Iterator[str]:
    """The address of a simulator that lives as long as the block; empty when none is wanted.

    kept_in: a file in which what it remembers outlives it, so that a demo goes on where it stood.
    """
    if not wanted:
        yield ""
        return
    # It listens before it is started: no second product on this machine can take the port in between, and whoever asks
    # too early waits. In a group of its own: Ctrl-C is for us, and jobs that drain still need the outside world. Killed
    # without a word, we take it along all the same: the pipe that it reads ends with us.
    with _sim_socket() as listening:
        address, fd = url_of(listening), listening.fileno()
        command = [sys.executable, "-m", "ossature.sim", "--fd", str(fd), "--until-eof"]
        if kept_in is not None:
            kept_in.parent.mkdir(parents=True, exist_ok=True)
            command += ["--keep", str(kept_in)]
        child = subprocess.Popen(command, process_group=0, stdin=subprocess.PIPE, pass_fds=[fd])  # noqa: S603 - ourselves
    try:
        yield address
    finally:
        child.terminate()
        try:
            child.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def _sim_socket() -> socket.socket:
    """The usual port of the simulator, or any other while that is taken."""
    try:
        return listen("127.0.0.1", SIM_PORT)
    except PortTaken:
        return listen("127.0.0.1", 0)
