"""The table of API keys and every query on it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Index, Row, String, and_, bindparam, insert, or_, select, text, update
from sqlalchemy.orm import Mapped, mapped_column

from ossature.kernel import clock
from ossature.kernel.auth.keys.domain import Key
from ossature.kernel.db.listing import Found, Listable, ListQuery
from ossature.kernel.db.table import SECRET, Table, TenantOwned
from ossature.kernel.db.transaction import Db


class KeyRow(TenantOwned, Table):
    """An API key: digests of its secret and of the one before, who it stands for, until when."""

    __tablename__ = "auth_key"
    __table_args__ = (
        Index("ix_auth_key_tenant_created_at", "tenant_id", "created_at", "id"),
        Index("ix_auth_key_tenant_name", "tenant_id", "name", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=clock.new_id)
    name: Mapped[str]
    hint: Mapped[str]
    secret_digest: Mapped[str] = mapped_column(String(64), unique=True, info={SECRET: True})
    previous_digest: Mapped[str | None] = mapped_column(String(64), unique=True, info={SECRET: True})
    previous_until: Mapped[datetime | None]
    roles: Mapped[list[Any]] = mapped_column(default=list)
    scopes: Mapped[list[Any]] = mapped_column(default=list)
    ip_allow: Mapped[list[Any]] = mapped_column(default=list)
    project_id: Mapped[UUID | None]
    created_by: Mapped[UUID | None]
    expires_at: Mapped[datetime | None] = mapped_column(index=True)
    rotate_every_days: Mapped[int | None]
    rotate_due_at: Mapped[datetime | None] = mapped_column(index=True)
    alerted_days: Mapped[int | None]
    last_used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    signed_only: Mapped[bool] = mapped_column(default=False, server_default=text("false"))


KEYS = Listable(
    key=KeyRow.id,
    filters={"name": KeyRow.name, "project_id": KeyRow.project_id, "created_at": KeyRow.created_at},
    sorts={"created_at": KeyRow.created_at, "name": KeyRow.name},
    default="-created_at",
)


async def add_key(db: Db, tenant_id: UUID, values: Mapping[str, Any]) -> Key:
    """Insert a key. values: columns, with the digest of the secret."""
    new = insert(KeyRow).values(dict(values, tenant_id=tenant_id))
    return _key(await db.one(new.returning(*KeyRow.__table__.columns)))


async def key(db: Db, tenant_id: UUID, key_id: UUID) -> Key | None:
    """A key of the tenant."""
    row = await db.first(select(*KeyRow.__table__.columns).where(KeyRow.tenant_id == tenant_id, KeyRow.id == key_id))
    return _key(row) if row else None


async def keys(db: Db, tenant_id: UUID, query: ListQuery) -> Found[Key]:
    """Keys of the tenant, revoked ones included."""
    statement = select(*KeyRow.__table__.columns).where(KeyRow.tenant_id == tenant_id)
    return await KEYS.fetch(db, statement, query, _key)


async def key_by_digest(db: Db, digest: str, now: datetime) -> tuple[Key, bool] | None:
    """The key that a secret belongs to, across tenants: only for sign-in. True with it: by the secret before the last.

    Whether the key is revoked or expired is for the caller to see; a previous secret is found while it holds.
    """
    previous = and_(KeyRow.previous_digest == digest, KeyRow.previous_until > now)
    statement = select(*KeyRow.__table__.columns).where(or_(KeyRow.secret_digest == digest, previous))
    row = await db.first(statement)
    return (_key(row), row.secret_digest != digest) if row else None


async def change_key(db: Db, tenant_id: UUID, key_id: UUID, values: Mapping[str, Any]) -> Key | None:
    """Set columns of a key that is not revoked; its new state, or None when there is no such key."""
    changed = update(KeyRow).where(KeyRow.tenant_id == tenant_id, KeyRow.id == key_id, KeyRow.revoked_at.is_(None))
    rows = await db.all(changed.values(dict(values)).returning(*KeyRow.__table__.columns))
    return _key(rows[0]) if rows else None


async def rotate_key(
    db: Db, tenant_id: UUID, key_id: UUID, *, digest: str, hint: str, previous_until: datetime, due_at: datetime | None
) -> Key | None:
    """Give a key a new secret; the present one becomes the previous one. None when there is no such key."""
    values = {
        "previous_digest": KeyRow.secret_digest,
        "previous_until": previous_until,
        "secret_digest": digest,
        "hint": hint,
        "rotate_due_at": due_at,
        "alerted_days": None,
    }
    return await change_key(db, tenant_id, key_id, values)


async def note_used(db: Db, used: Mapping[UUID, datetime]) -> None:
    """Write down when keys were last used, across tenants; an older instant never replaces a newer one."""
    statement = update(KeyRow).where(
        KeyRow.id == bindparam("used_id"),
        or_(KeyRow.last_used_at.is_(None), KeyRow.last_used_at < bindparam("used_at")),
    )
    rows = [{"used_id": key_id, "used_at": at} for key_id, at in sorted(used.items())]
    await db.execute(statement.values(last_used_at=bindparam("used_at")), rows)


async def keys_ending_before(db: Db, moment: datetime) -> Sequence[Key]:
    """Keys, across tenants, that expire or must be rotated before a moment and are not revoked: for the alerts."""
    ends = or_(KeyRow.expires_at <= moment, KeyRow.rotate_due_at <= moment)
    statement = select(*KeyRow.__table__.columns).where(KeyRow.revoked_at.is_(None), ends).order_by(KeyRow.id)
    return [_key(row) for row in await db.all(statement)]


def _key(row: Row[Any]) -> Key:
    return Key(
        id=row.id,
        tenant_id=row.tenant_id,
        name=row.name,
        hint=row.hint,
        roles=frozenset(row.roles),
        scopes=frozenset(row.scopes),
        ip_allow=tuple(row.ip_allow),
        project_id=row.project_id,
        created_by=row.created_by,
        created_at=row.created_at,
        expires_at=row.expires_at,
        previous_until=row.previous_until,
        rotate_every_days=row.rotate_every_days,
        rotate_due_at=row.rotate_due_at,
        last_used_at=row.last_used_at,
        revoked_at=row.revoked_at,
        alerted_days=row.alerted_days,
        signed_only=row.signed_only,
    )
