"""Fills a tenant with a pipeline, a first night that was applied, and a plan that waits for somebody's approval.

Where the outside world is simulated, people go to the simulated N2F; else to a file.
"""

from pathlib import Path

from ossature.kernel.context import Ctx
from ossature.kernel.db.listing import ListQuery
from ossature.services.sync.domain.values import Connection
from ossature.services.sync.ports import Connectors
from ossature.services.sync.settings import SyncSettings
from ossature.services.sync.store import pipelines as store
from ossature.services.sync.store.journal import list_runs
from ossature.services.sync.usecases import apply as applying
from ossature.services.sync.usecases import pipelines as declaring
from ossature.services.sync.usecases import plan as planning

_FIRST = ("Ada", "Ben", "Cleo", "Dora", "Emil", "Fay", "Gus", "Hana")
_LAST = ("Arnaud", "Blanc", "Colin", "Duval", "Ernst")
_COMPANIES = ("100", "200", "300")
_HEADER = "Number,Mail,First,Last,Unit,Active,Since,Company"
_PIPELINE = """\
schema = "ossature.sync/1"
name = "demo.employees"
title = "Employees of the HR system in the expense system"
key = ["number"]
publishes = "employees"
[source]
connection = "demo-files"
path = "employees.csv"
[map]
number = { column = "Number", strip = true }
mail = { column = "Mail", strip = true, lower = true }
first_name = { column = "First", collapse_spaces = true }
last_name = { column = "Last", collapse_spaces = true }
unit = { column = "Unit", strip = true }
active = { bool = "Active" }
since = { date = "Since", day_first = true }
[compare]
mail = { rule = "ci" }
unit = { rule = ["trim", "null_as_empty"] }
active = { rule = "bool" }
since = { rule = "day" }
[target]
connection = "demo-files"
collection = "expense-users"
"""


_TO_N2F = """\
schema = "ossature.sync/1"
name = "demo.employees"
title = "Employees of the HR system in N2F"
key = ["mail"]
publishes = "employees"
guards = { too_many_updates = { min = 10, ratio = 0.5 } }
[source]
connection = "demo-files"
path = "employees.csv"
[map]
mail = { column = "Mail", strip = true, lower = true }
firstname = { column = "First", collapse_spaces = true }
lastname = { column = "Last", collapse_spaces = true }
employeeNumber = { column = "Number", strip = true }
company = { lookup = "companies", from = "Company", by = "code", give = "uuid" }
structure = { column = "Unit", strip = true }
[compare]
mail = { rule = "ci" }
structure = { rule = ["trim", "null_as_empty"] }
[target]
connection = "demo-n2f"
collection = "users"
"""
_N2F = Connection(
    name="demo-n2f",
    kind="n2f",
    # The simulator's account is a fast one: nobody wants to wait for ten writes a minute in a demo.
    public=dict.fromkeys(("reads_by_day", "reads_by_night", "writes_by_day", "writes_by_night"), 1000),
    secrets={"client_id": "n2f_client_id", "client_secret": "n2f_client_secret"},
)


async def fill_demo(ctx: Ctx) -> None:
    """One pipeline, one night, one plan that waits: a reorganisation moved most people to another unit."""
    if (await list_runs(ctx.db, ctx.tenant.id, ListQuery(limit=1))).items:
        return
    to_n2f = bool(ctx.settings[SyncSettings].sim_url)
    people = 24 if to_n2f else 40
    connection = Connection(name="demo-files", kind="file", public={"folder": "demo"}, secrets={})
    folder = ctx.port(Connectors).folder(ctx.tenant, connection)  # type: ignore[type-abstract] # a promise is asked for by its Protocol
    async with ctx.db.step():
        await store.save_connection(ctx.db, ctx.tenant.id, connection)
        if to_n2f:
            await store.save_connection(ctx.db, ctx.tenant.id, _N2F)
        await declaring.save(ctx, _TO_N2F if to_n2f else _PIPELINE)
    _write(folder, people=people, moved=False)
    await _first_night(ctx)
    _write(folder, people=people, moved=True)
    await planning.make_plan(ctx)


async def _first_night(ctx: Ctx) -> None:
    view = await planning.make_plan(ctx)
    if ctx.settings[SyncSettings].four_eyes:
        return  # it waits for a person, as it would anywhere else
    async with ctx.db.step():
        await planning.approve(ctx, view.sha256, allow={"creates": view.counts.get("create", 0)}, reason="first run")
    run = await applying.open_run(ctx, view.sha256)
    await applying.work_on(ctx, run.id)


def _write(folder: Path, *, people: int, moved: bool) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    lines = [_HEADER]
    for number in range(people):
        first, last = _FIRST[number % len(_FIRST)], _LAST[number // len(_FIRST)]
        unit = "Field West" if moved and number % 4 else "Field"
        mail = f"{first}.{last}@example.org"
        company = _COMPANIES[number % len(_COMPANIES)]
        lines.append(f"E{number:03},{mail},{first},{last},{unit},oui,{number % 28 + 1:02}/03/2024,{company}")
    if moved:
        lines += [
            "E100,New.Comer@example.org,New,Comer,Field West,oui,01/06/2026,100",
            "E101,x@example.org,Odd,Row,,maybe,,",
        ]
    (folder / "employees.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
