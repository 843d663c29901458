"""What is done with a second factor: take it up, show it when signing in, take it away."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from ossature.kernel.auth.factors import store
from ossature.kernel.auth.factors.domain import (
    RECOVERY_CODES,
    Enrolment,
    SecondFactorIsOff,
    SecondFactorIsOn,
    SecondFactorNeeded,
    SecondFactorRefused,
    is_of_app,
    new_enrolment,
    new_recovery_code,
    recovery_digest,
    step_of,
)
from ossature.kernel.auth.gate import Gate
from ossature.kernel.auth.sessions import store as sessions
from ossature.kernel.auth.users import letters
from ossature.kernel.auth.users import store as users
from ossature.kernel.auth.users import usecases as accounts
from ossature.kernel.auth.users.domain import Pause, SignInPaused, SignInRefused, User, subject
from ossature.kernel.context import Ctx
from ossature.kernel.db.transaction import Db
from ossature.kernel.errors import PermissionDenied, Problem


@dataclass(frozen=True, slots=True)
class Factors:
    """What a user has besides the password. confirmed_at: since when an app; None when there is none."""

    confirmed_at: datetime | None
    recovery_codes_left: int


async def factors_of(ctx: Ctx) -> Factors:
    """What the caller has besides the password. Raises: PermissionDenied for a key."""
    return await factors_of_user(ctx, await _caller(ctx))


async def factors_of_user(ctx: Ctx, user: User) -> Factors:
    """What a user has besides the password."""
    async with ctx.port(Gate).database.begin() as db:
        found = await store.totp(db, user.id)
        return Factors(found.confirmed_at if found else None, await store.recovery_codes_left(db, user.id))


async def enrol(ctx: Ctx, password: str) -> Enrolment:
    """A secret for the caller's authenticator app, which counts once they have confirmed it with a code.

    Raises: SignInRefused for a wrong password, SignInPaused, SecondFactorIsOn, PermissionDenied for a key.
    """
    gate, user = ctx.port(Gate), await _caller(ctx)
    await _charge(ctx, user)
    async with gate.database.begin() as db:
        stored = await users.password_hash(db, user.id)
    if not (await gate.passwords.verify(password, stored)).right:
        raise SignInRefused
    made = new_enrolment(user.email, gate.settings.totp_issuer)
    async with gate.database.begin() as db:
        await users.forget_failures(db, [_subject(user)])
        if not await store.put_totp(db, user.tenant_id, user.id, made.secret):
            raise SecondFactorIsOn
    await ctx.audit("second_factor.enrolled", f"user:{user.id}")
    return made


async def confirm(ctx: Ctx, code: str) -> Sequence[str]:
    """Recovery codes, shown this once: from now on the caller signs in with a code of their app besides the password.

    Raises: SecondFactorIsOff when none waits, SecondFactorRefused, SignInPaused, PermissionDenied for a key.
    """
    gate, user = ctx.port(Gate), await _caller(ctx)
    await _charge(ctx, user)
    async with gate.database.begin() as db:
        waiting = await store.totp(db, user.id)
        if waiting is None or waiting.confirmed_at is not None:
            raise SecondFactorIsOff
        secret = store.APP_SECRET.open(db.ring, user.id, waiting.sealed, secret=gate.secret)
        step = step_of(secret, code, ctx.now) if is_of_app(code) else None
        if step is None:
            raise SecondFactorRefused
        if not await store.confirm_totp(db, user.id, waiting.sealed, step=step, now=ctx.now):
            raise SecondFactorIsOff
        await users.forget_failures(db, [_subject(user)])
        codes = await _new_codes(db, user)
    await ctx.audit("second_factor.confirmed", f"user:{user.id}")
    await letters.tell_of_change(ctx, user, letters.FACTOR_ON)
    return codes


async def renew_recovery_codes(ctx: Ctx, code: str) -> Sequence[str]:
    """New recovery codes for the caller, shown this once; those before are good no more.

    Raises: SecondFactorIsOff, SecondFactorRefused, SignInPaused, PermissionDenied for a key.
    """
    gate, user = ctx.port(Gate), await _caller(ctx)
    await _charge(ctx, user)
    async with gate.database.begin() as db:
        await _require(gate, db, user, code, ctx.now)
        codes = await _new_codes(db, user)
    await ctx.audit("recovery_codes.renewed", f"user:{user.id}")
    return codes


async def remove(ctx: Ctx, code: str) -> None:
    """The caller signs in with the password alone again.

    Raises: SecondFactorIsOff, SecondFactorRefused, SignInPaused, PermissionDenied for a key.
    """
    gate, user = ctx.port(Gate), await _caller(ctx)
    await _charge(ctx, user)
    async with gate.database.begin() as db:
        await _require(gate, db, user, code, ctx.now)
        await store.remove_factors(db, user.id)
    await ctx.audit("second_factor.removed", f"user:{user.id}")
    await letters.tell_of_change(ctx, user, letters.FACTOR_OFF)


async def remove_from(ctx: Ctx, user_id: UUID) -> None:
    """A user who lost the app and the codes signs in with the password alone again; all their sessions have ended.

    Raises: UnknownUser, NotYourAccount, MoreThanYouHave, SecondFactorIsOff.
    """
    user = await accounts.account_to_open(ctx, user_id)
    gate = ctx.port(Gate)
    if not await store.remove_factors(ctx.db, user.id):
        raise SecondFactorIsOff
    await sessions.revoke_sessions_of_user(ctx.db, user.id, ctx.now)
    gate.registry.forget_after(ctx.db, "user", user.id)
    await ctx.audit("second_factor.taken_away", f"user:{user.id}")
    await letters.tell_of_change(ctx, user, letters.FACTOR_OFF)


async def lacking(ctx: Ctx, db: Db, user: User, code: str | None) -> Problem | None:
    """What somebody lacks who knows the password; None when nothing. A code that was good is used up by this."""
    gate = ctx.port(Gate)
    found = await store.totp(db, user.id)
    if found is None or found.confirmed_at is None:
        return None
    if code is None:
        return SecondFactorNeeded()
    return None if await _spend(gate, db, user, code, ctx.now) else SecondFactorRefused()


async def tell_of_recovery(ctx: Ctx, user: User, code: str | None) -> None:
    """Let a user know that somebody has signed in with a recovery code, if that is what was done."""
    if code is not None and not is_of_app(code) and (await factors_of_user(ctx, user)).confirmed_at is not None:
        await letters.tell_of_change(ctx, user, letters.RECOVERY_USED)


async def _spend(gate: Gate, db: Db, user: User, code: str, now: datetime) -> bool:
    """Whether a code is good; it is used up by this."""
    if not is_of_app(code):
        return await store.use_recovery_code(db, recovery_digest(user.id, code), now)
    found = await store.totp(db, user.id)
    if found is None or found.confirmed_at is None:
        return False
    step = step_of(store.APP_SECRET.open(db.ring, user.id, found.sealed, secret=gate.secret), code, now)
    return step is not None and await store.take_step(db, user.id, step)


async def _require(gate: Gate, db: Db, user: User, code: str, now: datetime) -> None:
    found = await store.totp(db, user.id)
    if found is None or found.confirmed_at is None:
        raise SecondFactorIsOff
    if not await _spend(gate, db, user, code, now):
        raise SecondFactorRefused
    await users.forget_failures(db, [_subject(user)])


async def _new_codes(db: Db, user: User) -> Sequence[str]:
    codes = [new_recovery_code() for _ in range(RECOVERY_CODES)]
    await store.put_recovery_codes(db, user.tenant_id, user.id, [recovery_digest(user.id, one) for one in codes])
    return codes


async def _charge(ctx: Ctx, user: User) -> None:
    """Count this attempt as failed before it is looked at: a stolen session must not try all codes. Raises: SignInPaused."""
    gate = ctx.port(Gate)
    settings, one = gate.settings, _subject(user)
    async with gate.database.begin() as db:
        forget_before = ctx.now - timedelta(seconds=2 * settings.lock_most_s)
        failures, until = await users.charge_failure(db, one, now=ctx.now, forget_before=forget_before)
        if until is not None and until > ctx.now:
            raise SignInPaused(retry_after_s=max(1.0, (until - ctx.now).total_seconds()))
        pause = Pause(settings.lock_after, settings.lock_s, settings.lock_most_s).after(failures)
        if pause:
            await users.pause(db, one, ctx.now + pause)


def _subject(user: User) -> str:
    return subject("factor", str(user.id))


async def _caller(ctx: Ctx) -> User:
    if ctx.actor.kind != "user" or ctx.actor.id is None:
        raise PermissionDenied("Only a person has a second factor.")
    async with ctx.port(Gate).database.begin() as db:  # the account may be administered by another tenant
        user = await users.user(db, ctx.actor.id)
    if user is None:
        raise PermissionDenied
    return user
