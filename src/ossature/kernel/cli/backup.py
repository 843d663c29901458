"""`ossature backup`: copies of the whole installation, and the way back."""

from typing import Annotated, Any

import typer

from ossature.kernel import clock
from ossature.kernel.backup import drill as drills
from ossature.kernel.backup import restoring
from ossature.kernel.backup.backups import Backups
from ossature.kernel.backup.domain import BackupDamaged, Manifest
from ossature.kernel.cli.session import Session

app = typer.Typer(no_args_is_help=True, help="Back up, prove backups, restore.")

_Name = Annotated[str, typer.Argument(help="Name of a backup; `latest` is the newest.")]


@app.callback()
def group() -> None:
    """Back up, prove backups, restore."""


@app.command()
def create(
    ctx: typer.Context,
    *,
    plain: Annotated[bool, typer.Option("--plain", help="PostgreSQL as SQL that a person can read.")] = False,
    prune: Annotated[bool, typer.Option("--prune", help="Then remove what the settings do not keep.")] = False,
) -> None:
    """Back up database, files and secret of this installation while it goes on.

    Example: ossature backup create
    """
    session, backups = _opened(ctx)
    with session.out.working("Backing up ..."):
        manifest = session.run(backups.create(plain=plain))
    removed = backups.prune() if prune else []
    said = f"{manifest.name}: {manifest.rows} rows, {manifest.state_files} files, {manifest.size_bytes} bytes."
    session.out.value(_row(manifest) | {"removed": removed}, said)
    if backups.ring_is_at_risk:
        session.out.remark(f"Keep a copy of {backups.ring_file} elsewhere: without it no backup can be opened.")


@app.command("list")
def list_backups(ctx: typer.Context) -> None:
    """Backups that are there, newest first.

    Example: ossature backup list --json
    """
    session, backups = _opened(ctx)
    session.out.table([_row(one) for one in backups.shelf.manifests()], empty="There is no backup yet.")


@app.command()
def verify(
    ctx: typer.Context, name: Annotated[str, typer.Argument(help="Name of a backup; all without one.")] = ""
) -> None:
    """Read backups as a whole and say what is wrong with them. Exit code 1 if something is.

    Example: ossature backup verify latest
    """
    session, backups = _opened(ctx)

    async def work() -> list[dict[str, Any]]:
        rows = []
        for one in [name] if name else backups.shelf.names()[::-1]:
            try:
                manifest = backups.shelf.manifest(one)
                found, called = await backups.verify(manifest), manifest.name
            except BackupDamaged as damage:
                found, called = [damage.detail or damage.title], one
            rows.append({"name": called, "sound": not found, "faults": found})
        return rows

    with session.out.working("Reading ..."):
        rows = session.run(work())
    session.out.table(rows, empty="There is no backup yet.")
    if not all(row["sound"] for row in rows):
        raise typer.Exit(1)


@app.command()
def restore(
    ctx: typer.Context,
    name: _Name,
    *,
    force: Annotated[bool, typer.Option("--force", help="Overwrite without asking.")] = False,
) -> None:
    """Have database and files be what they were. Nothing changes unless the whole backup is sound.

    Example: ossature backup restore latest
    """
    session, backups = _opened(ctx)
    manifest = backups.shelf.manifest(name)
    if not force:
        age = _age(manifest)
        typer.confirm(f"Everything since {manifest.taken_at:%Y-%m-%d %H:%M:%S} ({age}) is lost. Go on?", abort=True)
    with session.out.working("Restoring ..."):
        done = session.run(restoring.restore(backups, manifest))
    said = f"Restored {done.name}: {done.rows} rows, {done.files} files."
    if done.migrate:
        said += "\nIt is of an earlier version; now run: ossature migrate up"
    said += "\nProcesses that ran meanwhile remember the old rows: start them again."
    value = {"name": done.name, "rows": done.rows, "files": done.files, "migrate": done.migrate}
    session.out.value(value, said)


@app.command()
def drill(ctx: typer.Context, name: _Name = "latest") -> None:
    """Restore into a scratch database, prove it, and say how long it took. Exit code 1 if something is wrong.

    Example: ossature backup drill
    """
    hold(ctx, name)


def hold(ctx: typer.Context, name: str) -> None:
    """Hold a drill and print what it found."""
    session, backups = _opened(ctx)
    with session.out.working("Restoring into a scratch database ..."):
        found = session.run(drills.drill(backups, backups.shelf.manifest(name)))
    row = {
        "backup": found.backup,
        "passed": found.passed,
        "rpo_s": found.rpo_s,
        "rto_s": found.rto_s,
        "rows": found.rows,
        "audit_entries": found.entries,
        "contents": found.contents,
        "faults": list(found.faults),
    }
    session.out.table([row])
    if not found.passed:
        raise typer.Exit(1)


def _opened(ctx: typer.Context) -> tuple[Session, Backups]:
    session = Session.of(ctx)
    session.only_here()
    return session, Backups(session.config())


def _row(manifest: Manifest) -> dict[str, Any]:
    return {
        "name": manifest.name,
        "taken_at": manifest.taken_at,
        "database": manifest.database,
        "format": manifest.format,
        "revision": manifest.revision,
        "rows": manifest.rows,
        "files": manifest.state_files,
        "bytes": manifest.size_bytes,
        "sealed": bool(manifest.key),
    }


def _age(manifest: Manifest) -> str:
    hours, seconds = divmod(int((clock.now() - manifest.taken_at).total_seconds()), 3600)
    return f"{hours} h {seconds // 60} min"
