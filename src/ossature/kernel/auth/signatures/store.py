"""The tables of signing keys and of nonces that were used, and every query on them."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Index, Row, String, delete, func, insert, select, update
from sqlalchemy.orm import Mapped, mapped_column

from ossature.kernel import clock
from ossature.kernel.auth.signatures.domain import Algorithm, SigningKey
from ossature.kernel.db.listing import Found, Listable, ListQuery
from ossature.kernel.db.table import Table, TenantOwned
from ossature.kernel.db.transaction import Db
from ossature.kernel.db.upsert import upsert


class SignatureKeyRow(TenantOwned, Table):
    """What requests of an API key are signed with. public_key: empty where the secret follows from the id."""

    __tablename__ = "auth_signature_key"
    __table_args__ = (
        Index("ix_auth_signature_key_tenant_created_at", "tenant_id", "created_at", "id"),
        Index("ix_auth_signature_key_tenant_key", "tenant_id", "key_id", "created_at", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=clock.new_id)
    key_id: Mapped[UUID] = mapped_column(ForeignKey("auth_key.id", ondelete="CASCADE"), index=True)
    name: Mapped[str] = mapped_column(String(120))
    algorithm: Mapped[str] = mapped_column(String(20))
    public_key: Mapped[bytes]
    created_by: Mapped[UUID | None]
    revoked_at: Mapped[datetime | None]


class NonceRow(TenantOwned, Table):
    """A nonce that a signing key has used, kept until a signature with it would be too old anyway."""

    __tablename__ = "auth_signature_nonce"

    signing_key_id: Mapped[UUID] = mapped_column(
        ForeignKey("auth_signature_key.id", ondelete="CASCADE"), primary_key=True
    )
    nonce: Mapped[str] = mapped_column(String(128), primary_key=True)
    expires_at: Mapped[datetime] = mapped_column(index=True)


SIGNING_KEYS = Listable(
    key=SignatureKeyRow.id,
    filters={"key_id": SignatureKeyRow.key_id},
    sorts={"created_at": SignatureKeyRow.created_at},
    default="-created_at",
)


async def add_signing_key(db: Db, tenant_id: UUID, values: Mapping[str, Any]) -> SigningKey:
    """Insert a signing key. values: columns."""
    new = insert(SignatureKeyRow).values(dict(values, tenant_id=tenant_id))
    return _signing_key(await db.one(new.returning(*SignatureKeyRow.__table__.columns)))


async def signing_keys(db: Db, tenant_id: UUID, query: ListQuery) -> Found[SigningKey]:
    """Signing keys of the tenant, revoked ones included."""
    statement = select(*SignatureKeyRow.__table__.columns).where(SignatureKeyRow.tenant_id == tenant_id)
    return await SIGNING_KEYS.fetch(db, statement, query, _signing_key)


async def signing_key(db: Db, tenant_id: UUID, signing_key_id: UUID) -> SigningKey | None:
    """A signing key of the tenant."""
    statement = select(*SignatureKeyRow.__table__.columns).where(
        SignatureKeyRow.tenant_id == tenant_id, SignatureKeyRow.id == signing_key_id
    )
    row = await db.first(statement)
    return _signing_key(row) if row else None


async def signing_key_by_id(db: Db, signing_key_id: UUID) -> SigningKey | None:
    """A signing key, across tenants: only for telling who asks."""
    row = await db.first(select(*SignatureKeyRow.__table__.columns).where(SignatureKeyRow.id == signing_key_id))
    return _signing_key(row) if row else None


async def count_signing_keys(db: Db, tenant_id: UUID, key_id: UUID) -> int:
    """How many signing keys of an API key are in use."""
    statement = select(func.count()).where(
        SignatureKeyRow.tenant_id == tenant_id, SignatureKeyRow.key_id == key_id, SignatureKeyRow.revoked_at.is_(None)
    )
    return int(await db.scalar(statement))


async def revoke_signing_key(db: Db, tenant_id: UUID, signing_key_id: UUID, now: datetime) -> SigningKey | None:
    """Let a signing key prove nothing any more; None when it does not already."""
    live = update(SignatureKeyRow).where(
        SignatureKeyRow.tenant_id == tenant_id,
        SignatureKeyRow.id == signing_key_id,
        SignatureKeyRow.revoked_at.is_(None),
    )
    row = await db.first(live.values(revoked_at=now).returning(*SignatureKeyRow.__table__.columns))
    return _signing_key(row) if row else None


async def use_nonce(db: Db, key: SigningKey, nonce: str, *, now: datetime, until: datetime) -> bool:
    """Note that a nonce is used; False when it was before. Of two requests that bring it at once, one gets True."""
    new = upsert(db, NonceRow).values(
        tenant_id=key.tenant_id, signing_key_id=key.id, nonce=nonce, created_at=now, expires_at=until
    )
    return await db.execute(new.on_conflict_do_nothing()) > 0


async def delete_nonces_expired_before(db: Db, moment: datetime) -> int:
    """Drop nonces, of all tenants, that nobody can use again anyway; how many."""
    return await db.execute(delete(NonceRow).where(NonceRow.expires_at < moment))


def _signing_key(row: Row[Any]) -> SigningKey:
    return SigningKey(
        id=row.id,
        tenant_id=row.tenant_id,
        key_id=row.key_id,
        name=row.name,
        algorithm=Algorithm(row.algorithm),
        public_key=row.public_key,
        created_by=row.created_by,
        created_at=row.created_at,
        revoked_at=row.revoked_at,
    )
