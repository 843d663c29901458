"""Signing in, staying signed in, signing out."""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from ossature.kernel.auth.factors import usecases as factors
from ossature.kernel.auth.factors.domain import SecondFactorRefused
from ossature.kernel.auth.gate import Gate
from ossature.kernel.auth.sessions import store
from ossature.kernel.auth.sessions.domain import COOKIE, RefreshRefused, RefreshReused, Session, digest, new_token
from ossature.kernel.auth.users import mailed
from ossature.kernel.auth.users import store as users
from ossature.kernel.auth.users.domain import (
    EmailNotVerified,
    Pause,
    SignInPaused,
    SignInRefused,
    User,
    normal_email,
    subject,
)
from ossature.kernel.context import Ctx, Tenant
from ossature.kernel.db.transaction import Db
from ossature.kernel.errors import PermissionDenied, Problem
from ossature.kernel.tenants import store as tenants
from ossature.kernel.tenants.domain import TenantIsSuspended

_ACCOUNT_FACTOR, _ADDRESS_FACTOR = 4, 10
"""An account is paused for everybody, and an address for every account, only after so many times as many failures."""

_REFRESH = "osr_"


@dataclass(frozen=True, slots=True)
class TokenPair:
    """A short-lived access token and a refresh token that can be used once."""

    access_token: str
    refresh_token: str
    expires_in_s: float
    refresh_expires_in_s: float


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Who signed in and for whom. Either tokens, or the value of the console's cookie."""

    user: User
    tenant: Tenant
    tokens: TokenPair | None = None
    cookie: str | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """What a person types to sign in. tenant: a slug; None takes the tenant that they have been in the longest.

    code: of the authenticator app, or a recovery code; who has no second factor needs none.
    """

    email: str
    password: str
    tenant: str | None = None
    cookie: bool = False
    code: str | None = None


async def sign_in(ctx: Ctx, attempt: Attempt) -> SignedIn:
    """A session for a user who knows their password.

    Whether the account exists makes no difference to the answer, to the work done or to how failures slow down.
    Raises: SignInRefused, SignInPaused, SecondFactorNeeded, SecondFactorRefused, TenantIsSuspended, EmailNotVerified,
    TooManySignIns.
    """
    gate = ctx.port(Gate)
    await gate.ready_to_sign()
    subjects = _subjects(attempt.email, ctx.actor.ip)
    async with gate.database.begin() as db:
        await _charge(ctx, db, subjects)
        found = await users.user_by_email(db, normal_email(attempt.email))
    user, stored = found or (None, None)
    verdict = await gate.passwords.verify(attempt.password, stored)
    signed_in: SignedIn | Problem
    async with gate.database.begin() as db:
        tenant = await _chosen_tenant(db, user.id if user else UUID(int=0), attempt.tenant)
        if user is None or tenant is None or not verdict.right or user.deactivated_at is not None:
            signed_in = SignInRefused()
        else:
            signed_in = (
                _hindered(gate, user, tenant)
                or await factors.lacking(ctx, db, user, attempt.code)
                or await _let_in(ctx, db, attempt, user=user, tenant=tenant, new_hash=verdict.new_hash)
            )
            if not isinstance(signed_in, SecondFactorRefused):
                # Who knows the password is not slowed down for what else they lack; but one failure is taken back for
                # one attempt: who asked without a code in between would be free to guess codes otherwise.
                for one in subjects:
                    await users.take_failure_back(db, one)
    if isinstance(signed_in, Problem):
        await _note_refusal(ctx, signed_in, subjects[1], user)
        raise signed_in
    await ctx.audit("user.signed_in", f"user:{signed_in.user.id}", tenant=str(signed_in.tenant.id))
    await factors.tell_of_recovery(ctx, signed_in.user, attempt.code)
    return signed_in


def _hindered(gate: Gate, user: User, tenant: Tenant) -> Problem | None:
    """What keeps somebody out who knows the password."""
    if tenant.suspended:
        return TenantIsSuspended()
    if gate.settings.verified_email_only and user.email_verified_at is None:
        return EmailNotVerified()
    return None


async def _let_in(ctx: Ctx, db: Db, attempt: Attempt, *, user: User, tenant: Tenant, new_hash: str | None) -> SignedIn:
    """The session of somebody whom nothing keeps out."""
    subjects = _subjects(attempt.email, ctx.actor.ip)
    await users.forget_failures(db, subjects[:2])
    await users.change_user(db, user.id, {"last_login_at": ctx.now} | ({"password_hash": new_hash} if new_hash else {}))
    return await _begin(ctx, db, user, tenant, cookie=attempt.cookie)


async def _note_refusal(ctx: Ctx, refusal: Problem, account: str, user: User | None) -> None:
    """What stays of a refused sign-in: the rest of the request is undone, this is not."""
    async with ctx.db.step():
        if isinstance(refusal, EmailNotVerified) and user is not None:
            await mailed.send_verification(ctx, user.id)
        await ctx.audit("sign_in.failed", f"account:{account[:16]}", result="denied", why=refusal.slug)


async def refresh(ctx: Ctx, token: str) -> SignedIn:
    """New tokens for a refresh token, which is used up by this. A second use ends the session: one of two users stole it.

    Raises: RefreshRefused.
    """
    gate = ctx.port(Gate)
    await gate.ready_to_sign()
    signed_in: SignedIn | None = None
    async with gate.database.begin() as db:
        used = await store.use_refresh(db, digest(token), ctx.now)
        if used is not None and used[1]:
            signed_in = await _renewed(ctx, db, used[0])
        elif used is not None:
            await _end_stolen(ctx, db, used[0])
    if signed_in is None:
        raise RefreshRefused
    return signed_in


async def open_console(ctx: Ctx) -> str:
    """The cookie of a console session for the key that the caller shows; it ends with the key, if not before.

    Raises: PermissionDenied for anybody but a key.
    """
    if ctx.actor.key_id is None:
        msg = "Only a key opens a console session like this; a user signs in."
        raise PermissionDenied(msg)
    gate = ctx.port(Gate)
    cookie = new_token(COOKIE)
    session = await store.add_session(
        ctx.db,
        ctx.tenant.id,
        kind="console",
        key_id=ctx.actor.key_id,
        token_digest=digest(cookie),
        expires_at=ctx.now + timedelta(seconds=gate.settings.session_s),
    )
    await ctx.audit("session.opened", f"session:{session.id}")
    return cookie


async def sign_out(ctx: Ctx, session_id: UUID) -> bool:
    """Whether there was such a session of the caller; it has ended, here and in all processes within a second."""
    session = await store.session(ctx.db, ctx.tenant.id, session_id)
    if session is None or ctx.actor.id not in (session.user_id, session.key_id):
        return False
    ended = await store.revoke_session(ctx.db, ctx.tenant.id, session_id, ctx.now)
    ctx.port(Gate).registry.forget_after(ctx.db, "session", session_id)
    await ctx.audit("session.ended", f"session:{session_id}")
    return ended


async def sign_out_everywhere(ctx: Ctx, user_id: UUID) -> int:
    """How many sessions of a user in this tenant have ended."""
    ended = await store.revoke_sessions_of_user(ctx.db, user_id, ctx.now, tenant_id=ctx.tenant.id)
    ctx.port(Gate).registry.forget_after(ctx.db, "user", user_id)
    await ctx.audit("user.signed_out_everywhere", f"user:{user_id}", sessions=ended)
    return ended


async def delete_spent(ctx: Ctx) -> int:
    """How many ended sessions and forgotten failures were dropped."""
    gate = ctx.port(Gate)
    week = timedelta(days=7)  # long enough to tell a stolen refresh token from an unknown one
    async with gate.database.begin() as db:
        sessions = await store.delete_sessions_ended_before(db, ctx.now - week)
        return sessions + await users.forget_failures_before(db, ctx.now - week)


async def rotate_signing_key(ctx: Ctx) -> str | None:
    """The name of the new signing key, if the present one was old enough; else None."""
    gate = ctx.port(Gate)
    age = await gate.signing_key_age()
    if age is not None and age < timedelta(days=gate.settings.signing_key_days):
        return None
    kid = await gate.rotate_signing_key()
    await ctx.audit("signing_key.rotated", f"signing_key:{kid}")
    return kid


def _subjects(email: str, ip: str) -> tuple[str, str, str]:
    """Under which names a failure is counted: this account from this address, the account, the address."""
    account = normal_email(email)
    return subject("pair", account, ip), subject("account", account), subject("address", ip)


async def _charge(ctx: Ctx, db: Db, subjects: tuple[str, str, str]) -> None:
    """Count this attempt as failed before it is looked at, so that guesses that come together all count.

    Raises: SignInPaused; an attempt during a pause then leaves no trace.
    """
    settings = ctx.port(Gate).settings
    forget_before = ctx.now - timedelta(seconds=2 * settings.lock_most_s)
    for one, factor in zip(subjects, (1, _ACCOUNT_FACTOR, _ADDRESS_FACTOR), strict=True):
        failures, until = await users.charge_failure(db, one, now=ctx.now, forget_before=forget_before)
        if until is not None and until > ctx.now:
            raise SignInPaused(retry_after_s=max(1.0, (until - ctx.now).total_seconds()))
        pause = Pause(settings.lock_after * factor, settings.lock_s, settings.lock_most_s).after(failures)
        if pause:
            await users.pause(db, one, ctx.now + pause)


async def _chosen_tenant(db: Db, user_id: UUID, slug: str | None) -> Tenant | None:
    """The tenant that a user wants to sign in to, or their oldest."""
    mine = [tenant.brief for tenant, _ in await tenants.tenants_of_user(db, user_id)]
    return next((tenant for tenant in mine if slug is None or tenant.slug == slug), None)


async def _begin(ctx: Ctx, db: Db, user: User, tenant: Tenant, *, cookie: bool) -> SignedIn:
    gate = ctx.port(Gate)
    if not cookie:
        expires_at = ctx.now + timedelta(seconds=gate.settings.refresh_token_s)
        session = await store.add_session(db, tenant.id, kind="token", user_id=user.id, expires_at=expires_at)
        return SignedIn(user, tenant, tokens=await _tokens(ctx, db, session, user.id))
    token = new_token(COOKIE)
    await store.add_session(
        db,
        tenant.id,
        kind="console",
        user_id=user.id,
        token_digest=digest(token),
        expires_at=ctx.now + timedelta(seconds=gate.settings.session_s),
    )
    return SignedIn(user, tenant, cookie=token)


async def _tokens(ctx: Ctx, db: Db, session: Session, user_id: UUID) -> TokenPair:
    gate = ctx.port(Gate)
    life_s = gate.settings.refresh_token_s
    token = new_token(_REFRESH)
    await store.add_refresh(
        db,
        session.tenant_id,
        digest=digest(token),
        session_id=session.id,
        expires_at=ctx.now + timedelta(seconds=life_s),
    )
    access = gate.signer.sign(user_id, session.tenant_id, session.id)
    return TokenPair(access, token, gate.settings.access_token_s, life_s)


async def _renewed(ctx: Ctx, db: Db, session: Session) -> SignedIn | None:
    """The session prolonged, with new tokens; None when it or its user has ended."""
    if session.revoked_at is not None or session.user_id is None:
        return None
    user = await users.user(db, session.user_id)
    tenant = await tenants.tenant(db, session.tenant_id)
    member = await tenants.member(db, session.tenant_id, session.user_id)
    if user is None or user.deactivated_at is not None or tenant is None or tenant.suspended_at or member is None:
        return None
    expires_at = ctx.now + timedelta(seconds=ctx.port(Gate).settings.refresh_token_s)
    await store.prolong_session(db, session.id, now=ctx.now, expires_at=expires_at)
    return SignedIn(user, tenant.brief, tokens=await _tokens(ctx, db, session, user.id))


async def _end_stolen(ctx: Ctx, db: Db, session: Session) -> None:
    gate = ctx.port(Gate)
    if await store.revoke_session(db, session.tenant_id, session.id, ctx.now) and session.user_id is not None:
        gate.registry.forget_after(db, "session", session.id)
        fact = RefreshReused(session.id, session.user_id)
        await gate.registry.publish(db, fact, tenant_id=session.tenant_id, request_id=ctx.id)
