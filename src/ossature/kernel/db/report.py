"""What is in the database: rows, sizes, scans; and on PostgreSQL, where its time goes."""

from typing import Any

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from ossature.kernel.db.engine import Database
from ossature.kernel.errors import Unavailable

_POSTGRES_TABLES = text("""
    SELECT relname AS "table", n_live_tup AS rows, n_dead_tup AS dead,
           pg_total_relation_size(relid) / 1024 AS total_kb, pg_indexes_size(relid) / 1024 AS index_kb,
           seq_scan AS full_scans, idx_scan AS index_scans
    FROM pg_stat_user_tables ORDER BY pg_total_relation_size(relid) DESC, relname
""")
_POSTGRES_STATEMENTS = text("""
    SELECT calls, round(total_exec_time::numeric, 1) AS total_ms, round(mean_exec_time::numeric, 2) AS mean_ms,
           rows, left(query, 300) AS statement
    FROM pg_stat_statements ORDER BY total_exec_time DESC LIMIT 20
""")
_SQLITE_TABLES = text("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name")


class NoStatementStatistics(Unavailable):
    """This database keeps no statistics of statements: PostgreSQL does with the extension `pg_stat_statements`."""

    title = "No statement statistics"


async def tables(database: Database) -> list[dict[str, Any]]:
    """Every table with its rows; on PostgreSQL (where rows are an estimate) also its size and how it is read."""
    async with database.begin() as db:
        if not database.embedded:
            return [dict(row._mapping) for row in await db.all(_POSTGRES_TABLES)]  # noqa: SLF001 - the public name of a row's dict
        found = []
        for (name,) in await db.all(_SQLITE_TABLES):
            rows = await db.scalar(text(f'SELECT count(*) FROM "{name}"'))  # noqa: S608 - a name from the catalogue
            found.append({"table": name, "rows": rows})
        return sorted(found, key=lambda row: -row["rows"])


async def slow_statements(database: Database) -> list[dict[str, Any]]:
    """The twenty statements that took most time in all. Raises: NoStatementStatistics."""
    if database.embedded:
        raise NoStatementStatistics("SQLite keeps none; slow statements are in the log as db.slow_statement.")
    try:
        async with database.begin() as db:
            return [dict(row._mapping) for row in await db.all(_POSTGRES_STATEMENTS)]  # noqa: SLF001 - as above
    except DBAPIError as error:
        raise NoStatementStatistics(
            "CREATE EXTENSION pg_stat_statements (and load it by shared_preload_libraries)."
        ) from error
