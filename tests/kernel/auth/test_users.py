"""Accounts: one tenant administers them, others may have them as members; and how their sessions end."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from ossature.kernel.auth.authenticator import CredentialRefused
from ossature.kernel.auth.sessions.domain import RefreshRefused
from ossature.kernel.auth.signin import usecases as signin
from ossature.kernel.auth.signin.usecases import Attempt, SignedIn
from ossature.kernel.auth.users import usecases as users
from ossature.kernel.auth.users.domain import EmailTaken, NotYourAccount, UnknownUser
from ossature.kernel.auth.users.usecases import NewUser, UserHere
from ossature.kernel.context import SYSTEM_TENANT, Actor
from ossature.kernel.http.ports import Identity
from ossature.kernel.tenants import usecases as tenants
from ossature.kernel.tenants.domain import LastOwner, NewTenant, Tenant

ADDRESS, PASSWORD = "ada@example.com", "seven green bottles"
NOBODY = Identity(SYSTEM_TENANT, Actor(kind="anonymous", id=None, name="anonymous", ip="192.0.2.9"), "ip:192.0.2.9")


async def a_user(world: Any, *roles: str, email: str = ADDRESS) -> UserHere:
    async with world.acting() as ctx:
        return await users.create_user(ctx, NewUser(email=email, name="Ada", roles=roles, password=PASSWORD))


async def another_tenant(world: Any) -> tuple[Tenant, Identity]:
    """A second tenant, and its administrator."""
    async with world.acting() as ctx:
        made = await tenants.create_tenant(ctx, NewTenant("other", "Other"))
    return made, Identity(made.brief, world.admin.actor, "key:x")


async def sign_in(world: Any, tenant: str = "main") -> SignedIn:
    async with world.acting(NOBODY) as ctx:
        return await signin.sign_in(ctx, Attempt(ADDRESS, PASSWORD, tenant=tenant))


async def refresh(world: Any, signed_in: SignedIn) -> SignedIn:
    async with world.acting(NOBODY) as ctx:
        return await signin.refresh(ctx, signed_in.tokens.refresh_token)


async def by_token(world: Any, signed_in: SignedIn) -> Identity:
    return await world.who(f"Bearer {signed_in.tokens.access_token}")


async def test_who_is_invited_is_a_member_here_and_administered_at_home(world: Any) -> None:
    ada = await a_user(world, "user")
    _, there = await another_tenant(world)
    async with world.acting(there) as ctx:
        with pytest.raises(UnknownUser):
            await users.read_user(ctx, ada.user.id)
        await users.invite_user(ctx, ADDRESS, ["viewer"])
        here = await users.read_user(ctx, ada.user.id)
        for change in (users.rename_user(ctx, ada.user.id, "Eve"), users.deactivate_user(ctx, ada.user.id)):
            with pytest.raises(NotYourAccount):
                await change
    assert here.member.roles == {"viewer"}
    assert (await by_token(world, await sign_in(world, "other"))).actor.roles == {"viewer"}
    assert (await by_token(world, await sign_in(world, "main"))).actor.roles == {"user"}


async def test_only_an_open_account_that_is_no_member_yet_is_invited(world: Any) -> None:
    closed = await a_user(world, "user", email="bob@example.com")
    await a_user(world, "user")
    async with world.acting() as ctx:
        await users.deactivate_user(ctx, closed.user.id)
        with pytest.raises(EmailTaken):
            await users.invite_user(ctx, ADDRESS, ["viewer"])
    _, there = await another_tenant(world)
    async with world.acting(there) as ctx:
        for nobody in ("bob@example.com", "eve@example.com"):
            with pytest.raises(UnknownUser):
                await users.invite_user(ctx, nobody, ["viewer"])


async def test_the_last_owner_is_not_deactivated(world: Any) -> None:
    ada = await a_user(world, "owner")
    async with world.acting() as ctx:
        with pytest.raises(LastOwner):
            await users.deactivate_user(ctx, ada.user.id)
    await a_user(world, "owner", email="bob@example.com")
    async with world.acting() as ctx:
        assert (await users.deactivate_user(ctx, ada.user.id)).user.deactivated_at is not None


async def test_signing_out_everywhere_ends_the_sessions_of_this_tenant_only(world: Any) -> None:
    ada = await a_user(world, "user")
    _, there = await another_tenant(world)
    async with world.acting(there) as ctx:
        await users.invite_user(ctx, ADDRESS, ["viewer"])
    ended = [await sign_in(world, "main") for _ in range(2)]
    other = await sign_in(world, "other")
    async with world.acting(await by_token(world, ended[0])) as ctx:
        assert await signin.sign_out_everywhere(ctx, ada.user.id) == 2
    for one in ended:
        with pytest.raises(CredentialRefused):
            await by_token(world, one)
    assert (await by_token(world, other)).actor.id == ada.user.id


async def test_no_tokens_are_renewed_while_a_tenant_is_suspended(world: Any) -> None:
    await a_user(world, "user")
    home, there = await another_tenant(world)
    async with world.acting(there) as ctx:
        await users.invite_user(ctx, ADDRESS, ["viewer"])
    signed_in = await sign_in(world, "other")
    async with world.acting() as ctx:
        await tenants.suspend_tenant(ctx, home.id, "unpaid")
    with pytest.raises(RefreshRefused):
        await refresh(world, signed_in)


async def test_ended_sessions_and_attempts_are_forgotten_after_a_week(world: Any) -> None:
    ada = await a_user(world, "user")
    signed_in = await sign_in(world)
    async with world.acting(await by_token(world, signed_in)) as ctx:
        await signin.sign_out_everywhere(ctx, ada.user.id)
    dropped = []
    for wait in (timedelta(days=6), timedelta(days=2)):
        world.time.at += wait
        async with world.acting() as ctx:
            dropped.append(await signin.delete_spent(ctx))
    assert dropped == [0, 2]  # the session, and what was counted for its address


async def test_an_owner_who_is_deactivated_is_none(world: Any) -> None:
    ada = await a_user(world, "owner")
    bob = await a_user(world, "owner", email="bob@example.com")
    async with world.acting() as ctx:
        await users.deactivate_user(ctx, ada.user.id)
    async with world.acting() as ctx:
        with pytest.raises(LastOwner):
            await users.deactivate_user(ctx, bob.user.id)
        with pytest.raises(LastOwner):
            await tenants.remove_member(ctx, bob.user.id)


async def test_of_two_owners_who_leave_at_the_same_time_one_stays(world: Any) -> None:
    pair = [await a_user(world, "owner", email=f"{name}@example.com") for name in ("ada", "bob")]

    async def leave(user_id: UUID) -> None:
        async with world.acting() as ctx:
            await tenants.remove_member(ctx, user_id)

    ended = await asyncio.gather(*(leave(here.user.id) for here in pair), return_exceptions=True)
    assert sorted(type(one) for one in ended if one is not None) == [LastOwner]
