"""Tenants, projects and members over HTTP."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from ossature.kernel.context import CurrentCtx
from ossature.kernel.http.input import Input
from ossature.kernel.http.listing import Asked, Listing, answer, listing
from ossature.kernel.http.policy import policy
from ossature.kernel.http.validation import Email, LanguageTag, Zone
from ossature.kernel.tenants import store, usecases
from ossature.kernel.tenants.domain import NewTenant, Owner, TenantChange, UnknownMember, UnknownProject, UnknownTenant
from ossature.kernel.tenants.flags import api as flags
from ossature.kernel.tenants.registry import Registry
from ossature.kernel.tenants.takeout import api as takeout
from ossature.kernel.tenants.takeout import usecases as removal

router = APIRouter()
tenants = APIRouter(prefix="/tenants", tags=["tenants"])
projects = APIRouter(prefix="/projects", tags=["projects"])
members = APIRouter(prefix="/members", tags=["members"])

Slug = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,46}[a-z0-9])?$", examples=["acme"])]
Name = Annotated[str, Field(min_length=1, max_length=120, examples=["Acme"])]
Plan = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,40}$", examples=["free"])]
Blocks = Annotated[list[Annotated[str, Field(max_length=64, examples=["203.0.113.0/24"])]], Field(max_length=200)]
RoleName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$", examples=["user"])]
BoundKey = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,40}$")]


class OwnerIn(Input):
    """Who is to own a tenant: somebody who is invited by mail; without an address, whoever is given the key."""

    email: Email | None = None
    name: str = Field(default="", max_length=120, examples=["Ada"])


class TenantIn(Input):
    """A tenant to be made."""

    slug: Slug
    name: Name
    plan: Plan = "free"
    zone: Zone = "UTC"
    language: LanguageTag = "en"
    owner: OwnerIn = OwnerIn()


class OwnTenantPatch(Input):
    """New values of the caller's tenant; what is left out stays."""

    name: Name | None = None
    zone: Zone | None = None
    language: LanguageTag | None = None
    retention_days: int | None = Field(default=None, ge=1, le=36_500)
    ip_allow: Blocks | None = None
    ip_deny: Blocks | None = None


class TenantPatch(OwnTenantPatch):
    """New values of any tenant; what is left out stays."""

    plan: Plan | None = None


class SuspendIn(Input):
    """Why a tenant is suspended."""

    why: str = Field(min_length=1, max_length=500, examples=["unpaid since March"])


class TenantOut(BaseModel):
    """A tenant."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    slug: str
    name: str
    plan: str
    zone: str
    language: str
    retention_days: int | None
    ip_allow: list[str]
    ip_deny: list[str]
    suspended_at: datetime | None
    suspended_why: str | None
    created_at: datetime
    updated_at: datetime


class OwnerOut(BaseModel):
    """How an owner gets in: by the link that was mailed to `email`, or with `key`, which is shown this once."""

    model_config = ConfigDict(from_attributes=True)

    email: str | None
    key: str | None


class NewTenantOut(TenantOut):
    """A tenant that was just made."""

    owner: OwnerOut


class ProjectIn(Input):
    """A project to be made."""

    slug: Slug
    name: Name


class ProjectPatch(Input):
    """New values of a project; what is left out stays."""

    name: Name | None = None
    archived: bool | None = None


class ProjectOut(BaseModel):
    """A project."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    slug: str
    name: str
    archived_at: datetime | None
    created_at: datetime


class MemberPatch(Input):
    """New roles of a member, or new things that they stand for; what is left out stays."""

    roles: list[RoleName] | None = Field(default=None, min_length=1, max_length=20)
    bound: dict[BoundKey, Annotated[str, Field(max_length=100)]] | None = Field(default=None, max_length=20)


class MemberOut(BaseModel):
    """A member. bound: what the person stands for, such as `driver -> id`."""

    model_config = ConfigDict(from_attributes=True)

    user_id: UUID
    roles: list[str]
    bound: dict[str, str]
    created_at: datetime


@tenants.get("/current")
@policy(allow="read:tenant")
async def read_current(ctx: CurrentCtx) -> TenantOut:
    """The caller's own tenant."""
    tenant = await store.tenant(ctx.db, ctx.tenant.id)
    if tenant is None:
        raise UnknownTenant
    return TenantOut.model_validate(tenant)


@tenants.patch("/current")
@policy(allow="write:tenant", rate="tenants")
async def change_current(ctx: CurrentCtx, body: OwnTenantPatch) -> TenantOut:
    """The caller's own tenant with new values."""
    return TenantOut.model_validate(await usecases.change_tenant(ctx, ctx.tenant.id, _change(body)))


@tenants.get("")
@policy(allow="read:tenants")
async def list_tenants(
    ctx: CurrentCtx, query: Annotated[Asked, listing(store.TENANTS, TenantOut)]
) -> Listing[TenantOut]:
    """Every tenant of the platform."""
    async with ctx.port(Registry).across(ctx) as db:
        return answer(await store.tenants(db, query), TenantOut, query)


@tenants.post("", status_code=201)
@policy(allow="write:tenants", rate="tenants")
async def create_tenant(ctx: CurrentCtx, body: TenantIn) -> NewTenantOut:
    """A new tenant, with its first owner: invited by mail, or the bearer of a key that is shown this once."""
    new, owner = NewTenant(**body.model_dump(exclude={"owner"})), Owner(**body.owner.model_dump())
    tenant = await usecases.create_tenant(ctx, new)
    admitted = await usecases.admit_owner(ctx, tenant.id, owner)
    brief = TenantOut.model_validate(tenant).model_dump()
    return NewTenantOut(**brief, owner=OwnerOut.model_validate(admitted))


@tenants.get("/{tenant_id}")
@policy(allow="read:tenants")
async def read_tenant(ctx: CurrentCtx, tenant_id: UUID) -> TenantOut:
    """Any tenant of the platform."""
    async with ctx.port(Registry).across(ctx) as db:
        tenant = await store.tenant(db, tenant_id)
    if tenant is None:
        raise UnknownTenant
    return TenantOut.model_validate(tenant)


@tenants.patch("/{tenant_id}")
@policy(allow="write:tenants", rate="tenants")
async def change_tenant(ctx: CurrentCtx, tenant_id: UUID, body: TenantPatch) -> TenantOut:
    """Any tenant with new values."""
    return TenantOut.model_validate(await usecases.change_tenant(ctx, tenant_id, _change(body)))


@tenants.post("/{tenant_id}/suspend")
@policy(allow="write:tenants", rate="tenants")
async def suspend_tenant(ctx: CurrentCtx, tenant_id: UUID, body: SuspendIn) -> TenantOut:
    """A tenant, refused everywhere from now on; its data stays."""
    return TenantOut.model_validate(await usecases.suspend_tenant(ctx, tenant_id, body.why))


@tenants.post("/{tenant_id}/resume")
@policy(allow="write:tenants", rate="tenants")
async def resume_tenant(ctx: CurrentCtx, tenant_id: UUID) -> TenantOut:
    """A tenant who may ask again."""
    return TenantOut.model_validate(await usecases.resume_tenant(ctx, tenant_id))


@tenants.post("/{tenant_id}/owners", status_code=201)
@policy(allow="write:tenants", rate="tenants")
async def admit_owner(ctx: CurrentCtx, tenant_id: UUID, body: OwnerIn) -> OwnerOut:
    """One more owner of a tenant, invited (again) by mail or with a key that is shown this once."""
    return OwnerOut.model_validate(await usecases.admit_owner(ctx, tenant_id, Owner(**body.model_dump())))


@tenants.delete("/{tenant_id}", status_code=202)
@policy(allow="write:tenants", rate="erase")
async def delete_tenant(ctx: CurrentCtx, tenant_id: UUID) -> takeout.StartedOut:
    """A tenant, refused everywhere from now on, and removed with everything that it owned by a job."""
    return takeout.StartedOut(job_id=await removal.start_deletion(ctx, tenant_id))


tenants.include_router(takeout.router)


@projects.get("")
@policy(allow="read:projects")
async def list_projects(
    ctx: CurrentCtx, query: Annotated[Asked, listing(store.PROJECTS, ProjectOut)]
) -> Listing[ProjectOut]:
    """The projects of the tenant."""
    return answer(await store.projects(ctx.db, ctx.tenant.id, query), ProjectOut, query)


@projects.post("", status_code=201)
@policy(allow="write:projects", rate="tenants")
async def create_project(ctx: CurrentCtx, body: ProjectIn) -> ProjectOut:
    """A new project."""
    return ProjectOut.model_validate(await usecases.create_project(ctx, slug=body.slug, name=body.name))


@projects.get("/{project_id}")
@policy(allow="read:projects")
async def read_project(ctx: CurrentCtx, project_id: UUID) -> ProjectOut:
    """A project of the tenant."""
    project = await store.project(ctx.db, ctx.tenant.id, project_id)
    if project is None:
        raise UnknownProject
    return ProjectOut.model_validate(project)


@projects.patch("/{project_id}")
@policy(allow="write:projects", rate="tenants")
async def change_project(ctx: CurrentCtx, project_id: UUID, body: ProjectPatch) -> ProjectOut:
    """The project with another name, archived, or open again."""
    changed = await usecases.change_project(ctx, project_id, name=body.name, archived=body.archived)
    return ProjectOut.model_validate(changed)


@members.get("")
@policy(allow="read:members")
async def list_members(
    ctx: CurrentCtx, query: Annotated[Asked, listing(store.MEMBERS, MemberOut)]
) -> Listing[MemberOut]:
    """The members of the tenant with their roles; `/v1/auth/users` has their names."""
    return answer(await store.members(ctx.db, ctx.tenant.id, query), MemberOut, query)


@members.get("/{user_id}")
@policy(allow="read:members")
async def read_member(ctx: CurrentCtx, user_id: UUID) -> MemberOut:
    """A member of the tenant."""
    member = await store.member(ctx.db, ctx.tenant.id, user_id)
    if member is None:
        raise UnknownMember
    return MemberOut.model_validate(member)


@members.patch("/{user_id}")
@policy(allow="write:members", rate="members")
async def change_member(ctx: CurrentCtx, user_id: UUID, body: MemberPatch) -> MemberOut:
    """The member with other roles, or standing for somebody else."""
    changed = await usecases.change_member(ctx, user_id, roles=body.roles, bound=body.bound)
    return MemberOut.model_validate(changed)


@members.delete("/{user_id}", status_code=204)
@policy(allow="write:members", rate="members")
async def remove_member(ctx: CurrentCtx, user_id: UUID) -> None:
    """The user is no longer a member of the tenant."""
    await usecases.remove_member(ctx, user_id)


def _change(body: OwnTenantPatch) -> TenantChange:
    values = body.model_dump(exclude_unset=True)
    for name in ("ip_allow", "ip_deny"):
        if values.get(name) is not None:
            values[name] = tuple(values[name])
    return TenantChange(**values)


for part in (tenants, projects, members, flags.own, flags.house, flags.values):
    router.include_router(part)
