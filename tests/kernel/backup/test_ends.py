"""A full disk and a kill: the old state stays usable, and the next attempt works."""

import os
import signal
import subprocess
import sys

import pytest

from ossature.kernel.backup import restoring, sqlite
from tests.kernel.backup.conftest import Installation

MANY = 2000
LIMIT_S = 240

CHILD = """
import asyncio, os, pkgutil, resource, signal, sys
from ossature.kernel.backup import restoring
from ossature.kernel.backup.backups import Backups
from ossature.kernel.backup.settings import BackupSettings
from ossature.kernel.config import Config
from ossature.kernel.crypto.settings import CryptoSettings
from ossature.kernel.db.settings import DatabaseSettings
from ossature.kernel.files.settings import FileSettings

backups = Backups(Config.load([DatabaseSettings, BackupSettings, FileSettings, CryptoSettings]))
"""
CREATE = "asyncio.run(backups.create())"
RESTORE = "asyncio.run(restoring.restore(backups, backups.shelf.manifest('latest')))"
# Without a handler the signal would end the process; ignored, writing more fails with an error, as on a full disk.
FULL = "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))"
KILL = """
owner = pkgutil.resolve_name({owner!r})
real = getattr(owner, {name!r})
def deadly(*arguments, **options):
    if {when!r} == "after":
        real(*arguments, **options)
    os.kill(os.getpid(), 9)
setattr(owner, {name!r}, deadly)
"""


def ended(home: Installation, *code: str) -> tuple[int, str]:
    """How a process of its own ended that did this, and what it said."""
    environment = {
        "PATH": os.environ["PATH"],
        "OSSATURE_VAR_DIR": str(home.var_dir),
        "OSSATURE_DATABASE_URL": home.url,
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    done = subprocess.run(
        [sys.executable, "-c", "\n".join((CHILD, *code))],
        env=environment,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    return done.returncode, done.stderr


async def test_a_backup_for_which_there_is_no_room_is_none(small: Installation) -> None:
    await small.record(MANY)
    await small.backups().create()

    code, said = ended(small, FULL, CREATE)

    assert code == 1
    assert "disk I/O error" in said
    assert len(small.backups().shelf.names()) == 1
    assert not list(small.backups().shelf.folder.glob(".draft-*"))
    assert await small.entries() == MANY


async def test_a_restore_for_which_there_is_no_room_changes_nothing(small: Installation) -> None:
    await small.record(MANY)
    manifest = await small.backups().create()
    await small.record(1)

    code, said = ended(small, FULL, RESTORE)

    assert code == 1
    assert "File too large" in said
    assert await small.entries() == MANY + 1
    assert not list(small.var_dir.glob(".backup-*"))
    await restoring.restore(small.backups(), manifest)
    assert await small.entries() == MANY


@pytest.mark.parametrize(
    ("room", "name", "when"),
    [
        ("ossature.kernel.backup.sqlite", "faults", "before"),
        ("ossature.kernel.backup.state.State", "put", "after"),
        ("ossature.kernel.backup.sqlite", "swap", "before"),
        ("ossature.kernel.backup.sqlite", "swap", "after"),
    ],
)
async def test_a_restore_that_is_killed_leaves_the_old_database_or_the_new_one(
    small: Installation, room: str, name: str, when: str
) -> None:
    await small.record(3)
    manifest = await small.backups().create()
    await small.record(2)

    code, said = ended(small, KILL.format(owner=room, name=name, when=when), RESTORE)

    assert code == -signal.SIGKILL, said
    assert await small.entries() == (3 if (name, when) == ("swap", "after") else 5)
    assert sqlite.faults(small.backups().database_file) == []
    await restoring.restore(small.backups(), manifest)
    assert await small.entries() == 3
    assert not list(small.var_dir.glob(".backup-*"))
    assert not list(small.backups().database_file.parent.glob(".backup-*"))
