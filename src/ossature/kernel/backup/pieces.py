"""The files that a backup consists of: compressed, synced, known by their digest."""

import hashlib
import os
import shutil
import sys
from pathlib import Path
from typing import Final

from ossature.kernel.backup.domain import BackupDamaged, Part
from ossature.kernel.crypto.ring import KeyRing, NotSealed, SealBroken
from ossature.kernel.crypto.stream import open_stream, seal_stream

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

PACKED: Final = ".zst"
SEALED: Final = ".sealed"
_CHUNK_BYTES: Final = 1024 * 1024
_LEVEL: Final = 6


def pack(source: Path, target: Path) -> None:
    """Write `source` compressed to `target`."""
    options: dict[int, int] = {
        zstd.CompressionParameter.compression_level: _LEVEL,
        zstd.CompressionParameter.checksum_flag: 1,
    }
    with source.open("rb") as plain, zstd.ZstdFile(target, "w", options=options) as packed:
        shutil.copyfileobj(plain, packed, _CHUNK_BYTES)


def unpack(source: Path, target: Path) -> None:
    """Write what `source` holds to `target`, and sync it. Raises: BackupDamaged."""
    try:
        with zstd.ZstdFile(source) as packed, target.open("xb") as plain:
            shutil.copyfileobj(packed, plain, _CHUNK_BYTES)
            plain.flush()
            os.fsync(plain.fileno())
    except (zstd.ZstdError, EOFError) as error:
        raise BackupDamaged(f"{source.name} cannot be unpacked: {error}") from error


def seal(ring: KeyRing, source: Path, target: Path, *, about: str) -> None:
    """Write `source` encrypted to `target`."""
    with source.open("rb") as plain, target.open("xb") as sealed:
        seal_stream(ring, plain, sealed, about=about)


def open_sealed(ring: KeyRing, source: Path, target: Path, *, about: str) -> None:
    """Write what `seal` was given to `target`. Raises: BackupDamaged; CannotOpen when its key is not on the ring."""
    try:
        with source.open("rb") as sealed, target.open("xb") as plain:
            open_stream(ring, sealed, plain, about=about)
    except (SealBroken, NotSealed) as error:
        raise BackupDamaged(f"{source.name} cannot be opened: {error.detail or error.title}") from error


def settled(path: Path) -> Part:
    """A complete file as a part of a backup: synced, with its size and digest."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        os.fsync(file.fileno())
        size = os.fstat(file.fileno()).st_size
    path.chmod(0o600)
    return Part(path.name, size, digest)


def fault_of(path: Path, part: Part) -> str:
    """What is wrong with a part as it lies there; empty for nothing."""
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return f"{part.file} is missing"
    except OSError as error:
        return f"{part.file} cannot be read: {error.strerror}"
    return "" if digest == part.sha256 else f"{part.file} is not what was written: its digest differs"
