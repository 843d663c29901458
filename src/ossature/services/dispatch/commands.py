"""`ossature dispatch`: what is done with bookings at a terminal.

What a verb ends with: 0 done, 1 rows of the file are faulty, 2 it cannot be read, 3 something it depends on is down.
What a verb does is imported when it is called: help comes at once.
"""

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from ossature.kernel.cli.session import Session
from ossature.kernel.errors import Unavailable

if TYPE_CHECKING:
    from ossature.services.dispatch.domain.batches import Import, RowFault

app = typer.Typer(no_args_is_help=True, help="Booking, planning and dispatch of patient transport.")
files = typer.Typer(no_args_is_help=True, help="Bring in what other programs have written.")
app.add_typer(files, name="import")

_DONE, _FAULTY, _UNREADABLE, _DOWN = 0, 1, 2, 3
_SHOWN: Final = 20
_PIECE_BYTES: Final = 256 * 1024


@files.command()
def bookings(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A CSV file.")],
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be booked, and what is wrong.")
    ] = False,
    partial: Annotated[bool, typer.Option("--partial", help="Book the good rows although others are faulty.")] = False,
    requester: Annotated[str, typer.Option(help="For whom all of it is booked, such as a clinic.")] = "",
    tenant: Annotated[str, typer.Option(help="Short name of the tenant; the first one without it.")] = "",
) -> None:
    """Book what a CSV file asks for: all of it or nothing. What was booked before, by its external id, stays as it is.

    Example: ossature dispatch import bookings monday.csv --dry-run
    """
    from ossature.services.dispatch.domain.batches import ImportState  # noqa: PLC0415 - see above
    from ossature.services.dispatch.store import imports as store  # noqa: PLC0415 - see above
    from ossature.services.dispatch.usecases import importing  # noqa: PLC0415 - see above

    session = Session.of(ctx)

    async def work() -> "tuple[Import, list[RowFault]]":
        async with session.tenant(tenant) as house:
            async with house.db.step():
                made = await importing.keep_file(house, _pieces(file), name=file.name, requester=requester)
            found = await importing.check(house, made.id)
            if not dry_run and found.state is ImportState.CHECKED and (partial or not found.faulty):
                found = await importing.apply(house, made.id, partial=partial)
            return found, await store.faults(house.db, house.tenant.id, made.id)

    try:
        found, faults = session.run(work())
    except Unavailable as problem:
        session.out.remark(f"ossature: {problem.detail or problem.title}")
        raise typer.Exit(_DOWN) from problem
    _tell(session, found, faults)


async def _pieces(file: Path) -> AsyncIterator[bytes]:
    with file.open("rb") as opened:
        while piece := opened.read(_PIECE_BYTES):
            yield piece


def _tell(session: Session, found: "Import", faults: "list[RowFault]") -> None:
    from ossature.services.dispatch.domain.batches import ImportState  # noqa: PLC0415 - see above

    rows = [{"row": one.row, "column": one.column, "message": one.message, "code": one.code} for one in faults]
    names = ("rows", "known", "faulty", "booked")
    counts = {name: getattr(found, name) for name in names}
    lines = [f"{found.name}: {found.state.value}", ", ".join(f"{name} {number}" for name, number in counts.items())]
    lines += [f"row {one.row}, {one.column}: {one.message}" for one in faults[:_SHOWN]]
    if len(faults) > _SHOWN:
        lines.append(f"... and {len(faults) - _SHOWN} more")
    if found.reason:
        lines.insert(1, found.reason)
    document = {"import": str(found.id), "state": found.state.value, "reason": found.reason, **counts, "problems": rows}
    session.out.value(document, os.linesep.join(lines))
    if found.state is ImportState.FAILED:
        raise typer.Exit(_UNREADABLE)
    raise typer.Exit(_FAULTY if found.faulty else _DONE)
