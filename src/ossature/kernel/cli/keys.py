"""`ossature keys`: the key ring that seals secrets in tables and files."""

from dataclasses import asdict
from typing import Any

import typer

from ossature.kernel.cli.session import Session
from ossature.kernel.crypto.kept import as_setting
from ossature.kernel.crypto.ring import Key
from ossature.kernel.secrets import usecases
from ossature.kernel.secrets.jobs import REENCRYPT
from ossature.kernel.secrets.usecases import ColumnDone, KeyUse, SealedColumns

app = typer.Typer(no_args_is_help=True, help="Look at the key ring; turn it; seal old values anew.")


@app.command("list")
def show(ctx: typer.Context) -> None:
    """Every key of the ring, the active one first, with the number of values that it sealed. Secrets are never shown.

    Example: ossature keys list
    """
    session = Session.of(ctx)

    async def work() -> tuple[list[KeyUse], int]:
        async with session.house() as house:
            return await house.port(SealedColumns).keys()

    uses, others = session.run(work())
    session.out.table([asdict(use) for use in uses])
    if others:
        session.out.remark(f"{others} values are not sealed with any of them: run `ossature keys reencrypt`.")


@app.command()
def rotate(ctx: typer.Context) -> None:
    """Put a new key on the ring, which seals from now on. A worker seals the values from before anew.

    Example: ossature keys rotate
    """
    session = Session.of(ctx)

    async def work() -> Key:
        async with session.ctx() as occasion:
            made = await usecases.rotate(occasion)
            await occasion.enqueue(REENCRYPT, {}, unique=REENCRYPT.name)
            return made

    made = session.run(work())
    session.out.value({"id": made.id, "created_at": made.created_at}, f"The key {made.id} seals from now on.")
    session.out.remark("Keep a copy of the key ring: without its keys nothing that they sealed can be read.")


@app.command()
def reencrypt(ctx: typer.Context) -> None:
    """Seal every value anew that is not under the active key. Stopped in the middle, it goes on the next time.

    Example: ossature keys reencrypt
    """
    session = Session.of(ctx)

    async def work() -> list[ColumnDone]:
        async with session.house() as house:
            return await house.port(SealedColumns).reseal()

    with session.out.working("Sealing ..."):
        found = session.run(work())
    rows: list[dict[str, Any]] = [
        {"column": one.column, "sealed": one.done, "broken": len(one.broken)} for one in found
    ]
    session.out.table(rows)
    for one in found:
        for row in one.broken:
            session.out.remark(f"{one.column} of {row} cannot be opened and was left as it is.")
    if any(one.broken for one in found):
        raise typer.Exit(1)


@app.command()
def new(ctx: typer.Context) -> None:
    """Print a new key as OSSATURE_CRYPTO_KEYS has it. It is kept nowhere else.

    Example: ossature keys new
    """
    made = Key.new()
    Session.of(ctx).out.value({"id": made.id, "key": as_setting(made)}, as_setting(made))
