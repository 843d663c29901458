"""The folder of backups: one folder for each, there as a whole or not at all.

A backup grows in a folder whose name begins with a dot and gets its name by a rename once everything is on the disk.
Whatever a killed process left behind is removed by the next one that makes a backup.
"""

import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from ossature.kernel import clock
from ossature.kernel.backup.domain import BackupDamaged, BackupIsRunning, BackupNotFound, Manifest

MANIFEST: Final = "manifest.json"
_DRAFT: Final = ".draft-"


class Shelf:
    """All backups of one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextmanager
    def alone(self, what: str) -> Iterator[None]:
        """The time in which no other process does the same with these backups. Raises: BackupIsRunning."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with (self.folder / f".{what}").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise BackupIsRunning from None
            yield

    @contextmanager
    def drafting(self) -> Iterator[Path]:
        """An empty folder for a new backup, for one maker at a time; removed at the end unless it was published.

        Raises: BackupIsRunning.
        """
        with self.alone("lock"):
            for left in self.folder.glob(f"{_DRAFT}*"):
                shutil.rmtree(left, ignore_errors=True)
            name = f"{clock.now():%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"
            draft = self.folder / f"{_DRAFT}{name}"
            draft.mkdir(mode=0o700)
            try:
                yield draft
            finally:
                shutil.rmtree(draft, ignore_errors=True)

    def publish(self, draft: Path, manifest: Manifest) -> None:
        """Give a complete backup its name: from now on it is one."""
        with (draft / MANIFEST).open("xb") as file:
            file.write(manifest.to_json())
            file.flush()
            os.fsync(file.fileno())
        sync_folder(draft)
        draft.rename(self.folder / manifest.name)
        sync_folder(self.folder)

    def manifests(self) -> list[Manifest]:
        """Those of all backups whose manifest can be read, newest first."""
        found = []
        for path in self.folder.glob(f"[0-9]*/{MANIFEST}"):
            try:
                found.append(Manifest.from_json(path.read_bytes()))
            except (BackupDamaged, OSError):  # `verify` says so; a list shows what can be used
                continue
        return sorted(found, key=lambda one: (one.taken_at, one.name), reverse=True)

    def names(self) -> list[str]:
        """The names of all backups, those with an unreadable manifest too, oldest first."""
        return sorted(path.name for path in self.folder.glob("[0-9]*") if path.is_dir())

    def manifest(self, name: str) -> Manifest:
        """The manifest of a backup, `latest` for the newest. Raises: BackupNotFound, BackupDamaged."""
        if name == "latest":
            found = self.manifests()
            if not found:
                raise BackupNotFound(f"There is no backup in {self.folder} yet.")
            return found[0]
        if name not in self.names():
            raise BackupNotFound(f"There is no backup {name!r} in {self.folder}.")
        try:
            manifest = Manifest.from_json(self.path(name, MANIFEST).read_bytes())
        except OSError as error:
            raise BackupDamaged(f"Its manifest cannot be read: {error}") from error
        if manifest.name != name:
            raise BackupDamaged(f"Its manifest is that of {manifest.name}.")
        return manifest

    def path(self, name: str, file: str) -> Path:
        """Where a file of a backup lies. Raises: BackupDamaged for a name that leads elsewhere."""
        if Path(file).name != file:
            raise BackupDamaged(f"Its manifest names {file!r}, which is no file of a backup.")
        return self.folder / name / file

    def remove(self, name: str) -> None:
        """Remove a backup: at once it is none, then its files go."""
        gone = self.folder / f"{_DRAFT}{name}"
        (self.folder / name).rename(gone)
        shutil.rmtree(gone, ignore_errors=True)


def sync_folder(folder: Path) -> None:
    """Make names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
