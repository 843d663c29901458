import asyncio
from collections.abc import AsyncIterator, Iterator
from uuid import UUID, uuid4

import asyncpg
import pytest
from sqlalchemy import insert, make_url, select, text
from sqlalchemy.exc import ProgrammingError

from ossature.kernel.auth.users.store import UserRow
from ossature.kernel.context import SYSTEM_TENANT_ID
from ossature.kernel.db.engine import Database
from ossature.kernel.db.settings import DatabaseSettings
from ossature.kernel.db.table import Table
from ossature.kernel.tenants import rls, store
from ossature.kernel.tenants.domain import NewTenant, SlugTaken
from ossature.kernel.tenants.store import ProjectRow, TenantRow
from ossature.kernel.testing.schema import import_stores


def as_role(url: str, role: str) -> str:
    return make_url(url).set(username=role).render_as_string(hide_password=False)


def run(url: str, *statements: str) -> None:
    async def all_of_them() -> None:
        connection = await asyncpg.connect(url.replace("+asyncpg", ""))
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    asyncio.run(all_of_them())


@pytest.fixture
def roles(postgres_url: str) -> Iterator[tuple[str, str]]:
    """Two roles that are no superusers: one for requests, one that may work across tenants."""
    import_stores()
    name = f"ossature_test_{uuid4().hex[:12]}"
    tables = Table.metadata.sorted_tables
    statements = [f"CREATE ROLE {name} LOGIN", f"CREATE ROLE {name}_system LOGIN BYPASSRLS"]
    for role in (name, f"{name}_system"):
        statements += rls.grants(tables, role)
    run(postgres_url, *statements, *rls.statements(tables), *rls.statements(tables))
    yield name, f"{name}_system"
    run(postgres_url, *(f"DROP OWNED BY {role} CASCADE; DROP ROLE {role}" for role in (name, f"{name}_system")))


@pytest.fixture
async def guarded(postgres_url: str, roles: tuple[str, str]) -> AsyncIterator[Database]:
    """A database whose requests run as a role that row-level security holds."""
    urls = [as_role(postgres_url, role) for role in roles]
    database = Database(DatabaseSettings(url=urls[0], system_url=urls[1]))
    yield database
    await database.close()


async def two_tenants(database: Database) -> tuple[UUID, UUID]:
    async with database.begin() as db:
        made = [await store.add_tenant(db, NewTenant(slug, slug)) for slug in ("mine", "theirs")]
        for tenant in made:
            await store.add_project(db, tenant.id, slug="p", name=f"project of {tenant.slug}")
    return made[0].id, made[1].id


async def test_a_query_that_forgot_the_tenant_sees_only_the_tenant_of_its_transaction(guarded: Database) -> None:
    mine, theirs = await two_tenants(guarded)
    for tenant_id, name in ((mine, "mine"), (theirs, "theirs")):
        async with guarded.begin(tenant_id) as db:
            assert [row.name for row in await db.all(select(ProjectRow.name))] == [f"project of {name}"]
            assert [row.slug for row in await db.all(select(TenantRow.slug))] == [name]


async def test_the_system_role_sees_every_tenant(guarded: Database) -> None:
    await two_tenants(guarded)
    async with guarded.begin() as db:
        assert len(await db.all(select(ProjectRow.id))) == 2


async def test_a_transaction_without_a_tenant_sees_and_writes_nothing(
    postgres_url: str, roles: tuple[str, str], guarded: Database
) -> None:
    mine, _ = await two_tenants(guarded)
    nobody = Database(DatabaseSettings(url=as_role(postgres_url, roles[0])))
    async with nobody.begin() as db:
        assert await db.all(select(ProjectRow.id)) == []
        assert await db.all(select(TenantRow.id)) == []
    with pytest.raises(ProgrammingError, match="row-level security"):
        async with nobody.begin() as db:
            await store.add_project(db, mine, slug="q", name="q")
    await nobody.close()


async def test_rows_of_another_tenant_cannot_be_written_changed_or_taken_over(guarded: Database) -> None:
    mine, theirs = await two_tenants(guarded)
    with pytest.raises((ProgrammingError, SlugTaken)):
        async with guarded.begin(mine) as db:
            await db.execute(insert(ProjectRow).values(tenant_id=theirs, slug="stolen", name="stolen"))
    async with guarded.begin(mine) as db:
        assert await db.write_text("UPDATE tenants_project SET name = 'changed'") == 1
        assert await db.write_text("DELETE FROM tenants_tenant WHERE slug = 'theirs'") == 0
    with pytest.raises(ProgrammingError, match="row-level security"):
        async with guarded.begin(mine) as db:
            await db.write_text(f"UPDATE tenants_project SET tenant_id = '{theirs}'")
    async with guarded.begin() as db:
        names = [row.name for row in await db.all(select(ProjectRow.name).order_by(ProjectRow.name))]
    assert names == ["changed", "project of theirs"]


async def test_the_tenant_of_a_transaction_does_not_stay_on_the_pooled_connection(
    postgres_url: str, roles: tuple[str, str], guarded: Database
) -> None:
    mine, _ = await two_tenants(guarded)
    single = Database(DatabaseSettings(url=as_role(postgres_url, roles[0]), pool_size=1))
    async with single.begin(mine) as db:
        assert len(await db.all(select(ProjectRow.id))) == 1
    async with single.begin() as db:
        assert await db.all(select(ProjectRow.id)) == []
    await single.close()


async def test_a_guest_is_visible_where_they_are_a_member_and_changed_only_at_home(guarded: Database) -> None:
    mine, theirs = await two_tenants(guarded)
    async with guarded.begin() as db:
        guest = await db.one(
            insert(UserRow).values(tenant_id=theirs, email="guest@example.com", name="Guest").returning(UserRow.id)
        )
        await db.execute(insert(UserRow).values(tenant_id=theirs, email="other@example.com", name="Other"))
        await store.put_member(db, mine, guest.id, roles=frozenset({"viewer"}), bound={})
    async with guarded.begin(mine) as db:
        assert [row.name for row in await db.all(select(UserRow.name))] == ["Guest"]
        assert await db.write_text("UPDATE auth_user SET name = 'changed'") == 0


async def test_rows_of_the_house_are_readable_where_a_table_says_so_and_never_written(
    postgres_url: str, guarded: Database
) -> None:
    mine, _ = await two_tenants(guarded)
    table = ProjectRow.__table__
    admin = Database(DatabaseSettings(url=postgres_url))
    try:
        table.info["rls_shared"] = True
        shared = list(rls.statements([table]))
    finally:
        del table.info["rls_shared"]
    async with admin.begin() as db:
        for statement in shared:
            await db.write_text(statement)
        await store.add_project(db, SYSTEM_TENANT_ID, slug="shared", name="shared by all")
    await admin.close()
    async with guarded.begin(mine) as db:
        names = {row.name for row in await db.all(select(ProjectRow.name))}
        assert names == {"project of mine", "shared by all"}
        assert await db.write_text("UPDATE tenants_project SET name = 'x' WHERE slug = 'shared'") == 0


async def test_every_table_with_a_tenant_is_guarded_and_its_owner_too(guarded: Database) -> None:
    expected = {t.name for t in Table.metadata.sorted_tables if rls.tenant_column(t)}
    assert {"tenants_tenant", "tenants_project", "auth_key", "quotas_usage_event"} <= expected
    query = text("SELECT relname FROM pg_class WHERE relrowsecurity AND relforcerowsecurity")
    async with guarded.begin() as db:
        assert {row.relname for row in await db.all(query)} == expected


@pytest.mark.usefixtures("roles")
async def test_the_policies_can_be_taken_away_again(postgres_url: str) -> None:
    admin = Database(DatabaseSettings(url=postgres_url))
    async with admin.begin() as db:
        for statement in rls.removal(Table.metadata.sorted_tables):
            await db.write_text(statement)
        assert await db.scalar(text("SELECT count(*) FROM pg_policies")) == 0
        assert await db.scalar(text("SELECT count(*) FROM pg_class WHERE relrowsecurity")) == 0
    await admin.close()


async def test_the_role_of_the_requests_may_only_add_to_what_is_append_only(guarded: Database) -> None:
    async with guarded.begin() as db:
        rows = await db.all(
            text(
                "SELECT DISTINCT table_name, privilege_type FROM information_schema.role_table_grants "
                "WHERE grantee = current_user AND table_name IN ('audit_entry', 'tenants_project')"
            )
        )
    held = {(row.table_name, row.privilege_type) for row in rows}
    assert {verb for name, verb in held if name == "audit_entry"} == {"SELECT", "INSERT"}
    assert ("tenants_project", "DELETE") in held
