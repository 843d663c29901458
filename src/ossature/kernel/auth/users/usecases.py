"""What is done with users: make, invite, deactivate, give a new password."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from ossature.kernel.auth.gate import Gate
from ossature.kernel.auth.password_rules import check_password
from ossature.kernel.auth.sessions import store as sessions
from ossature.kernel.auth.users import store
from ossature.kernel.auth.users.domain import (
    EmailTaken,
    NotYourAccount,
    SignInRefused,
    UnknownUser,
    User,
    UserDeactivated,
    normal_email,
)
from ossature.kernel.context import Ctx
from ossature.kernel.db.transaction import Db
from ossature.kernel.errors import PermissionDenied
from ossature.kernel.tenants import store as tenants
from ossature.kernel.tenants.domain import OWNER, LastOwner, Member


@dataclass(frozen=True, slots=True)
class NewUser:
    """A person who is to become a user. password: None lets them in only once one is set."""

    email: str
    name: str
    roles: Sequence[str]
    bound: Mapping[str, str] = field(default_factory=dict)
    password: str | None = None


@dataclass(frozen=True, slots=True)
class UserHere:
    """A user with what they are in the tenant."""

    user: User
    member: Member


async def create_user(ctx: Ctx, new: NewUser) -> UserHere:
    """A user of the caller's tenant: a new account that the tenant administers.

    Raises: UnknownRole, MoreThanYouHave, WeakPassword, EmailTaken.
    """
    gate = ctx.port(Gate)
    gate.roles.require_grantable(ctx.actor, new.roles)
    hashed = None
    if new.password is not None:
        length_min = gate.settings.password_length_min
        check_password(new.password, email=new.email, name=new.name, length_min=length_min)
        hashed = await gate.passwords.hash(new.password)
    email = normal_email(new.email)
    user = await store.add_user(ctx.db, ctx.tenant.id, email=email, name=new.name, password_hash=hashed)
    member = await tenants.put_member(ctx.db, ctx.tenant.id, user.id, roles=frozenset(new.roles), bound=new.bound)
    here = UserHere(user, member)
    await ctx.audit("user.created", f"user:{user.id}", after=_told(here))
    return here


async def invite_user(ctx: Ctx, email: str, roles: Sequence[str]) -> UserHere:
    """A user of another tenant as a member of this one too; their account stays where it is administered.

    Raises: UnknownRole, MoreThanYouHave, UnknownUser, EmailTaken for one who is a member already.
    """
    gate = ctx.port(Gate)
    gate.roles.require_grantable(ctx.actor, roles)
    async with gate.database.begin() as across:  # an account that is not visible from here yet
        found = await store.user_by_email(across, normal_email(email))
    if found is None or found[0].deactivated_at is not None:
        raise UnknownUser
    user = found[0]
    if await tenants.member(ctx.db, ctx.tenant.id, user.id) is not None:
        raise EmailTaken
    member = await tenants.put_member(ctx.db, ctx.tenant.id, user.id, roles=frozenset(roles), bound={})
    here = UserHere(user, member)
    await ctx.audit("user.invited", f"user:{user.id}", after=_told(here))
    return here


async def read_user(ctx: Ctx, user_id: UUID) -> UserHere:
    """A user of the tenant. Raises: UnknownUser."""
    member = await tenants.member(ctx.db, ctx.tenant.id, user_id)
    user = await store.user(ctx.db, user_id) if member is not None else None
    if user is None or member is None:
        raise UnknownUser
    return UserHere(user, member)


async def rename_user(ctx: Ctx, user_id: UUID, name: str) -> UserHere:
    """The user with another name. Raises: UnknownUser, NotYourAccount."""
    before = await _administered(ctx, user_id)
    return await _changed(ctx, before, "user.renamed", {"name": name})


async def deactivate_user(ctx: Ctx, user_id: UUID) -> UserHere:
    """The user, who can no longer sign in; every session of theirs has ended.

    Raises: UnknownUser, NotYourAccount, LastOwner.
    """
    before = await _administered(ctx, user_id)
    if OWNER in before.member.roles and not await tenants.others_with_role(ctx.db, ctx.tenant.id, user_id, OWNER):
        raise LastOwner
    after = await _changed(ctx, before, "user.deactivated", {"deactivated_at": ctx.now})
    await sessions.revoke_sessions_of_user(ctx.db, user_id, ctx.now)
    await ctx.publish(UserDeactivated(user_id))
    return after


async def reactivate_user(ctx: Ctx, user_id: UUID) -> UserHere:
    """The user, who can sign in again. Raises: UnknownUser, NotYourAccount."""
    before = await _administered(ctx, user_id)
    return await _changed(ctx, before, "user.reactivated", {"deactivated_at": None})


async def set_password(ctx: Ctx, user_id: UUID, password: str) -> UserHere:
    """The user with a password that an administrator chose; every session of theirs has ended.

    Raises: UnknownUser, NotYourAccount, WeakPassword, MoreThanYouHave for a user with more rights than the caller.
    """
    before = await _administered(ctx, user_id)
    gate = ctx.port(Gate)
    gate.roles.require_grantable(ctx.actor, before.member.roles)
    await _write_password(ctx, ctx.db, before.user, password)
    await sessions.revoke_sessions_of_user(ctx.db, user_id, ctx.now)
    gate.registry.forget_after(ctx.db, "user", user_id)
    await ctx.audit("password.set", f"user:{user_id}")
    return before


async def account_to_open(ctx: Ctx, user_id: UUID) -> User:
    """A user whom the caller may let in again: administered here, and with no more rights than the caller.

    Raises: UnknownUser, NotYourAccount, MoreThanYouHave.
    """
    here = await _administered(ctx, user_id)
    ctx.port(Gate).roles.require_grantable(ctx.actor, here.member.roles)
    return here.user


async def change_own_password(ctx: Ctx, *, present: str, password: str) -> None:
    """The caller has a new password; every session of theirs, this one included, has ended.

    Raises: SignInRefused when `present` is not the present one; WeakPassword.
    """
    gate = ctx.port(Gate)
    user = await store.user(ctx.db, ctx.actor.id) if ctx.actor.kind == "user" and ctx.actor.id else None
    stored = await store.password_hash(ctx.db, user.id) if user is not None else None
    verdict = await gate.passwords.verify(present, stored)
    if user is None or not verdict.right:
        raise SignInRefused
    async with gate.database.begin() as db:  # the account may be administered by another tenant
        await _write_password(ctx, db, user, password)
        await sessions.revoke_sessions_of_user(db, user.id, ctx.now)
        gate.registry.forget_after(db, "user", user.id)
    await ctx.audit("password.changed", f"user:{user.id}")


async def choose_language(ctx: Ctx, language: str | None) -> None:
    """The caller reads this language from now on; None leaves it to their browser again. Raises: PermissionDenied for a key."""
    gate = ctx.port(Gate)
    if ctx.actor.kind != "user" or ctx.actor.id is None:
        raise PermissionDenied("Only a person has a language.")
    async with gate.database.begin() as db:  # the account may be administered by another tenant
        await store.change_user(db, ctx.actor.id, {"language": language})
        gate.registry.forget_after(db, "user", ctx.actor.id)
    await ctx.audit("user.language_chosen", f"user:{ctx.actor.id}", language=language)


async def _write_password(ctx: Ctx, db: Db, user: User, password: str) -> None:
    gate = ctx.port(Gate)
    check_password(password, email=user.email, name=user.name, length_min=gate.settings.password_length_min)
    hashed = await gate.passwords.hash(password)
    await store.change_user(db, user.id, {"password_hash": hashed, "password_changed_at": ctx.now})


async def _administered(ctx: Ctx, user_id: UUID) -> UserHere:
    """A user whose account this tenant administers. Raises: UnknownUser, NotYourAccount."""
    here = await read_user(ctx, user_id)
    if here.user.tenant_id != ctx.tenant.id:
        raise NotYourAccount
    return here


async def _changed(ctx: Ctx, before: UserHere, action: str, values: Mapping[str, Any]) -> UserHere:
    user = await store.change_user(ctx.db, before.user.id, values)
    if user is None:
        raise UnknownUser
    after = UserHere(user, before.member)
    ctx.port(Gate).registry.forget_after(ctx.db, "user", user.id)
    await ctx.audit(action, f"user:{user.id}", before=_told(before), after=_told(after))
    return after


def _told(here: UserHere) -> dict[str, Any]:
    """What the audit trail says of a user."""
    return {
        "email": here.user.email,
        "name": here.user.name,
        "roles": sorted(here.member.roles),
        "bound": dict(here.member.bound),
        "deactivated": here.user.deactivated_at is not None,
    }
