"""PostgreSQL: a dump of one snapshot while others write, and its way back in one transaction.

Source: PostgreSQL, pg_dump (`--snapshot`), pg_restore (`--use-list`), psql (`--single-transaction`).
"""

import re
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import asyncpg  # type: ignore[import-untyped] # without types
from sqlalchemy.engine import URL

from ossature.kernel.backup import programs
from ossature.kernel.backup.domain import BackupProgramFailed, NoScratchDatabase

_TABLES: Final = """
SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = 'public' AND c.relkind = 'r'
AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e') ORDER BY c.relname
"""
# Everything of ours goes, in one statement: tables that the backup does not know too. What extensions brought stays.
_EMPTY: Final = """
DO $$ DECLARE one record; BEGIN
FOR one IN SELECT c.oid::regclass AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') AND NOT c.relispartition
AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')
LOOP EXECUTE format('DROP TABLE IF EXISTS %s CASCADE', one.name); END LOOP; END $$;
"""
_LIMITS: Final = "SET lock_timeout = '60s'; SET statement_timeout = 0; SET client_min_messages = warning;"
# Extensions and the schema belong to whoever runs the server; a restore takes them as they are.
_NOT_OURS: Final = re.compile(
    r"^\d+; \d+ \d+ (SCHEMA - public |EXTENSION - |COMMENT - EXTENSION |COMMENT - SCHEMA public)"
)
_DATA: Final = re.compile(r"\d+; \d+ \d+ TABLE DATA public (\S+) ")
_LIST_LIMIT_S: Final = 600.0
_SSL: Final = ("sslmode", "ssl")


@dataclass(frozen=True, slots=True)
class Cluster:
    """A database of a server, as the programs of PostgreSQL and asyncpg take it."""

    host: str
    port: int
    user: str
    password: str
    database: str
    ssl: str
    programs: str
    time_limit_s: float

    @classmethod
    def of(cls, url: URL, *, folder: str, time_limit_s: float) -> "Cluster":
        """The database of a SQLAlchemy URL. folder: where the programs are, empty for where systems put them."""
        said: dict[str, Any] = {name: value for name, value in url.query.items() if isinstance(value, str)}
        ssl = next((str(said[name]) for name in _SSL if name in said), "")
        return cls(
            host=url.host or str(said.get("host", "127.0.0.1")),
            port=url.port or 5432,
            user=url.username or "postgres",
            password=str(url.password or ""),
            database=url.database or "postgres",
            ssl={"true": "require", "True": "require"}.get(ssl, ssl),
            programs=folder,
            time_limit_s=time_limit_s,
        )

    @property
    def environment(self) -> dict[str, str]:
        """How a program is told where to connect: not by its arguments, which everybody can read."""
        said = {"PGHOST": self.host, "PGPORT": str(self.port), "PGUSER": self.user, "PGDATABASE": self.database}
        said["PGAPPNAME"] = "ossature backup"
        return (
            said
            | ({"PGPASSWORD": self.password} if self.password else {})
            | ({"PGSSLMODE": self.ssl} if self.ssl else {})
        )

    def database_named(self, name: str) -> "Cluster":
        """Another database of the same server."""
        return replace(self, database=name)

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Any]:
        """A connection of its own. Raises: OSError, asyncpg.PostgresError."""
        connection = await asyncpg.connect(
            host=self.host,
            port=self.port,
            user=self.user,
            password=self.password or None,
            database=self.database,
            ssl=self.ssl or None,
            timeout=30,
            server_settings={"statement_timeout": "0", "application_name": "ossature backup"},
        )
        try:
            yield connection
        finally:
            await connection.close()

    async def run(self, name: str, *arguments: str, **files: Any) -> None:
        """Run a program of PostgreSQL on this database. Raises: BackupProgramFailed, BackupProgramMissing."""
        argv = [programs.find(name, self.programs, major=await self._major()), *arguments]
        await programs.run(argv, environment=self.environment, time_limit_s=self.time_limit_s, **files)

    async def _major(self) -> int:
        """The version of the server; 0 when it does not say, so that the program itself tells why."""
        with suppress(OSError, asyncpg.PostgresError):
            async with self.connected() as connection:
                return int(connection.get_server_version().major)
        return 0


@dataclass(frozen=True, slots=True)
class Dumped:
    """What a dump holds."""

    version: str
    revision: str
    tables: Mapping[str, int]


async def dump(cluster: Cluster, target: Path) -> Dumped:
    """Write the database, as it is at one moment, in the custom format; rows are counted in the same snapshot."""
    async with cluster.connected() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
        snapshot = await connection.fetchval("SELECT pg_export_snapshot()")
        await cluster.run(
            "pg_dump", "--format=custom", "--compress=0", f"--snapshot={snapshot}", f"--file={target}", "--no-password"
        )
        await connection.execute("SET LOCAL row_security = off")
        return Dumped(
            version=str(await connection.fetchval("SHOW server_version")),
            revision=await _revision(connection),
            tables=await _counted(connection),
        )


async def tables(cluster: Cluster) -> dict[str, int]:
    """The rows of every table."""
    async with cluster.connected() as connection, connection.transaction(readonly=True):
        await connection.execute("SET LOCAL row_security = off")
        return await _counted(connection)


async def _counted(connection: Any) -> dict[str, int]:  # noqa: ANN401 - asyncpg has no types
    names = [row["relname"] for row in await connection.fetch(_TABLES)]
    return {name: await connection.fetchval(f"SELECT count(*) FROM public.{_quoted(name)}") for name in names}  # noqa: S608 - names of its own tables


async def _revision(connection: Any) -> str:  # noqa: ANN401 - asyncpg has no types
    if await connection.fetchval("SELECT to_regclass('public.alembic_version')") is None:
        return ""
    return str(await connection.fetchval("SELECT version_num FROM alembic_version") or "")


async def to_sql(cluster: Cluster, source: Path, target: Path, *, privileges: bool = True) -> None:
    """Write a dump as plain SQL, without what belongs to the server and not to us. Raises: BackupProgramFailed."""
    contents = target.with_name(f"{target.name}.list")
    with contents.open("xb") as file:
        await cluster.run("pg_restore", "--list", str(source), target=file)
    kept = [line for line in contents.read_text().splitlines() if not _NOT_OURS.match(line)]
    contents.write_text("\n".join(kept) + "\n")
    arguments = ["--clean", "--if-exists", "--no-owner", f"--use-list={contents}", f"--file={target}"]
    if not privileges:
        arguments.append("--no-privileges")
    await cluster.run("pg_restore", *arguments, str(source))
    contents.unlink()


async def restore(cluster: Cluster, source: Path, tables: Mapping[str, int]) -> None:
    """Have the database hold what plain SQL says, and exactly these rows; all of it or nothing.

    Whoever reads meanwhile sees the old rows until the end, then the new ones. Raises: BackupProgramFailed.
    """
    check = source.with_name(f"{source.name}.check")
    check.write_text("\n".join(_counting(tables)))
    try:
        arguments = ["--no-psqlrc", "--quiet", "--no-password", "--single-transaction", "--set=ON_ERROR_STOP=1"]
        steps = [f"--command={_LIMITS}", f"--command={_EMPTY}", f"--file={source}", f"--file={check}"]
        await cluster.run("psql", *arguments, *steps)
    finally:
        check.unlink()


def _counting(tables: Mapping[str, int]) -> Iterator[str]:
    """SQL that fails unless these tables have these rows."""
    yield "SET row_security = off;"
    for name, rows in tables.items():
        table = f"public.{_quoted(name)}"
        yield (
            f"DO $check$ DECLARE found bigint; BEGIN SELECT count(*) INTO found FROM {table}; IF found <> {rows} THEN "  # noqa: S608 - as above
            f"RAISE EXCEPTION 'table %: % rows in place of %', {_literal(name)}, found, {rows}; END IF; END $check$;"
        )


@asynccontextmanager
async def scratch(cluster: Cluster, name: str) -> AsyncIterator[Cluster]:
    """An empty database beside, gone when the block ends. Raises: NoScratchDatabase."""
    async with cluster.connected() as connection:
        try:
            await connection.execute(f"CREATE DATABASE {_quoted(name)} TEMPLATE template0 ENCODING 'UTF8'")
        except asyncpg.InsufficientPrivilegeError as error:
            raise NoScratchDatabase(f"{cluster.user} may not make a database.") from error
    try:
        yield cluster.database_named(name)
    finally:
        async with cluster.connected() as connection:
            await connection.execute(f"DROP DATABASE IF EXISTS {_quoted(name)} WITH (FORCE)")


async def drop_left(cluster: Cluster, prefix: str) -> None:
    """Remove the scratch databases that a killed process left."""
    async with cluster.connected() as connection:
        rows = await connection.fetch("SELECT datname FROM pg_database WHERE starts_with(datname, $1)", prefix)
        for row in rows:
            await connection.execute(f"DROP DATABASE IF EXISTS {_quoted(row['datname'])} WITH (FORCE)")


async def listed(folder: str, source: Path, tables: Mapping[str, int]) -> list[str]:
    """Which of these tables a dump does not hold; what cannot be read at all is a fault too.

    folder: where the programs are, empty for where systems put them.
    """
    contents = source.with_name(f"{source.name}.list")
    argv = [programs.find("pg_restore", folder), "--list", str(source)]
    try:
        with contents.open("xb") as file:
            await programs.run(argv, environment={}, time_limit_s=_LIST_LIMIT_S, target=file)
        lines = contents.read_text().splitlines()
    except BackupProgramFailed as failed:
        return [f"the dump cannot be read: {failed.detail}"]
    finally:
        contents.unlink(missing_ok=True)
    held = {found[1] for line in lines if (found := _DATA.match(line))}
    return [f"table {name}: not in the dump" for name in sorted(set(tables) - held)]


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
