"""Work of dispatch that others set off. Each may run twice."""

from typing import Any, Final

from ossature.contracts.sync import EmployeesChanged
from ossature.kernel.context import Ctx
from ossature.kernel.jobs.domain import JobDead
from ossature.kernel.service import Job
from ossature.services.dispatch.usecases import employees
from ossature.services.dispatch.usecases.importing import CHECK_IMPORT, lose_import
from ossature.services.dispatch.usecases.planning import PLAN_DAY, lose_run


async def take_employees(ctx: Ctx, fact: EmployeesChanged) -> dict[str, Any]:
    """People were synchronised: the drivers among them come, change and go."""
    return dict(await employees.take_employees(ctx, fact))


async def end_lost(ctx: Ctx, fact: JobDead) -> None:
    """A job was given up: what somebody waits for because of it has failed, and says so."""
    if fact.name == PLAN_DAY.name:
        await lose_run(ctx, fact.job_id)
    if fact.name == CHECK_IMPORT.name:
        await lose_import(ctx, fact.job_id)


END_LOST: Final = Job(name="dispatch.end_lost", run=end_lost)
TAKE_EMPLOYEES: Final = Job(name="dispatch.take_employees", run=take_employees)
