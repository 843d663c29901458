"""`ossature db`: what is in the database, and what it is slow at."""

from typing import Annotated

import typer

from ossature.kernel.cli.session import Session
from ossature.kernel.db import report as reports

app = typer.Typer(no_args_is_help=True, help="What is in the database, and what it is slow at.")


@app.callback()
def group() -> None:
    """What is in the database, and what it is slow at."""


@app.command()
def report(
    ctx: typer.Context, *, slow: Annotated[bool, typer.Option("--slow", help="The slowest statements instead.")] = False
) -> None:
    """Rows, sizes and scans of every table; with --slow the statements that took most time (PostgreSQL).

    Example: ossature db report
    """
    session = Session.of(ctx)

    async def work() -> list[dict[str, object]]:
        async with session.database() as database:
            return await (reports.slow_statements(database) if slow else reports.tables(database))

    session.out.table(session.run(work()), empty="Nothing to report.")
