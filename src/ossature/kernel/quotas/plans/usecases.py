"""What is done with plans."""

from typing import Any

from ossature.kernel.context import Ctx
from ossature.kernel.errors import FieldError, InvalidInput
from ossature.kernel.quotas.plan import FREE, Plan, PlanInSettings, PlanInUse, UnknownPlan, check_caps
from ossature.kernel.quotas.plans import store
from ossature.kernel.quotas.plans.book import CHANGED, Plans
from ossature.kernel.quotas.rates import RateBook
from ossature.kernel.tenants import store as tenants
from ossature.kernel.tenants.registry import Registry


async def put_plan(ctx: Ctx, plan: Plan) -> Plan:
    """A plan, new or in place of the one of its name; in force in every process within a second.

    What was counted in a period stays counted. Raises: PlanInSettings, InvalidInput.
    """
    book = ctx.port(Plans)
    if book.is_declared(plan.name):
        raise PlanInSettings
    _check(ctx, plan)
    before = (await book.read()).get(plan.name)
    await _write(ctx, plan)
    await ctx.audit("plan.set", f"plan:{plan.name}", before=_told(before), after=_told(plan))
    return plan


async def delete_plan(ctx: Ctx, name: str) -> None:
    """The plan is gone. Raises: UnknownPlan, PlanInSettings, PlanInUse."""
    book = ctx.port(Plans)
    if book.is_declared(name):
        raise PlanInSettings
    before = (await book.read()).get(name)
    async with ctx.port(Registry).across(ctx) as db:
        if name != FREE.name and await tenants.count_on_plan(db, name):
            raise PlanInUse
        if not await store.delete_plan(db, name):
            raise UnknownPlan
        ctx.port(Registry).signals.publish_after(db, CHANGED)
    await ctx.audit("plan.deleted", f"plan:{name}", before=_told(before))


async def _write(ctx: Ctx, plan: Plan) -> None:
    registry = ctx.port(Registry)
    async with registry.across(ctx) as db:
        await store.put_plan(db, plan)
        registry.signals.publish_after(db, CHANGED)


def _check(ctx: Ctx, plan: Plan) -> None:
    known = ctx.port(RateBook).rates
    unknown = sorted(set(plan.rates) - set(known))
    if unknown:
        msg = f"There is no class of rate limits {unknown[0][:60]!r}."
        raise InvalidInput(msg, errors=[FieldError("/rates", msg, "rate")])
    try:
        check_caps(plan.caps)
    except ValueError as error:
        raise InvalidInput(str(error), errors=[FieldError("/caps", str(error), "cap")]) from error


def _told(plan: Plan | None) -> dict[str, Any] | None:
    """What the audit trail says of a plan."""
    if plan is None:
        return None
    return {
        "title": plan.title,
        "rates": {name: [list(window) for window in rate.windows] for name, rate in plan.rates.items()},
        "caps": [
            f"{'distinct ' if cap.distinct else ''}{cap.subject} {cap.unit} {cap.limit:f}/{cap.period}"
            for cap in plan.caps
        ],
    }
