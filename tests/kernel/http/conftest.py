"""A small shop behind the real edge of a real house."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from ossature.kernel.testing.houses import Home, open_house
from tests.kernel.http.shop import SHOP

OpenShop = Callable[..., AbstractAsyncContextManager[Home]]


@pytest.fixture
def open_shop(tmp_path: Path, sqlite_url: str) -> OpenShop:
    """Opens the shop on SQLite; settings are handed over."""
    return partial(open_house, SHOP, var_dir=tmp_path, database_url=sqlite_url)


@pytest.fixture
async def home(open_shop: OpenShop) -> AsyncIterator[Home]:
    """The shop, open."""
    async with open_shop() as opened:
        yield opened


@pytest.fixture
async def http(home: Home) -> AsyncIterator[httpx.AsyncClient]:
    """A client with the administrator's key."""
    async with home.client() as client:
        yield client


@pytest.fixture
async def stranger(home: Home) -> AsyncIterator[httpx.AsyncClient]:
    """A client without a key."""
    async with home.client(secret=None) as client:
        yield client


@pytest.fixture
def packed(home: Home) -> Callable[[], Any]:
    """How many orders have had their effect."""
    return partial(count_packed, home)


async def count_packed(home: Home) -> int:
    async with home.house.database.begin() as db:
        return int(await db.scalar(text("SELECT count(*) FROM jobs_job WHERE name = 'shop.pack'")))
