"""Files: what a service keeps that is no row, such as documents, exports, raw feeds and artefacts."""

import re
import unicodedata
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from ossature.kernel import clock
from ossature.kernel.db.transaction import Db
from ossature.kernel.errors import NotFound, Unavailable
from ossature.kernel.files import store
from ossature.kernel.files.blobs import Blobs
from ossature.kernel.files.settings import FileSettings
from ossature.kernel.files.store import File

_UNWANTED = re.compile(r"[\x00-\x1f\x7f/\\:*?\"<>|]+")
_NAME_MOST: Final = 200
_BATCH: Final = 500


class FileNotFound(NotFound):
    """The tenant has no file with this id."""

    title = "No such file"


class ContentErased(Unavailable):
    """The same content was being erased while it was saved; save it once more."""

    title = "Content erased meanwhile"
    retry_after_s = 1.0


class Files:
    """The files of a process. Contents go to `blobs`, what is known of them to the caller's transaction."""

    def __init__(self, blobs: Blobs, settings: FileSettings) -> None:
        self._blobs = blobs
        self._settings = settings

    async def save(  # noqa: PLR0913 - what is known of a file
        self,
        db: Db,
        tenant_id: UUID,
        content: AsyncIterator[bytes],
        *,
        name: str,
        purpose: str,
        person_id: UUID | None = None,
        keep_until: datetime | None = None,
        max_bytes: int | None = None,
    ) -> File:
        """Keep a file. Its content is durable before its row is written; without a commit it is swept up later.

        name: of any kind; what is dangerous in a path is taken out. Raises: FileTooLarge, ContentErased.
        """
        blob = await self._blobs.put(tenant_id, content, max_bytes=max_bytes or self._settings.max_bytes)
        file = File(
            id=clock.new_id(),
            tenant_id=tenant_id,
            name=safe_name(name),
            purpose=purpose,
            media_type=blob.media_type,
            sha256=blob.sha256,
            size_bytes=blob.size_bytes,
            stored_bytes=blob.stored_bytes,
            person_id=person_id,
            keep_until=keep_until,
            created_at=clock.now(),
        )
        await store.hold(db, tenant_id, blob.sha256)
        await store.add(db, tenant_id, file)
        if not await self._blobs.has(tenant_id, blob.sha256):
            raise ContentErased
        return file

    async def get(self, db: Db, tenant_id: UUID, file_id: UUID) -> File:
        """What is known of a file. Raises: FileNotFound."""
        file = await store.get(db, tenant_id, file_id)
        if file is None:
            raise FileNotFound
        return file

    def read(self, file: File) -> AsyncIterator[bytes]:
        """The content of a file, in pieces. Raises: BlobNotFound at the first one."""
        return self._blobs.read(file.tenant_id, file.sha256)

    async def of_purpose(self, db: Db, tenant_id: UUID, purpose: str) -> list[File]:
        """The tenant's files of a purpose, newest first."""
        return await store.of_purpose(db, tenant_id, purpose)

    async def contents(self, db: Db, tenant_id: UUID, *, besides: str) -> AsyncIterator[str]:
        """The hashes of everything that the tenant's files hold, each once; besides: a purpose that is left out."""
        after = ""
        while found := await store.contents(db, tenant_id, besides=besides, after=after, limit=_BATCH):
            for sha256 in found:
                yield sha256
            after = found[-1]

    def read_content(self, tenant_id: UUID, sha256: str) -> AsyncIterator[bytes]:
        """The content with this hash, in pieces. Raises: BlobNotFound at the first one."""
        return self._blobs.read(tenant_id, sha256)

    async def erase(self, db: Db, tenant_id: UUID, file_id: UUID) -> None:
        """Erase a file now; its content too, unless another file of the tenant has the same. Raises: FileNotFound."""
        await self._erase(db, [await self.get(db, tenant_id, file_id)])

    async def erase_person(self, db: Db, tenant_id: UUID, person_id: UUID) -> int:
        """Erase every file about a person; how many."""
        files = await store.about(db, tenant_id, person_id)
        await self._erase(db, files)
        return len(files)

    async def erase_expired(self, db: Db, *, limit: int = 500) -> int:
        """Erase files whose time is over, of all tenants, at most `limit`; how many. `db`: a view across tenants."""
        files = await store.expired(db, clock.now(), limit=limit)
        await self._erase(db, files)
        return len(files)

    async def sweep(self, db: Db, *, older_than_s: float = 86_400.0) -> int:
        """Erase contents without a file, which undone transactions leave; how many. `db`: a view across tenants."""
        swept = 0
        found: dict[UUID, set[str]] = {}
        for tenant_id, sha256 in await self._blobs.written_before(clock.now() - timedelta(seconds=older_than_s)):
            found.setdefault(tenant_id, set()).add(sha256)
        for tenant_id, contents in found.items():
            async for used in store.all_contents(db, tenant_id, batch=_BATCH):
                contents.difference_update(used)
            await db.commit()
            for sha256 in sorted(contents):  # few: what belongs to a file needs no transaction of its own
                async with db.step():
                    await store.hold(db, tenant_id, sha256)
                    if not await store.still_used(db, tenant_id, sha256):
                        swept += await self._blobs.erase(tenant_id, sha256)
        return swept

    async def erase_tenant(self, tenant_id: UUID) -> None:
        """Remove the contents of a tenant whose rows are gone."""
        await self._blobs.erase_tenant(tenant_id)

    async def _erase(self, db: Db, files: list[File]) -> None:
        for file in files:
            await store.hold(db, file.tenant_id, file.sha256)
            await store.remove(db, file.tenant_id, [file.id])
            if not await store.still_used(db, file.tenant_id, file.sha256):
                # Before the commit: a row whose content is gone says so when it is read, a content without a row
                # would be personal data that nobody finds.
                await self._blobs.erase(file.tenant_id, file.sha256)


def safe_name(name: str) -> str:
    """A name that is safe in a header, a folder and a page; the content is never stored under it."""
    base = unicodedata.normalize("NFC", name).replace("\\", "/").rpartition("/")[2]
    return _UNWANTED.sub("_", base).strip(" .")[:_NAME_MOST] or "file"
