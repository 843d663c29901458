"""The drill: a restore into a scratch database, measured. Only a backup that was restored once is known to be one."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import orjson

from ossature.kernel import clock
from ossature.kernel.audit.trail import Trail
from ossature.kernel.backup import sqlite, state
from ossature.kernel.backup.backups import Backups
from ossature.kernel.backup.domain import DATABASE, STATE, BackupDamaged, BackupProgramFailed, Manifest, differences
from ossature.kernel.backup.restoring import as_sql
from ossature.kernel.backup.work import working
from ossature.kernel.crypto.ring import CannotOpen
from ossature.kernel.db.engine import Database
from ossature.kernel.db.settings import DatabaseSettings
from ossature.kernel.files import store as files
from ossature.kernel.files.blobs import DiskBlobs

FOLDER: Final = "drills"
_SCRATCH: Final = "_drill_"
_NAME_MOST: Final = 40
_BATCH: Final = 500
_KEPT: Final = 100


@dataclass(frozen=True, slots=True)
class Drill:
    """What a drill found.

    rpo_s: how much time would have been lost, had everything been lost when it began. rto_s: how long it took until the
    scratch database was there and proved. chains, entries: audit trails that were verified, and their rows.
    contents: files whose content was looked for among those of the backup.
    """

    backup: str
    at: datetime
    rpo_s: float
    rto_s: float
    rows: int
    chains: int
    entries: int
    contents: int
    faults: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether everything was as it should be."""
        return not self.faults


@dataclass(frozen=True, slots=True)
class _Seen:
    """What was found in the scratch database."""

    tables: Mapping[str, int]
    chains: int
    entries: int
    contents: int
    faults: tuple[str, ...]


async def drill(backups: Backups, manifest: Manifest) -> Drill:
    """Restore a backup into a scratch database, prove it, and write a report beside the backups.

    Raises: BackupDoesNotFit, BackupIsRunning, NoScratchDatabase.
    """
    backups.check_kind(manifest)
    with backups.shelf.alone("drill"):
        return await _drill(backups, manifest)


async def _drill(backups: Backups, manifest: Manifest) -> Drill:
    at, began_s = clock.now(), time.monotonic()
    seen = _Seen({}, 0, 0, 0, tuple(await asyncio.to_thread(backups.damage, manifest)))
    if not seen.faults:
        try:
            with working(backups.var_dir) as work:
                async with _scratch(backups, manifest, work) as database:
                    seen = await _look(backups, manifest, database, work)
        except (BackupDamaged, BackupProgramFailed, CannotOpen) as problem:
            seen = _Seen({}, 0, 0, 0, (problem.detail or problem.title,))
    found = Drill(
        backup=manifest.name,
        at=at,
        rpo_s=round((at - manifest.taken_at).total_seconds(), 3),
        rto_s=round(time.monotonic() - began_s, 3),
        rows=sum(seen.tables.values()),
        chains=seen.chains,
        entries=seen.entries,
        contents=seen.contents,
        faults=seen.faults,
    )
    await asyncio.to_thread(_write, backups.shelf.folder / FOLDER, found)
    return found


def last(backups: Backups) -> Drill | None:
    """What the newest drill found; None before the first."""
    for path in sorted((backups.shelf.folder / FOLDER).glob("*.json"), reverse=True):
        try:
            read: dict[str, Any] = orjson.loads(path.read_bytes())
            at = datetime.fromisoformat(read.pop("at"))
            return Drill(**(read | {"at": at, "faults": tuple(read["faults"])}))
        except (OSError, ValueError, KeyError, TypeError):  # half written by a process that was killed
            continue
    return None


@asynccontextmanager
async def _scratch(backups: Backups, manifest: Manifest, work: Path) -> AsyncIterator[Database]:
    """The database of a backup, restored where nobody uses it. Raises: BackupDamaged, BackupProgramFailed."""
    if backups.dialect == "sqlite":
        file = await asyncio.to_thread(backups.opened, manifest, DATABASE, work)
        async with _opened(f"sqlite:///{file}") as database:
            yield database
        return
    from ossature.kernel.backup import postgres  # noqa: PLC0415 - needs the extra [postgres]

    cluster = backups.cluster()
    prefix = f"{cluster.database[:_NAME_MOST]}{_SCRATCH}"
    await postgres.drop_left(cluster, prefix)
    name = f"{prefix}{secrets.token_hex(4)}"
    # Roles that the real database is granted to need not exist where a drill is held.
    sql = await as_sql(backups, manifest, work, privileges=False)
    async with postgres.scratch(cluster, name) as scratch:
        await postgres.restore(scratch, sql, manifest.tables)
        sql.unlink()
        async with _opened(backups.url.set(database=name).render_as_string(hide_password=False)) as database:
            yield database


@asynccontextmanager
async def _opened(url: str) -> AsyncIterator[Database]:
    database = Database(DatabaseSettings(url=url, pool_size=2, statement_time_limit_s=3600))
    try:
        yield database
    finally:
        await database.close()


async def _look(backups: Backups, manifest: Manifest, database: Database, work: Path) -> _Seen:
    """Count the rows, verify every audit trail, look for the content of every file."""
    tables = await _tables(backups, database)
    faults = differences(manifest.tables, tables)
    await asyncio.to_thread(backups.unpacked, manifest, work)
    chains = entries = contents = 0
    async with database.begin() as db:
        if "db_chain_head" in tables:
            trail = Trail()
            for tenant_id in await trail.tenants(db):
                verdict = await trail.verify(db, tenant_id)
                chains, entries = chains + 1, entries + verdict.checked
                faults += [
                    f"audit trail of {tenant_id}: row {one.seq}: {one.where} {one.detail}" for one in verdict.faults
                ]
        if "files_file" in tables and backups.state().takes_blobs:
            blobs = DiskBlobs(work / STATE / state.BLOBS)
            async for tenant_id, sha256 in files.every_content(db, batch=_BATCH):
                contents += 1
                if not await blobs.has(tenant_id, sha256):
                    faults.append(f"content {sha256} of a file of {tenant_id} is not in the backup")
    return _Seen(tables, chains, entries, contents, tuple(faults))


async def _tables(backups: Backups, database: Database) -> dict[str, int]:
    if backups.dialect == "sqlite":
        return await asyncio.to_thread(sqlite.tables, Path(database.url.database or ""))
    from ossature.kernel.backup import postgres  # noqa: PLC0415 - needs the extra [postgres]

    return await postgres.tables(backups.cluster().database_named(database.url.database or ""))


def _write(folder: Path, found: Drill) -> None:
    """Write the report, as a whole or not at all; the newest hundred stay."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{found.at:%Y%m%dT%H%M%S%fZ}.json"
    part = path.with_suffix(".part")
    part.write_bytes(orjson.dumps(asdict(found), option=orjson.OPT_INDENT_2 | orjson.OPT_UTC_Z))
    part.replace(path)
    for old in sorted(folder.glob("*.json"))[:-_KEPT]:
        old.unlink(missing_ok=True)
