"""`ossature settings`: every setting, its value and where it came from."""

from typing import Annotated

import typer

from ossature.kernel.cli.session import Session
from ossature.kernel.config import Config, Severity
from ossature.kernel.guests import everybody, settings_of

app = typer.Typer()


@app.command()
def settings(
    ctx: typer.Context,
    part: Annotated[str, typer.Argument(help="Only names that contain this.")] = "",
    *,
    changed: Annotated[bool, typer.Option("--changed", help="Only those that are not the default.")] = False,
) -> None:
    """All settings with their sources; secrets are never shown. Exit code 1 when some are wrong.

    Example: ossature settings database
    """
    session = Session.of(ctx)
    session.only_here()
    config, findings = Config.examine(settings_of(everybody(session.services)))
    rows = [
        {"setting": one.name, "value": one.shown, "source": one.source, "meaning": one.description}
        for one in config.values()
        if part.upper() in one.name and not (changed and one.source == "default")
    ]
    session.out.table(rows, empty="No setting is called so.")
    for finding in findings:
        session.out.remark(str(finding))
    if any(finding.severity is Severity.ERROR for finding in findings):
        raise typer.Exit(1)
