"""`ossature drill`: emergencies, held as exercises."""

from typing import Annotated

import typer

from ossature.kernel.cli import backup

app = typer.Typer(no_args_is_help=True, help="Hold an emergency as an exercise, and write a report.")


@app.callback()
def group() -> None:
    """Hold an emergency as an exercise, and write a report."""


@app.command()
def restore(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="Name of a backup; `latest` is the newest.")] = "latest",
) -> None:
    """Restore a backup into a scratch database; the same as `ossature backup drill`.

    Example: ossature drill restore
    """
    backup.hold(ctx, name)
