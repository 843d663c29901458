"""A house with the service sync, and a pipeline of people from one CSV file to another."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from ossature.kernel import clock
from ossature.kernel.context import Ctx
from ossature.kernel.jobs.worker import Worker
from ossature.kernel.testing.houses import Home, open_house
from ossature.services.sync.domain.values import Connection, PlanView, RunView
from ossature.services.sync.service import service
from ossature.services.sync.store import pipelines as store
from ossature.services.sync.usecases import apply as applying
from ossature.services.sync.usecases import pipelines as declaring
from ossature.services.sync.usecases import plan as planning
from tests.services.sync.builders import PEOPLE
from tests.services.sync.expenses import (
    USERS,
    Expenses,
    SharedClock,
    n2f_connection,
    n2f_settings,
    simulated_n2f,
)

HEADER = "Mail,First,Last,Active,Since"


@dataclass(slots=True)
class Sync:
    """An open house, and the folder of its tenant's files."""

    home: Home
    folder: Path

    @asynccontextmanager
    async def ctx(self) -> AsyncIterator[Ctx]:
        """A context of the tenant, committed at the end."""
        async with self.home.house.occasion(tenant=self.home.tenant) as ctx:
            yield ctx

    def people(self, *rows: str, header: str = HEADER) -> None:
        """Write the source."""
        (self.folder / "people.csv").write_text("\n".join((header, *rows)) + "\n")

    def write(self, name: str, header: str, *rows: str) -> None:
        """Write a file of the tenant."""
        (self.folder / name).write_text("\n".join((header, *rows)) + "\n")

    def there(self) -> list[str]:
        """The lines of the target, without the first."""
        path = self.folder / "staff.csv"
        return path.read_text().splitlines()[1:] if path.exists() else []

    async def plan(self, **options: object) -> PlanView:
        """A new plan of everything."""
        async with self.ctx() as ctx:
            return await planning.make_plan(ctx, **options)  # type: ignore[arg-type] # the options of the use case

    async def approve(self, view: PlanView, **allow: int) -> None:
        """Approve a plan by its numbers."""
        async with self.ctx() as ctx:
            await planning.approve(ctx, view.sha256, allow=allow)

    async def apply(self, view: PlanView) -> RunView:
        """Apply a plan."""
        async with self.ctx() as ctx:
            return await applying.work_on(ctx, (await applying.open_run(ctx, view.sha256)).id)

    async def first_run(self) -> RunView:
        """Bring everything over for the first time."""
        view = await self.plan()
        await self.approve(view, creates=view.counts["create"])
        return await self.apply(view)

    async def declare(self, toml: str) -> None:
        """Save a pipeline."""
        async with self.ctx() as ctx:
            await declaring.save(ctx, toml)


@pytest.fixture(scope="session")
def _n2f() -> Iterator[Expenses]:
    with simulated_n2f() as expenses:
        yield expenses


@pytest.fixture
def n2f(_n2f: Expenses) -> Expenses:
    """The simulated N2F as it is at its start: three companies, nobody in them."""
    _n2f.reset()
    return _n2f


@pytest.fixture
def noon(n2f: Expenses) -> Iterator[SharedClock]:
    """Noon in Paris, for the house and for the simulator; waiting moves both on."""
    with clock.using(SharedClock(n2f.clock)) as shared:
        assert isinstance(shared, SharedClock)
        yield shared


@pytest.fixture
async def expenses(sqlite_url: str, tmp_path: Path, n2f: Expenses, noon: SharedClock) -> AsyncIterator[Sync]:
    """The service on SQLite with the connections `files` and `n2f`, and the pipeline `users` from the one to the other."""
    del noon
    async with _with_n2f(sqlite_url, tmp_path, n2f) as found:
        yield found


@pytest.fixture
async def expenses_now(sqlite_url: str, tmp_path: Path, n2f: Expenses) -> AsyncIterator[Sync]:
    """The same on the machine's own clock, which other processes share."""
    n2f.clock.follow()
    async with _with_n2f(sqlite_url, tmp_path, n2f) as found:
        yield found


@asynccontextmanager
async def _with_n2f(database_url: str, tmp_path: Path, n2f: Expenses) -> AsyncIterator[Sync]:
    settings = (n2f_settings(n2f.url, call_time_limit_s=1.0),)
    async with open_house(service, var_dir=tmp_path, database_url=database_url, settings=settings) as home:
        folder = tmp_path / "sync" / str(home.tenant.id)
        folder.mkdir(parents=True)
        found = Sync(home, folder)
        async with found.ctx() as ctx:
            for one in (Connection(name="files", kind="file", public={}, secrets={}), n2f_connection()):
                await store.save_connection(ctx.db, ctx.tenant.id, one)
        await found.declare(USERS)
        yield found


@pytest.fixture
async def sync(database_url: str, tmp_path: Path) -> AsyncIterator[Sync]:
    """The service with the connection `files` and the pipeline `people`; once on SQLite, once on PostgreSQL."""
    async with open_house(service, var_dir=tmp_path, database_url=database_url) as home:
        folder = tmp_path / "sync" / str(home.tenant.id)
        folder.mkdir(parents=True)
        found = Sync(home, folder)
        async with found.ctx() as ctx:
            await store.save_connection(
                ctx.db, ctx.tenant.id, Connection(name="files", kind="file", public={}, secrets={})
            )
        await found.declare(PEOPLE)
        yield found


@pytest.fixture
async def http(sync: Sync) -> AsyncIterator[httpx.AsyncClient]:
    """Calls with the key of the tenant's administrator."""
    async with sync.home.client() as client:
        yield client


@pytest.fixture
def worker(sync: Sync) -> Worker:
    """Does what is enqueued, when the test says so."""
    return sync.home.house.worker()
