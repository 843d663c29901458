"""The tables of sessions and refresh tokens, and every query on them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from sqlalchemy import ForeignKey, Row, String, delete, insert, or_, select, update
from sqlalchemy.orm import Mapped, mapped_column

from ossature.kernel import clock
from ossature.kernel.auth.sessions.domain import Kind, Session
from ossature.kernel.db.table import SECRET, Table, TenantOwned
from ossature.kernel.db.transaction import Db


class SessionRow(TenantOwned, Table):
    """A session of a user or of a key."""

    __tablename__ = "auth_session"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=clock.new_id)
    user_id: Mapped[UUID | None] = mapped_column(index=True)
    key_id: Mapped[UUID | None] = mapped_column(index=True)
    kind: Mapped[str]
    token_digest: Mapped[str | None] = mapped_column(String(64), unique=True, info={SECRET: True})
    project_id: Mapped[UUID | None]
    home_tenant_id: Mapped[UUID | None]
    seen_at: Mapped[datetime] = mapped_column(default=clock.now)
    expires_at: Mapped[datetime] = mapped_column(index=True)
    revoked_at: Mapped[datetime | None]


class RefreshRow(TenantOwned, Table):
    """A refresh token; each may be used once."""

    __tablename__ = "auth_refresh"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True, info={SECRET: True})
    session_id: Mapped[UUID] = mapped_column(ForeignKey("auth_session.id", ondelete="CASCADE"), index=True)
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


_COLUMNS = (
    SessionRow.id, SessionRow.tenant_id, SessionRow.user_id, SessionRow.key_id, SessionRow.kind, SessionRow.created_at,
    SessionRow.seen_at, SessionRow.expires_at, SessionRow.revoked_at, SessionRow.project_id, SessionRow.home_tenant_id,
)  # fmt: skip


async def add_session(  # noqa: PLR0913 - each is a column
    db: Db,
    tenant_id: UUID,
    *,
    kind: Kind,
    expires_at: datetime,
    user_id: UUID | None = None,
    key_id: UUID | None = None,
    token_digest: str | None = None,
    project_id: UUID | None = None,
    home_tenant_id: UUID | None = None,
) -> Session:
    """Insert a session."""
    new = insert(SessionRow).values(
        tenant_id=tenant_id,
        user_id=user_id,
        key_id=key_id,
        kind=kind,
        token_digest=token_digest,
        expires_at=expires_at,
        project_id=project_id,
        home_tenant_id=home_tenant_id,
    )
    return _session(await db.one(new.returning(*_COLUMNS)))


async def session(db: Db, tenant_id: UUID, session_id: UUID) -> Session | None:
    """A session of the tenant."""
    row = await db.first(select(*_COLUMNS).where(SessionRow.tenant_id == tenant_id, SessionRow.id == session_id))
    return _session(row) if row else None


async def session_by_token(db: Db, token_digest: str) -> Session | None:
    """The console session of a cookie, across tenants: only to tell who asks."""
    row = await db.first(select(*_COLUMNS).where(SessionRow.token_digest == token_digest))
    return _session(row) if row else None


async def sessions_of_user(db: Db, tenant_id: UUID, user_id: UUID, now: datetime) -> Sequence[Session]:
    """Live sessions of a user in the tenant, newest first."""
    statement = select(*_COLUMNS).where(
        SessionRow.tenant_id == tenant_id,
        SessionRow.user_id == user_id,
        SessionRow.revoked_at.is_(None),
        SessionRow.expires_at > now,
    )
    return [_session(row) for row in await db.all(statement.order_by(SessionRow.created_at.desc()).limit(200))]


async def note_seen(db: Db, session_id: UUID, *, now: datetime, not_after: datetime) -> None:
    """Note that a session is in use, unless that was noted after `not_after` already."""
    await db.execute(
        update(SessionRow).where(SessionRow.id == session_id, SessionRow.seen_at < not_after).values(seen_at=now)
    )


async def revoke_session(db: Db, tenant_id: UUID, session_id: UUID, now: datetime) -> bool:
    """End a session of the tenant; whether it was live."""
    ended = update(SessionRow).where(
        SessionRow.tenant_id == tenant_id, SessionRow.id == session_id, SessionRow.revoked_at.is_(None)
    )
    return await db.execute(ended.values(revoked_at=now)) > 0


async def revoke_sessions_of_user(db: Db, user_id: UUID, now: datetime, *, tenant_id: UUID | None = None) -> int:
    """End all sessions of a user, in one tenant or in all; how many."""
    ended = update(SessionRow).where(SessionRow.user_id == user_id, SessionRow.revoked_at.is_(None))
    if tenant_id is not None:
        ended = ended.where(SessionRow.tenant_id == tenant_id)
    return await db.execute(ended.values(revoked_at=now))


async def add_refresh(db: Db, tenant_id: UUID, *, digest: str, session_id: UUID, expires_at: datetime) -> None:
    """Insert a refresh token."""
    await db.execute(
        insert(RefreshRow).values(tenant_id=tenant_id, digest=digest, session_id=session_id, expires_at=expires_at)
    )


async def use_refresh(db: Db, digest: str, now: datetime) -> tuple[Session, bool] | None:
    """Use a refresh token up: its session, and whether this was its first use. None for a token we never gave.

    Across tenants: the token itself says whose it is. Of two that use it at once, one is told it was the first.
    """
    taken = update(RefreshRow).where(
        RefreshRow.digest == digest, RefreshRow.used_at.is_(None), RefreshRow.expires_at > now
    )
    first = await db.execute(taken.values(used_at=now)) > 0
    row = await db.first(
        select(*_COLUMNS, RefreshRow.used_at)
        .join(RefreshRow, RefreshRow.session_id == SessionRow.id)
        .where(RefreshRow.digest == digest)
    )
    if row is None or row.used_at is None:  # never given, or expired unused
        return None
    return _session(row), first


async def prolong_session(db: Db, session_id: UUID, *, now: datetime, expires_at: datetime) -> None:
    """Let a session live until a later moment."""
    await db.execute(update(SessionRow).where(SessionRow.id == session_id).values(seen_at=now, expires_at=expires_at))


async def delete_sessions_ended_before(db: Db, moment: datetime) -> int:
    """Drop sessions that ended before a moment, with their refresh tokens, and old tokens of living ones; how many.

    A session lives for as long as it is refreshed, and each time leaves a token behind.
    """
    await db.execute(delete(RefreshRow).where(RefreshRow.expires_at < moment))
    return await db.execute(
        delete(SessionRow).where(or_(SessionRow.expires_at < moment, SessionRow.revoked_at < moment))
    )


def _session(row: Row[Any]) -> Session:
    return Session(
        id=row.id,
        tenant_id=row.tenant_id,
        user_id=row.user_id,
        key_id=row.key_id,
        kind=cast("Kind", row.kind),
        created_at=row.created_at,
        seen_at=row.seen_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        project_id=row.project_id,
        home_tenant_id=row.home_tenant_id,
    )
