"""What an installation keeps beside its database: the contents of its files, its secret, folders of services.

All of the var directory is taken but for what is made anew by itself; whatever a later service keeps there is taken too.
"""

import errno
import os
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final

from ossature.kernel.backup.domain import BackupDamaged
from ossature.kernel.backup.shelf import sync_folder

BLOBS: Final = "blobs"
"""Folder of the contents of files, in a backup."""
_VAR: Final = "var"
_NOT_TAKEN: Final = ("cache.db", "console", "keyring.json", "mail", "run", "sync-spill")
"""What begins with one of these names: answers of others, pages that are open, mail that nobody sends, sockets.

The key ring is not made anew, but it opens the backups, so it must never lie in one."""
_HIDDEN: Final = "."
_WRITTEN: Final = ("parts", "spool")
"""Folders of contents that are still being written."""


class State:
    """The files of an installation that a backup takes."""

    def __init__(self, var_dir: Path, *, blobs: Path | None, besides: tuple[Path, ...]) -> None:
        """blobs: folder of the contents of files; None leaves them out. besides: places that are not taken."""
        self._var = var_dir.absolute()
        self._blobs = None if blobs is None else blobs.absolute()
        self._besides = tuple(path.absolute() for path in besides)

    @property
    def takes_blobs(self) -> bool:
        """Whether the contents of files are taken."""
        return self._blobs is not None

    def pack(self, target: Path) -> int:
        """Write everything to a tar file; how many files. What is erased meanwhile is left out."""
        count = 0
        with tarfile.open(target, "x", format=tarfile.PAX_FORMAT) as tar:
            for path, name in self._found():
                try:
                    with path.open("rb") as file:
                        member = tar.gettarinfo(arcname=name, fileobj=file)
                        tar.addfile(member, file)
                except FileNotFoundError:
                    continue
                count += 1
        return count

    def place_of(self, name: str) -> Path | None:
        """Where a file of a backup belongs; None where this installation has no such place. Raises: BackupDamaged."""
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or len(path.parts) <= 1:
            raise BackupDamaged(f"It holds {name!r}, which leads out of its folder.")
        if path.parts[0] == BLOBS:
            return None if self._blobs is None else self._blobs.joinpath(*path.parts[1:])
        if path.parts[0] == _VAR:
            return self._var.joinpath(*path.parts[1:])
        raise BackupDamaged(f"It holds {name!r}, which belongs nowhere.")

    def put(self, folder: Path, *, blobs: bool) -> int:
        """Bring unpacked files to their places, the contents of files (`blobs`) or the others; how many.

        Contents are known by their digest, so they change nothing for those who know them. Each file is there as a
        whole or not at all; running it again after a kill ends it.
        """
        touched: set[Path] = set()
        count = 0
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            name = path.relative_to(folder).as_posix()
            place = self.place_of(name) if name.startswith(f"{BLOBS}/") == blobs else None
            if place is None:
                continue
            place.parent.mkdir(parents=True, exist_ok=True)
            _move(path, place)
            touched.add(place.parent)
            count += 1
        for changed in touched:
            sync_folder(changed)
        return count

    def _found(self) -> Iterator[tuple[Path, str]]:
        if self._blobs is not None:
            for path in _files(self._blobs, self._besides):
                relative = path.relative_to(self._blobs)
                if not set(_WRITTEN) & set(relative.parts):
                    yield path, f"{BLOBS}/{relative.as_posix()}"
        blobs = () if self._blobs is None else (self._blobs,)
        for path in _files(self._var, (*self._besides, *blobs)):
            relative = path.relative_to(self._var)
            first = relative.parts[0]
            if not first.startswith((_HIDDEN, *_NOT_TAKEN)):
                yield path, f"{_VAR}/{relative.as_posix()}"


def unpack(source: Path, folder: Path) -> list[str]:
    """Write the files of a tar file below `folder`, synced; their names. Raises: BackupDamaged."""
    names = []
    try:
        with tarfile.open(source) as tar:
            for member in tar:
                path = PurePosixPath(member.name)
                content = tar.extractfile(member) if member.isfile() else None
                if content is None or path.is_absolute() or ".." in path.parts:
                    raise BackupDamaged(f"It holds {member.name!r}, which is no file that we wrote.")
                place = folder.joinpath(*path.parts)
                place.parent.mkdir(parents=True, exist_ok=True)
                with place.open("xb") as file:
                    shutil.copyfileobj(content, file)
                    file.flush()
                    os.fsync(file.fileno())
                place.chmod(member.mode & 0o700)
                names.append(member.name)
    except tarfile.TarError as error:
        raise BackupDamaged(f"{source.name} cannot be read: {error}") from error
    return names


def _files(folder: Path, besides: tuple[Path, ...]) -> Iterator[Path]:
    """Every plain file below a folder, in a fixed order; links lead elsewhere and are left alone."""
    for here, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if Path(here, name) not in besides)
        for name in sorted(files):
            path = Path(here, name)
            if path not in besides and path.is_file() and not path.is_symlink():
                yield path


def _move(path: Path, place: Path) -> None:
    """Give a file its place in one step, from another disk too."""
    try:
        path.replace(place)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        beside = place.with_name(f"{place.name}.{os.getpid()}.part")
        shutil.copy2(path, beside)
        beside.replace(place)
