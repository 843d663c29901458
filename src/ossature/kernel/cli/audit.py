"""`ossature audit`: the proof that nobody altered the trail."""

from typing import Annotated, Any
from uuid import UUID

import typer

from ossature.kernel.cli.session import Session

app = typer.Typer(no_args_is_help=True, help="Prove that the audit trail is as it was written.")


@app.callback()
def group() -> None:
    """Prove that the audit trail is as it was written."""


@app.command()
def verify(
    ctx: typer.Context, tenant: Annotated[UUID | None, typer.Option(help="Only this tenant; all by default.")] = None
) -> None:
    """Read every hash chain and name each altered, missing or added row. Exit code 1 if there is one.

    Example: ossature audit verify
    """
    session = Session.of(ctx)

    async def work() -> list[dict[str, Any]]:
        rows = []
        async with session.house() as house, house.database.begin() as db:
            for tenant_id in [tenant] if tenant else await house.trail.tenants(db):
                verdict = await house.trail.verify(db, tenant_id)
                faults = [str(fault) for fault in verdict.faults]
                rows.append(
                    {"tenant": str(tenant_id), "entries": verdict.checked, "intact": verdict.intact, "faults": faults}
                )
        return rows

    with session.out.working("Reading the trail ..."):
        rows = session.run(work())
    session.out.table(rows, empty="There is no trail yet.")
    if not all(row["intact"] for row in rows):
        raise typer.Exit(1)
