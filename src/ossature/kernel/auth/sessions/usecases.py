"""Where a signed-in person may act, and going there."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from ossature.kernel.auth.gate import Gate
from ossature.kernel.auth.sessions import store
from ossature.kernel.auth.sessions.domain import ACT_ANYWHERE, COOKIE, Session, digest, new_token
from ossature.kernel.context import Ctx, Tenant
from ossature.kernel.db.listing import ListQuery
from ossature.kernel.db.transaction import Db
from ossature.kernel.errors import PermissionDenied
from ossature.kernel.tenants import store as tenants
from ossature.kernel.tenants.domain import Project, UnknownProject, UnknownTenant

_MOST = 200


class NotSwitchable(PermissionDenied):
    """Only a session of the console moves to another tenant; a key belongs to one, and for tokens one signs in there."""

    title = "This session stays where it is"


@dataclass(frozen=True, slots=True)
class Switched:
    """Where a person acts from now on, and the cookie that says so."""

    tenant: Tenant
    project: Project | None
    cookie: str


async def reachable_tenants(ctx: Ctx, *, matching: str = "") -> Sequence[Tenant]:
    """The tenants that the caller may act for: their own, oldest membership first; then any, for who may act anywhere.

    matching: a part of their name or slug. At most 200.
    """
    wanted = matching.casefold()
    async with ctx.port(Gate).database.begin() as db:
        found = [ctx.tenant]
        if ctx.actor.kind == "user" and ctx.actor.id is not None:
            found += [tenant.brief for tenant, _ in await tenants.tenants_of_user(db, ctx.actor.id)]
        if ctx.actor.may(ACT_ANYWHERE):
            found += [tenant.brief for tenant in await tenants.find_tenants(db, wanted, limit=_MOST)]
    named = {
        one.id: one
        for one in found
        if not one.suspended and (wanted in one.name.casefold() or wanted in one.slug.casefold())
    }
    return list(named.values())[:_MOST]


async def open_projects(ctx: Ctx) -> Sequence[Project]:
    """The projects of the caller's tenant that are not archived; at most 200."""
    found = await tenants.projects(ctx.db, ctx.tenant.id, ListQuery(limit=_MOST))
    return [project for project in found.items if project.archived_at is None]


async def switch(ctx: Ctx, session: Session, *, tenant: str, project: str | None = None) -> Switched:
    """The caller acts for this tenant (a slug) from now on, and for this project of it; the session before has ended.

    The new session ends when the old one would have. Raises: NotSwitchable, UnknownTenant, UnknownProject.
    """
    if session.kind != "console":
        raise NotSwitchable
    gate = ctx.port(Gate)
    cookie = new_token(COOKIE)
    async with gate.database.begin() as db:
        target, home_id = await _target(db, ctx, session, tenant)
        chosen = await _project(db, target.id, project)
        new = await store.add_session(
            db,
            target.id,
            kind="console",
            user_id=session.user_id,
            key_id=session.key_id,
            token_digest=digest(cookie),
            expires_at=session.expires_at,
            project_id=chosen.id if chosen else None,
            home_tenant_id=home_id,
        )
        await store.revoke_session(db, session.tenant_id, session.id, ctx.now)
        gate.registry.forget_after(db, "session", session.id)
    await ctx.audit("session.switched", f"session:{new.id}", tenant=str(target.id), project=project)
    return Switched(target, chosen, cookie)


async def _target(db: Db, ctx: Ctx, session: Session, slug: str) -> tuple[Tenant, UUID | None]:
    """The tenant of this slug, and the tenant that gives the right to it if it is not a membership. Raises: UnknownTenant."""
    if session.user_id is not None:
        for details, _ in await tenants.tenants_of_user(db, session.user_id):
            if details.slug == slug:
                return _open(details.brief), None
    found = await tenants.tenant_by_slug(db, slug)
    if found is not None and found.id == session.home_id:
        return _open(found.brief), None
    if found is None or not ctx.actor.may(ACT_ANYWHERE):
        raise UnknownTenant
    return _open(found.brief), session.home_id


def _open(tenant: Tenant) -> Tenant:
    if tenant.suspended:
        raise UnknownTenant(f"The tenant {tenant.slug} is suspended.")
    return tenant


async def _project(db: Db, tenant_id: UUID, slug: str | None) -> Project | None:
    if slug is None:
        return None
    found = await tenants.project_by_slug(db, tenant_id, slug)
    if found is None or found.archived_at is not None:
        raise UnknownProject
    return found
