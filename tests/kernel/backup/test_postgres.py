"""PostgreSQL: a dump of one moment, and its way back in one transaction."""

import asyncio
from uuid import uuid4

import asyncpg
import pytest

from ossature.kernel.backup import drill as drills
from ossature.kernel.backup import restoring
from ossature.kernel.backup.domain import BackupProgramFailed, BackupProgramMissing, NoScratchDatabase
from ossature.kernel.backup.work import working
from tests.conftest import run_sql
from tests.kernel.backup.conftest import Installation


async def run(home: Installation, *statements: str) -> None:
    async with home.backups().cluster().connected() as connection:
        for statement in statements:
            await connection.execute(statement)


async def value(home: Installation, statement: str) -> object:
    async with home.backups().cluster().connected() as connection:
        return await connection.fetchval(statement)


async def test_a_backup_is_one_moment_while_others_write(large: Installation) -> None:
    await run(large, "CREATE TABLE pair (half int)")
    cluster, begun, over = large.backups().cluster(), asyncio.Event(), asyncio.Event()

    async def write() -> None:
        async with cluster.connected() as connection:
            while not over.is_set():
                async with connection.transaction():  # both halves or none
                    await connection.execute("INSERT INTO pair VALUES (1)")
                    await connection.execute("INSERT INTO pair VALUES (2)")
                begun.set()

    async with asyncio.TaskGroup() as group:
        group.create_task(write())
        await begun.wait()
        manifest = await large.backups().create()
        over.set()

    await restoring.restore(large.backups(), manifest)  # counts what the dump holds, and compares
    assert manifest.tables["pair"] % 2 == 0
    assert manifest.tables["pair"] == await value(large, "SELECT count(*) FROM pair") > 0


async def test_plain_sql_can_be_read_and_restored(large: Installation) -> None:
    await large.record(2)
    backups = large.backups()

    manifest = await backups.create(plain=True)
    await large.record(1)
    with working(large.var_dir) as work:
        text = backups.opened(manifest, "database", work).read_text()
    await restoring.restore(backups, manifest)

    assert manifest.format == "plain"
    assert "CREATE TABLE public.audit_entry" in text
    assert "key.created" in text
    assert await large.entries() == 2


async def test_tables_of_today_go_and_walls_grants_and_extensions_stay(large: Installation) -> None:
    role = f"reader_{uuid4().hex[:8]}"
    await asyncio.to_thread(run_sql, f"CREATE ROLE {role}")
    try:
        await run(
            large,
            "CREATE EXTENSION pg_trgm",
            f"GRANT SELECT ON audit_entry TO {role}",
            "ALTER TABLE audit_entry ENABLE ROW LEVEL SECURITY",
            "ALTER TABLE audit_entry FORCE ROW LEVEL SECURITY",
            "CREATE POLICY own ON audit_entry USING (tenant_id IS NOT NULL)",
        )
        manifest = await large.backups().create()
        await run(
            large, "CREATE TABLE later (of_entry uuid)", "CREATE INDEX ON audit_entry USING gin (body gin_trgm_ops)"
        )

        await restoring.restore(large.backups(), manifest)

        assert await value(large, "SELECT to_regclass('later')") is None
        assert await value(large, "SELECT similarity('ossature', 'ossatur') > 0.5")
        assert await value(large, f"SELECT has_table_privilege('{role}', 'audit_entry', 'SELECT')")
        assert await value(large, "SELECT relforcerowsecurity FROM pg_class WHERE relname = 'audit_entry'")
        assert await value(large, "SELECT count(*) FROM pg_policy WHERE polname = 'own'") == 1
    finally:
        await run(large, f"DROP OWNED BY {role}")
        await asyncio.to_thread(run_sql, f"DROP ROLE {role}")


async def test_a_restore_that_is_ended_in_the_middle_has_changed_nothing(large: Installation) -> None:
    manifest = await large.backups().create()
    await large.record(2)

    async with large.backups().cluster().connected() as connection, connection.transaction():
        # Tables go in alphabetical order of nothing in particular: it stops at this one, with others gone already.
        await connection.execute("LOCK TABLE tenants_tenant IN ACCESS SHARE MODE")
        restore = asyncio.create_task(restoring.restore(large.backups(), manifest))
        while not await connection.fetchval(
            "SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database "
            "WHERE NOT l.granted AND d.datname = current_database()"
        ):
            await asyncio.sleep(0.01)
            assert not restore.done()
        restore.cancel()
        with pytest.raises(asyncio.CancelledError):
            await restore

    assert await large.entries() == 2


async def test_a_failing_program_says_why_and_shows_no_password(large: Installation) -> None:
    url = large.url.replace("postgres@", "postgres:canary-password@")
    lost = Installation(url.rpartition("/")[0] + "/no_such_database", large.var_dir)
    cluster = lost.backups().cluster()

    with pytest.raises(BackupProgramFailed, match="no_such_database") as failed:
        await cluster.run("pg_dump", "--format=custom", "--no-password", "--file=/dev/null")
    with pytest.raises(BackupProgramMissing):
        await large.backups(programs=str(large.var_dir)).create()

    assert "canary" not in str(failed.value)


async def test_a_drill_restores_into_a_database_beside_and_leaves_none(large: Installation) -> None:
    await large.record(3)
    file = await large.save(b"contract")
    manifest = await large.backups().create()
    await large.record(1)

    found = await drills.drill(large.backups(), manifest)

    assert found.faults == ()
    assert (found.entries, found.contents, found.rows) == (3, 1, manifest.rows)
    assert await large.entries() == 4
    assert await large.read(file) == b"contract"
    assert await value(large, "SELECT count(*) FROM pg_database WHERE datname LIKE current_database() || '_%'") == 0


async def test_a_role_that_may_not_make_a_database_is_told_so(large: Installation) -> None:
    manifest = await large.backups().create()
    role = f"poor_{uuid4().hex[:8]}"
    await asyncio.to_thread(run_sql, f"CREATE ROLE {role} LOGIN PASSWORD 'x'")
    try:
        poor = Installation(large.url.replace("postgres@", f"{role}:x@"), large.var_dir)
        with pytest.raises(NoScratchDatabase, match=role):
            await drills.drill(poor.backups(), manifest)
    finally:
        await asyncio.to_thread(run_sql, f"DROP ROLE {role}")


async def test_a_role_behind_the_wall_cannot_make_half_a_backup(large: Installation) -> None:
    role = f"walled_{uuid4().hex[:8]}"
    await asyncio.to_thread(run_sql, f"CREATE ROLE {role} LOGIN PASSWORD 'x'")
    try:
        await run(
            large,
            f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}",
            f"GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO {role}",
            "ALTER TABLE audit_entry ENABLE ROW LEVEL SECURITY",
            "CREATE POLICY own ON audit_entry USING (false)",
        )
        walled = Installation(large.url.replace("postgres@", f"{role}:x@"), large.var_dir)

        with pytest.raises((BackupProgramFailed, asyncpg.InsufficientPrivilegeError), match="row-level security"):
            await walled.backups().create()

        assert walled.backups().shelf.names() == []
    finally:
        await run(large, f"DROP OWNED BY {role}")
        await asyncio.to_thread(run_sql, f"DROP ROLE {role}")


async def test_the_role_that_works_across_tenants_backs_up_and_restores_what_walls_divide(large: Installation) -> None:
    role = f"across_{uuid4().hex[:8]}"
    await asyncio.to_thread(run_sql, f"CREATE ROLE {role} LOGIN BYPASSRLS CREATEDB PASSWORD 'x'")
    try:
        database = await value(large, "SELECT current_database()")
        tables = await value(
            large,
            "SELECT string_agg(format('ALTER TABLE %I OWNER TO ROLE', relname), ';') FROM pg_class "
            "WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')",
        )
        await run(
            large,
            f"ALTER DATABASE {database} OWNER TO {role}",
            str(tables).replace("ROLE", role),
            "ALTER TABLE audit_entry ENABLE ROW LEVEL SECURITY",
            "ALTER TABLE audit_entry FORCE ROW LEVEL SECURITY",
            "CREATE POLICY own ON audit_entry USING (false)",
        )
        await large.record(2)
        across = Installation(large.url.replace("postgres@", f"{role}:x@"), large.var_dir)
        manifest = await across.backups().create()
        await large.record(1)

        found = await drills.drill(across.backups(), manifest)
        await restoring.restore(across.backups(), manifest)

        assert (found.faults, found.entries) == ((), 2)
        assert await large.entries() == 2
        assert await value(large, "SELECT relforcerowsecurity FROM pg_class WHERE relname = 'audit_entry'")
    finally:
        await run(large, f"REASSIGN OWNED BY {role} TO postgres", f"DROP OWNED BY {role}")
        await asyncio.to_thread(run_sql, f"DROP ROLE {role}")
