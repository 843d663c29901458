"""Files in a bucket, against a server that speaks S3: the same promises as on the disk."""

import os
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import boto3
import pytest
from moto.server import ThreadedMotoServer
from pydantic import SecretStr

from ossature.kernel.files.archive import Files
from ossature.kernel.files.blobs import BlobDamaged, BlobNotFound, FileTooLarge
from ossature.kernel.files.s3 import S3Blobs, open_bucket
from ossature.kernel.files.settings import FileSettings
from ossature.kernel.testing.houses import open_house

ONE, OTHER = UUID(int=1), UUID(int=77)
KEY = {"aws_access_key_id": "key", "aws_secret_access_key": "secret", "region_name": "us-east-1"}


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def settings(endpoint: str) -> FileSettings:
    """A bucket of this test's own, and the settings that lead to it."""
    made = FileSettings(
        s3_bucket=f"b{uuid4().hex}",
        s3_prefix="blobs",
        s3_endpoint=endpoint,
        s3_access_key="key",
        s3_secret_key=SecretStr("secret"),
    )
    client(made).create_bucket(Bucket=made.s3_bucket)
    return made


@pytest.fixture
def blobs(settings: FileSettings, tmp_path: Path) -> S3Blobs:
    return open_bucket(settings, var_dir=tmp_path)


def client(settings: FileSettings) -> Any:
    return boto3.client("s3", endpoint_url=settings.s3_endpoint, **KEY)


def kept(settings: FileSettings) -> list[str]:
    found = client(settings).list_objects_v2(Bucket=settings.s3_bucket)
    return [one["Key"] for one in found.get("Contents", ())]


def on_disk(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


async def pieces(content: bytes, size: int = 100_000) -> AsyncIterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


async def whole(stream: AsyncIterator[bytes]) -> bytes:
    return b"".join([piece async for piece in stream])


@pytest.mark.parametrize("content", [b"", b"x", b"text " * 5000, b"%PDF-1.7\n" + os.urandom(20 * 1024 * 1024)])
async def test_what_goes_in_comes_out_of_the_bucket_too(blobs: S3Blobs, content: bytes, tmp_path: Path) -> None:
    blob = await blobs.put(ONE, pieces(content), max_bytes=10**9)

    assert await whole(blobs.read(ONE, blob.sha256)) == content
    assert (blob.size_bytes, await blobs.has(ONE, blob.sha256)) == (len(content), True)
    assert on_disk(tmp_path) == []


async def test_another_tenant_does_not_find_it_and_keeps_its_own_when_one_is_erased(
    blobs: S3Blobs, settings: FileSettings
) -> None:
    mine = await blobs.put(ONE, pieces(b"hello"), max_bytes=10)
    with pytest.raises(BlobNotFound):
        await whole(blobs.read(OTHER, mine.sha256))
    await blobs.put(OTHER, pieces(b"hello"), max_bytes=10)

    await blobs.erase_tenant(ONE)

    assert not await blobs.has(ONE, mine.sha256)
    assert await whole(blobs.read(OTHER, mine.sha256)) == b"hello"
    assert [key.split("/")[:2] for key in kept(settings)] == [["blobs", OTHER.hex]]
    assert (await blobs.erase(OTHER, mine.sha256), await blobs.erase(OTHER, mine.sha256)) == (True, False)


async def test_what_is_too_large_leaves_nothing_anywhere(
    blobs: S3Blobs, settings: FileSettings, tmp_path: Path
) -> None:
    with pytest.raises(FileTooLarge):
        await blobs.put(ONE, pieces(b"x" * 5000), max_bytes=4999)
    assert kept(settings) == []
    assert on_disk(tmp_path) == []


async def test_content_that_was_changed_in_the_bucket_is_not_read_as_if_it_were_whole(
    blobs: S3Blobs, settings: FileSettings
) -> None:
    blob = await blobs.put(ONE, pieces(os.urandom(3000)), max_bytes=10_000)
    (key,) = kept(settings)
    client(settings).put_object(Bucket=settings.s3_bucket, Key=key, Body=b"something else")
    with pytest.raises(BlobDamaged):
        await whole(blobs.read(ONE, blob.sha256))


async def test_what_was_written_before_is_listed_for_the_sweep(blobs: S3Blobs) -> None:
    blob = await blobs.put(ONE, pieces(b"hello"), max_bytes=10)
    now = datetime.now(UTC)

    assert list(await blobs.written_before(now + timedelta(minutes=1))) == [(ONE, blob.sha256)]
    assert list(await blobs.written_before(now - timedelta(minutes=1))) == []


async def test_a_house_keeps_its_files_where_its_settings_say(settings: FileSettings, tmp_path: Path) -> None:
    async with open_house(var_dir=tmp_path, settings=[settings]) as home:
        files = home.house.port(Files)
        async with home.house.database.begin(home.tenant.id) as db:
            file = await files.save(db, home.tenant.id, pieces(b"a note"), name="a.txt", purpose="note")
        assert await whole(files.read(file)) == b"a note"
        async with home.house.database.begin(home.tenant.id) as db:
            await files.erase(db, home.tenant.id, file.id)
    assert kept(settings) == []
