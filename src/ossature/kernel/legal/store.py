"""The table of acceptances and every query on it."""

from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import Index, Row, String, select
from sqlalchemy.orm import Mapped, mapped_column

from ossature.kernel import clock
from ossature.kernel.db.listing import Found, Listable, ListQuery
from ossature.kernel.db.table import Table, TenantOwned
from ossature.kernel.db.transaction import Db
from ossature.kernel.db.upsert import upsert
from ossature.kernel.legal.domain import Acceptance, Document


class AcceptanceRow(TenantOwned, Table):
    """That a user accepted a version in a tenant, once. It stays when the account goes: it is what both sides point to."""

    __tablename__ = "legal_acceptance"
    __table_args__ = (
        Index("ux_legal_acceptance_user", "tenant_id", "user_id", "kind", "version", unique=True),
        Index("ix_legal_acceptance_tenant_created_at", "tenant_id", "created_at", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=clock.new_id)
    user_id: Mapped[UUID]
    kind: Mapped[str] = mapped_column(String(40))
    version: Mapped[date]
    language: Mapped[str] = mapped_column(String(10))
    sha256: Mapped[str] = mapped_column(String(64))
    ip: Mapped[str] = mapped_column(String(45))


ACCEPTANCES = Listable(
    key=AcceptanceRow.id,
    filters={"user_id": AcceptanceRow.user_id, "kind": AcceptanceRow.kind, "version": AcceptanceRow.version},
    sorts={"created_at": AcceptanceRow.created_at},
    default="-created_at",
)


async def add_acceptance(db: Db, tenant_id: UUID, user_id: UUID, document: Document, *, ip: str) -> Acceptance:
    """Keep an acceptance; the one that is there already, if the user has accepted this version before."""
    new = upsert(db, AcceptanceRow).values(
        id=clock.new_id(), tenant_id=tenant_id, user_id=user_id, kind=document.kind, version=document.version,
        language=document.language, sha256=document.sha256, ip=ip, created_at=clock.now(),
    )  # fmt: skip
    await db.execute(new.on_conflict_do_nothing(index_elements=["tenant_id", "user_id", "kind", "version"]))
    statement = select(*AcceptanceRow.__table__.columns).where(
        AcceptanceRow.tenant_id == tenant_id,
        AcceptanceRow.user_id == user_id,
        AcceptanceRow.kind == document.kind,
        AcceptanceRow.version == document.version,
    )
    return _acceptance(await db.one(statement))


async def accepted(db: Db, tenant_id: UUID, user_id: UUID) -> set[tuple[str, date]]:
    """Kinds and versions that a user has accepted."""
    statement = select(AcceptanceRow.kind, AcceptanceRow.version).where(
        AcceptanceRow.tenant_id == tenant_id, AcceptanceRow.user_id == user_id
    )
    return {(row.kind, row.version) for row in await db.all(statement)}


async def acceptances(db: Db, tenant_id: UUID, query: ListQuery) -> Found[Acceptance]:
    """One page of what the tenant's users have accepted."""
    statement = select(*AcceptanceRow.__table__.columns).where(AcceptanceRow.tenant_id == tenant_id)
    return await ACCEPTANCES.fetch(db, statement, query, _acceptance)


def _acceptance(row: Row[Any]) -> Acceptance:
    return Acceptance(
        id=row.id,
        user_id=row.user_id,
        kind=row.kind,
        version=row.version,
        language=row.language,
        sha256=row.sha256,
        ip=row.ip,
        created_at=row.created_at,
    )
