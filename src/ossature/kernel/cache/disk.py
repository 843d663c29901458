"""The second level in a SQLite file: survives a restart, and is shared by the processes of one machine."""

import asyncio
import secrets
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from ossature.kernel import clock
from ossature.kernel.cache.memory import escaped
from ossature.kernel.db.wal import begin_wal

_T = TypeVar("_T")

_SCHEMA = """
CREATE TABLE IF NOT EXISTS entry (key TEXT PRIMARY KEY, body BLOB NOT NULL, dies_at REAL NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS entry_dies_at ON entry (dies_at);
CREATE TABLE IF NOT EXISTS tag (tag TEXT, key TEXT, PRIMARY KEY (tag, key)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS tag_key ON tag (key);
CREATE TABLE IF NOT EXISTS lease (key TEXT PRIMARY KEY, token TEXT NOT NULL, ends_at REAL NOT NULL) WITHOUT ROWID;
"""
_TRIM = """DELETE FROM entry WHERE key IN (SELECT key FROM (
    SELECT key, sum(length(body)) OVER (ORDER BY dies_at DESC, key) AS so_far FROM entry) WHERE so_far > ?)"""
_SWEEP_EVERY = 256
_SWEEP_SHARE = 16  # it is at most a sixteenth larger than it may be
_CLAIM = (
    "INSERT INTO lease (key, token, ends_at) VALUES (?, ?, ?) ON CONFLICT (key) DO UPDATE"
    " SET token = excluded.token, ends_at = excluded.ends_at WHERE lease.ends_at <= ?"
)


class DiskLevel:
    """A file of entries; one thread speaks to it. Its loss costs nothing but time: a damaged file is begun anew."""

    name = "disk"

    def __init__(self, path: Path, *, most_bytes: int, time_limit_s: float) -> None:
        """A level in the file at `path`, which is made at the first use."""
        self._path = path
        self._most_bytes = most_bytes
        self._time_limit_s = time_limit_s
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="cache")
        self._opened: sqlite3.Connection | None = None
        self._puts = 0
        self._put_bytes = 0

    async def get(self, key: str, /) -> bytes | None:
        """An entry. Raises: OSError."""

        def read(file: sqlite3.Connection) -> bytes | None:
            row = file.execute("SELECT body FROM entry WHERE key = ? AND dies_at > ?", (key, _now())).fetchone()
            return row[0] if row else None

        return await self._run(read)

    async def put(self, key: str, entry: bytes, /, *, lives_s: float, tags: Sequence[str]) -> None:
        """Keep an entry for a time. Raises: OSError."""
        room, _, _ = key.partition(":")

        def write(file: sqlite3.Connection) -> None:
            with file:
                file.execute("DELETE FROM tag WHERE key = ?", (key,))
                file.execute("INSERT OR REPLACE INTO entry VALUES (?, ?, ?)", (key, entry, _now() + lives_s))
                file.executemany(
                    "INSERT INTO tag VALUES (?, ?)", [(f"{room}:{tag}", key) for tag in dict.fromkeys(tags)]
                )
            self._puts += 1
            self._put_bytes += len(entry)
            if self._puts >= _SWEEP_EVERY or self._put_bytes * _SWEEP_SHARE >= self._most_bytes:
                self._puts = self._put_bytes = 0
                self._sweep(file)

        await self._run(write)

    async def claim(self, key: str, /, *, for_s: float) -> str | None:
        """The right to fetch this key; None while somebody else has it. Raises: OSError."""
        token = secrets.token_hex(8)

        def take(file: sqlite3.Connection) -> bool:
            with file:
                return file.execute(_CLAIM, (key, token, _now() + for_s, _now())).rowcount == 1

        return token if await self._run(take) else None

    async def yield_claim(self, key: str, token: str, /) -> None:
        """Give that right back, if it is still ours. Raises: OSError."""
        await self._write("DELETE FROM lease WHERE key = ? AND token = ?", (key, token))

    async def remove(self, keys: Sequence[str], /) -> int:
        """Forget entries. Raises: OSError."""

        def delete(file: sqlite3.Connection) -> int:
            with file:
                return file.executemany("DELETE FROM entry WHERE key = ?", [(key,) for key in keys]).rowcount

        return max(0, await self._run(delete))

    async def remove_tag(self, prefix: str, tag: str, /) -> int:
        """Forget what was kept under a tag. Raises: OSError."""
        return await self._write("DELETE FROM entry WHERE key IN (SELECT key FROM tag WHERE tag = ?)", (prefix + tag,))

    async def remove_like(self, pattern: str, /) -> int:
        """Forget keys that match. Raises: OSError."""
        return await self._write("DELETE FROM entry WHERE key GLOB ?", (escaped(pattern),))

    async def size(self, prefix: str, /) -> tuple[int, int]:
        """How many entries begin so, and their bytes. Raises: OSError."""

        def count(file: sqlite3.Connection) -> tuple[int, int]:
            # Everything that begins with the prefix lies before the prefix and the highest character.
            row = file.execute(
                "SELECT count(*), coalesce(sum(length(body)), 0) FROM entry WHERE key >= ? AND key < ? AND dies_at > ?",
                (prefix, f"{prefix}\U0010ffff", _now()),
            ).fetchone()
            return int(row[0]), int(row[1])

        return await self._run(count)

    async def close(self) -> None:
        """Close the file."""
        if self._opened is not None:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._opened.close)
        self._thread.shutdown(wait=False)

    async def _write(self, sql: str, values: Sequence[str]) -> int:
        def write(file: sqlite3.Connection) -> int:
            with file:
                return file.execute(sql, values).rowcount

        return await self._run(write)

    async def _run(self, call: Callable[[sqlite3.Connection], _T]) -> _T:
        try:
            async with asyncio.timeout(self._time_limit_s):
                return await asyncio.get_running_loop().run_in_executor(self._thread, self._call, call)
        except sqlite3.Error as error:
            raise OSError(str(error)) from error

    def _call(self, call: Callable[[sqlite3.Connection], _T]) -> _T:
        try:
            return call(self._file())
        except sqlite3.DatabaseError as error:
            # Damage has no class of its own; the others are about a full disk, a lock, or a use that is ours to mend.
            if type(error) is not sqlite3.DatabaseError:
                raise
            self._begin_anew()
            return call(self._file())

    def _begin_anew(self) -> None:
        if self._opened is not None:
            self._opened.close()
            self._opened = None
        for ending in ("", "-wal", "-shm"):
            self._path.with_name(self._path.name + ending).unlink(missing_ok=True)

    def _file(self) -> sqlite3.Connection:
        """The open file; called in its thread."""
        if self._opened is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            opened = sqlite3.connect(self._path, check_same_thread=False)
            begin_wal(opened, busy_time_limit_s=self._time_limit_s)
            opened.execute("PRAGMA synchronous = NORMAL")
            opened.executescript(_SCHEMA)
            self._opened = opened
        return self._opened

    def _sweep(self, file: sqlite3.Connection) -> None:
        """Forget what is dead, and of the living those that die first, until the file is within its size."""
        with file:
            file.execute("DELETE FROM entry WHERE dies_at <= ?", (_now(),))
            file.execute("DELETE FROM lease WHERE ends_at <= ?", (_now(),))
            (size,) = file.execute("SELECT coalesce(sum(length(body)), 0) FROM entry").fetchone()
            if size > self._most_bytes:
                file.execute(_TRIM, (self._most_bytes,))
            file.execute("DELETE FROM tag WHERE key NOT IN (SELECT key FROM entry)")


def _now() -> float:
    return clock.now().timestamp()
