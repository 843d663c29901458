"""SQLite files that several processes have open: readers beside one writer, by its write-ahead log."""

import sqlite3
import time
from typing import Protocol

_PAUSE_S = 0.02


class Executes(Protocol):
    """A connection of `sqlite3`, or what stands for one."""

    def execute(self, sql: str, /) -> object:
        """Run one statement."""


def begin_wal(connection: Executes, *, busy_time_limit_s: float) -> None:
    """Have a new connection use the log, and wait for others up to `busy_time_limit_s` from now on.

    The change to the log, and its recovery after a process was killed, need the file alone; SQLite then does not wait
    but says "locked" at once. We wait in its place. Source: sqlite.org/wal.html, 8. Raises: sqlite3.OperationalError.
    """
    connection.execute(f"PRAGMA busy_timeout = {int(busy_time_limit_s * 1000)}")
    until_s = time.monotonic() + busy_time_limit_s
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until_s:
                raise
            time.sleep(_PAUSE_S)
        else:
            return
