"""Blobs: bytes under the hash of their content, written as a whole or not at all.

A blob's place is `TENANT/ab/cd/HASH`, so equal content of one tenant is kept once and erasing a tenant is removing a
folder; tenants never share blobs, or one could tell what another has. Content is streamed through, never held as a whole.
"""

import asyncio
import hashlib
import os
import re
import shutil
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Protocol
from uuid import UUID, uuid4

from ossature.kernel.errors import ContentTooLarge, NotFound, Problem
from ossature.kernel.files.media import SNIFF_BYTES, compressible, sniffed

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_HASH = re.compile(r"[0-9a-f]{64}")
_TENANT = re.compile(r"[0-9a-f]{32}")
_CHUNK_BYTES: Final = 256 * 1024
PACKED: Final = ".zst"
SUFFIXES: Final = ("", PACKED)


class BlobNotFound(NotFound):
    """There is no such content, or no longer."""

    title = "No such content"


class BlobDamaged(Problem):
    """What lies on the disk is not what was written: restore it from a backup."""

    title = "Content damaged"


class FileTooLarge(ContentTooLarge):
    """The file is larger than files may be here."""

    title = "File too large"


@dataclass(frozen=True, slots=True)
class Blob:
    """Stored content. sha256: of the plain bytes, hexadecimal. stored_bytes: what it takes on the disk."""

    sha256: str
    size_bytes: int
    stored_bytes: int
    media_type: str


class Blobs(Protocol):
    """Where blobs are kept: a disk, or a bucket that speaks S3."""

    async def put(self, tenant_id: UUID, content: AsyncIterator[bytes], *, max_bytes: int) -> Blob:
        """Keep content. Raises: FileTooLarge, after which nothing of it is left."""

    def read(self, tenant_id: UUID, sha256: str) -> AsyncIterator[bytes]:
        """The content, in pieces. Raises: BlobNotFound at the first piece."""

    async def erase(self, tenant_id: UUID, sha256: str) -> bool:
        """Remove content; whether it was there."""

    async def erase_tenant(self, tenant_id: UUID) -> None:
        """Remove everything that a tenant has."""

    async def has(self, tenant_id: UUID, sha256: str) -> bool:
        """Whether content is there."""

    async def written_before(self, at: datetime) -> Sequence[tuple[UUID, str]]:
        """Content that was written before an instant: tenant and hash. Removes what was begun then and never ended."""


class DiskBlobs:
    """Blobs in a folder of this machine."""

    def __init__(self, folder: Path, *, level: int = 6) -> None:
        """Blobs below `folder`, which is made when it is needed. level: of zstd."""
        self._folder = folder
        self._level = level

    async def put(self, tenant_id: UUID, content: AsyncIterator[bytes], *, max_bytes: int) -> Blob:
        """Keep content: written beside its place, synced, then renamed. Raises: FileTooLarge."""

        def settle(part: Path, sha256: str, suffix: str) -> None:
            place = self._place(tenant_id, sha256)
            place.parent.mkdir(parents=True, exist_ok=True)
            part.replace(place.with_name(place.name + suffix))
            _sync_folder(place.parent)

        part = self._folder / tenant_id.hex / "parts" / uuid4().hex
        return await written(content, part, settle, level=self._level, max_bytes=max_bytes)

    async def read(self, tenant_id: UUID, sha256: str) -> AsyncIterator[bytes]:
        """The content, in pieces; the reader sets the pace. Raises: BlobNotFound; BlobDamaged, at the end at the latest."""
        place = self._place(tenant_id, sha256)
        async for piece in checked(lambda: _open(place), sha256):
            yield piece

    async def erase(self, tenant_id: UUID, sha256: str) -> bool:
        """Remove content; whether it was there."""
        place = self._place(tenant_id, sha256)

        def remove() -> bool:
            found = False
            for suffix in SUFFIXES:
                with suppress(FileNotFoundError):
                    place.with_name(place.name + suffix).unlink()
                    found = True
            return found

        return await asyncio.to_thread(remove)

    async def erase_tenant(self, tenant_id: UUID) -> None:
        """Remove everything that a tenant has."""
        await asyncio.to_thread(shutil.rmtree, self._folder / tenant_id.hex, ignore_errors=True)

    async def has(self, tenant_id: UUID, sha256: str) -> bool:
        """Whether content is there."""
        place = self._place(tenant_id, sha256)
        return await asyncio.to_thread(
            lambda: any(place.with_name(place.name + suffix).exists() for suffix in SUFFIXES)
        )

    async def written_before(self, at: datetime) -> Sequence[tuple[UUID, str]]:
        """Content that was written before an instant; parts that a dead process left then are removed."""
        return await asyncio.to_thread(self._written_before, at.timestamp())

    def _written_before(self, stamp: float) -> list[tuple[UUID, str]]:
        found = []
        for file in self._folder.glob("*/**/*"):
            try:
                if not file.is_file() or file.stat().st_mtime >= stamp:
                    continue
            except FileNotFoundError:  # somebody else erases at the same time
                continue
            if file.parent.name == "parts":
                file.unlink(missing_ok=True)
            elif content := content_at(file.relative_to(self._folder).as_posix()):
                found.append(content)
        return found

    def _place(self, tenant_id: UUID, sha256: str) -> Path:
        return self._folder / key_of(tenant_id, sha256)


class _Writer:
    """Writes one blob beside its place; used by one thread at a time."""

    def __init__(self, part: Path, level: int | None) -> None:
        part.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.suffix = "" if level is None else PACKED
        self.size_bytes = 0
        self.hash = hashlib.sha256()
        self._part = part
        self._file = part.open("xb")
        self._packer = None if level is None else _packer(level)

    async def feed(self, piece: bytes, max_bytes: int) -> None:
        """Take the next piece. Raises: FileTooLarge."""
        self.size_bytes += len(piece)
        if self.size_bytes > max_bytes:
            raise FileTooLarge(f"At most {max_bytes} bytes.", max_bytes=max_bytes)
        await asyncio.to_thread(self._write, piece)

    def finish(self) -> int:
        """Make it durable; how many bytes it takes."""
        if self._packer is not None:
            self._file.write(self._packer.flush())
        self._file.flush()
        os.fsync(self._file.fileno())
        stored = self._file.tell()
        self._file.close()
        return stored

    def abandon(self) -> None:
        """Leave nothing behind."""
        self._file.close()
        self._part.unlink(missing_ok=True)

    def _write(self, piece: bytes) -> None:
        self.hash.update(piece)
        self._file.write(piece if self._packer is None else self._packer.compress(piece))


def _packer(level: int) -> zstd.ZstdCompressor:
    is_ = zstd.CompressionParameter
    return zstd.ZstdCompressor(options={is_.compression_level: level, is_.checksum_flag: 1})


class Reader:
    """Reads one blob out of a raw stream; used by one thread at a time."""

    def __init__(self, raw: Any, *, packed: bool) -> None:  # noqa: ANN401 - a file, or the body of an answer of a bucket
        self._raw = raw
        self._source = zstd.ZstdFile(raw) if packed else raw

    def next(self) -> bytes:
        """The next piece; empty at the end."""
        piece: bytes = self._source.read(_CHUNK_BYTES)
        return piece

    def close(self) -> None:
        """Give the stream back."""
        self._raw.close()


async def written(
    content: AsyncIterator[bytes], part: Path, settle: Callable[[Path, str, str], None], *, level: int, max_bytes: int
) -> Blob:
    """Write content to `part` as it comes, compressed where that helps, and have it brought to its place.

    settle: called in a thread with the durable part, the hash and the suffix of the place. Raises: FileTooLarge.
    """
    start, rest = await _begun(content)
    media_type = sniffed(start[:SNIFF_BYTES])
    writer = await asyncio.to_thread(_Writer, part, level if compressible(media_type) else None)
    try:
        await writer.feed(start, max_bytes)
        async for piece in rest:
            await writer.feed(piece, max_bytes)
        stored_bytes = await asyncio.to_thread(writer.finish)
        sha256 = writer.hash.hexdigest()
        await asyncio.to_thread(settle, part, sha256, writer.suffix)
    except BaseException:
        await asyncio.shield(asyncio.to_thread(writer.abandon))
        raise
    return Blob(sha256, writer.size_bytes, stored_bytes, media_type)


async def checked(open_reader: Callable[[], Reader], sha256: str) -> AsyncIterator[bytes]:
    """What a reader gives, in pieces; the reader sets the pace.

    Raises: BlobNotFound, as opening does; BlobDamaged, at the end at the latest.
    """
    reader = await asyncio.to_thread(open_reader)
    seen = hashlib.sha256()
    try:
        while piece := await asyncio.to_thread(reader.next):
            seen.update(piece)
            yield piece
    except (zstd.ZstdError, EOFError) as error:
        raise BlobDamaged(str(error)) from error
    finally:
        reader.close()
    if seen.hexdigest() != sha256:
        raise BlobDamaged


def key_of(tenant_id: UUID, sha256: str) -> str:
    """Where content lies below a folder or in a bucket, without its suffix. Raises: BlobNotFound for what is no hash."""
    # Nothing that a caller says becomes part of a path unless it is a hash.
    if not _HASH.fullmatch(sha256):
        raise BlobNotFound
    return f"{tenant_id.hex}/{sha256[:2]}/{sha256[2:4]}/{sha256}"


def content_at(key: str) -> tuple[UUID, str] | None:
    """The tenant and the hash of what lies at a place; None for anything else."""
    tenant, _, rest = key.partition("/")
    name = rest.rpartition("/")[2].removesuffix(PACKED)
    return (UUID(hex=tenant), name) if _HASH.fullmatch(name) and _TENANT.fullmatch(tenant) else None


def _open(place: Path) -> Reader:
    """A reader of a blob on the disk. Raises: BlobNotFound."""
    for suffix in SUFFIXES:
        with suppress(FileNotFoundError):
            return Reader(place.with_name(place.name + suffix).open("rb"), packed=suffix == PACKED)
    raise BlobNotFound


async def _begun(content: AsyncIterator[bytes]) -> tuple[bytes, AsyncIterator[bytes]]:
    """Enough of the beginning to see what it is, and the rest."""
    start = b""
    async for piece in content:
        start += piece
        if len(start) >= SNIFF_BYTES:
            break
    return start, content


def _sync_folder(folder: Path) -> None:
    """Make a rename durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
