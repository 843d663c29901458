"""The table of signed links and every query on it."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Index, Row, String, delete, insert, or_, select, update
from sqlalchemy.orm import Mapped, mapped_column

from ossature.kernel import clock
from ossature.kernel.db.listing import Found, Listable, ListQuery
from ossature.kernel.db.table import SECRET, Table, TenantOwned
from ossature.kernel.db.transaction import Db
from ossature.kernel.links.domain import Link


class LinkRow(TenantOwned, Table):
    """A link that was given out. Of its token no more than a digest is kept."""

    __tablename__ = "links_link"
    __table_args__ = (
        Index("ix_links_link_tenant_created_at", "tenant_id", "created_at", "id"),
        Index("ix_links_link_tenant_expires_at", "tenant_id", "expires_at", "id"),
        Index("ix_links_link_subject", "tenant_id", "scope", "subject"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=clock.new_id)
    scope: Mapped[str] = mapped_column(String(60))
    subject: Mapped[str] = mapped_column(String(200))
    digest: Mapped[str] = mapped_column(String(64), unique=True, info={SECRET: True})
    expires_at: Mapped[datetime] = mapped_column(index=True)
    uses_left: Mapped[int | None]
    used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


_COLUMNS = (
    LinkRow.id, LinkRow.tenant_id, LinkRow.scope, LinkRow.subject, LinkRow.created_at, LinkRow.expires_at,
    LinkRow.uses_left, LinkRow.used_at, LinkRow.revoked_at,
)  # fmt: skip

LINKS = Listable(
    key=LinkRow.id,
    filters={"scope": LinkRow.scope, "subject": LinkRow.subject},
    sorts={"created_at": LinkRow.created_at, "expires_at": LinkRow.expires_at},
    default="-created_at",
)


async def add_link(
    db: Db, tenant_id: UUID, *, scope: str, subject: str, digest: str, expires_at: datetime, uses: int | None
) -> Link:
    """Insert a link."""
    new = insert(LinkRow).values(
        tenant_id=tenant_id, scope=scope, subject=subject, digest=digest, expires_at=expires_at, uses_left=uses
    )
    return _link(await db.one(new.returning(*_COLUMNS)))


async def links(db: Db, tenant_id: UUID, query: ListQuery) -> Found[Link]:
    """One page of the tenant's links."""
    statement = select(*LinkRow.__table__.columns).where(LinkRow.tenant_id == tenant_id)
    return await LINKS.fetch(db, statement, query, _link)


async def link(db: Db, tenant_id: UUID, link_id: UUID) -> Link | None:
    """A link of the tenant."""
    row = await db.first(select(*_COLUMNS).where(LinkRow.tenant_id == tenant_id, LinkRow.id == link_id))
    return _link(row) if row else None


async def link_by_digest(db: Db, scope: str, digest: str) -> Link | None:
    """The link of a token, across tenants: the token itself says whose it is."""
    row = await db.first(select(*_COLUMNS).where(LinkRow.digest == digest, LinkRow.scope == scope))
    return _link(row) if row else None


async def has_link_since(db: Db, tenant_id: UUID, *, scope: str, subject: str, moment: datetime) -> bool:
    """Whether a link to one thing of one subject was given out after a moment."""
    statement = select(LinkRow.id).where(
        LinkRow.tenant_id == tenant_id,
        LinkRow.scope == scope,
        LinkRow.subject == subject,
        LinkRow.created_at > moment,
    )
    return await db.first(statement.limit(1)) is not None


async def use_link(db: Db, scope: str, digest: str, now: datetime) -> Link | None:
    """Take one use from a link that is open; None when it is not. Of two who take the last one, one gets it."""
    taken = update(LinkRow).where(
        LinkRow.digest == digest,
        LinkRow.scope == scope,
        LinkRow.revoked_at.is_(None),
        LinkRow.expires_at > now,
        or_(LinkRow.uses_left.is_(None), LinkRow.uses_left > 0),
    )
    row = await db.first(taken.values(uses_left=LinkRow.uses_left - 1, used_at=now).returning(*_COLUMNS))
    return _link(row) if row else None


async def revoke_link(db: Db, tenant_id: UUID, link_id: UUID, now: datetime) -> None:
    """Let a link open nothing any more."""
    live = update(LinkRow).where(LinkRow.tenant_id == tenant_id, LinkRow.id == link_id, LinkRow.revoked_at.is_(None))
    await db.execute(live.values(revoked_at=now))


async def revoke_links(db: Db, tenant_id: UUID, *, scope: str, subject: str, now: datetime) -> int:
    """Let all links to one thing of one subject open nothing any more; how many did."""
    live = update(LinkRow).where(
        LinkRow.tenant_id == tenant_id,
        LinkRow.scope == scope,
        LinkRow.subject == subject,
        LinkRow.revoked_at.is_(None),
        LinkRow.expires_at > now,
    )
    return await db.execute(live.values(revoked_at=now))


async def delete_links_ended_before(db: Db, moment: datetime) -> int:
    """Drop links that ended before a moment, of all tenants; how many."""
    return await db.execute(delete(LinkRow).where(or_(LinkRow.expires_at < moment, LinkRow.revoked_at < moment)))


def _link(row: Row[Any]) -> Link:
    return Link(
        id=row.id,
        tenant_id=row.tenant_id,
        scope=row.scope,
        subject=row.subject,
        created_at=row.created_at,
        expires_at=row.expires_at,
        uses_left=row.uses_left,
        used_at=row.used_at,
        revoked_at=row.revoked_at,
    )
