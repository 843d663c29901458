"""SQLite: a snapshot while others write, and the exchange of a database for another one.

Source: sqlite.org/backup.html (the whole file in one step, so that it is one moment of the database);
sqlite.org/wal.html and sqlite.org/howtocorrupt.html, 1.4 (a database and its log belong together).
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from ossature.kernel.backup.domain import BackupDamaged, DatabaseInUse
from ossature.kernel.backup.shelf import sync_folder

KEPT: Final = ".replaced"
"""What the name of the database that a restore took away ends with."""
_LOGS: Final = ("-wal", "-shm", "-journal")
FILES: Final = ("", *_LOGS, KEPT, *(KEPT + suffix for suffix in _LOGS))
"""What the names of a database and of the files that belong to it end with."""
_IN_USE: Final = "Stop the processes that have the database open, then restore: they would go on with the old one."
_WAIT_S: Final = 5.0
_FAULTS_MOST: Final = 20


def snapshot(source: Path, target: Path, *, wait_s: float = 60.0) -> None:
    """Copy the database as it is at one moment; nobody who writes waits for it. Raises: sqlite3.Error."""
    live = sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True, timeout=wait_s)
    with closing(live), closing(sqlite3.connect(target)) as copy:
        live.backup(copy)
        # One file that needs no other beside it; whoever opens it as a database takes the log up again.
        copy.execute("PRAGMA journal_mode = DELETE")


def tables(path: Path) -> dict[str, int]:
    """The rows of every table. Raises: BackupDamaged."""
    names = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as copy:
            found = [name for (name,) in copy.execute(names)]
            return {name: copy.execute(f"SELECT count(*) FROM {_quoted(name)}").fetchone()[0] for name in found}  # noqa: S608 - names of its own tables
    except sqlite3.DatabaseError as error:
        raise BackupDamaged(f"The database in it cannot be read: {error}") from error


def revision(path: Path) -> str:
    """Where the database stands in its history; empty before its first step."""
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as copy:
        known = copy.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone()
        row = copy.execute("SELECT version_num FROM alembic_version").fetchone() if known else None
    return str(row[0]) if row else ""


def faults(path: Path) -> list[str]:
    """What SQLite finds wrong in a database; nothing for a sound one."""
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as copy:
            said = [str(row[0]) for row in copy.execute(f"PRAGMA integrity_check({_FAULTS_MOST})")]
            dangling = copy.execute("PRAGMA foreign_key_check").fetchmany(_FAULTS_MOST)
    except sqlite3.DatabaseError as error:
        return [f"the database cannot be read: {error}"]
    return [one for one in said if one != "ok"] + [
        f"row {row} of {table} refers to what is not there" for table, row, *_ in dangling
    ]


def swap(new: Path, place: Path) -> None:
    """Put `new`, which lies on the same disk, in the place of a database; that one stays beside it as `NAME.replaced`.

    One rename decides: before it the old database is the database, afterwards the new one. Raises: DatabaseInUse.
    """
    kept = place.with_name(place.name + KEPT)
    with _alone(place):
        if place.exists():
            beside = place.with_name(f"{place.name}{KEPT}.{os.getpid()}")
            beside.unlink(missing_ok=True)
            os.link(place, beside)
            beside.replace(kept)
        new.replace(place)
        sync_folder(place.parent)


@contextmanager
def _alone(place: Path) -> Iterator[None]:
    """The time in which nobody else has a database open, and no log of it is left. Raises: DatabaseInUse."""
    if not place.exists():
        _put_logs_aside(place)
        yield
        return
    with closing(sqlite3.connect(place, timeout=_WAIT_S, isolation_level=None)) as old:
        try:
            # Needs the file alone, and writes what is in the log to it.
            (mode,) = old.execute("PRAGMA journal_mode = DELETE").fetchone()
            if mode != "delete":
                raise DatabaseInUse(_IN_USE)
            old.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
                raise DatabaseInUse(_IN_USE) from error
            raise
        except sqlite3.DatabaseError:  # damaged, which may be why there is a restore; its log must not meet the new one
            _put_logs_aside(place)
        yield


def _put_logs_aside(place: Path) -> None:
    for suffix in _LOGS:
        log = place.with_name(place.name + suffix)
        if log.exists():
            log.replace(place.with_name(f"{place.name}{KEPT}{suffix}"))


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
