"""What is done with flags. Those of the house are for everybody; those of a tenant for its own users."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any
from uuid import UUID

from ossature.kernel.context import SYSTEM_TENANT_ID, Ctx
from ossature.kernel.db.transaction import Db
from ossature.kernel.tenants.flags import store
from ossature.kernel.tenants.flags.book import FlagBook
from ossature.kernel.tenants.flags.domain import (
    FLAGS_MOST,
    Flag,
    FlagInFile,
    FlagTaken,
    NoExperiment,
    Results,
    TooManyFlags,
    UnknownFlag,
    check,
    next_round,
    results,
)
from ossature.kernel.tenants.registry import Registry


async def create_flag(ctx: Ctx, owner_id: UUID, flag: Flag) -> Flag:
    """A new flag. Raises: InvalidInput, FlagTaken, TooManyFlags."""
    check(flag, of_house=owner_id == SYSTEM_TENANT_ID)
    book = ctx.port(FlagBook)
    if flag.name in book.of(SYSTEM_TENANT_ID):
        raise FlagTaken(flag=flag.name)
    async with _at(ctx, owner_id) as db:
        if await store.count(db, owner_id) >= FLAGS_MOST:
            raise TooManyFlags(most=FLAGS_MOST)
        made = await store.add_flag(db, owner_id, flag)
        book.changed_after(db, owner_id)
    await ctx.audit("flag.created", _what(owner_id, flag.name), after=told(made))
    return made


async def change_flag(ctx: Ctx, owner_id: UUID, flag: Flag) -> Flag:
    """Another flag in place of the one of its name; a killed one stays killed.

    An experiment whose answers change begins a new round. Raises: InvalidInput, UnknownFlag, FlagInFile.
    """
    check(flag, of_house=owner_id == SYSTEM_TENANT_ID)
    _require_kept(ctx, owner_id, flag.name)
    async with _at(ctx, owner_id) as db:
        before = await store.flag(db, owner_id, flag.name)
        if before is None:
            raise UnknownFlag
        after = await store.put_flag(db, owner_id, replace(flag, round=next_round(before, flag)))
        if after is None:
            raise UnknownFlag
        ctx.port(FlagBook).changed_after(db, owner_id)
    await ctx.audit("flag.changed", _what(owner_id, flag.name), before=told(before), after=told(after))
    return after


async def delete_flag(ctx: Ctx, owner_id: UUID, name: str) -> None:
    """The flag is gone; who asks for it gets the default of the place that asks. Raises: UnknownFlag, FlagInFile."""
    _require_kept(ctx, owner_id, name)
    async with _at(ctx, owner_id) as db:
        before = await store.flag(db, owner_id, name)
        if before is None or not await store.delete_flag(db, owner_id, name):
            raise UnknownFlag
        ctx.port(FlagBook).changed_after(db, owner_id)
    await ctx.audit("flag.deleted", _what(owner_id, name), before=told(before))


async def kill_flag(ctx: Ctx, owner_id: UUID, name: str, why: str) -> Flag:
    """The flag, which answers with its variant `off` from now on, to everybody, in every process within a second.

    Raises: UnknownFlag.
    """
    before = await read_flag(ctx, owner_id, name)
    async with _at(ctx, owner_id) as db:
        after = await store.kill(db, owner_id, before, (ctx.now, why))
        ctx.port(FlagBook).changed_after(db, owner_id)
    await ctx.audit("flag.killed", _what(owner_id, name), before=told(before), after=told(after))
    return replace(after, declared=before.declared)


async def revive_flag(ctx: Ctx, owner_id: UUID, name: str) -> Flag:
    """The flag, which answers by its rules and shares again. Raises: UnknownFlag."""
    before = await read_flag(ctx, owner_id, name)
    after = replace(before, killed_at=None, killed_why=None)
    async with _at(ctx, owner_id) as db:
        if before.declared:  # its row says nothing but that it is killed
            await store.delete_flag(db, owner_id, name)
        else:
            after = await store.kill(db, owner_id, before, None)
        ctx.port(FlagBook).changed_after(db, owner_id)
    await ctx.audit("flag.revived", _what(owner_id, name), before=told(before), after=told(after))
    return after


async def read_flag(ctx: Ctx, owner_id: UUID, name: str) -> Flag:
    """A flag as it stands in the file or the database. Raises: UnknownFlag."""
    async with _at(ctx, owner_id) as db:
        kept = await store.flag(db, owner_id, name)
    found = {kept.name: kept} if kept else {}
    if owner_id == SYSTEM_TENANT_ID:
        found = dict(ctx.port(FlagBook).with_file(found))
    if name not in found:
        raise UnknownFlag
    return found[name]


async def house_flags(ctx: Ctx) -> Sequence[Flag]:
    """Every flag of the house, those of the file too, by name."""
    async with _at(ctx, SYSTEM_TENANT_ID) as db:
        kept = (await store.every(db, SYSTEM_TENANT_ID)).get(SYSTEM_TENANT_ID, {})
    return sorted(ctx.port(FlagBook).with_file(kept).values(), key=lambda flag: flag.name)


async def read_results(ctx: Ctx, owner_id: UUID, name: str) -> Results:
    """What an experiment has shown in its present round. Raises: UnknownFlag, NoExperiment."""
    flag = await read_flag(ctx, owner_id, name)
    if flag.goal is None:
        raise NoExperiment
    async with _at(ctx, owner_id) as db:
        return results(flag, await store.counts(db, owner_id, flag))


@asynccontextmanager
async def _at(ctx: Ctx, owner_id: UUID) -> AsyncIterator[Db]:
    """The view in which the rows of an owner are: the tenant's own, or one across tenants for those of the house."""
    if owner_id == ctx.tenant.id:
        yield ctx.db
        return
    async with ctx.port(Registry).across(ctx) as db:
        yield db


def _require_kept(ctx: Ctx, owner_id: UUID, name: str) -> None:
    if ctx.port(FlagBook).is_declared(owner_id, name):
        raise FlagInFile


def _what(owner_id: UUID, name: str) -> str:
    return f"house-flag:{name}" if owner_id == SYSTEM_TENANT_ID else f"flag:{name}"


def told(flag: Flag) -> dict[str, Any]:
    """What the audit trail says of a flag."""
    return {
        "title": flag.title,
        "variants": dict(flag.variants),
        "off": flag.off,
        "shares": dict(flag.shares),
        "rules": [
            {
                "shares": dict(rule.shares),
                **{
                    name: sorted(getattr(rule, name))
                    for name in ("tenants", "plans", "users", "roles")
                    if getattr(rule, name)
                },
            }
            for rule in flag.rules
        ],
        "by": flag.by,
        "goal": flag.goal,
        "killed": flag.killed_why,
    }
