"""Telling the other services what a run changed."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from ossature.contracts.sync import MOST_EMPLOYEES, Employee, EmployeesChanged
from ossature.kernel.context import Ctx
from ossature.services.sync.domain.config import Pipeline
from ossature.services.sync.domain.plan import Operation

_Change = Literal["created", "updated", "removed"]
_CHANGES: Mapping[str, _Change] = {
    "create": "created",
    "adopt": "created",
    "update": "updated",
    "delete": "removed",
    "deactivate": "removed",
}


async def tell_employees(ctx: Ctx, spec: Pipeline, done: Sequence[Operation]) -> None:
    """Publish the people that a run really wrote, in the transaction of `ctx`, if their pipeline publishes them."""
    if spec.publishes != "employees":
        return
    by_change: dict[_Change, list[Employee]] = {}
    for one in done:
        record = one.after or one.before
        if record is not None:
            by_change.setdefault(_CHANGES[one.op], []).append(_employee(record, removed=one.after is None))
    for change, people in by_change.items():
        for start in range(0, len(people), MOST_EMPLOYEES):
            part = people[start : start + MOST_EMPLOYEES]
            await ctx.publish(EmployeesChanged(pipeline=spec.name, change=change, employees=part))


def _employee(record: Mapping[str, Any], *, removed: bool) -> Employee:
    email = record.get("mail")
    return Employee(
        # The names that N2F has for these fields will do as well as ours.
        number=str(record.get("number") or record.get("employeeNumber") or ""),
        first_name=str(record.get("first_name") or record.get("firstname") or ""),
        last_name=str(record.get("last_name") or record.get("lastname") or ""),
        email=None if email is None else str(email),
        active=not removed and record.get("active") is not False,
    )
