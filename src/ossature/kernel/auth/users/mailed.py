"""What a link that was mailed to an address proves: that its reader may choose another password, or that it is theirs.

Who asks for a link learns nothing about accounts: for an address without one everything happens in the same way, but
for the mail, which a job writes later.
"""

import hmac
from datetime import timedelta
from typing import Final
from uuid import UUID

from ossature.kernel.auth.gate import Gate
from ossature.kernel.auth.password_rules import check_password
from ossature.kernel.auth.sessions import store as sessions
from ossature.kernel.auth.users import letters, store
from ossature.kernel.auth.users.domain import User, normal_email, subject
from ossature.kernel.context import Ctx
from ossature.kernel.errors import PermissionDenied
from ossature.kernel.links.domain import LinkRefused
from ossature.kernel.links.usecases import Links
from ossature.kernel.notify.domain import Notice
from ossature.kernel.service import Backoff, Job

RESET: Final = "auth.reset"
VERIFY: Final = "auth.verify"
_PATHS: Final = {RESET: "/v1/auth/password/reset", VERIFY: "/v1/auth/email/verify"}
_NOTICES: Final = {RESET: letters.RESET, VERIFY: letters.VERIFY}


async def ask_for_reset(ctx: Ctx, email: str) -> None:
    """If there is an account with this address, a link to choose another password is on its way to it."""
    gate = ctx.port(Gate)
    async with gate.database.begin() as db:
        found = await store.user_by_email(db, normal_email(email))
    user_id = found[0].id if found else _nobody(gate.secret, email)
    await _send_later(ctx, RESET, user_id)
    await ctx.audit("password.reset_asked", f"account:{subject('account', normal_email(email))[:16]}")


async def ask_for_verification(ctx: Ctx) -> None:
    """A link that shows that mail reaches the caller is on its way to them. Raises: PermissionDenied for a key."""
    if ctx.actor.kind != "user" or ctx.actor.id is None:
        raise PermissionDenied("Only a person has an e-mail address.")
    await send_verification(ctx, ctx.actor.id)


async def send_verification(ctx: Ctx, user_id: UUID) -> None:
    """A link that shows that mail reaches a user is on its way to them."""
    await _send_later(ctx, VERIFY, user_id)


async def reset_password(ctx: Ctx, token: str, password: str) -> None:
    """Who holds the token has this password from now on. Every session of theirs has ended, and no pause holds any more.

    Raises: LinkRefused; WeakPassword, which leaves the link as it is.
    """
    gate, links = ctx.port(Gate), ctx.port(Links)
    user = await _meant(ctx, RESET, token)
    check_password(password, email=user.email, name=user.name, length_min=gate.settings.password_length_min)
    hashed = await gate.passwords.hash(password)
    async with gate.database.begin() as db:
        link = await links.use(db, RESET, token, now=ctx.now)
        await links.revoke(db, link.tenant_id, RESET, link.subject, now=ctx.now)
        values = {"password_hash": hashed, "password_changed_at": ctx.now, "email_verified_at": ctx.now}
        await store.change_user(db, user.id, values)
        await sessions.revoke_sessions_of_user(db, user.id, ctx.now)
        await store.forget_failures(db, [subject("account", user.email), subject("pair", user.email, ctx.actor.ip)])
        gate.registry.forget_after(db, "user", user.id)
    await ctx.audit("password.reset", f"user:{user.id}")
    await letters.tell_of_change(ctx, user, letters.PASSWORD_RESET)


async def verify_email(ctx: Ctx, token: str) -> None:
    """Mail to the address of the token's user arrives. Raises: LinkRefused."""
    gate = ctx.port(Gate)
    user = await _meant(ctx, VERIFY, token)
    async with gate.database.begin() as db:
        await ctx.port(Links).use(db, VERIFY, token, now=ctx.now)
        await store.change_user(db, user.id, {"email_verified_at": ctx.now})
    await ctx.audit("email.verified", f"user:{user.id}")


async def send_link(ctx: Ctx, scope: str, user: str) -> bool:
    """Whether a mail with a link went out: there is such a user, and none was written just before."""
    gate, links = ctx.port(Gate), ctx.port(Links)
    life_s = gate.settings.reset_s if scope == RESET else gate.settings.verification_s
    until = ctx.now + timedelta(seconds=life_s)
    async with gate.registry.across(ctx) as db:
        found = await store.user(db, UUID(user))
        if found is None or found.deactivated_at is not None:
            return False
        if await links.issued_since(db, found.tenant_id, scope, user, ctx.now - _pause(ctx)):
            return False
        token = await links.renew(db, found.tenant_id, scope, user, until=until)
    link = f"{ctx.settings.main.public_url.rstrip('/')}{_PATHS[scope]}/{token}"
    notice: Notice = _NOTICES[scope]
    await letters.write(ctx, found, notice, {"link": link, "until": f"{until:%Y-%m-%d %H:%M} UTC"})
    return True


SEND_LINK: Final = Job(
    name="auth.send_link", run=send_link, queue="mail", attempts=8, backoff=Backoff(first_s=5.0, most_s=600.0)
)
JOBS: Final = (SEND_LINK,)


async def _send_later(ctx: Ctx, scope: str, user_id: UUID) -> None:
    await ctx.enqueue(SEND_LINK, {"scope": scope, "user": str(user_id)}, unique=f"{scope}:{user_id}")


async def _meant(ctx: Ctx, scope: str, token: str) -> User:
    """The user for whom a token is. Raises: LinkRefused."""
    link = await ctx.port(Links).look(ctx, scope, token)
    async with ctx.port(Gate).database.begin() as db:
        user = await store.user(db, UUID(link.subject))
    if user is None or user.deactivated_at is not None:
        raise LinkRefused
    return user


def _pause(ctx: Ctx) -> timedelta:
    return timedelta(seconds=ctx.port(Gate).settings.link_pause_s)


def _nobody(secret: bytes, email: str) -> UUID:
    """Who stands for the holder of an address without an account: always the same, as a real one would be."""
    return UUID(bytes=hmac.digest(secret, b"ossature.nobody\0" + normal_email(email).encode(), "sha256")[:16])
