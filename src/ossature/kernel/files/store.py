"""The table of files and every statement about it."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Index, Row, delete, func, insert, select, text
from sqlalchemy.orm import Mapped, mapped_column

from ossature.kernel import clock
from ossature.kernel.db.table import Table, TenantOwned
from ossature.kernel.db.transaction import Db


class FileRow(TenantOwned, Table):
    """A file: a name and a purpose for a blob."""

    __tablename__ = "files_file"
    __table_args__ = (
        Index("ix_files_file_blob", "tenant_id", "sha256"),
        Index("ix_files_file_keep_until", "keep_until"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=clock.new_id)
    name: Mapped[str]
    purpose: Mapped[str]
    media_type: Mapped[str]
    sha256: Mapped[str]
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    stored_bytes: Mapped[int] = mapped_column(BigInteger)
    person_id: Mapped[UUID | None] = mapped_column(index=True)
    keep_until: Mapped[datetime | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file. media_type: what its content shows. person_id: whom it is about, if it is about one.

    keep_until: it is erased after this; None keeps it until somebody erases it.
    """

    id: UUID
    tenant_id: UUID
    name: str
    purpose: str
    media_type: str
    sha256: str
    size_bytes: int
    stored_bytes: int
    person_id: UUID | None
    keep_until: datetime | None
    created_at: datetime


async def add(db: Db, tenant_id: UUID, file: File) -> None:
    """Add a file."""
    await db.execute(
        insert(FileRow).values(
            id=file.id,
            tenant_id=tenant_id,
            name=file.name,
            purpose=file.purpose,
            media_type=file.media_type,
            sha256=file.sha256,
            size_bytes=file.size_bytes,
            stored_bytes=file.stored_bytes,
            person_id=file.person_id,
            keep_until=file.keep_until,
            created_at=file.created_at,
        )
    )


async def hold(db: Db, tenant_id: UUID, sha256: str) -> None:
    """Keep others from saving or erasing the same content until the transaction ends (SQLite has one writer anyway)."""
    if db.dialect == "postgresql":
        await db.execute(_HOLD, {"content": f"{tenant_id}/{sha256}"})


_HOLD = text("SELECT pg_advisory_xact_lock(hashtextextended(:content, 7316))")


async def get(db: Db, tenant_id: UUID, file_id: UUID) -> File | None:
    """The tenant's file."""
    statement = select(FileRow.__table__).where(FileRow.tenant_id == tenant_id, FileRow.id == file_id)
    row = await db.first(statement)
    return None if row is None else _file(row)


async def about(db: Db, tenant_id: UUID, person_id: UUID) -> list[File]:
    """The tenant's files about a person."""
    statement = select(FileRow.__table__).where(FileRow.tenant_id == tenant_id, FileRow.person_id == person_id)
    return [_file(row) for row in await db.all(statement.order_by(FileRow.created_at))]


async def of_purpose(db: Db, tenant_id: UUID, purpose: str) -> list[File]:
    """The tenant's files of a purpose, newest first."""
    statement = select(FileRow.__table__).where(FileRow.tenant_id == tenant_id, FileRow.purpose == purpose)
    return [_file(row) for row in await db.all(statement.order_by(FileRow.created_at.desc(), FileRow.id.desc()))]


async def contents(db: Db, tenant_id: UUID, *, besides: str, after: str, limit: int) -> list[str]:
    """Hashes of what the tenant's files hold, each once and in order, without those of one purpose."""
    statement = select(FileRow.sha256).where(FileRow.tenant_id == tenant_id, FileRow.sha256 > after)
    wanted = statement.where(FileRow.purpose != besides).distinct().order_by(FileRow.sha256).limit(limit)
    return [row.sha256 for row in await db.all(wanted)]


async def all_contents(db: Db, tenant_id: UUID, *, batch: int) -> AsyncIterator[Sequence[str]]:
    """Hashes of everything that the tenant's files hold, some at a time."""
    after = ""
    while True:
        statement = select(FileRow.sha256).where(FileRow.tenant_id == tenant_id, FileRow.sha256 > after)
        rows = await db.all(statement.distinct().order_by(FileRow.sha256).limit(batch))
        yield [row.sha256 for row in rows]
        if len(rows) < batch:
            return
        after = rows[-1].sha256


async def every_content(db: Db, *, batch: int) -> AsyncIterator[tuple[UUID, str]]:
    """Tenant and hash of everything that files hold, each once. `db`: a view across tenants."""
    tenants = await db.all(select(FileRow.tenant_id).distinct().order_by(FileRow.tenant_id))
    for row in tenants:
        async for found in all_contents(db, row.tenant_id, batch=batch):
            for sha256 in found:
                yield row.tenant_id, sha256


async def remove(db: Db, tenant_id: UUID, file_ids: Sequence[UUID]) -> None:
    """Remove files; their blobs are another matter."""
    await db.execute(delete(FileRow).where(FileRow.tenant_id == tenant_id, FileRow.id.in_(file_ids)))


async def still_used(db: Db, tenant_id: UUID, sha256: str) -> bool:
    """Whether a file of the tenant has this content."""
    statement = select(func.count()).where(FileRow.tenant_id == tenant_id, FileRow.sha256 == sha256)
    return bool(await db.scalar(statement))


async def expired(db: Db, now: datetime, *, limit: int) -> list[File]:
    """Files of all tenants whose time is over."""
    statement = select(FileRow.__table__).where(FileRow.keep_until <= now).order_by(FileRow.keep_until).limit(limit)
    return [_file(row) for row in await db.all(statement)]


def _file(row: Row[Any]) -> File:
    return File(
        id=row.id,
        tenant_id=row.tenant_id,
        name=row.name,
        purpose=row.purpose,
        media_type=row.media_type,
        sha256=row.sha256,
        size_bytes=row.size_bytes,
        stored_bytes=row.stored_bytes,
        person_id=row.person_id,
        keep_until=row.keep_until,
        created_at=row.created_at,
    )
