"""What a caller may use, as windows of the ledger: its tenant's plan and every hard budget, one window for each count.

Whatever any plan caps is counted for every tenant, without a limit where its own plan has none: a tenant that is put on
another plan finds there what it has used of the period already.
"""

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from uuid import UUID

from ossature.kernel.context import Ctx
from ossature.kernel.outbound.ledger.values import WindowSpec
from ossature.kernel.outbound.takes import COST_UNIT
from ossature.kernel.quotas.domain import Budget, Period, SubjectKind
from ossature.kernel.quotas.plan import Cap, Plan

Holders = Mapping[SubjectKind, UUID | None]
"""Who is counted: the tenant, and the project and the key of the caller where it has them."""

UNCAPPED = 2**53 - 1
"""More than anybody uses; the largest number that every store of the ledger keeps exactly."""

_MICRO = 10**6
_UNITS = {"money": COST_UNIT, "request": "requests"}


def holders_of(ctx: Ctx) -> Holders:
    """Who is counted when this caller uses something."""
    return {"tenant": ctx.tenant.id, "project": ctx.actor.project_id, "key": ctx.actor.key_id}


def window(
    subject: SubjectKind, subject_id: UUID, *, unit: str, limit: Decimal | None, period: Period, zone: str
) -> WindowSpec:
    """A cap as a window of the ledger, which never lets it be overshot. Money is counted in millionths of it."""
    most = UNCAPPED if limit is None else int(limit * _MICRO) if unit == "money" else int(limit)
    return WindowSpec(
        subject=f"consumer:{subject}:{subject_id}",
        unit=_UNITS.get(unit, unit),
        kind="fixed",
        limit=min(most, UNCAPPED),
        period=period,
        zone=zone,
    )


def budget_window(budget: Budget, *, zone: str) -> WindowSpec:
    """A budget as a window of the ledger."""
    return window(
        budget.subject, budget.subject_id, unit=budget.unit, limit=budget.limit, period=budget.period, zone=zone
    )


def cap_window(cap: Cap, subject_id: UUID, *, zone: str, limit: Decimal | None) -> WindowSpec:
    """A cap of a plan as a window of the ledger; distinct things are a unit of their own."""
    unit = distinct_unit(cap.unit) if cap.distinct else cap.unit
    return window(cap.subject, subject_id, unit=unit, limit=limit, period=cap.period, zone=zone)


def distinct_unit(unit: str) -> str:
    """The unit in which different things are counted."""
    return f"distinct.{unit}"


def windows_of(
    plans: Mapping[str, Plan], plan: str, budgets: Iterable[Budget], *, holders: Holders, zone: str
) -> tuple[WindowSpec, ...]:
    """Every window that a caller takes from. Where a plan and a budget count the same, the smaller limit holds."""
    least: dict[str, WindowSpec] = {}
    for one in (*_of_plans(plans, plan, holders, zone), *_of_budgets(budgets, holders, zone)):
        known = least.get(one.name)
        if known is None or one.limit < known.limit:
            least[one.name] = one
    return tuple(least.values())


def _of_plans(plans: Mapping[str, Plan], plan: str, holders: Holders, zone: str) -> Iterator[WindowSpec]:
    for name, one in plans.items():
        for cap in one.caps:
            subject_id = holders.get(cap.subject)
            if subject_id is not None:
                yield cap_window(cap, subject_id, zone=zone, limit=cap.limit if name == plan else None)


def _of_budgets(budgets: Iterable[Budget], holders: Holders, zone: str) -> Iterator[WindowSpec]:
    for budget in budgets:
        if holders.get(budget.subject) == budget.subject_id:
            yield budget_window(budget, zone=zone)
