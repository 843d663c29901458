"""Backups of an installation: made, listed, proved, and thinned out."""

import asyncio
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from sqlalchemy.engine import URL, make_url

from ossature.kernel import clock
from ossature.kernel.backup import pieces, sqlite, state
from ossature.kernel.backup.domain import (
    DATABASE,
    STATE,
    BackupDamaged,
    BackupDoesNotFit,
    BackupNotFound,
    Keeping,
    Manifest,
    Part,
    differences,
    kept,
)
from ossature.kernel.backup.settings import BackupSettings
from ossature.kernel.backup.shelf import Shelf
from ossature.kernel.backup.state import State
from ossature.kernel.backup.work import working
from ossature.kernel.config import Config
from ossature.kernel.crypto.kept import open_ring
from ossature.kernel.crypto.ring import CannotOpen
from ossature.kernel.crypto.settings import CryptoSettings
from ossature.kernel.db.settings import DatabaseSettings
from ossature.kernel.errors import Misconfigured
from ossature.kernel.files.settings import FileSettings

if TYPE_CHECKING:
    from ossature.kernel.backup.postgres import Cluster

_NAMES: Final = {"sqlite": "database.sqlite", "custom": "database.dump", "plain": "database.sql"}
_STATE_FILE: Final = "state.tar"


@dataclass(frozen=True, slots=True)
class _Copied:
    """What was copied of a database."""

    version: str
    revision: str
    tables: Mapping[str, int]


class Backups:
    """The backups of one installation. They need its settings only: a database that is gone can be restored too."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.settings = config[BackupSettings]
        self.shelf = Shelf(self.settings.place(config))
        self.ring = open_ring(config)
        self.url = _url(config)
        self.dialect: Literal["sqlite", "postgresql"] = (
            "sqlite" if self.url.get_backend_name() == "sqlite" else "postgresql"
        )

    @property
    def var_dir(self) -> Path:
        """The folder of everything that is kept on this machine."""
        return self.config.main.var_dir

    @property
    def database_file(self) -> Path:
        """Where the SQLite database lies. Raises: Misconfigured for one in memory."""
        if not self.url.database or self.url.database == ":memory:":
            raise Misconfigured("A database in memory has no backup.")
        return Path(self.url.database)

    @property
    def ring_file(self) -> Path:
        """Where the key ring lies, unless it stands in the settings."""
        named = self.config[CryptoSettings].ring_file
        return Path(named) if named else self.var_dir / "keyring.json"

    @property
    def ring_is_at_risk(self) -> bool:
        """Whether the ring that opens the backups would be gone with the folder that they are made of."""
        settings = self.config[CryptoSettings]
        if not self.settings.sealed or settings.keys.get_secret_value():
            return False
        return self.ring_file.absolute().is_relative_to(self.var_dir.absolute())

    def cluster(self) -> "Cluster":
        """The PostgreSQL database, for its programs."""
        # Needs the extra [postgres].
        from ossature.kernel.backup.postgres import Cluster  # noqa: PLC0415 - see above

        return Cluster.of(self.url, folder=self.settings.programs, time_limit_s=self.settings.time_limit_s)

    def state(self) -> State:
        """What lies beside the database."""
        files = self.config[FileSettings]
        blobs = self.var_dir / files.folder
        keeps = self.settings.blobs and not files.s3_bucket
        besides = [self.shelf.folder, self.ring_file, *(() if keeps else (blobs,))]
        if self.dialect == "sqlite":
            file = self.database_file
            besides += [file.with_name(file.name + suffix) for suffix in sqlite.FILES]
        return State(self.var_dir, blobs=blobs if keeps else None, besides=tuple(besides))

    async def create(self, *, plain: bool = False) -> Manifest:
        """Make a backup while others go on; it is complete once this returns, and none if it does not.

        plain: PostgreSQL as SQL that a person can read, in place of its custom format.
        Raises: BackupDoesNotFit, BackupIsRunning, BackupProgramFailed, BackupProgramMissing, OSError (no space left).
        """
        if plain and self.dialect == "sqlite":
            raise BackupDoesNotFit("A backup of SQLite is a database, never SQL.")
        with self.shelf.drafting() as draft, working(self.var_dir) as work:
            taken_at = clock.now()
            form: Literal["sqlite", "custom", "plain"] = (
                "sqlite" if self.dialect == "sqlite" else "plain" if plain else "custom"
            )
            database = work / _NAMES[form]
            copied = await self._copy(database, plain=plain)
            name = draft.name.partition("-")[2]
            key = self.ring.active.id if self.settings.sealed else ""
            parts = {DATABASE: await asyncio.to_thread(self._keep, database, draft, about=_about(name, DATABASE))}
            # After the database: contents of files are written before their rows, so each row finds its own.
            beside = work / _STATE_FILE
            count = await asyncio.to_thread(self.state().pack, beside)
            parts[STATE] = await asyncio.to_thread(self._keep, beside, draft, about=_about(name, STATE))
            manifest = Manifest(
                name=name,
                taken_at=taken_at,
                finished_at=clock.now(),
                product=version("ossature"),
                database=self.dialect,
                database_version=copied.version,
                format=form,
                revision=copied.revision,
                tables=copied.tables,
                state_files=count,
                parts=parts,
                key=key,
            )
            await asyncio.to_thread(self.shelf.publish, draft, manifest)
        return manifest

    async def verify(self, manifest: Manifest) -> list[str]:
        """Read a whole backup and say what is wrong with it; nothing for one that can be restored from."""
        found = await asyncio.to_thread(self.damage, manifest)
        if found:
            return found
        with working(self.var_dir) as work:
            try:
                database = await asyncio.to_thread(self.opened, manifest, DATABASE, work)
                found = await self._faults(manifest, database)
                names = await asyncio.to_thread(self.unpacked, manifest, work)
            except (BackupDamaged, CannotOpen) as damage:
                return [damage.detail or damage.title]
        if len(names) != manifest.state_files:
            found.append(f"{len(names)} files beside the database in place of {manifest.state_files}")
        return found

    def damage(self, manifest: Manifest) -> list[str]:
        """Which parts of a backup are not as they were written."""
        faults = (pieces.fault_of(self.shelf.path(manifest.name, part.file), part) for part in manifest.parts.values())
        return [fault for fault in faults if fault]

    def opened(self, manifest: Manifest, part: str, work: Path) -> Path:
        """A part of a backup as a plain file in `work`. Raises: BackupDamaged, CannotOpen."""
        if part not in manifest.parts:
            raise BackupDamaged(f"It has no part {part!r}.")
        source = self.shelf.path(manifest.name, manifest.parts[part].file)
        target = work / (_STATE_FILE if part == STATE else _NAMES[manifest.format])
        packed = work / (target.name + pieces.PACKED)
        try:
            if manifest.key:
                pieces.open_sealed(self.ring, source, packed, about=_about(manifest.name, part))
            pieces.unpack(packed if manifest.key else source, target)
        except FileNotFoundError as error:
            raise BackupDamaged(f"{source.name} is missing.") from error
        packed.unlink(missing_ok=True)
        return target

    def unpacked(self, manifest: Manifest, work: Path) -> list[str]:
        """The names of the files beside the database, unpacked to the folder `STATE` of `work`.

        Raises: BackupDamaged, CannotOpen.
        """
        archive = self.opened(manifest, STATE, work)
        names = state.unpack(archive, work / STATE)
        archive.unlink()
        return names

    def prune(self) -> list[str]:
        """Remove the backups that the settings do not keep; their names, oldest first."""
        settings = self.settings
        keeping = Keeping(settings.keep_hourly, settings.keep_daily, settings.keep_weekly, settings.keep_monthly)
        manifests = self.shelf.manifests()[::-1]
        wanted = kept((one.taken_at for one in manifests), keeping)
        gone = [one.name for one in manifests if one.taken_at not in wanted]
        for name in gone:
            self.shelf.remove(name)
        return gone

    def latest(self) -> Manifest | None:
        """The newest backup; None when there is none."""
        try:
            return self.shelf.manifest("latest")
        except BackupNotFound:
            return None

    def last_taken_at(self) -> datetime | None:
        """When the newest backup was taken; None when there is none."""
        found = self.latest()
        return None if found is None else found.taken_at

    def check_kind(self, manifest: Manifest) -> None:
        """Raises: BackupDoesNotFit when the backup is of another kind of database."""
        if manifest.database != self.dialect:
            raise BackupDoesNotFit(f"The backup is of {manifest.database}, this database is {self.dialect}.")

    async def _copy(self, target: Path, *, plain: bool) -> _Copied:
        if self.dialect == "sqlite":
            return await asyncio.to_thread(_snapshot, self.database_file, target)
        from ossature.kernel.backup import postgres  # noqa: PLC0415 - needs the extra [postgres]

        cluster = self.cluster()
        dumped = target.with_suffix(".custom") if plain else target
        told = await postgres.dump(cluster, dumped)
        if plain:
            await postgres.to_sql(cluster, dumped, target)
            dumped.unlink()
        return _Copied(told.version, told.revision, told.tables)

    def _keep(self, plain: Path, draft: Path, *, about: str) -> Part:
        """A plain file as a part of the backup; it is gone afterwards. Nothing unsealed comes to the backups' disk."""
        packed = (plain.parent if self.settings.sealed else draft) / (plain.name + pieces.PACKED)
        pieces.pack(plain, packed)
        plain.unlink()
        if not self.settings.sealed:
            return pieces.settled(packed)
        target = draft / (packed.name + pieces.SEALED)
        pieces.seal(self.ring, packed, target, about=about)
        packed.unlink()
        return pieces.settled(target)

    async def _faults(self, manifest: Manifest, database: Path) -> list[str]:
        """What is wrong with the database of a backup. Raises: BackupDamaged."""
        if manifest.format == "sqlite":
            return await asyncio.to_thread(_sqlite_faults, database, manifest.tables)
        if manifest.format == "plain":
            return []
        from ossature.kernel.backup import postgres  # noqa: PLC0415 - needs the extra [postgres]

        return await postgres.listed(self.settings.programs, database, manifest.tables)


def _about(name: str, part: str) -> str:
    """What a part is sealed for: that of another backup, or another part, is not taken for it."""
    return f"backup/{name}/{part}"


def _url(config: Config) -> URL:
    """Where the whole database is read and written: with the role that works across tenants, around a pooler."""
    settings = config[DatabaseSettings]
    return make_url(settings.direct_url or settings.system_url or settings.resolved_url(config.main.var_dir))


def _snapshot(source: Path, target: Path) -> _Copied:
    if not source.exists():
        raise Misconfigured(f"There is no database at {source}.")
    sqlite.snapshot(source, target)
    return _Copied(sqlite3.sqlite_version, sqlite.revision(target), sqlite.tables(target))


def _sqlite_faults(database: Path, tables: Mapping[str, int]) -> list[str]:
    return sqlite.faults(database) or differences(tables, sqlite.tables(database))
