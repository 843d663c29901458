"""An installation of its own for each test: a database, a folder, and things in both."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from pydantic import SecretStr
from sqlalchemy import text

from ossature.kernel.backup.backups import Backups
from ossature.kernel.backup.settings import BackupSettings
from ossature.kernel.config import Config, MainSettings
from ossature.kernel.context import SYSTEM_TENANT_ID, Actor
from ossature.kernel.db.engine import Database
from ossature.kernel.db.settings import DatabaseSettings
from ossature.kernel.files.archive import Files
from ossature.kernel.files.blobs import DiskBlobs
from ossature.kernel.files.settings import FileSettings
from ossature.kernel.files.store import File
from ossature.kernel.testing.context import SmallHouse

ANNE = Actor(kind="user", id=UUID(int=7), name="anne@example.org", ip="192.0.2.7")
_ENTRIES = text("SELECT count(*) AS entries FROM audit_entry")
SECRET = "the secret of this installation, 42 signs"


@dataclass
class Installation:
    """A database and a folder that belong together."""

    url: str
    var_dir: Path

    def backups(self, **settings: Any) -> Backups:
        main = MainSettings(var_dir=self.var_dir, secret_key=SecretStr(""))
        return Backups(Config([main, DatabaseSettings(url=self.url), BackupSettings(**settings)]))

    async def record(self, times: int = 1) -> None:
        """Add so many entries to the audit trail."""
        async with self.opened() as database, database.begin() as db:
            ctx = SmallHouse().ctx(db, actor=ANNE)
            for number in range(times):
                await ctx.audit("key.created", f"key:{number}")

    async def save(self, content: bytes) -> File:
        """Keep a file."""

        async def pieces() -> AsyncIterator[bytes]:
            yield content

        async with self.opened() as database, database.begin() as db:
            return await self.files.save(db, SYSTEM_TENANT_ID, pieces(), name="a.bin", purpose="test")

    async def read(self, file: File) -> bytes:
        return b"".join([piece async for piece in self.files.read(file)])

    @property
    def files(self) -> Files:
        return Files(DiskBlobs(self.var_dir / "files"), FileSettings())

    async def entries(self) -> int:
        """How many entries the audit trail has."""
        async with self.opened() as database, database.begin() as db:
            rows = await db.all(_ENTRIES)
            return int(rows[0].entries)

    def opened(self) -> "_Opened":
        return _Opened(self.url)


class _Opened:
    def __init__(self, url: str) -> None:
        self._database = Database(DatabaseSettings(url=url))

    async def __aenter__(self) -> Database:
        return self._database

    async def __aexit__(self, *_: object) -> None:
        await self._database.close()


@pytest.fixture
def home(database_url: str, tmp_path: Path) -> Installation:
    """An installation on SQLite, and once more on PostgreSQL."""
    return _furnished(database_url, tmp_path)


@pytest.fixture
def small(sqlite_url: str, tmp_path: Path) -> Installation:
    """An installation on SQLite."""
    return _furnished(sqlite_url, tmp_path)


@pytest.fixture
def large(postgres_url: str, tmp_path: Path) -> Installation:
    """An installation on PostgreSQL."""
    return _furnished(postgres_url, tmp_path)


def _furnished(url: str, folder: Path) -> Installation:
    var_dir = folder / "var"
    for name, content in {
        "secret_key": SECRET,
        "sync/out/state.json": "{}",
        "cache.db": "answers of others",
        "run/socket.json": "{}",
        "console/page.json": "{}",
    }.items():
        path = var_dir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return Installation(url, var_dir)
