"""The database behind pgbouncer in transaction mode: the next transaction may have another server behind it."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import pytest
from sqlalchemy import bindparam, make_url, select, text

from ossature.kernel.db import migrate
from ossature.kernel.db.engine import Database
from ossature.kernel.db.notify import Notifier
from ossature.kernel.db.settings import DatabaseSettings
from ossature.kernel.db.table import Table
from ossature.kernel.db.transaction import DatabaseBusy
from ossature.kernel.events.signals import Signals
from ossature.kernel.events.wires import PostgresWire
from ossature.kernel.tenants import rls, store
from ossature.kernel.tenants.domain import NewTenant
from ossature.kernel.tenants.store import ProjectRow
from ossature.kernel.testing.houses import open_house
from ossature.kernel.testing.schema import import_stores

AT_ONCE = 12
"""More than the connections that pgbouncer has to PostgreSQL, so that they are handed around."""


def through(pooler: str, url: str, *, role: str = "postgres") -> str:
    """A URL of a database, through the pooler."""
    parts = make_url(pooler)
    return make_url(url).set(host=parts.host, port=parts.port, username=role).render_as_string(hide_password=False)


@pytest.fixture
def settings(pgbouncer_server: str, postgres_url: str) -> DatabaseSettings:
    """As an operator sets it who has a pooler."""
    return DatabaseSettings(url=through(pgbouncer_server, postgres_url), direct_url=postgres_url, pool_size=AT_ONCE)


@pytest.fixture
async def pooled(settings: DatabaseSettings) -> AsyncIterator[Database]:
    """A database behind pgbouncer."""
    database = Database(settings)
    yield database
    await database.close()


async def backends(database: Database) -> tuple[int, int]:
    """What one transaction shows: the server behind it, and how many prepared statements lie there."""
    async with database.begin() as db:
        row = await db.one(text("SELECT pg_backend_pid(), (SELECT count(*) FROM pg_prepared_statements)"))
        await db.scalar(text("SELECT pg_sleep(0.02)"))
    return row[0], row[1]


async def test_the_same_statements_run_in_many_transactions_on_a_few_servers(pooled: Database) -> None:
    statements = [text(f"SELECT :number * {factor} + count(*) FROM tenants_project") for factor in range(1, 6)]
    by_name = select(ProjectRow.name).where(ProjectRow.slug.in_(bindparam("slugs", expanding=True)))

    async def one(number: int) -> list[int]:
        found = []
        for _ in range(10):
            async with pooled.begin() as db:
                found += [int(await db.scalar(statement, {"number": number})) for statement in statements]
                assert await db.all(by_name, {"slugs": [f"slug {number}", "other"]}) == []
        return found

    answers = await asyncio.gather(*(one(number) for number in range(AT_ONCE)))

    assert answers == [[number * factor for _ in range(10) for factor in range(1, 6)] for number in range(AT_ONCE)]
    seen = await asyncio.gather(*(backends(pooled) for _ in range(AT_ONCE)))
    assert 1 < len({pid for pid, _ in seen}) < AT_ONCE
    assert {left for _, left in seen} == {0}


@pytest.fixture
def role(postgres_url: str) -> Iterator[str]:
    """A role that row-level security holds."""
    import_stores()
    name, tables = f"ossature_test_{uuid4().hex[:12]}", Table.metadata.sorted_tables
    _run(postgres_url, f"CREATE ROLE {name} LOGIN", *rls.grants(tables, name), *rls.statements(tables))
    yield name
    _run(postgres_url, f"DROP OWNED BY {name} CASCADE; DROP ROLE {name}")


def _run(url: str, *statements: str) -> None:
    async def all_of_them() -> None:
        connection = await asyncpg.connect(url.replace("+asyncpg", ""))
        for statement in statements:
            await connection.execute(statement)
        await connection.close()

    asyncio.run(all_of_them())


async def test_a_transaction_sees_the_rows_of_its_own_tenant_whichever_server_it_gets(
    pgbouncer_server: str, settings: DatabaseSettings, postgres_url: str, role: str
) -> None:
    walled = {"url": through(pgbouncer_server, postgres_url, role=role), "system_url": settings.url}
    guarded = Database(settings.model_copy(update=walled))
    async with guarded.begin() as db:
        tenants = [(await store.add_tenant(db, NewTenant(f"t{n}", f"t{n}"))).id for n in range(AT_ONCE)]
        for tenant_id in tenants:
            await store.add_project(db, tenant_id, slug="p", name=str(tenant_id))

    async def look(tenant_id: UUID) -> set[str]:
        found = set()
        for _ in range(10):
            async with guarded.begin(tenant_id) as db:
                found |= {row.name for row in await db.all(select(ProjectRow.name))}
        return found

    assert await asyncio.gather(*map(look, tenants)) == [{str(tenant_id)} for tenant_id in tenants]
    async with guarded.postgres.connect() as plain:
        left = await plain.scalar(text("SELECT current_setting('ossature.tenant', true)"))
    assert not left
    await guarded.close()


async def test_a_statement_still_has_its_time_limit(settings: DatabaseSettings) -> None:
    hasty = Database(settings.model_copy(update={"statement_time_limit_s": 0.2}))
    with pytest.raises(DatabaseBusy):
        async with hasty.begin() as db:
            await db.scalar(text("SELECT pg_sleep(5)"))
    await hasty.close()


async def test_migrations_and_news_go_around_the_pooler(
    settings: DatabaseSettings, pooled: Database, tmp_path: Path
) -> None:
    assert await migrate.current(pooled) is None
    async with open_house(var_dir=tmp_path, database_url=settings.url, settings=[settings]) as home:
        elsewhere, heard = Signals(PostgresWire(pooled, Notifier(pooled.direct))), asyncio.Event()
        elsewhere.subscribe("test.news", lambda _about: heard.set())
        await elsewhere.start()
        async with home.client() as http:
            made = await http.post("/v1/projects", json={"slug": "acme", "name": "Acme"})
            listed = await http.get("/v1/projects")
        home.house.signals.publish("test.news")
        async with asyncio.timeout(60):
            await heard.wait()
        await elsewhere.close()

    assert made.status_code == 201, made.text
    assert [item["slug"] for item in listed.json()["items"]] == ["acme"]
