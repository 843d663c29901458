"""What the roles of an installation are granted, on PostgreSQL: whatever moves the database lays it."""

from collections.abc import Iterator
from uuid import uuid4

import pytest
from sqlalchemy import make_url, text

from ossature.kernel.db import migrate
from ossature.kernel.db.engine import Database
from ossature.kernel.db.settings import DatabaseSettings
from tests.conftest import run_sql


@pytest.fixture
def role(postgres_server: str) -> Iterator[str]:
    """A role that may log in and nothing else. Ask for it before a database: what was granted there goes first."""
    del postgres_server
    name = f"ossature_test_{uuid4().hex[:12]}"
    run_sql(f"CREATE ROLE {name} LOGIN")
    yield name
    run_sql(f"DROP ROLE {name}")


def installed(url: str, role: str) -> Database:
    """Requests under a role of their own, everything else under the one of the server."""
    limited = make_url(url).set(username=role).render_as_string(hide_password=False)
    return Database(DatabaseSettings(url=limited, system_url=url))


async def held(database: Database, role: str) -> dict[str, set[str]]:
    query = text("SELECT table_name, privilege_type FROM information_schema.role_table_grants WHERE grantee = :role")
    found: dict[str, set[str]] = {}
    async with database.begin() as db:
        for row in await db.all(query, {"role": role}):
            found.setdefault(row.table_name, set()).add(row.privilege_type)
    return found


async def test_a_migration_grants_the_role_of_the_requests_what_it_needs(role: str, empty_postgres_url: str) -> None:
    database = installed(empty_postgres_url, role)
    try:
        await migrate.upgrade(database)
        granted = await held(database, role)

        assert granted["tenants_project"] == {"SELECT", "INSERT", "UPDATE", "DELETE"}
        assert granted["audit_entry"] == {"SELECT", "INSERT"}
        assert "alembic_version" not in granted
    finally:
        await database.close()


async def test_a_grant_too_many_or_too_few_is_mended_where_there_is_nothing_to_migrate(
    role: str, empty_postgres_url: str
) -> None:
    database = installed(empty_postgres_url, role)
    try:
        await migrate.upgrade(database)
        before = await held(database, role)
        async with database.begin() as db:
            await db.write_text(f"REVOKE INSERT ON tenants_project FROM {role}")
            await db.write_text(f"GRANT DELETE ON audit_entry TO {role}")

        assert await migrate.upgrade(database) == []
        assert await held(database, role) == before
    finally:
        await database.close()


async def test_a_role_that_does_not_exist_is_named(empty_postgres_url: str) -> None:
    database = installed(empty_postgres_url, "nobody_here")
    try:
        with pytest.raises(migrate.RoleUnknown, match='CREATE ROLE "nobody_here"'):
            await migrate.upgrade(database)
    finally:
        await database.close()
