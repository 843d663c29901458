"""`ossature secrets`: secrets that are kept outside, in a Vault or with AWS."""

from pathlib import Path
from typing import Annotated, cast

import typer

from ossature.kernel.cli.session import Session
from ossature.kernel.guests import everybody, settings_of
from ossature.kernel.secrets import stores

app = typer.Typer(no_args_is_help=True, help="Move secrets to a Vault or to AWS; replace one there.")
To = Annotated[str, typer.Option("--to", help="vault or aws", metavar="vault|aws")]


@app.command()
def migrate(
    ctx: typer.Context,
    source: Annotated[Path, typer.Option("--from", help="A file of variables.")] = Path(".env"),
    to: To = "vault",
) -> None:
    """Copy the secrets of a file to where they are to be kept, and read them back. Values are never shown.

    Example: ossature secrets migrate --from .env --to vault
    """
    session = Session.of(ctx)
    keeper = stores.keeper_of(session.config(), _where(to))
    moved = stores.migrate(source, settings_of(everybody(session.services)), keeper)
    rows = [{"setting": name, "done": "written"} for name in moved.written]
    session.out.table(
        [*rows, *({"setting": name, "done": "was there"} for name in moved.same)], empty="No secret stands there."
    )
    if rows or moved.same:
        session.out.remark(f"Take these out of {source} once every machine asks there.")


@app.command()
def rotate(
    ctx: typer.Context, name: Annotated[str, typer.Argument(help="The setting, such as SECRET_KEY.")], to: To = "vault"
) -> None:
    """Replace a secret where it is kept by a new one. Processes read it when they start. It is not shown.

    Example: ossature secrets rotate SECRET_KEY --to vault
    """
    session = Session.of(ctx)
    keeper = stores.keeper_of(session.config(), _where(to))
    full = stores.rotate(name, settings_of(everybody(session.services)), keeper)
    session.out.value({"setting": full}, f"{full} has a new value. Restart the processes one after the other.")


def _where(text: str) -> stores.Where:
    if text not in {"vault", "aws"}:
        raise typer.BadParameter("write vault or aws", param_hint="--to")
    return cast("stores.Where", text)
