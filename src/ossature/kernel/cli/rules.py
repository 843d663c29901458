"""`ossature rules`: what services declare, as rules of Prometheus."""

from pathlib import Path
from typing import Annotated

import typer

from ossature.kernel.cli.session import Session
from ossature.kernel.guests import everybody
from ossature.kernel.observe import rules

app = typer.Typer(no_args_is_help=True, help="Service levels and alerts, as rules of Prometheus.")

_Folder = Annotated[Path, typer.Argument(help="Where the rule files lie.", file_okay=False)]


@app.command()
def write(ctx: typer.Context, folder: _Folder = Path("deploy/prometheus")) -> None:
    """Write slo.rules.yml and alerts.rules.yml: burn rates of the service levels, and all alerts.

    Example: ossature rules write deploy/prometheus
    """
    session = Session.of(ctx)
    session.only_here()
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in rules.files(everybody(session.services)).items():
        (folder / name).write_text(text)
        session.out.remark(f"{folder / name}")


@app.command("list")
def list_alerts(ctx: typer.Context) -> None:
    """All alerts with who is told, after how long, and the page of the runbook.

    Example: ossature rules list --json
    """
    session = Session.of(ctx)
    session.only_here()
    session.out.table(
        [
            {
                "alert": alert.name,
                "service": service,
                "severity": alert.severity,
                "for_s": alert.for_s,
                "runbook": alert.runbook,
            }
            for service, alert in rules.everything(everybody(session.services))
        ]
    )
