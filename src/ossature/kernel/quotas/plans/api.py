"""Plans over HTTP, and what is left of the caller's."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict, Field

from ossature.kernel.context import Ctx, CurrentCtx
from ossature.kernel.http.input import Input
from ossature.kernel.http.policy import policy
from ossature.kernel.outbound.ledger.values import Ledger, WindowSpec
from ossature.kernel.quotas.allowance import cap_window, holders_of
from ossature.kernel.quotas.domain import DAY, Period, SubjectKind
from ossature.kernel.quotas.plan import Cap, Declared, Plan, UnknownPlan
from ossature.kernel.quotas.plans import usecases
from ossature.kernel.quotas.plans.book import Plans
from ossature.kernel.quotas.shapes import Amount, RateOut, Unit, rate_out
from ossature.kernel.service import Rate

router = APIRouter(prefix="/plans", tags=["quotas"])

PlanName = Annotated[str, Path(pattern=r"^[a-z][a-z0-9_]{0,40}$", examples=["free"])]
RateName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,40}$", examples=["default"])]


class WindowIn(Input):
    """So many requests in so many seconds."""

    count: int = Field(ge=1, le=10**9, examples=[600])
    seconds: int = Field(ge=1, le=31 * DAY, examples=[60])


class CapIn(Input):
    """A cap to be set. subject: for the tenant as a whole, for each project or for each key of it."""

    subject: SubjectKind = "tenant"
    unit: Unit
    limit: Amount
    period: Period
    distinct: bool = False


class PlanIn(Input):
    """What a plan is to be, as a whole."""

    title: str = Field(default="", max_length=120, examples=["For small teams"])
    rates: dict[RateName, Annotated[list[WindowIn], Field(min_length=1, max_length=5)]] = Field(
        default_factory=dict, max_length=50, examples=[{"default": [{"count": 600, "seconds": 60}]}]
    )
    caps: list[CapIn] = Field(
        default_factory=list,
        max_length=50,
        examples=[[{"subject": "tenant", "unit": "request", "limit": "1000", "period": "day", "distinct": False}]],
    )


class CapOut(BaseModel):
    """At most so much in a period, for the tenant, each project or each key. distinct: different things, each once."""

    model_config = ConfigDict(from_attributes=True)

    subject: SubjectKind
    unit: str
    limit: Decimal
    period: Period
    distinct: bool


class PlanOut(BaseModel):
    """A plan. declared: by the house, in the settings of the installation, or in the database by the API."""

    name: str
    title: str
    declared: Declared
    rates: list[RateOut]
    caps: list[CapOut]


class PlansOut(BaseModel):
    """Every plan, by name."""

    items: list[PlanOut]


class CapStateOut(BaseModel):
    """A cap of the caller's plan with what is used of it now, to the last unit. Money is in millionths."""

    cap: CapOut
    used: int
    left: int
    resets_at: datetime | None


@router.get("")
@policy(allow="read:limits")
async def list_plans(ctx: CurrentCtx) -> PlansOut:
    """The plans that a tenant can be on."""
    found = await ctx.port(Plans).read()
    return PlansOut(items=[_out(plan) for _, plan in sorted(found.items())])


@router.get("/{plan}")
@policy(allow="read:limits")
async def read_plan(ctx: CurrentCtx, plan: PlanName) -> PlanOut:
    """One plan."""
    found = (await ctx.port(Plans).read()).get(plan)
    if found is None:
        raise UnknownPlan
    return _out(found)


@router.put("/{plan}")
@policy(allow="write:tenants", rate="tenants")
async def put_plan(ctx: CurrentCtx, plan: PlanName, body: PlanIn) -> PlanOut:
    """A plan, new or in place of the one of its name; in force in every process within a second."""
    rates = {
        name: Rate(name, tuple((window.count, window.seconds) for window in windows))
        for name, windows in body.rates.items()
    }
    caps = tuple(Cap(**cap.model_dump()) for cap in body.caps)
    return _out(await usecases.put_plan(ctx, Plan(plan, title=body.title, rates=rates, caps=caps)))


@router.delete("/{plan}", status_code=204)
@policy(allow="write:tenants", rate="tenants")
async def delete_plan(ctx: CurrentCtx, plan: PlanName) -> None:
    """The plan is gone; no tenant may be on it."""
    await usecases.delete_plan(ctx, plan)


async def states(ctx: Ctx, plan: Plan | None) -> list[CapStateOut]:
    """What is left of the caller's plan, as the ledger counts it."""
    found: list[tuple[Cap, WindowSpec]] = []
    for cap in plan.caps if plan is not None else ():
        subject_id = holders_of(ctx).get(cap.subject)
        if subject_id is not None:
            found.append((cap, cap_window(cap, subject_id, zone=ctx.tenant.zone, limit=cap.limit)))
    if not found:
        return []
    known = await ctx.port(Ledger).states([spec for _, spec in found])  # type: ignore[type-abstract] # a promise is asked for by its Protocol
    return [
        CapStateOut(
            cap=CapOut.model_validate(cap),
            used=state.used + state.reserved,
            left=state.remaining,
            resets_at=state.resets_at,
        )
        for (cap, _), state in zip(found, known, strict=True)
    ]


def _out(plan: Plan) -> PlanOut:
    return PlanOut(
        name=plan.name,
        title=plan.title,
        declared=plan.declared,
        rates=[rate_out(rate) for rate in plan.rates.values()],
        caps=[CapOut.model_validate(cap) for cap in plan.caps],
    )
