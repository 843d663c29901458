"""A house with predict, and a small simulated league to feed it with."""

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import pytest

from ossature.kernel import clock
from ossature.kernel.context import Ctx
from ossature.kernel.testing.clocks import FakeClock
from ossature.kernel.testing.houses import Home, open_house
from ossature.services.predict.domain.history import after_the_match
from ossature.services.predict.domain.simulate import World, simulate
from ossature.services.predict.service import service
from ossature.services.predict.usecases.importing import Imported, import_file
from ossature.services.predict.usecases.pricing import Forecasters, price_matches

Row = Mapping[str, Any]

# On a thread: a process for each test would take longer to start than its test.
HERE = replace(service, offers={**service.offers, Forecasters: lambda _: Forecasters(apart=False)})
START = date(2022, 10, 1)
"""Everything before is history; what is played from then on is predicted."""
MIDNIGHT = datetime.combine(START, datetime.min.time(), UTC)
WEEK = (START, START + timedelta(days=6))
"""The days that are predicted at the first midnight of `START`."""


@dataclass(slots=True)
class Predict:
    """An open house with predict, its clock, and its league."""

    home: Home
    at: FakeClock
    league: list[dict[str, Any]]

    @asynccontextmanager
    async def ctx(self) -> AsyncIterator[Ctx]:
        """A context of the tenant, committed at the end."""
        async with self.home.house.occasion(tenant=self.home.tenant) as ctx:
            yield ctx

    async def take(self, rows: Iterable[Row], name: str = "league.parquet") -> Imported:
        """Import rows as a file."""
        async with self.ctx() as ctx:
            return await import_file(ctx, parquet(rows), name=name)

    def move_to(self, at: datetime) -> None:
        """Set the clock."""
        self.at.advance((at - self.at.now()).total_seconds())

    def before(self, day: date) -> list[dict[str, Any]]:
        """The rows of matches before a day, with their results."""
        return [row for row in self.league if row["date"] < day]

    def fixtures(self, first: date, last: date) -> list[dict[str, Any]]:
        """The rows of matches of these days, as they are known before they are played."""
        rows = [row for row in self.league if first <= row["date"] <= last]
        return [{name: value for name, value in row.items() if not after_the_match(name)} for row in rows]

    async def predicted(self) -> None:
        """Import the past and the fixtures of the week, and predict them at midnight."""
        await self.take(self.before(START))
        await self.take(self.fixtures(*WEEK))
        self.move_to(MIDNIGHT)
        async with self.ctx() as ctx:
            await price_matches(ctx)

    def played(self, first: date, last: date) -> list[dict[str, Any]]:
        """The same rows with their results."""
        return [row for row in self.league if first <= row["date"] <= last]


def parquet(rows: Iterable[Row]) -> bytes:
    """Rows as a file."""
    held = BytesIO()
    pl.DataFrame(list(rows), infer_schema_length=None).write_parquet(held)
    return held.getvalue()


@pytest.fixture(scope="session")
def league() -> list[dict[str, Any]]:
    """Four seasons of two divisions of six teams."""
    return simulate(World(seed=5, seasons=4, leagues=1, teams=6))


@pytest.fixture
async def predict(league: list[dict[str, Any]], tmp_path: Path, database_url: str) -> AsyncIterator[Predict]:
    """The test runs once on SQLite and once on PostgreSQL, from ten minutes before `START` on."""
    still = FakeClock(MIDNIGHT - timedelta(minutes=10))
    async with open_house(HERE, var_dir=tmp_path, database_url=database_url) as home:
        with clock.using(still):
            yield Predict(home, still, league)


@pytest.fixture
async def http(predict: Predict) -> AsyncIterator[httpx.AsyncClient]:
    """Calls with the key of the tenant's administrator."""
    async with predict.home.client() as client:
        yield client
