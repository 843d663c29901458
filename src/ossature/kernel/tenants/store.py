"""The tenants' tables and every query on them."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Connection,
    ForeignKey,
    Index,
    MetaData,
    Row,
    UniqueConstraint,
    Uuid,
    column,
    delete,
    event,
    exists,
    false,
    func,
    insert,
    or_,
    select,
    table,
    update,
)
from sqlalchemy import Table as CoreTable
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, mapped_column

from ossature.kernel import clock
from ossature.kernel.context import SYSTEM_TENANT, SYSTEM_TENANT_ID
from ossature.kernel.db.listing import Found, Listable, ListQuery
from ossature.kernel.db.table import Table, TenantOwned
from ossature.kernel.db.transaction import Db
from ossature.kernel.db.upsert import upsert
from ossature.kernel.tenants.domain import Member, NewTenant, Project, SlugTaken, TenantDetails


class TenantRow(Table):
    """A tenant. The row of the house itself has the all-zero id and exists wherever the table does."""

    __tablename__ = "tenants_tenant"
    __table_args__ = (
        Index("ix_tenants_tenant_created_at", "created_at", "id"),
        Index("ix_tenants_tenant_plan", "plan", "created_at", "id"),
        {"info": {"rls_tenant_column": "id"}},
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=clock.new_id)
    slug: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    plan: Mapped[str] = mapped_column(default="free")
    zone: Mapped[str] = mapped_column(default="UTC")
    language: Mapped[str] = mapped_column(default="en")
    retention_days: Mapped[int | None]
    ip_allow: Mapped[list[Any]] = mapped_column(default=list)
    ip_deny: Mapped[list[Any]] = mapped_column(default=list)
    suspended_at: Mapped[datetime | None]
    suspended_why: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(default=clock.now)
    updated_at: Mapped[datetime] = mapped_column(default=clock.now, onupdate=clock.now)


class ProjectRow(TenantOwned, Table):
    """A project inside a tenant."""

    __tablename__ = "tenants_project"
    __table_args__ = (
        UniqueConstraint("tenant_id", "slug"),
        Index("ix_tenants_project_tenant_created_at", "tenant_id", "created_at", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=clock.new_id)
    slug: Mapped[str]
    name: Mapped[str]
    archived_at: Mapped[datetime | None]


class MemberRow(TenantOwned, Table):
    """A user's place in a tenant. `user_id` is the id of a user of the `auth` room."""

    __tablename__ = "tenants_member"
    __table_args__ = (Index("ix_tenants_member_tenant_created_at", "tenant_id", "created_at", "user_id"),)

    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenants_tenant.id", ondelete="CASCADE"), primary_key=True)
    user_id: Mapped[UUID] = mapped_column(primary_key=True, index=True)
    roles: Mapped[list[Any]] = mapped_column(default=list)
    bound: Mapped[dict[str, Any]] = mapped_column(default=dict)


TENANTS = Listable(
    key=TenantRow.id,
    filters={"slug": TenantRow.slug, "plan": TenantRow.plan, "created_at": TenantRow.created_at},
    sorts={"created_at": TenantRow.created_at, "slug": TenantRow.slug},
    default="created_at",
)
PROJECTS = Listable(
    key=ProjectRow.id,
    filters={"slug": ProjectRow.slug, "created_at": ProjectRow.created_at},
    sorts={"created_at": ProjectRow.created_at, "slug": ProjectRow.slug},
    default="created_at",
)
MEMBERS = Listable(key=MemberRow.user_id, sorts={"created_at": MemberRow.created_at}, default="created_at")


def insert_system_tenant(connection: Connection) -> None:
    """Lay the row of the house itself, which scheduled work and shared rows belong to."""
    house = SYSTEM_TENANT
    connection.execute(insert(TenantRow).values(id=house.id, slug=house.slug, name=house.name, plan=house.plan))


@event.listens_for(TenantRow.__table__, "after_create")
def _created(_table: CoreTable | MetaData, connection: Connection, **_: Any) -> None:
    insert_system_tenant(connection)


async def add_tenant(db: Db, new: NewTenant) -> TenantDetails:
    """Insert a tenant. Raises: SlugTaken."""
    values = {"slug": new.slug, "name": new.name, "plan": new.plan, "zone": new.zone, "language": new.language}
    try:
        row = await db.one(insert(TenantRow).values(values).returning(*TenantRow.__table__.columns))
    except IntegrityError as error:
        raise SlugTaken(slug=new.slug) from error
    return _tenant(row)


async def add_first_tenant(db: Db, new: NewTenant) -> TenantDetails | None:
    """Insert a tenant, or give None when another process has just inserted one with this slug."""
    insertion = upsert(db, TenantRow).values(slug=new.slug, name=new.name, zone=new.zone, language=new.language)
    row = await db.first(insertion.on_conflict_do_nothing().returning(*TenantRow.__table__.columns))
    return _tenant(row) if row else None


async def tenant(db: Db, tenant_id: UUID) -> TenantDetails | None:
    """A tenant by its id."""
    row = await db.first(select(*TenantRow.__table__.columns).where(TenantRow.id == tenant_id))
    return _tenant(row) if row else None


async def tenant_by_slug(db: Db, slug: str) -> TenantDetails | None:
    """A tenant by its slug, without the house itself."""
    found = select(*TenantRow.__table__.columns).where(TenantRow.slug == slug, TenantRow.id != SYSTEM_TENANT_ID)
    row = await db.first(found)
    return _tenant(row) if row else None


async def find_tenants(db: Db, text: str, *, limit: int) -> Sequence[TenantDetails]:
    """Tenants whose name or slug holds a text, by name, without the house itself."""
    named = or_(TenantRow.name.icontains(text, autoescape=True), TenantRow.slug.icontains(text, autoescape=True))
    statement = select(*TenantRow.__table__.columns).where(TenantRow.id != SYSTEM_TENANT_ID, named)
    return [_tenant(row) for row in await db.all(statement.order_by(TenantRow.name, TenantRow.id).limit(limit))]


async def first_tenant(db: Db) -> TenantDetails | None:
    """The oldest tenant that is not the house itself."""
    columns = TenantRow.__table__.columns
    oldest = select(*columns).where(TenantRow.id != SYSTEM_TENANT_ID).order_by(TenantRow.created_at).limit(1)
    row = await db.first(oldest)
    return _tenant(row) if row else None


async def tenants(db: Db, query: ListQuery) -> Found[TenantDetails]:
    """Tenants, without the house itself."""
    statement = select(*TenantRow.__table__.columns).where(TenantRow.id != SYSTEM_TENANT_ID)
    return await TENANTS.fetch(db, statement, query, _tenant)


async def count_tenants(db: Db) -> int:
    """How many tenants there are, without the house itself."""
    return int(await db.scalar(select(func.count()).where(TenantRow.id != SYSTEM_TENANT_ID)))


async def count_on_plan(db: Db, plan: str) -> int:
    """How many tenants are on a plan."""
    return int(await db.scalar(select(func.count()).where(TenantRow.plan == plan, TenantRow.id != SYSTEM_TENANT_ID)))


async def change_tenant(db: Db, tenant_id: UUID, values: Mapping[str, Any]) -> TenantDetails | None:
    """Set columns of a tenant; its new state, or None when there is none."""
    changed = update(TenantRow).where(TenantRow.id == tenant_id).values(dict(values, updated_at=clock.now()))
    rows = await db.all(changed.returning(*TenantRow.__table__.columns))
    return _tenant(rows[0]) if rows else None


async def remove_tenant(db: Db, tenant_id: UUID) -> int:
    """Remove a tenant, and what is still in the tables that refer to it; whether it was there."""
    return await db.execute(delete(TenantRow).where(TenantRow.id == tenant_id))


async def add_project(db: Db, tenant_id: UUID, *, slug: str, name: str) -> Project:
    """Insert a project. Raises: SlugTaken."""
    try:
        row = await db.one(
            insert(ProjectRow)
            .values(tenant_id=tenant_id, slug=slug, name=name)
            .returning(*ProjectRow.__table__.columns)
        )
    except IntegrityError as error:
        raise SlugTaken(slug=slug) from error
    return _project(row)


async def project(db: Db, tenant_id: UUID, project_id: UUID) -> Project | None:
    """A project of the tenant."""
    statement = select(*ProjectRow.__table__.columns)
    row = await db.first(statement.where(ProjectRow.tenant_id == tenant_id, ProjectRow.id == project_id))
    return _project(row) if row else None


async def project_by_slug(db: Db, tenant_id: UUID, slug: str) -> Project | None:
    """A project of the tenant by its slug."""
    statement = select(*ProjectRow.__table__.columns)
    row = await db.first(statement.where(ProjectRow.tenant_id == tenant_id, ProjectRow.slug == slug))
    return _project(row) if row else None


async def projects(db: Db, tenant_id: UUID, query: ListQuery) -> Found[Project]:
    """Projects of the tenant."""
    statement = select(*ProjectRow.__table__.columns).where(ProjectRow.tenant_id == tenant_id)
    return await PROJECTS.fetch(db, statement, query, _project)


async def payers(db: Db, ids: Collection[UUID]) -> Mapping[UUID, str]:
    """The slugs by which tenants and projects with these ids are known to an operator: `tenant`, `tenant/project`."""
    found = {
        row.id: row.slug for row in await db.all(select(TenantRow.id, TenantRow.slug).where(TenantRow.id.in_(ids)))
    }
    projects_of = select(ProjectRow.id, ProjectRow.slug, TenantRow.slug.label("tenant"))
    projects_of = projects_of.join(TenantRow, TenantRow.id == ProjectRow.tenant_id).where(ProjectRow.id.in_(ids))
    return found | {row.id: f"{row.tenant}/{row.slug}" for row in await db.all(projects_of)}


async def change_project(db: Db, tenant_id: UUID, project_id: UUID, values: Mapping[str, Any]) -> Project | None:
    """Set columns of a project; its new state, or None when there is none."""
    changed = update(ProjectRow).where(ProjectRow.tenant_id == tenant_id, ProjectRow.id == project_id)
    rows = await db.all(changed.values(dict(values)).returning(*ProjectRow.__table__.columns))
    return _project(rows[0]) if rows else None


async def put_member(
    db: Db, tenant_id: UUID, user_id: UUID, *, roles: frozenset[str], bound: Mapping[str, str]
) -> Member:
    """Give a user these roles in the tenant, as a new member or in place of the old roles."""
    values = {"roles": sorted(roles), "bound": dict(bound)}
    new = upsert(db, MemberRow).values(tenant_id=tenant_id, user_id=user_id, created_at=clock.now(), **values)
    put = new.on_conflict_do_update(index_elements=[MemberRow.tenant_id, MemberRow.user_id], set_=values)
    return _member(await db.one(put.returning(*MemberRow.__table__.columns)))


async def member(db: Db, tenant_id: UUID, user_id: UUID) -> Member | None:
    """A member of the tenant."""
    statement = select(*MemberRow.__table__.columns)
    row = await db.first(statement.where(MemberRow.tenant_id == tenant_id, MemberRow.user_id == user_id))
    return _member(row) if row else None


async def members(db: Db, tenant_id: UUID, query: ListQuery) -> Found[Member]:
    """Members of the tenant."""
    statement = select(*MemberRow.__table__.columns).where(MemberRow.tenant_id == tenant_id)
    return await MEMBERS.fetch(db, statement, query, _member)


async def member_ids(db: Db, tenant_id: UUID) -> Sequence[UUID]:
    """The users who are members of the tenant."""
    return [row.user_id for row in await db.all(select(MemberRow.user_id).where(MemberRow.tenant_id == tenant_id))]


async def remove_member(db: Db, tenant_id: UUID, user_id: UUID) -> bool:
    """Take a user out of the tenant; whether it was a member."""
    gone = delete(MemberRow).where(MemberRow.tenant_id == tenant_id, MemberRow.user_id == user_id)
    return await db.execute(gone) > 0


async def tenants_of_user(db: Db, user_id: UUID) -> Sequence[tuple[TenantDetails, Member]]:
    """Every tenant that a user is a member of, across tenants: only for sign-in. Oldest membership first."""
    statement = select(*TenantRow.__table__.columns).join(MemberRow, MemberRow.tenant_id == TenantRow.id)
    statement = statement.where(MemberRow.user_id == user_id).order_by(MemberRow.created_at, TenantRow.id)
    found = [_tenant(row) for row in await db.all(statement)]
    memberships = await db.all(select(*MemberRow.__table__.columns).where(MemberRow.user_id == user_id))
    by_tenant = {row.tenant_id: _member(row) for row in memberships}
    return [(one, by_tenant[one.id]) for one in found if one.id in by_tenant]


async def members_with_role(db: Db, tenant_id: UUID, role: str) -> Sequence[UUID]:
    """The users who hold a role in the tenant."""
    rows = await db.all(select(MemberRow.user_id, MemberRow.roles).where(MemberRow.tenant_id == tenant_id))
    return [row.user_id for row in rows if role in row.roles]


async def others_with_role(db: Db, tenant_id: UUID, user_id: UUID, role: str) -> bool:
    """Whether a member other than this one, whose account is not deactivated, holds a role.

    Nobody else changes a member of the tenant before this transaction ends: two owners who remove each other at the same
    time are looked at one after the other.
    """
    if db.dialect == "sqlite":
        await db.execute(_TAKE_TURN)
    members = select(MemberRow.user_id, MemberRow.roles).where(MemberRow.tenant_id == tenant_id, ~_is_deactivated)
    rows = await db.all(members.order_by(MemberRow.user_id).with_for_update(of=MemberRow))
    return any(row.user_id != user_id and role in row.roles for row in rows)


# It changes nothing, but SQLite has one writer at a time, who sees what the one before has written.
_TAKE_TURN = update(MemberRow).where(false()).values(roles=MemberRow.roles)
_USER = table("auth_user", column("id", Uuid()), column("deactivated_at"))
_is_deactivated = exists(select(_USER.c.id).where(_USER.c.id == MemberRow.user_id, _USER.c.deactivated_at.is_not(None)))


def _tenant(row: Row[Any]) -> TenantDetails:
    return TenantDetails(
        id=row.id,
        slug=row.slug,
        name=row.name,
        plan=row.plan,
        zone=row.zone,
        language=row.language,
        retention_days=row.retention_days,
        ip_allow=tuple(row.ip_allow),
        ip_deny=tuple(row.ip_deny),
        suspended_at=row.suspended_at,
        suspended_why=row.suspended_why,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def _project(row: Row[Any]) -> Project:
    return Project(id=row.id, slug=row.slug, name=row.name, archived_at=row.archived_at, created_at=row.created_at)


def _member(row: Row[Any]) -> Member:
    return Member(user_id=row.user_id, roles=frozenset(row.roles), bound=dict(row.bound), created_at=row.created_at)
