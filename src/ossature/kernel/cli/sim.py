"""`ossature sim`: the simulator of outside systems."""

import os
import sys

import typer

app = typer.Typer()


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def sim(ctx: typer.Context) -> None:
    """Run the simulator in the foreground; what follows is handed to it (`ossature sim -- --help`).

    Example: ossature sim --port 9900 --seed 7
    """
    # It takes this process over: whoever ends the command ends the simulator. It knows nothing of the house, and the
    # house imports nothing of it.
    os.execv(sys.executable, [sys.executable, "-m", "ossature.sim", *ctx.args])  # noqa: S606 - ourselves, without a shell
