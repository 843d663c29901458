"""Alembic runs this file for each command, on a connection that `kernel.db.migrate` opened.

It gathers the tables of all rooms, and after each revision lays what a revision alone does not keep: the guards of
append-only tables (a rebuild on SQLite drops them), row-level security and grants on PostgreSQL, and the row of the house.
"""

from typing import Literal

from alembic import context
from alembic.autogenerate.api import AutogenContext
from alembic.runtime.migration import MigrationInfo
from sqlalchemy import JSON, Connection, Table, inspect, select, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeDecorator

from ossature.kernel.context import SYSTEM_TENANT_ID
from ossature.kernel.db import appendonly, drift, metadata, migrate
from ossature.kernel.tenants import rls
from ossature.kernel.tenants.store import TenantRow, insert_system_tenant


def lay(connection: Connection, *, everything: bool) -> None:
    """Lay guards, policies and the row of the house, on the tables that are complete at this revision.

    everything: also where they are already, since they may have changed; otherwise only where they are missing, which
    takes no lock from anybody.
    """
    if everything or appendonly.missing(connection):
        appendonly.lay(connection)
    tables = [table for table in metadata.load().sorted_tables if _is_complete(connection, table)]
    if connection.dialect.name == "postgresql":
        walls = tables if everything else [table for table in tables if table.name not in _walled(connection)]
        for statement in rls.statements(walls):
            connection.exec_driver_sql(statement)
        for role in migrate.other_roles(connection, context.config.attributes["roles"]):
            held = _held(connection, role)
            bare = [table for table in tables if everything or held.get(table.name) != rls.verbs(table)]
            for statement in rls.grants(bare, role) if bare else ():
                connection.exec_driver_sql(statement)
    if TenantRow.__table__ in tables:
        house = select(TenantRow.id).where(TenantRow.id == SYSTEM_TENANT_ID)
        if connection.execute(house).first() is None:
            insert_system_tenant(connection)


def _held(connection: Connection, role: str) -> dict[str, frozenset[str]]:
    """What a role was granted itself, by the name of the table."""
    granted = text(
        "SELECT table_name, privilege_type FROM information_schema.role_table_grants"
        " WHERE grantee = :role AND table_schema = current_schema()"
    )
    held: dict[str, frozenset[str]] = {}
    for row in connection.execute(granted, {"role": role}):
        held[row.table_name] = held.get(row.table_name, frozenset()) | {row.privilege_type}
    return held


def _walled(connection: Connection) -> set[str]:
    rows = connection.exec_driver_sql(
        "SELECT c.relname FROM pg_class c JOIN pg_policy p ON p.polrelid = c.oid "
        "WHERE c.relrowsecurity AND c.relforcerowsecurity GROUP BY c.relname HAVING count(*) >= 4"
    )
    return {row[0] for row in rows}


def _is_complete(connection: Connection, table: Table) -> bool:
    looked_at = inspect(connection)
    if not looked_at.has_table(table.name):
        return False
    return set(table.columns.keys()) <= {column["name"] for column in looked_at.get_columns(table.name)}


def _render(kind: str, item: object, rendering: AutogenContext) -> str | Literal[False]:
    """Types of ours as what they are in the database: a revision must not change when our code does."""
    if kind == "type" and isinstance(item, TypeDecorator):
        return f"sa.{item.impl_instance!r}"
    if kind == "type" and isinstance(item, JSON) and not isinstance(item, JSONB):
        rendering.imports.add("from sqlalchemy.dialects import postgresql")
        return 'sa.JSON().with_variant(postgresql.JSONB(), "postgresql")'
    return False


def run() -> None:
    """Do what the command in `context` asks for."""
    connection: Connection = context.config.attributes["connection"]
    steps: list[str] = []

    def stepped(ctx: object, step: MigrationInfo, heads: object, run_args: object) -> None:
        del ctx, heads, run_args
        steps.append(step.up_revision_id or "")
        appendonly.lay(connection)

    direction: migrate.Direction | None = context.config.attributes["direction"]
    postgres = connection.dialect.name == "postgresql"
    ours = drift.is_ours(connection)
    if postgres:
        # What was looked up has begun a transaction, and in one that it did not begin Alembic commits no revision.
        connection.commit()
    context.configure(
        connection=connection,
        target_metadata=metadata.load(),
        render_as_batch=True,
        compare_type=True,
        include_object=ours,
        render_item=_render,
        on_version_apply=stepped,
        # Back is rare and wants to be all or nothing; forward may build an index without a lock, between two of them.
        transaction_per_migration=postgres and direction == "up",
        transactional_ddl=True,
    )
    with context.begin_transaction():
        if postgres and direction == "down":
            # A policy may speak of the tables that are about to go.
            present = set(inspect(connection).get_table_names())
            for statement in rls.removal(t for t in metadata.load().sorted_tables if t.name in present):
                connection.exec_driver_sql(statement)
        context.run_migrations()
        if direction is not None:
            lay(connection, everything=bool(steps) or direction == "down")


# Alembic loads this file by its path and gives it this name.
if __name__ == "env_py":
    run()
