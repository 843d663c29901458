"""Flags over HTTP: those of the tenant, those of the house, and what they say to the caller."""

from typing import Annotated

from fastapi import APIRouter

from ossature.kernel.context import SYSTEM_TENANT_ID, CurrentCtx
from ossature.kernel.http.listing import Asked, Listing, answer, listing
from ossature.kernel.http.policy import policy
from ossature.kernel.tenants.flags import store, usecases
from ossature.kernel.tenants.flags.domain import UnknownFlag
from ossature.kernel.tenants.flags.features import Features, Shown
from ossature.kernel.tenants.flags.shapes import (
    FlagIn,
    FlagOut,
    FlagPath,
    FlagPut,
    FlagsOut,
    KillIn,
    OutcomeIn,
    ResultsOut,
    ValueOut,
    ValuesOut,
    flag_out,
    results_out,
)

own = APIRouter(prefix="/flags", tags=["flags"])
house = APIRouter(prefix="/platform/flags", tags=["flags"])
values = APIRouter(tags=["flags"])

_BODY_MOST = 512 * 1024


@own.get("")
@policy(allow="read:flags")
async def list_flags(ctx: CurrentCtx, query: Annotated[Asked, listing(store.FLAGS, FlagOut)]) -> Listing[FlagOut]:
    """The tenant's own flags."""
    found = await store.flags(ctx.db, ctx.tenant.id, query)
    return answer(found.map(flag_out), FlagOut, query)


@own.post("", status_code=201)
@policy(allow="write:flags", rate="write", max_body_bytes=_BODY_MOST)
async def create_flag(ctx: CurrentCtx, body: FlagIn) -> FlagOut:
    """A new flag for the users of the tenant."""
    return flag_out(await usecases.create_flag(ctx, ctx.tenant.id, body.flag(body.name)))


@own.get("/{flag}")
@policy(allow="read:flags")
async def read_flag(ctx: CurrentCtx, flag: FlagPath) -> FlagOut:
    """One of the tenant's own flags."""
    return flag_out(await usecases.read_flag(ctx, ctx.tenant.id, flag))


@own.put("/{flag}")
@policy(allow="write:flags", rate="write", max_body_bytes=_BODY_MOST)
async def change_flag(ctx: CurrentCtx, flag: FlagPath, body: FlagPut) -> FlagOut:
    """Another flag in place of the one of this name; in force in every process within a second."""
    return flag_out(await usecases.change_flag(ctx, ctx.tenant.id, body.flag(flag)))


@own.delete("/{flag}", status_code=204)
@policy(allow="write:flags", rate="write")
async def delete_flag(ctx: CurrentCtx, flag: FlagPath) -> None:
    """The flag is gone; who asks for it gets the default of the place that asks."""
    await usecases.delete_flag(ctx, ctx.tenant.id, flag)


@own.post("/{flag}/kill")
@policy(allow="write:flags", rate="write")
async def kill_flag(ctx: CurrentCtx, flag: FlagPath, body: KillIn) -> FlagOut:
    """The flag, off for everybody in every process within a second."""
    return flag_out(await usecases.kill_flag(ctx, ctx.tenant.id, flag, body.why))


@own.post("/{flag}/revive")
@policy(allow="write:flags", rate="write")
async def revive_flag(ctx: CurrentCtx, flag: FlagPath) -> FlagOut:
    """The flag, which answers by its rules and shares again."""
    return flag_out(await usecases.revive_flag(ctx, ctx.tenant.id, flag))


@own.get("/{flag}/results")
@policy(allow="read:flags")
async def read_results(ctx: CurrentCtx, flag: FlagPath) -> ResultsOut:
    """What an experiment of the tenant has shown in its present round."""
    return results_out(await usecases.read_results(ctx, ctx.tenant.id, flag))


@house.get("")
@policy(allow="read:platform")
async def list_house_flags(ctx: CurrentCtx) -> FlagsOut:
    """The flags of the house, which hold for every tenant; those of the file too."""
    return FlagsOut(items=[flag_out(flag) for flag in await usecases.house_flags(ctx)])


@house.post("", status_code=201)
@policy(allow="write:platform", rate="write", max_body_bytes=_BODY_MOST)
async def create_house_flag(ctx: CurrentCtx, body: FlagIn) -> FlagOut:
    """A new flag for every tenant. It goes before one of the same name that a tenant has."""
    return flag_out(await usecases.create_flag(ctx, SYSTEM_TENANT_ID, body.flag(body.name)))


@house.get("/{house_flag}")
@policy(allow="read:platform")
async def read_house_flag(ctx: CurrentCtx, house_flag: FlagPath) -> FlagOut:
    """A flag of the house."""
    return flag_out(await usecases.read_flag(ctx, SYSTEM_TENANT_ID, house_flag))


@house.put("/{house_flag}")
@policy(allow="write:platform", rate="write", max_body_bytes=_BODY_MOST)
async def change_house_flag(ctx: CurrentCtx, house_flag: FlagPath, body: FlagPut) -> FlagOut:
    """Another flag in place of the one of this name; in force in every process within a second."""
    return flag_out(await usecases.change_flag(ctx, SYSTEM_TENANT_ID, body.flag(house_flag)))


@house.delete("/{house_flag}", status_code=204)
@policy(allow="write:platform", rate="write")
async def delete_house_flag(ctx: CurrentCtx, house_flag: FlagPath) -> None:
    """The flag is gone; who asks for it gets the default of the place that asks."""
    await usecases.delete_flag(ctx, SYSTEM_TENANT_ID, house_flag)


@house.post("/{house_flag}/kill")
@policy(allow="write:platform", rate="write")
async def kill_house_flag(ctx: CurrentCtx, house_flag: FlagPath, body: KillIn) -> FlagOut:
    """The flag, off for everybody in every process within a second; one of the file too."""
    return flag_out(await usecases.kill_flag(ctx, SYSTEM_TENANT_ID, house_flag, body.why))


@house.post("/{house_flag}/revive")
@policy(allow="write:platform", rate="write")
async def revive_house_flag(ctx: CurrentCtx, house_flag: FlagPath) -> FlagOut:
    """The flag, which answers by its rules and shares again."""
    return flag_out(await usecases.revive_flag(ctx, SYSTEM_TENANT_ID, house_flag))


@house.get("/{house_flag}/results")
@policy(allow="read:platform")
async def read_house_results(ctx: CurrentCtx, house_flag: FlagPath) -> ResultsOut:
    """What an experiment of the house has shown in its present round, over all tenants."""
    return results_out(await usecases.read_results(ctx, SYSTEM_TENANT_ID, house_flag))


@values.get("/flag-values")
@policy(allow="*")
async def read_values(ctx: CurrentCtx) -> ValuesOut:
    """What every flag says to the caller. Nobody counts this as being shown a variant."""
    return ValuesOut(items=[_value_out(one) for one in ctx.port(Features).all(ctx)])


@values.post("/flag-values/{flag}")
@policy(allow="*", effects=False)
async def show_value(ctx: CurrentCtx, flag: FlagPath) -> ValueOut:
    """What one flag says to the caller, who is counted as being shown its variant."""
    shown = ctx.port(Features).show(ctx, flag)
    if shown is None:
        raise UnknownFlag
    return _value_out(shown)


@values.post("/flag-outcomes", status_code=204)
@policy(allow="*", rate="write")
async def reach_goal(ctx: CurrentCtx, body: OutcomeIn) -> None:
    """The caller has reached a goal; experiments that have it count that."""
    await ctx.port(Features).reach(ctx, body.goal, amount=body.amount)


def _value_out(shown: Shown) -> ValueOut:
    return ValueOut(
        name=shown.name,
        value=shown.value,
        variant=shown.variant,
        reason=shown.reason,
        of_house=shown.owner_id == SYSTEM_TENANT_ID,
    )
