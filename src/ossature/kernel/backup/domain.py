"""What a backup is: its manifest, which ones are kept, and what can be wrong with one."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final, Literal

import orjson

from ossature.kernel.errors import Conflict, InvalidInput, Misconfigured, NotFound, Problem, Unavailable

FORMAT: Final = 1
DATABASE: Final = "database"
STATE: Final = "state"


class BackupNotFound(NotFound):
    """There is no backup of that name; `ossature backup list` shows those that there are."""

    title = "No such backup"


class BackupDamaged(Problem):
    """The backup is not what was written, so nothing was restored from it. Take another one."""

    title = "Backup damaged"


class BackupDoesNotFit(InvalidInput):
    """The backup is of another kind of database, or of a later version of the product."""

    title = "Backup does not fit"


class BackupIsRunning(Conflict):
    """Another process makes a backup or holds a drill in the same folder; wait for its end."""

    title = "Backup is running"


class DatabaseInUse(Conflict):
    """Processes have the database open. Stop them, then restore: they would go on with the old one."""

    title = "Database in use"


class BackupProgramMissing(Misconfigured):
    """A program that comes with PostgreSQL is not on this machine; OSSATURE_BACKUP_PROGRAMS says where it is."""

    title = "Program missing"


class BackupProgramFailed(Unavailable):
    """A program that comes with PostgreSQL failed, or took too long; the detail is what it said."""

    title = "Program failed"


class NoScratchDatabase(Misconfigured):
    """A drill needs a database of its own beside the real one, which the role may not make: ALTER ROLE ... CREATEDB."""

    title = "No scratch database"


@dataclass(frozen=True, slots=True)
class Part:
    """One file of a backup. sha256: of what lies there, hexadecimal."""

    file: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup holds and how to tell that it still does.

    taken_at: nothing committed later is in it. revision: where the database stood in its history. tables: rows by table.
    format: how the database is written. key: the id of the key that sealed it, empty for an open one.
    """

    name: str
    taken_at: datetime
    finished_at: datetime
    product: str
    database: Literal["sqlite", "postgresql"]
    database_version: str
    format: Literal["sqlite", "custom", "plain"]
    revision: str
    tables: Mapping[str, int]
    state_files: int
    parts: Mapping[str, Part]
    key: str = ""

    @property
    def size_bytes(self) -> int:
        """What the whole backup takes on the disk."""
        return sum(part.size_bytes for part in self.parts.values())

    @property
    def rows(self) -> int:
        """How many rows all tables have together."""
        return sum(self.tables.values())

    def to_json(self) -> bytes:
        """The manifest as it is written."""
        return orjson.dumps({"layout": FORMAT, **asdict(self)}, option=orjson.OPT_INDENT_2 | orjson.OPT_UTC_Z)

    @classmethod
    def from_json(cls, text: bytes) -> "Manifest":
        """A manifest as it was written. Raises: BackupDamaged."""
        try:
            read: dict[str, Any] = orjson.loads(text)
            if read.pop("layout") != FORMAT:
                raise BackupDamaged("Its manifest is of a layout that this version does not know.")
            for moment in ("taken_at", "finished_at"):
                read[moment] = datetime.fromisoformat(read[moment])
            read["parts"] = {name: Part(**part) for name, part in read["parts"].items()}
            return cls(**read)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise BackupDamaged(f"Its manifest cannot be read: {error}") from error


@dataclass(frozen=True, slots=True)
class Keeping:
    """How many hours, days, weeks and months keep their newest backup."""

    hourly: int
    daily: int
    weekly: int
    monthly: int


def kept(moments: Iterable[datetime], keeping: Keeping) -> set[datetime]:
    """Those of these moments whose backups are kept: the newest of all, and the newest of each period that counts.

    A period without a backup does not count: after a long silence old backups are as precious as before.
    """
    newest_first: Sequence[datetime] = sorted(moments, reverse=True)
    found = set(newest_first[:1])
    for form, count in (
        ("%Y%m%d%H", keeping.hourly),
        ("%Y%m%d", keeping.daily),
        ("%G%V", keeping.weekly),
        ("%Y%m", keeping.monthly),
    ):
        periods: dict[str, datetime] = {}
        for moment in newest_first:
            periods.setdefault(moment.strftime(form), moment)
        found.update(list(periods.values())[:count])
    return found


def differences(expected: Mapping[str, int], found: Mapping[str, int]) -> list[str]:
    """One sentence for each table that has not as many rows as it should."""
    return [
        f"table {table}: {found.get(table, 'no such table')} rows in place of {expected.get(table, 'no such table')}"
        for table in sorted({*expected, *found})
        if expected.get(table) != found.get(table)
    ]
