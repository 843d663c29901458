"""People of the company become drivers: a real synchronisation of a file of theirs, and what dispatch makes of it."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from ossature.contracts.sync import Employee, EmployeesChanged
from ossature.kernel.db.listing import ListQuery
from ossature.kernel.jobs.worker import Worker
from ossature.kernel.testing.houses import Home, open_house
from ossature.services.dispatch.jobs import TAKE_EMPLOYEES
from ossature.services.dispatch.service import service as dispatch
from ossature.services.dispatch.settings import DispatchSettings
from ossature.services.dispatch.usecases.employees import take_employees
from ossature.services.hub.service import service as hub
from ossature.services.sync.domain.values import Connection
from ossature.services.sync.jobs import APPLY_RUN, MAKE_PLAN
from ossature.services.sync.ports import Connectors
from ossature.services.sync.service import service as sync
from ossature.services.sync.store import pipelines, plans
from ossature.services.sync.usecases import apply as applying
from ossature.services.sync.usecases import pipelines as declaring
from ossature.services.sync.usecases import plan as planning
from tests.services.dispatch.days import a_driver, found

CONNECTION = Connection(name="files", kind="file", public={"folder": "hr"}, secrets={})
PIPELINE = """\
schema = "ossature.sync/1"
name = "people"
title = "Drivers of the HR system"
key = ["number"]
publishes = "employees"
[guards]
too_many_updates = { min = 100, ratio = 1.0 }
[source]
connection = "files"
path = "employees.csv"
[map]
number = { column = "Number" }
first_name = { column = "First" }
last_name = { column = "Last" }
active = { bool = "Active" }
[compare]
active = { rule = "bool" }
[target]
connection = "files"
collection = "people"
"""


@pytest.fixture
async def home(tmp_path: Path, database_url: str) -> AsyncIterator[Home]:
    """A house in which those whom the pipeline `people` tells of drive."""
    drive = DispatchSettings(driver_pipelines=["people"])
    async with open_house(hub, sync, dispatch, var_dir=tmp_path, database_url=database_url, settings=[drive]) as opened:
        yield opened


def _write(folder: Path, people: Sequence[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "employees.csv").write_text("\n".join(("Number,First,Last,Active", *people)) + "\n")


async def _synchronise(home: Home, worker: Worker, *people: str) -> None:
    """What a night does: read the file, plan, approve, write; each by its job, and then whoever listens."""
    async with home.house.occasion(tenant=home.tenant) as ctx:
        folder = home.house.port(Connectors).folder(home.tenant, CONNECTION)  # type: ignore[type-abstract] # a promise is asked for by its Protocol
        _write(folder, people)
        async with ctx.db.step():
            if not await pipelines.pipelines(ctx.db, home.tenant.id):
                await pipelines.save_connection(ctx.db, home.tenant.id, CONNECTION)
                await declaring.save(ctx, PIPELINE)
            await ctx.enqueue(MAKE_PLAN, {"pipelines": ["people"]})
        await worker.run_due()
        (view, *_) = (await plans.list_plans(ctx.db, home.tenant.id, ListQuery(limit=1))).items
        async with ctx.db.step():
            allow = {guard["quantity"]: int(guard["measured"]) for guard in view.guards}
            await planning.approve(ctx, view.sha256, allow=allow)
        run = await applying.open_run(ctx, view.sha256)
        await ctx.enqueue(APPLY_RUN, {"run_id": str(run.id)})
    for _ in range(3):
        await worker.run_due()


async def _drivers(http: httpx.AsyncClient) -> dict[str, tuple[str, bool, int]]:
    items = found(await http.get("/v1/dispatch/drivers"))["items"]
    return {one["number"]: (one["name"], one["active"], one["version"]) for one in items}


async def test_people_who_come_change_and_leave_are_drivers_who_do(
    home: Home, http: httpx.AsyncClient, worker: Worker
) -> None:
    await a_driver(http, "7")
    await _synchronise(home, worker, "1,Ada,Arnaud,yes", "2,Ben,Blanc,yes", "3,Cleo,Colin,no", "7,Gus,Gray,yes")

    assert await _drivers(http) == {
        "1": ("Ada Arnaud", True, 1),
        "2": ("Ben Blanc", True, 1),
        "7": ("Gus Gray", True, 2),  # who was here before is the same one
    }

    await _synchronise(home, worker, "1,Ada,Ernst,yes", "2,Ben,Blanc,no", "3,Cleo,Colin,yes", "7,Gus,Gray,yes")

    assert await _drivers(http) == {
        "1": ("Ada Ernst", True, 2),
        "2": ("Ben Blanc", False, 2),
        "3": ("Cleo Colin", True, 1),
        "7": ("Gus Gray", True, 2),
    }
    sources = {one["number"]: one["source"] for one in found(await http.get("/v1/dispatch/drivers"))["items"]}
    assert sources == {"1": "sync:people", "2": "sync:people", "3": "sync:people", "7": "here"}


async def test_a_fact_that_comes_twice_is_one(home: Home, http: httpx.AsyncClient, worker: Worker) -> None:
    await _synchronise(home, worker, "1,Ada,Arnaud,yes", "2,Ben,Blanc,yes")
    before = await _drivers(http)

    async with home.house.database.begin() as db:
        delivered, _ = await home.house.outbox.replay(db, TAKE_EMPLOYEES.name, again=True)
    assert delivered == 1
    await worker.run_due()

    assert await _drivers(http) == before == {"1": ("Ada Arnaud", True, 1), "2": ("Ben Blanc", True, 1)}


def _fact(change: Any = "updated", pipeline: str = "people", **changed: Any) -> EmployeesChanged:
    person = {"number": "1", "first_name": "Ada", "last_name": "Arnaud", "email": None, "active": True, **changed}
    return EmployeesChanged(pipeline=pipeline, change=change, employees=[Employee(**person)])


async def _take(home: Home, *facts: EmployeesChanged) -> list[dict[str, int]]:
    async with home.house.occasion(tenant=home.tenant) as ctx:
        return [dict(await take_employees(ctx, fact)) for fact in facts]


async def test_who_was_withdrawn_here_stays_so_until_the_company_takes_them_back(
    home: Home, http: httpx.AsyncClient
) -> None:
    await _take(home, _fact("created"))
    (driver,) = found(await http.get("/v1/dispatch/drivers"))["items"]
    assert (await http.delete(f"/v1/dispatch/drivers/{driver['id']}")).status_code == 204

    await _take(home, _fact(last_name="Ernst"))
    assert await _drivers(http) == {"1": ("Ada Ernst", False, 3)}

    left, back = await _take(home, _fact("removed", last_name="Ernst"), _fact("created", last_name="Ernst"))
    assert (left["changed"], back["changed"]) == (1, 1)
    assert await _drivers(http) == {"1": ("Ada Ernst", True, 5)}


async def test_who_left_and_never_drove_here_is_nobody(home: Home, http: httpx.AsyncClient) -> None:
    facts = (_fact("removed"), _fact("created", active=False), _fact("created", number=""), _fact(number="x" * 61))
    assert [counts.get("added", 0) for counts in await _take(home, *facts)] == [0, 0, 0, 0]

    assert await _drivers(http) == {}


@pytest.mark.parametrize(("named", "known"), [([], set()), (["drivers"], {"2"}), (["*"], {"1", "2"})])
async def test_only_the_pipelines_of_the_settings_tell_of_drivers(
    tmp_path: Path, sqlite_url: str, named: list[str], known: set[str]
) -> None:
    wanted = DispatchSettings(driver_pipelines=named)
    services = (hub, sync, dispatch)
    async with (
        open_house(*services, var_dir=tmp_path, database_url=sqlite_url, settings=[wanted]) as home,
        home.client() as http,
    ):
        await _take(home, _fact("created"), _fact("created", pipeline="drivers", number="2"))

        assert set(await _drivers(http)) == known
