"""The pack for Agresso and N2F: installed by one command, planned from a real database, applied to the simulated N2F."""

import sqlite3
from pathlib import Path

import asyncpg
import pytest
from pydantic import SecretStr

from ossature.kernel.testing.houses import open_house
from ossature.services.sync.domain.packs import pipelines_of, read_pack
from ossature.services.sync.domain.problems import PackUnknown, PipelineInvalid
from ossature.services.sync.domain.values import Connection
from ossature.services.sync.service import service
from ossature.services.sync.store import pipelines as store
from ossature.services.sync.usecases import packs
from ossature.services.sync.usecases import plan as planning
from ossature.sim.expenses import agresso
from tests.services.sync.conftest import Sync
from tests.services.sync.expenses import Expenses, SharedClock, n2f_connection, n2f_settings

FOUR = ["agresso-n2f.plates", "agresso-n2f.projects", "agresso-n2f.subposts", "agresso-n2f.users"]


async def _connect(sync: Sync, **source: dict[str, str]) -> None:
    found = {"public": {"file": "agresso.db"}, "secrets": {}, **source}
    async with sync.ctx() as ctx:
        await store.save_connection(ctx.db, ctx.tenant.id, Connection(name="agresso", kind="sql", **found))
        await store.save_connection(ctx.db, ctx.tenant.id, n2f_connection(writes_by_day=1000, reads_by_day=1000))
        await store.delete_pipeline(ctx.db, ctx.tenant.id, "users")


async def _install(sync: Sync, **variables: str) -> list[str]:
    async with sync.ctx() as ctx:
        return sorted(one.name for one in await packs.install(ctx, "agresso-n2f", variables))


async def test_the_first_night_brings_everything_over_and_the_second_nothing(expenses: Sync, n2f: Expenses) -> None:
    people, values = agresso.write(expenses.folder / "agresso.db", users=60)
    await _connect(expenses)

    assert await _install(expenses) == FOUR
    view = await expenses.plan()

    assert (view.state, dict(view.counts)) == ("blocked", {"create": people + values})
    await expenses.approve(view, creates=people + values)
    run = await expenses.apply(view)
    assert (run.state, dict(run.counts)) == ("succeeded", {"done": people + values})
    assert len(n2f.users) == people
    assert sum(len(each) for each in n2f.books.values.values()) == values
    assert (await expenses.plan()).state == "empty"
    assert n2f.books.counts["writes_none"] == 0


async def test_departments_come_as_soon_as_their_variables_are_set(expenses: Sync, n2f: Expenses) -> None:
    agresso.write(expenses.folder / "agresso.db", users=3)
    with sqlite3.connect(expenses.folder / "agresso.db") as database:
        database.execute("CREATE TABLE units (client, code, description, date_from, date_to)")
        database.execute("INSERT INTO units VALUES ('200', 7, 'Atelier', NULL, NULL)")
    database.close()
    await _connect(expenses)

    names = await _install(expenses, departments_view="units", departments_axis="Département")
    view = await expenses.plan(names=["departments"])
    await expenses.approve(view, creates=1)
    await expenses.apply(view)

    assert names == sorted([*FOUR, "agresso-n2f.departments"])
    axis = n2f.books.axes(n2f.books.companies[1]["uuid"])[2]["uuid"]
    assert n2f.values(axis, 1)["7"]["names"][0] == {"culture": "fr", "value": "Atelier"}


async def test_what_is_wrong_with_rows_holds_them_and_nobody_else(expenses: Sync) -> None:
    agresso.write(expenses.folder / "agresso.db", users=200, dirty=True)
    await _connect(expenses)
    await _install(expenses)

    view = await expenses.plan(names=["users"])

    # 200 people, the circle and the orphan; two rows cannot be records, one has no mail, one is there twice.
    assert view.counts["create"] == 203
    assert view.budget["quarantined"] == 2
    assert {guard["name"] for guard in view.guards} >= {"duplicate_source_key", "too_many_creates"}


async def test_postgres_gives_the_same_plan_as_sqlite(
    expenses: Sync, n2f: Expenses, noon: SharedClock, postgres_url: str, tmp_path: Path
) -> None:
    del noon
    url = postgres_url.replace("postgresql+asyncpg://", "postgresql://")
    agresso.write(expenses.folder / "agresso.db", users=40)
    await _copied(expenses.folder / "agresso.db", url)
    await _connect(expenses)
    await _install(expenses)
    view = await expenses.plan()
    async with expenses.ctx() as ctx:
        of_sqlite = (await planning.opened(ctx, view)).operations

    settings = n2f_settings(n2f.url)
    settings.secrets["erp"] = SecretStr(url)
    async with open_house(service, var_dir=tmp_path / "other", settings=(settings,)) as home:
        other = Sync(home, tmp_path)
        await _connect(other, public={}, secrets={"url": "erp"})
        await _install(other)
        view = await other.plan()
        async with other.ctx() as ctx:
            of_postgres = (await planning.opened(ctx, view)).operations

    assert len(of_sqlite) > 40
    assert of_postgres == of_sqlite


async def _copied(path: Path, url: str) -> None:
    """The two views as tables of a PostgreSQL database, every column a text."""
    with sqlite3.connect(path) as database:
        rows = {
            view: database.execute(f"SELECT * FROM {view}").fetchall()
            for view in ("iris_N2F_User", "iris_N2F_Analytics")
        }
    database.close()
    connection = await asyncpg.connect(url)
    try:
        for (view, found), columns in zip(rows.items(), (agresso.USERS, agresso.AXES), strict=True):
            await connection.execute(f"CREATE TABLE {view} ({', '.join(f'{name} text' for name in columns)})")
            texts = [[None if cell is None else str(cell) for cell in row] for row in found]
            await connection.copy_records_to_table(view.lower(), records=texts)
    finally:
        await connection.close()


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"srce": "erp"}, "did you mean 'source'"),
        ({"users_view": "x; DROP TABLE y"}, "identifier"),
        ({"plates_axis": 'a"b'}, "text"),
        ({"source": "ERP"}, "name"),
    ],
)
async def test_a_variable_that_is_none_is_refused_in_words(
    expenses: Sync, variables: dict[str, str], said: str
) -> None:
    with pytest.raises(PipelineInvalid, match=said):
        await _install(expenses, **variables)


async def test_a_pack_that_is_not_there_is_not_found(expenses: Sync) -> None:
    async with expenses.ctx() as ctx:
        with pytest.raises(PackUnknown, match="agresso-n2f"):
            await packs.install(ctx, "agresso-n2", {})


def test_a_view_of_sql_server_is_an_identifier_too() -> None:
    folder = packs._SHIPPED / "agresso-n2f"
    files = {path.name: path.read_text() for path in folder.iterdir()}

    made = pipelines_of(read_pack(files["pack.toml"]), files, {"axes_view": "[AgrProd].[dbo].[iris_N2F_Analytics]"})

    assert "FROM [AgrProd].[dbo].[iris_N2F_Analytics]\n" in made["plates.toml"]
    assert "${" not in "".join(made.values())


def test_every_fault_of_a_pack_is_named() -> None:
    with pytest.raises(PipelineInvalid) as refused:
        read_pack('schema = "ossature.pack/2"\nname = "a"\n[variables]\n[pipelines]\n')
    assert {fault.pointer for fault in refused.value.errors} == {"/schema", "/title", "/pipelines"}
