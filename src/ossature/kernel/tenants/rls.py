"""Row-level security on PostgreSQL: the second wall between tenants.

Every table with a tenant column gets one policy set: a transaction sees and writes the rows of the tenant that
`kernel.db.transaction` set in it, and nothing when none is set. FORCE holds the owner of the tables to it as well.
Work across tenants (migrations, backups, the worker) uses a role with BYPASSRLS, `OSSATURE_DATABASE_SYSTEM_URL`.
A migration also grants the role of the requests what it needs, where that is another than the one that migrates.

A table says more about itself in `__table_args__ = ({"info": {...}},)`:
`rls_tenant_column`: the column that holds the tenant, where it is not `tenant_id`.
`rls_shared`: True when every tenant may read (not write) the rows of the house itself.
`rls_also_visible`: an SQL condition under which a row of another tenant may be read.
"""

from collections.abc import Iterable, Iterator

from sqlalchemy import Table

from ossature.kernel.context import SYSTEM_TENANT_ID

SETTING = "ossature.tenant"
CURRENT = f"NULLIF(current_setting('{SETTING}', true), '')::uuid"
_POLICY = "ossature_tenant"
_ADDS = frozenset({"SELECT", "INSERT"})
_WRITES = _ADDS | {"UPDATE", "DELETE"}


def member_of_current(user_column: str) -> str:
    """The SQL condition that a user is a member of the tenant of the transaction."""
    return f"EXISTS (SELECT 1 FROM tenants_member m WHERE m.user_id = {user_column} AND m.tenant_id = {CURRENT})"  # noqa: S608 - names of columns


def tenant_column(table: Table) -> str | None:
    """The column of a table that holds its tenant; None for a table that belongs to no tenant."""
    name = table.info.get("rls_tenant_column", "tenant_id")
    return name if name in table.columns else None


def statements(tables: Iterable[Table]) -> Iterator[str]:
    """SQL that lays the policies of these tables; running it again changes nothing."""
    for table in tables:
        column = tenant_column(table)
        if column is not None:
            yield from _statements(table, column)


def removal(tables: Iterable[Table]) -> Iterator[str]:
    """SQL that takes the policies of these tables away."""
    for table in tables:
        if tenant_column(table) is not None:
            yield from _drops(table)
            yield f"ALTER TABLE {_quoted(table)} NO FORCE ROW LEVEL SECURITY"
            yield f"ALTER TABLE {_quoted(table)} DISABLE ROW LEVEL SECURITY"


def verbs(table: Table) -> frozenset[str]:
    """What the role of the requests may do with a table: read and write it, and only add to an append-only one."""
    return _ADDS if table.info.get("append_only") else _WRITES


def grants(tables: Iterable[Table], role: str) -> Iterator[str]:
    """SQL after which a role may do with these tables what `verbs` says and nothing else; running it again is harmless."""
    yield f"GRANT USAGE ON SCHEMA public TO {_name(role)}"
    for table in tables:
        yield f"REVOKE ALL ON {_quoted(table)} FROM {_name(role)}"
        yield f"GRANT {', '.join(sorted(verbs(table)))} ON {_quoted(table)} TO {_name(role)}"
    yield f"GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {_name(role)}"


def _statements(table: Table, column: str) -> Iterator[str]:
    name, own = _quoted(table), f"{_name(column)} = {CURRENT}"
    readable = [own]
    if table.info.get("rls_shared"):
        readable.append(f"({CURRENT} IS NOT NULL AND {_name(column)} = '{SYSTEM_TENANT_ID}'::uuid)")
    if also := table.info.get("rls_also_visible"):
        readable.append(f"({also})")
    yield f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY"
    yield f"ALTER TABLE {name} FORCE ROW LEVEL SECURITY"
    yield from _drops(table)
    yield f"CREATE POLICY {_POLICY}_read ON {name} FOR SELECT USING ({' OR '.join(readable)})"
    yield f"CREATE POLICY {_POLICY}_insert ON {name} FOR INSERT WITH CHECK ({own})"
    yield f"CREATE POLICY {_POLICY}_update ON {name} FOR UPDATE USING ({own}) WITH CHECK ({own})"
    yield f"CREATE POLICY {_POLICY}_delete ON {name} FOR DELETE USING ({own})"


def _drops(table: Table) -> Iterator[str]:
    for verb in ("read", "insert", "update", "delete"):
        yield f"DROP POLICY IF EXISTS {_POLICY}_{verb} ON {_quoted(table)}"


def _quoted(table: Table) -> str:
    return f"{_name(table.schema)}.{_name(table.name)}" if table.schema else _name(table.name)


def _name(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
