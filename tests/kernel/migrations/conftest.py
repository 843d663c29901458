import shutil
from collections.abc import AsyncIterator, Iterator
from importlib.resources import files
from pathlib import Path
from uuid import uuid4

import pytest

from ossature.kernel.db import migrate
from ossature.kernel.db.engine import Database
from ossature.kernel.db.settings import DatabaseSettings
from tests import conftest


@pytest.fixture
def empty_postgres_url(postgres_server: str) -> Iterator[str]:
    """URL of a PostgreSQL database without any table."""
    del postgres_server
    name = f"ossature_test_{uuid4().hex[:12]}"
    conftest.run_sql(f'CREATE DATABASE "{name}"')
    yield conftest._async_url(name)
    conftest.run_sql(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


@pytest.fixture(params=["sqlite", "postgres"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of a database without any table; the test runs once on SQLite and once on PostgreSQL."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'empty.db'}"
    url: str = request.getfixturevalue("empty_postgres_url")
    return url


@pytest.fixture
async def empty(empty_url: str) -> AsyncIterator[Database]:
    """A database without any table; the test runs once on SQLite and once on PostgreSQL."""
    database = Database(DatabaseSettings(url=empty_url))
    yield database
    await database.close()


@pytest.fixture
def history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a history of this test's own, without any revision."""
    folder = tmp_path / "migrations"
    shutil.copytree(str(files("ossature.migrations")), folder, ignore=shutil.ignore_patterns("__pycache__", "0*.py"))
    monkeypatch.setattr(migrate, "LOCATION", folder)
    return folder
