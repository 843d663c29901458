"""Blobs in a bucket that speaks S3, of Amazon or of anybody else (MinIO, Ceph, Cloudflare, Google)."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from ossature.kernel.errors import Misconfigured
from ossature.kernel.files.blobs import (
    PACKED,
    SUFFIXES,
    Blob,
    BlobNotFound,
    Reader,
    checked,
    content_at,
    key_of,
    written,
)
from ossature.kernel.files.settings import FileSettings

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

_MISSING = frozenset({"404", "NoSuchKey", "NotFound"})


class S3Blobs:
    """Blobs below a prefix of a bucket. Its calls run in threads: the client is a synchronous one, and safe for them."""

    def __init__(self, client: "S3Client", settings: FileSettings, *, spool: Path) -> None:
        """spool: a folder of this machine where content waits until its hash, and so its place, is known."""
        self._client = client
        self._bucket = settings.s3_bucket
        self._prefix = f"{settings.s3_prefix.strip('/')}/" if settings.s3_prefix else ""
        self._level = settings.compression_level
        self._spool = spool

    async def put(self, tenant_id: UUID, content: AsyncIterator[bytes], *, max_bytes: int) -> Blob:
        """Keep content: gathered on this machine, then sent as a whole, in parts if it is large. Raises: FileTooLarge."""

        def settle(part: Path, sha256: str, suffix: str) -> None:
            self._client.upload_file(str(part), self._bucket, self._key(tenant_id, sha256) + suffix)
            part.unlink()

        return await written(content, self._spool / uuid4().hex, settle, level=self._level, max_bytes=max_bytes)

    async def read(self, tenant_id: UUID, sha256: str) -> AsyncIterator[bytes]:
        """The content, in pieces. Raises: BlobNotFound; BlobDamaged, at the end at the latest."""
        key = self._key(tenant_id, sha256)
        async for piece in checked(lambda: self._open(key), sha256):
            yield piece

    async def erase(self, tenant_id: UUID, sha256: str) -> bool:
        """Remove content; whether it was there."""
        found = await self.has(tenant_id, sha256)
        await asyncio.to_thread(self._delete, [self._key(tenant_id, sha256) + suffix for suffix in SUFFIXES])
        return found

    async def erase_tenant(self, tenant_id: UUID) -> None:
        """Remove everything that a tenant has."""

        def remove() -> None:
            for page in self._pages(f"{self._prefix}{tenant_id.hex}/"):
                self._delete([one["Key"] for one in page])

        await asyncio.to_thread(remove)

    async def has(self, tenant_id: UUID, sha256: str) -> bool:
        """Whether content is there."""
        key = self._key(tenant_id, sha256)
        return await asyncio.to_thread(lambda: any(self._is_there(key + suffix) for suffix in SUFFIXES))

    async def written_before(self, at: datetime) -> Sequence[tuple[UUID, str]]:
        """Content that was written before an instant; parts that a dead process left on this machine are removed."""
        return await asyncio.to_thread(self._written_before, at)

    def _written_before(self, at: datetime) -> list[tuple[UUID, str]]:
        for part in self._spool.glob("*"):
            with suppress(FileNotFoundError):  # it was sent meanwhile
                if part.stat().st_mtime < at.timestamp():
                    part.unlink()
        found = []
        for page in self._pages(self._prefix):
            for one in page:
                content = content_at(one["Key"].removeprefix(self._prefix))
                if content is not None and one["LastModified"] < at:
                    found.append(content)
        return found

    def _pages(self, prefix: str) -> Iterator[Any]:
        for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix):
            if contents := page.get("Contents"):
                yield contents

    def _open(self, key: str) -> Reader:
        for suffix in SUFFIXES:
            try:
                answer = self._client.get_object(Bucket=self._bucket, Key=key + suffix)
            except self._client.exceptions.ClientError as error:
                if _is_missing(error):
                    continue
                raise
            return Reader(answer["Body"], packed=suffix == PACKED)
        raise BlobNotFound

    def _is_there(self, key: str) -> bool:
        try:
            self._client.head_object(Bucket=self._bucket, Key=key)
        except self._client.exceptions.ClientError as error:
            if _is_missing(error):
                return False
            raise
        return True

    def _delete(self, keys: Sequence[str]) -> None:
        self._client.delete_objects(Bucket=self._bucket, Delete={"Objects": [{"Key": key} for key in keys]})

    def _key(self, tenant_id: UUID, sha256: str) -> str:
        return self._prefix + key_of(tenant_id, sha256)


def open_bucket(settings: FileSettings, *, var_dir: Path) -> S3Blobs:
    """The bucket that the settings name. Raises: Misconfigured without the extra."""
    try:
        import boto3  # noqa: PLC0415 - an extra
        from botocore.config import Config  # noqa: PLC0415 - as above
    except ImportError as error:
        msg = "Files in a bucket need the extra: pip install 'ossature[s3]'."
        raise Misconfigured(msg) from error
    secret = settings.s3_secret_key.get_secret_value()
    client = boto3.client(
        "s3",
        endpoint_url=settings.s3_endpoint or None,
        region_name=settings.s3_region,
        # Without a key of ours the client looks where Amazon's own tools do: the role of the machine, its profile.
        aws_access_key_id=settings.s3_access_key or None,
        aws_secret_access_key=secret or None,
        config=Config(
            connect_timeout=settings.s3_time_limit_s,
            read_timeout=settings.s3_time_limit_s,
            retries={"mode": "standard", "max_attempts": 3},
            s3={"addressing_style": "path" if settings.s3_endpoint else "auto"},
        ),
    )
    return S3Blobs(client, settings, spool=var_dir / settings.folder / "spool")


def _is_missing(error: Any) -> bool:  # noqa: ANN401 - the client makes this class as it goes
    return error.response.get("Error", {}).get("Code") in _MISSING
