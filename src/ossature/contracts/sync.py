"""What sync tells the other services: that a run ended, and how the people of the company stand now."""

from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from ossature.kernel.service import Fact

MOST_EMPLOYEES = 500
"""So many employees are in one fact at most; more are told in several."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFinished:
    """A plan was applied. counts: operations by how they ended. state: `succeeded` or `partial`."""

    run_id: UUID
    plan_sha256: str
    state: Literal["succeeded", "partial"]
    counts: dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Employee:
    """One person of the company, by the number that the company gave."""

    number: str
    first_name: str
    last_name: str
    email: str | None
    active: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class EmployeesChanged:
    """People were created, changed or removed by a pipeline that publishes employees."""

    pipeline: str
    change: Literal["created", "updated", "removed"]
    employees: list[Employee]


FACTS = (
    Fact(type=RunFinished, wire="sync.run_finished", key="run_id"),
    Fact(type=EmployeesChanged, wire="sync.employees_changed", key="pipeline"),
)
