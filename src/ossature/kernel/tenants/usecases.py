"""What is done with tenants, their projects and members."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from ossature.kernel.context import Ctx
from ossature.kernel.db.transaction import Db
from ossature.kernel.tenants import store
from ossature.kernel.tenants.domain import (
    OWNER,
    Doorkeeper,
    FirstOwner,
    LastOwner,
    Member,
    NewTenant,
    Owner,
    PlanBook,
    Project,
    RoleBook,
    TenantChange,
    TenantDetails,
    TenantResumed,
    TenantSuspended,
    UnknownMember,
    UnknownProject,
    UnknownTenant,
    check_networks,
    check_slug,
    check_zone,
    require_removable,
)
from ossature.kernel.tenants.registry import Registry


async def create_tenant(ctx: Ctx, new: NewTenant) -> TenantDetails:
    """A new tenant, which nobody can enter before an owner is admitted. Raises: SlugTaken, InvalidInput."""
    check_slug(new.slug)
    check_zone(new.zone)
    await ctx.port(PlanBook).require_known(new.plan)  # type: ignore[type-abstract] # a Protocol is the name of a promise
    async with ctx.port(Registry).across(ctx) as db:
        tenant = await store.add_tenant(db, new)
    await ctx.audit("tenant.created", f"tenant:{tenant.id}", after=_told(tenant))
    return tenant


async def admit_owner(ctx: Ctx, tenant_id: UUID, owner: Owner) -> FirstOwner:
    """How one more owner gets into a tenant: an invitation by mail, or a key that is shown this once.

    Raises: UnknownTenant.
    """
    async with ctx.port(Registry).across(ctx) as db:
        tenant = await _existing(db, tenant_id)
    doorkeeper = ctx.port(Doorkeeper)  # type: ignore[type-abstract] # as above
    admitted = await doorkeeper.admit(ctx, tenant.brief, owner)
    await ctx.audit("tenant.owner_admitted", f"tenant:{tenant_id}", email=admitted.email, by_key=bool(admitted.key))
    return admitted


async def change_tenant(ctx: Ctx, tenant_id: UUID, change: TenantChange) -> TenantDetails:
    """The tenant with new values. Raises: UnknownTenant, InvalidInput."""
    if change.zone is not None:
        check_zone(change.zone)
    if change.plan is not None:
        await ctx.port(PlanBook).require_known(change.plan)  # type: ignore[type-abstract] # as above
    allow = None if change.ip_allow is None else check_networks(change.ip_allow, "/ip_allow")
    deny = None if change.ip_deny is None else check_networks(change.ip_deny, "/ip_deny")
    return await _changed(ctx, tenant_id, "changed", replace(change, ip_allow=allow, ip_deny=deny).values())


async def suspend_tenant(ctx: Ctx, tenant_id: UUID, why: str) -> TenantDetails:
    """The tenant, whose keys and users are refused from now on, everywhere within a second; its data stays.

    Raises: UnknownTenant, HouseTenant, OwnTenant.
    """
    require_removable(tenant_id, own_id=ctx.tenant.id)
    values = {"suspended_at": ctx.now, "suspended_why": why}
    return await _changed(ctx, tenant_id, "suspended", values, fact=TenantSuspended(tenant_id, why))


async def resume_tenant(ctx: Ctx, tenant_id: UUID) -> TenantDetails:
    """The tenant, who may ask again. Raises: UnknownTenant."""
    values = {"suspended_at": None, "suspended_why": None}
    return await _changed(ctx, tenant_id, "resumed", values, fact=TenantResumed(tenant_id))


async def create_project(ctx: Ctx, *, slug: str, name: str) -> Project:
    """A new project of the caller's tenant. Raises: SlugTaken, InvalidInput."""
    project = await store.add_project(ctx.db, ctx.tenant.id, slug=check_slug(slug), name=name)
    await ctx.audit("project.created", f"project:{project.id}", after={"slug": slug, "name": name})
    return project


async def change_project(
    ctx: Ctx, project_id: UUID, *, name: str | None = None, archived: bool | None = None
) -> Project:
    """The project with another name, archived, or open again. Raises: UnknownProject."""
    before = await store.project(ctx.db, ctx.tenant.id, project_id)
    values: dict[str, Any] = {} if name is None else {"name": name}
    if archived is not None:
        values["archived_at"] = ctx.now if archived else None
    after = before
    if before is not None and values:
        after = await store.change_project(ctx.db, ctx.tenant.id, project_id, values)
    if before is None or after is None:
        raise UnknownProject
    await ctx.audit(
        "project.changed",
        f"project:{project_id}",
        before={"name": before.name, "archived": before.archived_at is not None},
        after={"name": after.name, "archived": after.archived_at is not None},
    )
    return after


async def change_member(
    ctx: Ctx, user_id: UUID, *, roles: Sequence[str] | None = None, bound: Mapping[str, str] | None = None
) -> Member:
    """The member with other roles, or standing for somebody else; in force everywhere within a second.

    Raises: UnknownMember, LastOwner; InvalidInput for an unknown role; PermissionDenied for one that gives, or takes
    away, more than the caller holds.
    """
    before = await store.member(ctx.db, ctx.tenant.id, user_id)
    if before is None:
        raise UnknownMember
    book = ctx.port(RoleBook)  # type: ignore[type-abstract] # a Protocol is the name of a promise
    after_roles = before.roles if roles is None else frozenset(roles)
    book.require_grantable(ctx.actor, before.roles | after_roles)
    if OWNER in before.roles - after_roles:
        await _require_other_owner(ctx, user_id)
    after = await store.put_member(
        ctx.db, ctx.tenant.id, user_id, roles=after_roles, bound=before.bound if bound is None else bound
    )
    ctx.port(Registry).forget_after(ctx.db, "user", user_id)
    await ctx.audit(
        "member.changed",
        f"user:{user_id}",
        before={"roles": sorted(before.roles), "bound": dict(before.bound)},
        after={"roles": sorted(after.roles), "bound": dict(after.bound)},
    )
    return after


async def remove_member(ctx: Ctx, user_id: UUID) -> None:
    """The user is no longer a member of the caller's tenant. Raises: UnknownMember, LastOwner, PermissionDenied."""
    before = await store.member(ctx.db, ctx.tenant.id, user_id)
    if before is None:
        raise UnknownMember
    ctx.port(RoleBook).require_grantable(ctx.actor, before.roles)  # type: ignore[type-abstract] # as above
    if OWNER in before.roles:
        await _require_other_owner(ctx, user_id)
    await store.remove_member(ctx.db, ctx.tenant.id, user_id)
    ctx.port(Registry).forget_after(ctx.db, "user", user_id)
    await ctx.audit("member.removed", f"user:{user_id}", before={"roles": sorted(before.roles)})


async def _require_other_owner(ctx: Ctx, user_id: UUID) -> None:
    if not await store.others_with_role(ctx.db, ctx.tenant.id, user_id, OWNER):
        raise LastOwner


async def _changed(
    ctx: Ctx, tenant_id: UUID, verb: str, values: Mapping[str, Any], *, fact: object | None = None
) -> TenantDetails:
    registry = ctx.port(Registry)
    async with registry.across(ctx) as db:
        before = await _existing(db, tenant_id)
        after = await store.change_tenant(db, tenant_id, values)
        if after is None:
            raise UnknownTenant
        registry.forget_after(db, "tenant", tenant_id)
        if fact is not None:
            await registry.publish(db, fact, tenant_id=tenant_id, request_id=ctx.id)
    await ctx.audit(f"tenant.{verb}", f"tenant:{tenant_id}", before=_told(before), after=_told(after))
    return after


async def _existing(db: Db, tenant_id: UUID) -> TenantDetails:
    tenant = await store.tenant(db, tenant_id)
    if tenant is None:
        raise UnknownTenant
    return tenant


def _told(tenant: TenantDetails) -> dict[str, Any]:
    """What the audit trail says of a tenant."""
    return {
        "slug": tenant.slug,
        "name": tenant.name,
        "plan": tenant.plan,
        "zone": tenant.zone,
        "language": tenant.language,
        "retention_days": tenant.retention_days,
        "ip_allow": list(tenant.ip_allow),
        "ip_deny": list(tenant.ip_deny),
        "suspended": tenant.suspended_at is not None,
    }
