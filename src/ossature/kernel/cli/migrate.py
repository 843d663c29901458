"""`ossature migrate`: the database along its history."""

from typing import Annotated

import typer

from ossature.kernel.cli.session import Session
from ossature.kernel.db import drift, migrate

app = typer.Typer(no_args_is_help=True, help="Move the database along its history, or look at it.")


@app.command()
def up(
    ctx: typer.Context, revision: Annotated[str, typer.Argument(help="Where to; the newest by default.")] = "head"
) -> None:
    """Apply what is missing. Safe when several processes do it at once.

    Example: ossature migrate up
    """
    session = Session.of(ctx)

    async def work() -> None:
        async with session.database() as database:
            steps = list(await migrate.upgrade(database, revision))
            at = await migrate.current(database)
        session.out.value({"steps": steps, "at": at}, f"Applied: {', '.join(steps)}." if steps else f"At {at} already.")

    with session.out.working("Migrating ..."):
        session.run(work())


@app.command()
def down(
    ctx: typer.Context,
    revision: Annotated[str, typer.Argument(help="Where to: a revision, -1 for one step, base for nothing.")],
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Take revisions back. What they added is gone afterwards.

    Example: ossature migrate down -1
    """
    session = Session.of(ctx)
    if not yes:
        typer.confirm(f"Columns and tables added after {revision} are deleted with their rows. Go on?", abort=True)

    async def work() -> None:
        async with session.database() as database:
            steps = list(await migrate.downgrade(database, revision))
        session.out.value({"steps": steps}, f"Taken back: {', '.join(steps) or 'nothing'}.")

    session.run(work())


@app.command()
def current(ctx: typer.Context) -> None:
    """Where the database is, and where the newest revision is. Exit code 1 when they differ.

    Example: ossature migrate current
    """
    session = Session.of(ctx)

    async def work() -> str | None:
        async with session.database() as database:
            return await migrate.current(database)

    at, newest = session.run(work()), migrate.head()
    session.out.value({"at": at, "newest": newest}, f"at {at or 'nothing yet'}, newest {newest or 'none'}")
    if at != newest:
        raise typer.Exit(1)


@app.command()
def history(ctx: typer.Context) -> None:
    """Every revision, oldest first.

    Example: ossature migrate history --json
    """
    rows = [{"revision": one.id, "after": one.down, "message": one.message} for one in migrate.history()]
    Session.of(ctx).out.table(rows, empty="There is no revision yet.")


@app.command()
def check(ctx: typer.Context) -> None:
    """Is the database what the code says, and is every destructive revision explained? Exit code 1 if not.

    Example: ossature migrate check
    """
    session = Session.of(ctx)

    async def work() -> list[drift.Finding]:
        async with session.database() as database:
            return list(await drift.check(database))

    found = session.run(work())
    rows = [{"kind": one.kind, "what": one.what, "fix": one.fix} for one in found]
    session.out.table(rows, empty="The database is what the code says.")
    if found:
        raise typer.Exit(1)


@app.command()
def revision(
    ctx: typer.Context,
    message: Annotated[str, typer.Argument(help="What changes, in a few words.")],
    *,
    empty: Annotated[bool, typer.Option("--empty", help="Write one without table changes, to move data.")] = False,
) -> None:
    """Write the next revision from the tables as the code has them now (in a checkout; also `make revision`).

    Example: ossature migrate revision "add the column zone to tenants"
    """
    from ossature.kernel.db.revision import make  # noqa: PLC0415 - only a developer's machine has what it needs

    path = make(message, empty=empty)
    Session.of(ctx).out.value({"path": str(path)}, f"{path}\nRead it, mend it, try it: up, down, up.")
