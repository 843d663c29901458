"""What is done about how much: budgets, and telling who comes near to one."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from ossature.kernel.context import Ctx
from ossature.kernel.db.transaction import Db
from ossature.kernel.errors import FieldError, InvalidInput
from ossature.kernel.quotas import store
from ossature.kernel.quotas.domain import (
    Budget,
    BudgetExceeded,
    Period,
    QuotaExhausted,
    QuotaLow,
    SubjectKind,
    UnknownBudget,
    period_start,
)
from ossature.kernel.tenants import store as tenants
from ossature.kernel.tenants.domain import UnknownProject
from ossature.kernel.tenants.registry import Registry


@dataclass(frozen=True, slots=True)
class NewBudget:
    """A budget that does not exist yet. subject_id: None for the tenant itself."""

    subject: SubjectKind
    subject_id: UUID | None
    unit: str
    limit: Decimal
    period: Period
    warn_at: float = 0.8
    hard: bool = True


async def create_budget(ctx: Ctx, new: NewBudget) -> Budget:
    """A new budget of the caller's tenant. Raises: BudgetTaken, UnknownProject, InvalidInput."""
    if (new.subject_id is None) != (new.subject == "tenant"):
        msg = "A budget of a project or a key names it; one of the tenant names nothing."
        raise InvalidInput(msg, errors=[FieldError("/subject_id", msg, "subject")])
    if new.subject == "project" and new.subject_id is not None:
        await _require_project(ctx, new.subject_id)
    values = {
        "subject": new.subject,
        "subject_id": new.subject_id or ctx.tenant.id,
        "unit": new.unit,
        "limit": new.limit,
        "period": new.period,
        "warn_at": new.warn_at,
        "hard": new.hard,
    }
    budget = await store.add_budget(ctx.db, ctx.tenant.id, values)
    await ctx.audit("budget.created", f"budget:{budget.id}", after=_told(budget))
    return budget


async def change_budget(
    ctx: Ctx,
    budget_id: UUID,
    *,
    limit: Decimal | None = None,
    warn_at: float | None = None,
    hard: bool | None = None,
) -> Budget:
    """The budget with new values. Raises: UnknownBudget."""
    before = await store.budget(ctx.db, ctx.tenant.id, budget_id)
    given = {"limit": limit, "warn_at": warn_at, "hard": hard}
    values: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    after = await store.change_budget(ctx.db, ctx.tenant.id, budget_id, values | {"told": None, "told_at": None})
    if before is None or after is None:
        raise UnknownBudget
    await ctx.audit("budget.changed", f"budget:{budget_id}", before=_told(before), after=_told(after))
    return after


async def delete_budget(ctx: Ctx, budget_id: UUID) -> None:
    """The budget is gone. Raises: UnknownBudget."""
    before = await store.budget(ctx.db, ctx.tenant.id, budget_id)
    if before is None or not await store.delete_budget(ctx.db, ctx.tenant.id, budget_id):
        raise UnknownBudget
    await ctx.audit("budget.deleted", f"budget:{budget_id}", before=_told(before))


async def used_of(db: Db, budget: Budget, *, zone: str, now: datetime) -> Decimal:
    """How much of a budget is used in its present period, by the log; money is the cost."""
    where: dict[str, Any] = {} if budget.subject == "tenant" else {budget.subject: budget.subject_id}
    if budget.unit != "money":
        where["unit"] = budget.unit
    sums = await store.sum_usage(
        db,
        budget.tenant_id,
        since=period_start(now, budget.period, zone),
        until=now + timedelta(seconds=1),
        where=where,
    )
    return sum((one.cost if budget.unit == "money" else one.amount for one in sums), Decimal(0))


async def tell_of_budgets(ctx: Ctx) -> int:
    """How many tenants were told that a budget is nearly, or wholly, used up: once each in a period."""
    registry, told, after = ctx.port(Registry), 0, None
    async with registry.across(ctx) as db:
        while page := await store.every_budget(db, after=after):
            after = page[-1].id
            for budget in page:
                told += await _tell(ctx, db, budget)
    return told


async def _tell(ctx: Ctx, db: Db, budget: Budget) -> int:
    tenant = await tenants.tenant(db, budget.tenant_id)
    if tenant is None:
        return 0
    used = await used_of(db, budget, zone=tenant.zone, now=ctx.now)
    told_before = budget.told
    if budget.told_at is not None and budget.told_at < period_start(ctx.now, budget.period, tenant.zone):
        told_before = None
    if used < budget.limit * Decimal(str(budget.warn_at)):
        return 0
    kind = "exhausted" if used >= budget.limit else "low"
    if told_before in {kind, "exhausted"}:
        return 0
    used_up = BudgetExceeded if budget.unit == "money" else QuotaExhausted
    subject = f"{budget.subject}:{budget.subject_id}"
    fact = (used_up if kind == "exhausted" else QuotaLow)(
        budget.id, subject, budget.unit, f"{used:f}", f"{budget.limit:f}"
    )
    await ctx.port(Registry).publish(db, fact, tenant_id=budget.tenant_id, request_id=ctx.id)
    await store.change_budget(db, budget.tenant_id, budget.id, {"told": kind, "told_at": ctx.now})
    return 1


async def _require_project(ctx: Ctx, project_id: UUID) -> None:
    if await tenants.project(ctx.db, ctx.tenant.id, project_id) is None:
        raise UnknownProject


def _told(budget: Budget) -> dict[str, Any]:
    """What the audit trail says of a budget."""
    return {
        "subject": f"{budget.subject}:{budget.subject_id}",
        "unit": budget.unit,
        "limit": f"{budget.limit:f}",
        "period": budget.period,
        "warn_at": budget.warn_at,
        "hard": budget.hard,
    }
