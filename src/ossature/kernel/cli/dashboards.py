"""`ossature dashboards`: what services declare, as dashboards of Grafana."""

from pathlib import Path
from typing import Annotated

import typer

from ossature.kernel.cli.session import Session
from ossature.kernel.guests import everybody
from ossature.kernel.observe.boards import files as boards

app = typer.Typer(no_args_is_help=True, help="Dashboards of Grafana.")

_Folder = Annotated[Path, typer.Argument(help="Where the dashboards lie.", file_okay=False)]


@app.command()
def write(ctx: typer.Context, folder: _Folder = Path("deploy/grafana/dashboards")) -> None:
    """Write a dashboard for each service, and those of service levels, business and infrastructure.

    Example: ossature dashboards write deploy/grafana/dashboards
    """
    session = Session.of(ctx)
    session.only_here()
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in boards.files(everybody(session.services), session.services).items():
        (folder / name).write_text(text)
        session.out.remark(f"{folder / name}")


@app.command("list")
def list_boards(ctx: typer.Context) -> None:
    """All dashboards with how many panels they have and what they are about.

    Example: ossature dashboards list --json
    """
    session = Session.of(ctx)
    session.only_here()
    session.out.table(
        [
            {"dashboard": board.name, "panels": sum(len(row.panels) for row in board.rows), "about": board.about}
            for board in boards.boards(everybody(session.services), session.services)
        ]
    )
