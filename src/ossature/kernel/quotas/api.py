"""Limits, usage and budgets over HTTP."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from ossature.kernel.context import Ctx, CurrentCtx
from ossature.kernel.errors import FieldError, InvalidInput
from ossature.kernel.http.input import Input
from ossature.kernel.http.listing import Asked, Listing, answer, listing
from ossature.kernel.http.policy import policy
from ossature.kernel.quotas import store, usecases
from ossature.kernel.quotas.domain import Budget, Period, SubjectKind, UnknownBudget
from ossature.kernel.quotas.plans import api as plans
from ossature.kernel.quotas.plans.book import Plans
from ossature.kernel.quotas.rates import RateBook
from ossature.kernel.quotas.shapes import Amount, RateOut, Unit, rate_out

router = APIRouter(tags=["quotas"])

_SPAN_MOST = timedelta(days=400)
_SPAN_DEFAULT = timedelta(days=30)
_EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)  # nothing was used before there were clocks
_GROUPS_MOST = 10_000

WarnAt = Annotated[float, Field(gt=0, le=1, examples=[0.8])]
Group = Literal["what", "unit", "project", "key", "user", "currency"]


class BudgetOut(BaseModel):
    """A budget."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    subject: SubjectKind
    subject_id: UUID
    unit: str
    limit: Decimal
    period: Period
    warn_at: float
    hard: bool
    created_at: datetime
    updated_at: datetime


class BudgetStateOut(BaseModel):
    """A budget with what is used of it in the present period."""

    budget: BudgetOut
    used: Decimal
    left: Decimal


class LimitsOut(BaseModel):
    """What limits the caller: rates by class of route, what the plan caps, and budgets of tenant, project and key."""

    plan: str
    rates: list[RateOut]
    caps: list[plans.CapStateOut]
    budgets: list[BudgetStateOut]


class BudgetIn(Input):
    """A budget to be made. unit: `request`, `money`, or one that a service names."""

    subject: SubjectKind
    subject_id: UUID | None = None
    unit: Unit
    limit: Amount
    period: Period
    warn_at: WarnAt = 0.8
    hard: bool = True


class BudgetPatch(Input):
    """New values of a budget; what is left out stays."""

    limit: Amount | None = None
    warn_at: WarnAt | None = None
    hard: bool | None = None


class UsageEventOut(BaseModel):
    """Something that was used, once."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    at: datetime
    what: str
    unit: str
    amount: Decimal
    cost: Decimal
    currency: str
    project_id: UUID | None
    key_id: UUID | None
    user_id: UUID | None
    request_id: str
    facts: Mapping[str, object]


class UsageSumOut(BaseModel):
    """Usage of one group. group: by name of what was grouped by; `bucket` is a span of time in UTC."""

    group: dict[str, str]
    events: int
    amount: Decimal
    cost: Decimal


class UsageOut(BaseModel):
    """Usage from `since` up to, and not including, `until`."""

    since: datetime
    until: datetime
    items: list[UsageSumOut]


class UsageQuery(Input):
    """Which usage is wanted. since: left out, the last 30 days."""

    since: AwareDatetime | None = None
    until: AwareDatetime | None = None
    by: list[Group] = Field(default=["unit"], max_length=6)
    bucket: Literal["hour", "day", "month"] | None = None
    project_id: UUID | None = None
    key_id: UUID | None = None


@router.get("/limits")
@policy(allow="read:limits")
async def read_limits(ctx: CurrentCtx) -> LimitsOut:
    """What limits the caller, and what is left of it."""
    subjects = [one for one in (ctx.tenant.id, ctx.actor.project_id, ctx.actor.key_id) if one is not None]
    budgets = [await _state(ctx, budget) for budget in await store.budgets_of(ctx.db, ctx.tenant.id, subjects)]
    plan, book = ctx.tenant.plan, ctx.port(RateBook)
    rates = [rate_out(book.of(plan, name)) for name in book.rates]
    caps = await plans.states(ctx, (await ctx.port(Plans).current()).get(plan))
    return LimitsOut(plan=plan, rates=rates, caps=caps, budgets=budgets)


@router.get("/usage")
@policy(allow="read:usage")
async def read_usage(ctx: CurrentCtx, query: Annotated[UsageQuery, Query()]) -> UsageOut:
    """What the tenant used, summed up."""
    until = query.until or ctx.now + timedelta(seconds=1)  # what was used just now is part of it
    since = query.since or max(until, _EARLIEST) - _SPAN_DEFAULT
    if not timedelta(0) < until - since <= _SPAN_MOST:
        msg = f"`since` is before `until`, by at most {_SPAN_MOST.days} days."
        raise InvalidInput(msg, errors=[FieldError("query/since", msg, "span")])
    given = {"project": query.project_id, "key": query.key_id}
    groups = list(dict.fromkeys(query.by))
    sums = await store.sum_usage(
        ctx.db,
        ctx.tenant.id,
        since=since,
        until=until,
        group_by=groups,
        bucket=query.bucket,
        where={name: value for name, value in given.items() if value is not None},
    )
    names = [*(["bucket"] if query.bucket else []), *groups]
    items = [
        UsageSumOut(group=dict(zip(names, one.group, strict=True)), events=one.events, amount=one.amount, cost=one.cost)
        for one in sums[:_GROUPS_MOST]
    ]
    return UsageOut(since=since, until=until, items=items)


@router.get("/usage/events")
@policy(allow="read:usage")
async def list_usage(
    ctx: CurrentCtx, query: Annotated[Asked, listing(store.EVENTS, UsageEventOut)]
) -> Listing[UsageEventOut]:
    """What the tenant used, event by event."""
    return answer(await store.usage_events(ctx.db, ctx.tenant.id, query), UsageEventOut, query)


@router.get("/budgets")
@policy(allow="read:budgets")
async def list_budgets(
    ctx: CurrentCtx, query: Annotated[Asked, listing(store.BUDGETS, BudgetOut)]
) -> Listing[BudgetOut]:
    """The budgets of the tenant."""
    return answer(await store.budgets(ctx.db, ctx.tenant.id, query), BudgetOut, query)


@router.post("/budgets", status_code=201)
@policy(allow="write:budgets", rate="tenants")
async def create_budget(ctx: CurrentCtx, body: BudgetIn) -> BudgetOut:
    """A new budget."""
    return BudgetOut.model_validate(await usecases.create_budget(ctx, usecases.NewBudget(**body.model_dump())))


@router.get("/budgets/{budget_id}")
@policy(allow="read:budgets")
async def read_budget(ctx: CurrentCtx, budget_id: UUID) -> BudgetStateOut:
    """A budget with what is used of it."""
    budget = await store.budget(ctx.db, ctx.tenant.id, budget_id)
    if budget is None:
        raise UnknownBudget
    return await _state(ctx, budget)


@router.patch("/budgets/{budget_id}")
@policy(allow="write:budgets", rate="tenants")
async def change_budget(ctx: CurrentCtx, budget_id: UUID, body: BudgetPatch) -> BudgetOut:
    """The budget with new values."""
    return BudgetOut.model_validate(await usecases.change_budget(ctx, budget_id, **body.model_dump()))


@router.delete("/budgets/{budget_id}", status_code=204)
@policy(allow="write:budgets", rate="tenants")
async def delete_budget(ctx: CurrentCtx, budget_id: UUID) -> None:
    """The budget is gone."""
    await usecases.delete_budget(ctx, budget_id)


async def _state(ctx: Ctx, budget: Budget) -> BudgetStateOut:
    used = await usecases.used_of(ctx.db, budget, zone=ctx.tenant.zone, now=ctx.now)
    left = max(Decimal(0), budget.limit - used)
    return BudgetStateOut(budget=BudgetOut.model_validate(budget), used=used, left=left)


router.include_router(plans.router)
