"""The people of the company, as another service tells of them, become drivers."""

from collections.abc import Mapping
from typing import Final

from ossature.contracts.sync import Employee, EmployeesChanged
from ossature.kernel import clock
from ossature.kernel.context import Ctx
from ossature.services.dispatch.domain.fleet import NAME_MOST, NUMBER_MOST, Driver, DriverKind, told
from ossature.services.dispatch.settings import DispatchSettings
from ossature.services.dispatch.store import fleet as store

_ALL: Final = "*"


async def take_employees(ctx: Ctx, fact: EmployeesChanged) -> Mapping[str, int]:
    """Have the drivers be those whom a pipeline tells of, by number: how many were added, changed and withdrawn.

    Only pipelines that the settings name tell of drivers: not everybody whom a company employs drives. Nobody is removed, since trips tell of who drove them. The same fact twice changes nothing the second time.
    """
    wanted = ctx.settings[DispatchSettings].driver_pipelines
    people = {one.number: one for one in fact.employees if 0 < len(one.number) <= NUMBER_MOST}
    if not people or not {fact.pipeline, _ALL} & set(wanted):
        return {}
    known = await store.drivers_numbered(ctx.db, ctx.tenant.id, people)
    gone = fact.change == "removed"
    after = {
        number: told(before, name=_name(people[number]), employed=people[number].active and not gone)
        for number, before in known.items()
    }
    changed = [driver for number, driver in after.items() if driver is not known[number]]
    new = [one for number, one in people.items() if number not in known and one.active and not gone]
    await store.change_drivers(ctx.db, ctx.tenant.id, changed)
    await store.add_drivers(ctx.db, ctx.tenant.id, [_new(ctx, one, fact.pipeline) for one in new])
    withdrawn = sum(known[driver.number].active and not driver.active for driver in changed)
    counts = {"added": len(new), "changed": len(changed) - withdrawn, "withdrawn": withdrawn}
    if any(counts.values()):
        await ctx.audit("drivers.taken", f"pipeline:{fact.pipeline}", **counts)
    return counts


def _name(one: Employee) -> str:
    return f"{one.first_name} {one.last_name}".strip()[:NAME_MOST] or one.number


def _new(ctx: Ctx, one: Employee, pipeline: str) -> Driver:
    return Driver(
        id=clock.new_id(),
        number=one.number,
        name=_name(one),
        kind=DriverKind.REGULAR,
        phone="",
        skills=frozenset(),
        active=True,
        source=f"sync:{pipeline}"[:NUMBER_MOST],
        created_at=ctx.now,
        employed=True,
    )
