"""A house with dispatch, the hub that places its addresses, and sync that tells of its drivers."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from ossature.kernel.jobs.worker import Worker
from ossature.kernel.testing.houses import Home, open_house
from ossature.services.dispatch.service import service as dispatch
from ossature.services.hub.service import service as hub
from ossature.services.sync.service import service as sync


@pytest.fixture
async def home(tmp_path: Path, database_url: str) -> AsyncIterator[Home]:
    """The test runs once on SQLite and once on PostgreSQL."""
    async with open_house(hub, sync, dispatch, var_dir=tmp_path, database_url=database_url) as opened:
        yield opened


@pytest.fixture
async def http(home: Home) -> AsyncIterator[httpx.AsyncClient]:
    """Calls with the key of the tenant's administrator."""
    async with home.client() as client:
        yield client


@pytest.fixture
def worker(home: Home) -> Worker:
    """Does what is enqueued, when the test says so."""
    return home.house.worker()
