"""One archive with everything of a tenant, made while it is read: a ZIP with a file of JSON lines for each table.

`tables/NAME.ndjson` holds the rows, `files/SHA256` the contents that `files_file` speaks of, `manifest.json`, which
comes last, says what there is. Nothing is held in memory but a batch of rows or a piece of a file.
"""

import asyncio
import base64
import zipfile
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import orjson
from sqlalchemy import Row
from sqlalchemy import Table as CoreTable

from ossature.kernel import clock
from ossature.kernel.db.engine import Database
from ossature.kernel.db.table import SECRET
from ossature.kernel.files.archive import Files
from ossature.kernel.files.blobs import BlobNotFound
from ossature.kernel.tenants.takeout import store

FORMAT: Final = "ossature.tenant/1"
PURPOSE: Final = "tenant.export"
"""The purpose of the files that exports are, which are no part of later ones."""

_ELSEWHERE: Final = (
    "Counters of the quota ledger carry no tenant and hold nothing but numbers; what was used is quotas_usage_event.",
    "The cache holds copies of answers from outside and is not exported.",
)


@dataclass(slots=True)
class _Told:
    """What the manifest will say."""

    begun_at: datetime
    tables: list[Mapping[str, Any]] = field(default_factory=list)
    files: int = 0
    file_bytes: int = 0
    missing: list[str] = field(default_factory=list)


class _Pipe:
    """What the ZIP writes and the reader has not taken yet. It cannot be wound back, and need not be."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def write(self, data: bytes) -> int:
        """Take what was written."""
        self._pieces.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Nothing waits in here for longer than until it is taken."""

    def taken(self) -> bytes:
        """Everything that was written since the last time."""
        pieces, self._pieces = self._pieces, []
        return b"".join(pieces)


class Takeout:
    """Everything of one tenant."""

    def __init__(self, database: Database, files: Files, tenant_id: UUID) -> None:
        self._database = database
        self._files = files
        self._tenant_id = tenant_id

    async def stream(self) -> AsyncIterator[bytes]:
        """The archive, in pieces. Rows that change meanwhile are in it as they were or as they became."""
        pipe, told = _Pipe(), _Told(clock.now())
        with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:  # type: ignore[call-overload] # it asks only for `write` of what it cannot seek in
            for table in store.tables():
                async with aclosing(self._table(archive, table, told)) as written:
                    async for _ in written:
                        yield pipe.taken()
            async with aclosing(self._contents(archive, told)) as written:
                async for _ in written:
                    yield pipe.taken()
            archive.writestr(_entry("manifest.json"), orjson.dumps(self._manifest(told), option=orjson.OPT_INDENT_2))
        yield pipe.taken()

    async def _table(self, archive: zipfile.ZipFile, table: CoreTable, told: _Told) -> AsyncGenerator[None, None]:
        withheld = [column.name for column in table.columns if column.info.get(SECRET)]
        count = 0
        async with self._database.begin(self._tenant_id) as db:
            with archive.open(_entry(f"tables/{table.name}.ndjson"), "w", force_zip64=True) as entry:
                async for batch in store.rows(db, table, self._tenant_id):
                    count += len(batch)
                    await asyncio.to_thread(entry.write, _lines(batch, withheld))
                    yield
        told.tables.append({"name": table.name, "rows": count, "withheld": withheld})
        yield

    async def _contents(self, archive: zipfile.ZipFile, told: _Told) -> AsyncGenerator[None, None]:
        async with self._database.begin(self._tenant_id) as db:
            async for sha256 in self._files.contents(db, self._tenant_id, besides=PURPOSE):
                pieces = self._files.read_content(self._tenant_id, sha256)
                try:
                    first = await anext(pieces, b"")
                except BlobNotFound:
                    told.missing.append(sha256)
                    continue
                with archive.open(_entry(f"files/{sha256}"), "w", force_zip64=True) as entry:
                    size = await asyncio.to_thread(entry.write, first)
                    async for piece in pieces:
                        size += await asyncio.to_thread(entry.write, piece)
                        yield
                told.files, told.file_bytes = told.files + 1, told.file_bytes + size
                yield

    def _manifest(self, told: _Told) -> Mapping[str, Any]:
        return {
            "format": FORMAT,
            "tenant_id": self._tenant_id,
            "begun_at": told.begun_at,
            "ended_at": clock.now(),
            "tables": told.tables,
            "files": {"count": told.files, "bytes": told.file_bytes, "missing": told.missing},
            "elsewhere": _ELSEWHERE,
        }


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, clock.now().timetuple()[:6])
    entry.compress_type = zipfile.ZIP_DEFLATED
    return entry


def _lines(batch: Sequence[Row[Any]], withheld: Sequence[str]) -> bytes:
    lines = []
    for row in batch:
        values = {**row._mapping, **dict.fromkeys(withheld)}  # noqa: SLF001 - as in the store
        lines.append(orjson.dumps(values, default=_plain, option=orjson.OPT_NON_STR_KEYS) + b"\n")
    return b"".join(lines)


def _plain(value: object) -> str:
    """Bytes as base64, all else (decimals) as its text."""
    return base64.b64encode(value).decode() if isinstance(value, bytes) else str(value)
