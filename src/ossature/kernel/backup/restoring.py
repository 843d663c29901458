"""The way back: everything is unpacked and proved beside, then one step makes it true.

Until that step the installation is as it was, whatever goes wrong: a full disk, a kill, a damaged backup. What comes
after it (the secret of the installation, folders of services) is brought by running the restore again.
"""

import asyncio
from dataclasses import dataclass
from pathlib import Path

from ossature.kernel.backup import sqlite
from ossature.kernel.backup.backups import Backups
from ossature.kernel.backup.domain import (
    DATABASE,
    STATE,
    BackupDamaged,
    BackupDoesNotFit,
    Manifest,
    differences,
)
from ossature.kernel.backup.work import working
from ossature.kernel.db import migrate


@dataclass(frozen=True, slots=True)
class Restored:
    """What was brought back. migrate: the database is of an earlier version, `ossature migrate up` brings it on."""

    name: str
    rows: int
    files: int
    migrate: bool


async def restore(backups: Backups, manifest: Manifest) -> Restored:
    """Have database and files be what they were.

    Raises: BackupDamaged, BackupDoesNotFit, CannotOpen, DatabaseInUse (SQLite), BackupProgramFailed; nothing has
    changed then.
    """
    backups.check_kind(manifest)
    behind = _behind(manifest)
    damage = await asyncio.to_thread(backups.damage, manifest)
    if damage:
        raise BackupDamaged(f"{'; '.join(damage)}.")
    with working(backups.var_dir) as work:
        beside = work / STATE
        names = await asyncio.to_thread(backups.unpacked, manifest, work)
        place = backups.state()
        for name in names:
            place.place_of(name)
        if backups.dialect == "sqlite":
            with working(backups.database_file.parent) as near:
                new = await _proved_sqlite(backups, manifest, near)
                count = await asyncio.to_thread(place.put, beside, blobs=True)
                await asyncio.to_thread(sqlite.swap, new, backups.database_file)
        else:
            sql = await as_sql(backups, manifest, work)
            count = await asyncio.to_thread(place.put, beside, blobs=True)
            from ossature.kernel.backup import postgres  # noqa: PLC0415 - needs the extra [postgres]

            await postgres.restore(backups.cluster(), sql, manifest.tables)
        count += await asyncio.to_thread(place.put, beside, blobs=False)
    return Restored(manifest.name, manifest.rows, count, behind)


async def as_sql(backups: Backups, manifest: Manifest, work: Path, *, privileges: bool = True) -> Path:
    """The database of a backup of PostgreSQL as SQL, in `work`. Raises: BackupDamaged, BackupProgramFailed."""
    source = await asyncio.to_thread(backups.opened, manifest, DATABASE, work)
    if manifest.format == "plain":
        return source
    from ossature.kernel.backup import postgres  # noqa: PLC0415 - needs the extra [postgres]

    target = work / "restore.sql"
    await postgres.to_sql(backups.cluster(), source, target, privileges=privileges)
    source.unlink()
    return target


async def _proved_sqlite(backups: Backups, manifest: Manifest, work: Path) -> Path:
    """The database of a backup as a file in `work`, sound and complete. Raises: BackupDamaged."""
    database = await asyncio.to_thread(backups.opened, manifest, DATABASE, work)
    faults = await asyncio.to_thread(sqlite.faults, database)
    faults = faults or differences(manifest.tables, await asyncio.to_thread(sqlite.tables, database))
    if faults:
        raise BackupDamaged(f"{'; '.join(faults)}.")
    return database


def _behind(manifest: Manifest) -> bool:
    """Whether the database of a backup is of an earlier version. Raises: BackupDoesNotFit when it is of a later one."""
    known = [revision.id for revision in migrate.history()]
    if manifest.revision and manifest.revision not in known:
        raise BackupDoesNotFit(
            f"The backup is of ossature {manifest.product}, whose revision {manifest.revision} is unknown here."
        )
    return bool(manifest.revision) and manifest.revision != migrate.head()
