"""Flags that a demo tenant has, so that every page has something to show: a roll-out, a rule, and an experiment."""

import random
from datetime import timedelta
from uuid import UUID

from ossature.kernel.context import Ctx
from ossature.kernel.tenants.flags import store
from ossature.kernel.tenants.flags.domain import Asker, Exposure, Flag, FlagTaken, Rule, decide
from ossature.kernel.tenants.flags.usecases import create_flag, kill_flag

_PEOPLE = 600
_REACHED = {"short": 0.31, "long": 0.24}
_GOAL = "demo.signed"

_EXPERIMENT = Flag(
    name="demo.form",
    title="Does a short form bring more signatures?",
    variants={"long": "long", "short": "short"},
    off="long",
    shares={"long": 50.0, "short": 50.0},
    goal=_GOAL,
)
_FLAGS = (
    Flag(
        name="demo.board",
        title="The new board, for a tenth of the people and all owners",
        variants={"on": True, "off": False},
        off="off",
        shares={"on": 10.0, "off": 90.0},
        rules=(Rule(shares={"on": 100.0}, roles=frozenset({"owner"})),),
    ),
    Flag(
        name="demo.hints",
        title="Hints while a person types",
        variants={"on": True, "off": False},
        off="off",
        shares={"on": 100.0},
    ),
)


async def fill_demo(ctx: Ctx) -> None:
    """Three flags; one of them is killed, one is an experiment that has shown something."""
    if await store.flag(ctx.db, ctx.tenant.id, _EXPERIMENT.name) is not None:
        return  # it is there already
    for flag in _FLAGS:
        try:
            await create_flag(ctx, ctx.tenant.id, flag)
        except FlagTaken:
            return
    await kill_flag(ctx, ctx.tenant.id, _FLAGS[1].name, "people found them in the way")
    await create_flag(ctx, ctx.tenant.id, _EXPERIMENT)
    await _count(ctx)


async def _count(ctx: Ctx) -> None:
    """People of no name who were shown a form, some of whom have signed."""
    chance = random.Random(0)  # noqa: S311 - chance for show, the same in every demo
    shown = []
    for number in range(_PEOPLE):
        subject = str(UUID(int=chance.getrandbits(128)))
        at = ctx.now - timedelta(minutes=_PEOPLE - number)
        variant = decide(_EXPERIMENT, Asker(subject=subject, tenant_id=ctx.tenant.id)).variant
        shown.append(Exposure(ctx.tenant.id, ctx.tenant.id, _EXPERIMENT.name, 1, subject, variant, at))
    await store.add_exposures(ctx.db, shown)
    signed = [one.subject for one in shown if chance.random() < _REACHED[one.variant]]
    await store.add_outcomes(ctx.db, ctx.tenant.id, _GOAL, signed, amount=1.0, at=ctx.now)
