"""A tenant takes everything along, or is gone for good."""

from datetime import timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import Table as CoreTable

from ossature.kernel.cache.caches import Caches
from ossature.kernel.context import Ctx
from ossature.kernel.files.archive import FileNotFound, Files
from ossature.kernel.files.store import File
from ossature.kernel.service import Job
from ossature.kernel.tenants import store as tenants
from ossature.kernel.tenants.domain import TenantDeleted, UnknownTenant, require_removable
from ossature.kernel.tenants.registry import Registry
from ossature.kernel.tenants.settings import TenantSettings
from ossature.kernel.tenants.takeout import store
from ossature.kernel.tenants.takeout.archive import PURPOSE, Takeout

BEING_DELETED: Final = "being deleted"
_HOURS = 3600.0


async def start_export(ctx: Ctx, tenant_id: UUID) -> UUID:
    """The job that writes everything of a tenant into one archive, among its files. Raises: UnknownTenant."""
    await _slug(ctx, tenant_id)
    job_id = await ctx.enqueue(EXPORT, {"tenant": str(tenant_id)}, unique=str(tenant_id))
    await ctx.audit("tenant.export_started", f"tenant:{tenant_id}")
    return job_id


async def exports(ctx: Ctx, tenant_id: UUID) -> list[File]:
    """The archives of a tenant that are kept, newest first."""
    async with ctx.port(Registry).database.begin(tenant_id) as db:
        return await ctx.port(Files).of_purpose(db, tenant_id, PURPOSE)


async def read_export(ctx: Ctx, tenant_id: UUID, file_id: UUID) -> File:
    """One archive of a tenant, to be downloaded; the trail says who did. Raises: FileNotFound."""
    async with ctx.port(Registry).database.begin(tenant_id) as db:
        file = await ctx.port(Files).get(db, tenant_id, file_id)
    if file.purpose != PURPOSE:
        raise FileNotFound
    await ctx.audit("tenant.export_downloaded", f"tenant:{tenant_id}", file=str(file_id))
    return file


async def start_deletion(ctx: Ctx, tenant_id: UUID) -> UUID:
    """The job that removes everything of a tenant; it is refused everywhere from now on.

    Raises: UnknownTenant, HouseTenant, OwnTenant.
    """
    require_removable(tenant_id, own_id=ctx.tenant.id)
    registry = ctx.port(Registry)
    async with registry.across(ctx) as db:
        values = {"suspended_at": ctx.now, "suspended_why": BEING_DELETED}
        if await tenants.change_tenant(db, tenant_id, values) is None:
            raise UnknownTenant
        registry.forget_after(db, "tenant", tenant_id)
    await ctx.audit("tenant.deletion_started", f"tenant:{tenant_id}")
    return await ctx.enqueue(DELETE, {"tenant": str(tenant_id)}, unique=str(tenant_id))


async def export_tenant(ctx: Ctx, tenant: str) -> str:
    """Write the archive; the id of its file."""
    tenant_id = UUID(tenant)
    slug = await _slug(ctx, tenant_id)
    await ctx.db.commit()  # the archive takes its time, and must not hold a connection
    database, files, settings = ctx.port(Registry).database, ctx.port(Files), ctx.settings[TenantSettings]
    async with database.begin(tenant_id) as db:
        file = await files.save(
            db,
            tenant_id,
            Takeout(database, files, tenant_id).stream(),
            name=f"{slug}-{ctx.now:%Y%m%dT%H%M%SZ}.zip",
            purpose=PURPOSE,
            keep_until=ctx.now + timedelta(days=settings.export_keep_days),
            max_bytes=settings.export_max_bytes,
        )
    await ctx.audit("tenant.exported", f"tenant:{tenant_id}", file=str(file.id), bytes=file.size_bytes)
    return str(file.id)


async def delete_tenant(ctx: Ctx, tenant: str) -> dict[str, int]:
    """Remove every row, file and cached answer of a tenant; how many rows of which table. May be repeated.

    Tables whose rows outlive their tenant say so, and why, where they are declared.
    """
    tenant_id, registry = UUID(tenant), ctx.port(Registry)
    gone: dict[str, int] = {}
    require_removable(tenant_id, own_id=ctx.tenant.id)
    for table in reversed(store.tables()):
        if store.reason_to_keep(table) is None and table is not tenants.TenantRow.__table__:
            # A name of SQLAlchemy's is more than a text, and no key of a JSON object.
            gone[str(table.name)] = await _emptied(ctx, table, tenant_id)
    await ctx.port(Files).erase_tenant(tenant_id)
    await ctx.port(Caches).invalidate(f"*:{tenant_id.hex}:*")
    # Its own row goes last, with the news of it: a process that dies before has left something to go on with.
    async with registry.across(ctx) as db:
        before = await tenants.tenant(db, tenant_id)
        if before is not None:
            gone[str(tenants.TenantRow.__tablename__)] = await tenants.remove_tenant(db, tenant_id)
            registry.forget_after(db, "tenant", tenant_id)
            fact = TenantDeleted(tenant_id, before.slug)
            await registry.publish(db, fact, tenant_id=ctx.tenant.id, request_id=ctx.id)
    removed = {name: count for name, count in gone.items() if count}
    await ctx.audit("tenant.deleted", f"tenant:{tenant_id}", rows=removed)
    return removed


async def _emptied(ctx: Ctx, table: CoreTable, tenant_id: UUID) -> int:
    """Remove a tenant's rows of one table, some at a time, each time in a short transaction of its own."""
    total = 0
    while True:
        async with ctx.port(Registry).database.begin() as db:
            count = await store.remove(db, table, tenant_id)
        if not count:
            return total
        total += count


async def _slug(ctx: Ctx, tenant_id: UUID) -> str:
    async with ctx.port(Registry).database.begin(tenant_id) as db:
        tenant = await tenants.tenant(db, tenant_id)
    if tenant is None:
        raise UnknownTenant
    return tenant.slug


EXPORT: Final = Job(name="tenants.export_tenant", run=export_tenant, attempts=3, time_limit_s=6 * _HOURS)
DELETE: Final = Job(name="tenants.delete_tenant", run=delete_tenant, attempts=10, time_limit_s=6 * _HOURS)
