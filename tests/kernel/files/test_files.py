"""Files: whole or not at all, known by their content, and gone when they are erased."""

import os
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from ossature.kernel import clock
from ossature.kernel.context import SYSTEM_TENANT_ID
from ossature.kernel.db.engine import Database
from ossature.kernel.files.archive import FileNotFound, Files, safe_name
from ossature.kernel.files.blobs import BlobDamaged, BlobNotFound, DiskBlobs, FileTooLarge
from ossature.kernel.files.media import sniffed
from ossature.kernel.files.settings import FileSettings
from ossature.kernel.files.store import File

HOUSE = SYSTEM_TENANT_ID
OTHER = UUID(int=77)


async def pieces(content: bytes, size: int = 1000) -> AsyncIterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


async def whole(stream: AsyncIterator[bytes]) -> bytes:
    return b"".join([piece async for piece in stream])


def on_disk(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.fixture
def blobs(tmp_path: Path) -> DiskBlobs:
    return DiskBlobs(tmp_path / "blobs")


@pytest.fixture
def files(blobs: DiskBlobs) -> Files:
    return Files(blobs, FileSettings(max_bytes=100_000))


async def save(files: Files, database: Database, content: bytes, **options: object) -> File:
    async with database.begin() as db:
        return await files.save(db, HOUSE, pieces(content), name="a.txt", purpose="test", **options)


@pytest.mark.parametrize("content", [b"", b"x", b"text " * 5000, os.urandom(70_000), b"%PDF-1.7\n" + os.urandom(3000)])
async def test_what_goes_in_comes_out(blobs: DiskBlobs, content: bytes) -> None:
    blob = await blobs.put(HOUSE, pieces(content), max_bytes=100_000)
    assert await whole(blobs.read(HOUSE, blob.sha256)) == content
    assert blob.size_bytes == len(content)


async def test_text_is_kept_compressed(blobs: DiskBlobs) -> None:
    blob = await blobs.put(HOUSE, pieces(b"the same again " * 5000), max_bytes=100_000)
    assert blob.stored_bytes < blob.size_bytes / 20


async def test_the_same_content_is_kept_once_per_tenant(blobs: DiskBlobs, tmp_path: Path) -> None:
    first = await blobs.put(HOUSE, pieces(b"hello", 1), max_bytes=10)
    again = await blobs.put(HOUSE, pieces(b"hello", 3), max_bytes=10)
    await blobs.put(OTHER, pieces(b"hello"), max_bytes=10)
    assert first == again
    assert len(on_disk(tmp_path)) == 2


async def test_a_file_that_is_too_large_leaves_nothing_behind(blobs: DiskBlobs, tmp_path: Path) -> None:
    with pytest.raises(FileTooLarge):
        await blobs.put(HOUSE, pieces(b"x" * 5000), max_bytes=4999)
    assert on_disk(tmp_path) == []


async def test_a_stream_that_breaks_leaves_nothing_behind(blobs: DiskBlobs, tmp_path: Path) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"x" * 5000
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await blobs.put(HOUSE, broken(), max_bytes=10_000)
    assert on_disk(tmp_path) == []


@pytest.mark.parametrize("name", ["../../etc/passwd", "a" * 63, "A" * 64, "/etc/passwd", "a" * 64 + "/.."])
async def test_only_a_hash_leads_to_a_place(blobs: DiskBlobs, name: str) -> None:
    with pytest.raises(BlobNotFound):
        await whole(blobs.read(HOUSE, name))
    with pytest.raises(BlobNotFound):
        await blobs.erase(HOUSE, name)


async def test_another_tenant_does_not_find_the_content(blobs: DiskBlobs) -> None:
    blob = await blobs.put(HOUSE, pieces(b"hello"), max_bytes=10)
    with pytest.raises(BlobNotFound):
        await whole(blobs.read(OTHER, blob.sha256))


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-6] + b"x" + data[-5:], lambda data: data[: len(data) // 2], lambda _data: b""]
)
async def test_a_damaged_blob_is_not_read_as_if_it_were_whole(
    blobs: DiskBlobs, tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    blob = await blobs.put(HOUSE, pieces(b"hello " * 1000), max_bytes=10_000)
    (path,) = on_disk(tmp_path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(BlobDamaged):
        await whole(blobs.read(HOUSE, blob.sha256))


async def test_a_file_is_found_by_its_tenant_only(files: Files, database: Database) -> None:
    saved = await save(files, database, b'{"a": 1}')
    async with database.begin() as db:
        found = await files.get(db, HOUSE, saved.id)
        assert (found.media_type, found.size_bytes, found.name) == ("application/json", 8, "a.txt")
        assert await whole(files.read(found)) == b'{"a": 1}'
        with pytest.raises(FileNotFound):
            await files.get(db, OTHER, saved.id)


async def test_content_goes_with_the_last_file_that_has_it(files: Files, database: Database, tmp_path: Path) -> None:
    first, second = await save(files, database, b"same"), await save(files, database, b"same")
    async with database.begin() as db:
        await files.erase(db, HOUSE, first.id)
    assert len(on_disk(tmp_path / "blobs")) == 1
    async with database.begin() as db:
        await files.erase(db, HOUSE, second.id)
    assert on_disk(tmp_path / "blobs") == []


async def test_files_about_a_person_are_erased_together(files: Files, database: Database, tmp_path: Path) -> None:
    anne = uuid4()
    for text in (b"one", b"two"):
        await save(files, database, text, person_id=anne)
    kept = await save(files, database, b"three")
    async with database.begin() as db:
        assert await files.erase_person(db, HOUSE, anne) == 2
        assert (await files.get(db, HOUSE, kept.id)).name == "a.txt"
    assert len(on_disk(tmp_path / "blobs")) == 1


async def test_a_file_is_erased_when_its_time_is_over(files: Files, database: Database, tmp_path: Path) -> None:
    await save(files, database, b"old", keep_until=clock.now() - timedelta(seconds=1))
    await save(files, database, b"new", keep_until=clock.now() + timedelta(days=1))
    async with database.begin() as db:
        assert await files.erase_expired(db) == 1
    assert len(on_disk(tmp_path / "blobs")) == 1


async def test_content_of_an_undone_transaction_is_swept(files: Files, database: Database, tmp_path: Path) -> None:
    kept = await save(files, database, b"kept")
    db = database.system()
    await files.save(db, HOUSE, pieces(b"orphan"), name="x", purpose="test")
    await db.rollback()
    assert await files.sweep(db) == 0
    assert await files.sweep(db, older_than_s=-60) == 1
    await db.close()
    assert await whole(files.read(kept)) == b"kept"
    assert len(on_disk(tmp_path / "blobs")) == 1


@pytest.mark.parametrize(
    ("start", "media_type"),
    [
        (b"%PDF-1.7", "application/pdf"),
        (b"\x89PNG\r\n\x1a\n", "image/png"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8", "image/webp"),
        (b"  <!DOCTYPE html><p>", "text/html"),
        (b"<svg onload=alert(1)>", "image/svg+xml"),
        (b'\xef\xbb\xbf{"a"', "application/json"),
        ("gr\u00fcezi".encode()[:-1], "text/plain"),
        (b"a,b\n1,2\n", "text/plain"),
        (b"\x00\x01\x02", "application/octet-stream"),
        (b"MZ\x90", "application/x-msdownload"),
    ],
)
def test_a_type_is_seen_in_the_content(start: bytes, media_type: str) -> None:
    assert sniffed(start) == media_type


@pytest.mark.parametrize(
    ("given", "safe"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\temp\\plan.pdf", "plan.pdf"),
        ("a\r\nSet-Cookie: x.txt", "a_Set-Cookie_ x.txt"),
        ("..", "file"),
        ("", "file"),
        ("x" * 500, "x" * 200),
    ],
)
def test_a_name_is_made_safe(given: str, safe: str) -> None:
    assert safe_name(given) == safe


async def test_sweeping_asks_for_all_files_of_a_tenant_together(
    files: Files, database: Database, tmp_path: Path
) -> None:
    async with database.begin() as db:
        for number in range(30):
            await files.save(db, HOUSE, pieces(b"%d" % number), name="x", purpose="test")
    (tmp_path / "blobs" / "no tenant").mkdir()
    (tmp_path / "blobs" / "no tenant" / ("0" * 64)).touch()
    async with database.begin() as db:
        assert await files.sweep(db, older_than_s=-60) == 0
        assert db.statistics.count < 5
