"""The first tenant and its administrator, made once when a house is empty."""

from dataclasses import dataclass
from uuid import UUID

from ossature.kernel import clock
from ossature.kernel.auth.keys import domain, store
from ossature.kernel.auth.roles import PLATFORM_ADMIN
from ossature.kernel.context import Tenant
from ossature.kernel.db.engine import Database
from ossature.kernel.db.transaction import Db
from ossature.kernel.tenants import store as tenants
from ossature.kernel.tenants.domain import NewTenant


@dataclass(frozen=True, slots=True)
class FirstAdmin:
    """The first tenant and the secret of its administrator's key, which is shown this once."""

    tenant: Tenant
    secret: str


async def ensure_first_admin(
    database: Database, *, slug: str = "main", name: str = "Main", zone: str = "UTC", language: str = "en"
) -> FirstAdmin | None:
    """The first administrator, if there was no tenant yet; else None, and nothing is changed.

    Of two processes that start at once, one makes it and the other is given None.
    """
    secret = domain.new_secret()
    async with database.begin() as db:
        if await tenants.count_tenants(db):
            return None
        tenant = await tenants.add_first_tenant(db, NewTenant(slug, name, zone=zone, language=language))
        if tenant is None:
            return None
        await _add_admin_key(db, tenant.id, "first administrator", secret)
    return FirstAdmin(tenant.brief, secret)


async def another_admin(database: Database, *, name: str) -> FirstAdmin | None:
    """One more administrator's key of the first tenant, for whoever lost the first; None when there is no tenant yet."""
    secret = domain.new_secret()
    async with database.begin() as db:
        tenant = await tenants.first_tenant(db)
        if tenant is None:
            return None
        await _add_admin_key(db, tenant.id, name, secret)
    return FirstAdmin(tenant.brief, secret)


async def _add_admin_key(db: Db, tenant_id: UUID, name: str, secret: str) -> None:
    values = {
        "name": name,
        "hint": domain.hint(secret),
        "secret_digest": domain.digest(secret),
        "roles": [PLATFORM_ADMIN],
        "created_at": clock.now(),
    }
    await store.add_key(db, tenant_id, values)
