"""Point in time: the shipped configuration and scripts bring a real cluster back to a moment between two writes."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest

from ossature.kernel.audit.trail import Trail
from ossature.kernel.context import SYSTEM_TENANT_ID, Actor
from ossature.kernel.db.engine import Database
from ossature.kernel.db.settings import DatabaseSettings
from ossature.kernel.testing import schema
from ossature.kernel.testing.context import SmallHouse
from tests.conftest import missing
from tests.house.places import ROOT
from tests.servers import executable, free_port

SHIPPED = ROOT / "deploy" / "pgbackrest"
LIMIT_S = 120
ANNE = Actor(kind="user", id=UUID(int=7), name="anne@example.org", ip="192.0.2.7")


class Cluster:
    """A PostgreSQL cluster and a repository of their own, with the configuration that is shipped."""

    def __init__(self, folder: Path, programs: Path) -> None:
        self.folder, self.programs, self.port = folder, programs, free_port()
        self.data = folder / "data"
        self.prefix = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        self.environment = {
            "PATH": f"{programs}:{os.environ['PATH']}",
            "LANG": "C.UTF-8",
            "PGBACKREST_CONFIG": str(folder / "pgbackrest.conf"),
            "PGBACKREST_PG1_PATH": str(self.data),
            "PGBACKREST_PG1_PORT": str(self.port),
            "PGBACKREST_PG1_SOCKET_PATH": str(folder),
            "PGBACKREST_REPO1_PATH": str(folder / "repository"),
            "PGBACKREST_REPO1_CIPHER_PASS": "a passphrase of tests",
            "PGBACKREST_LOG_PATH": str(folder / "log"),
            "PGBACKREST_LOCK_PATH": str(folder / "lock"),
            "PGBACKREST_SPOOL_PATH": str(folder / "spool"),
        }

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run something as the owner of the cluster."""
        done = subprocess.run(
            [*self.prefix, *command], env=self.environment, cwd=self.folder, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True, timeout=LIMIT_S, check=False,
        )  # fmt: skip
        assert not check or done.returncode == 0, f"{command}:\n{done.stdout}"
        return done

    def start(self) -> None:
        """Serve, once it takes connections. Its output goes to a file: a pipe would stay open as long as it runs."""
        options = f"-p {self.port} -h 127.0.0.1 -k {self.folder}"
        log = self.folder / "postgres.log"
        command = ("pg_ctl", "-D", str(self.data), "-w", "-t", str(LIMIT_S), "-l", str(log), "-o", options, "start")
        assert self.run(*command, check=False).returncode == 0, log.read_text()

    def stop(self) -> None:
        """Stop, if it runs."""
        self.run("pg_ctl", "-D", str(self.data), "-m", "fast", "-w", "stop", check=False)

    @property
    def url(self) -> str:
        """Of its first database."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    async def value(self, statement: str) -> object:
        """What one statement gives."""
        connection = await asyncpg.connect(self.url)
        try:
            return await connection.fetchval(statement)
        finally:
            await connection.close()


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    initdb = executable("initdb", "/usr/lib/postgresql/*/bin/initdb")
    if initdb is None or executable("pgbackrest") is None:
        missing("PostgreSQL or pgBackRest")
    assert initdb is not None
    # Not below pytest's own folder, which the user postgres cannot enter.
    folder = Path(tempfile.mkdtemp(prefix="ossature-pitr-"))
    for name in ("pgbackrest.conf", "archiving.conf", "backup.sh", "restore-to.sh"):
        shutil.copy(SHIPPED / name, folder / name)
    if os.geteuid() == 0:
        owner = pwd.getpwnam("postgres")
        for path in (folder, *folder.iterdir()):
            os.chown(path, owner.pw_uid, owner.pw_gid)
    made = Cluster(folder, Path(initdb).parent)
    made.run("mkdir", "repository", "log", "lock", "spool")
    made.run("initdb", "-D", str(made.data), "-U", "postgres", "-A", "trust", "-E", "UTF8")
    with (made.data / "postgresql.conf").open("a") as settings:
        settings.write(f"\ninclude '{folder / 'archiving.conf'}'\n")
    yield made
    made.stop()
    shutil.rmtree(folder, ignore_errors=True)


async def record(database: Database, times: int) -> None:
    async with database.begin() as db:
        ctx = SmallHouse().ctx(db, actor=ANNE)
        for number in range(times):
            await ctx.audit("key.created", f"key:{number}")


async def test_a_cluster_goes_back_to_a_moment_between_two_writes(cluster: Cluster) -> None:
    cluster.start()
    url = cluster.url.replace("postgresql://", "postgresql+asyncpg://")
    database = Database(DatabaseSettings(url=url))
    await schema.create(database)
    cluster.run("./backup.sh", "full")
    # pgBackRest knows the end of a backup by the second, and goes back to moments after that second only.
    await cluster.value("SELECT pg_sleep(2)")
    await record(database, 3)
    moment = await cluster.value("SELECT clock_timestamp()::text")
    await record(database, 2)
    # The write after the moment goes to the repository, as it does by itself after five minutes.
    await cluster.value("SELECT pg_switch_wal()")
    cluster.run("pgbackrest", "--stanza=ossature", "check")
    await database.close()

    refused = cluster.run("./restore-to.sh", str(moment), "--force", check=False)
    assert refused.returncode != 0, "a cluster that runs is left alone"
    cluster.stop()
    unasked = cluster.run("./restore-to.sh", str(moment), check=False)
    assert (unasked.returncode, "is lost. Go on?" in unasked.stdout) == (1, True)
    cluster.run("./restore-to.sh", str(moment), "--force")
    cluster.start()
    for _ in range(LIMIT_S):
        if not await cluster.value("SELECT pg_is_in_recovery()"):
            break
        await cluster.value("SELECT pg_sleep(1)")

    restored = Database(DatabaseSettings(url=url))
    try:
        async with restored.begin() as db:
            verdict = await Trail().verify(db, SYSTEM_TENANT_ID)
        assert (verdict.checked, verdict.intact) == (3, True)
        await record(restored, 1)  # it takes writes again
    finally:
        await restored.close()


def test_a_script_that_is_called_wrongly_says_how(cluster: Cluster) -> None:
    for script in ("./backup.sh", "./restore-to.sh"):
        said = cluster.run(script, check=False)
        assert (said.returncode, "usage: " in said.stdout) == (2, True)
