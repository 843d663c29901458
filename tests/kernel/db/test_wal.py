import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ossature.kernel.db.wal import begin_wal

_HOLD = """
import sqlite3, sys, time
held = sqlite3.connect(sys.argv[1], isolation_level=None)
held.execute("CREATE TABLE it (number)")
held.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
time.sleep(float(sys.argv[2]))
held.execute("COMMIT")
sys.stdin.read()
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "shared.db"


@contextmanager
def held_by_another(file: Path, seconds: float) -> Iterator[None]:
    command = [sys.executable, "-c", _HOLD, str(file), str(seconds)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        yield
        other.kill()


def test_a_file_that_another_process_has_alone_is_waited_for(file: Path) -> None:
    with held_by_another(file, 0.4):
        with sqlite3.connect(file, isolation_level=None) as connection:
            begin_wal(connection, busy_time_limit_s=20)

            assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
            assert connection.execute("PRAGMA busy_timeout").fetchone() == (20_000,)
        connection.close()


def test_the_wait_has_an_end(file: Path) -> None:
    with held_by_another(file, 60):
        connection = sqlite3.connect(file, isolation_level=None)
        begun = time.monotonic()

        with pytest.raises(sqlite3.OperationalError, match="locked"):
            begin_wal(connection, busy_time_limit_s=0.2)

        assert time.monotonic() - begun >= 0.2
        connection.close()
