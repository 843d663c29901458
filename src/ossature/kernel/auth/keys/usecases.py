"""What is done with API keys: make, change, rotate, revoke; and being told before they end."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from ossature.kernel.auth.gate import Gate
from ossature.kernel.auth.keys import store
from ossature.kernel.auth.keys.domain import (
    ALERT_DAYS,
    ExpiryPassed,
    Key,
    KeyExpiring,
    KeyIsRevoked,
    KeyRevoked,
    KeyRotationDue,
    UnknownKey,
    alert_for,
    digest,
    hint,
    new_secret,
)
from ossature.kernel.auth.policies import responsible
from ossature.kernel.auth.roles import MoreThanYouHave, covers
from ossature.kernel.context import Ctx
from ossature.kernel.tenants import store as tenants
from ossature.kernel.tenants.domain import UnknownProject, check_networks


@dataclass(frozen=True, slots=True)
class NewKey:
    """What a key is to be. expires_at, rotate_every_days: None for never."""

    name: str
    roles: Sequence[str]
    scopes: Sequence[str] = ()
    ip_allow: Sequence[str] = ()
    project_id: UUID | None = None
    expires_at: datetime | None = None
    rotate_every_days: int | None = None
    signed_only: bool = False


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """A key with its secret, which nobody can be shown again."""

    key: Key
    secret: str


async def create_key(ctx: Ctx, new: NewKey) -> IssuedKey:
    """A key of the caller's tenant that may do no more than the caller.

    Raises: UnknownRole, MoreThanYouHave, UnknownProject, ExpiryPassed, InvalidInput for an address block.
    """
    _require_grantable(ctx, new.roles, new.scopes)
    if new.project_id is not None and await tenants.project(ctx.db, ctx.tenant.id, new.project_id) is None:
        raise UnknownProject
    if new.expires_at is not None and new.expires_at <= ctx.now:
        raise ExpiryPassed
    secret = new_secret()
    key = await store.add_key(
        ctx.db,
        ctx.tenant.id,
        {
            "name": new.name,
            "hint": hint(secret),
            "secret_digest": digest(secret),
            "roles": sorted(set(new.roles)),
            "scopes": sorted(set(new.scopes)),
            "ip_allow": list(check_networks(new.ip_allow, "/ip_allow")),
            "project_id": new.project_id,
            "created_by": responsible(ctx.actor),
            "expires_at": new.expires_at,
            "rotate_every_days": new.rotate_every_days,
            "rotate_due_at": _due(ctx.now, new.rotate_every_days),
            "signed_only": new.signed_only,
        },
    )
    await ctx.audit("key.created", f"key:{key.id}", after=_told(key))
    return IssuedKey(key, secret)


@dataclass(frozen=True, slots=True)
class KeyChange:
    """New values of a key; None leaves a value as it is."""

    name: str | None = None
    roles: Sequence[str] | None = None
    scopes: Sequence[str] | None = None
    ip_allow: Sequence[str] | None = None
    expires_at: datetime | None = None
    signed_only: bool | None = None


async def change_key(ctx: Ctx, key_id: UUID, change: KeyChange) -> Key:
    """The key with new values, in force everywhere within a second.

    Raises: UnknownKey, KeyIsRevoked, UnknownRole, MoreThanYouHave, ExpiryPassed.
    """
    before = await _living(ctx, key_id)
    roles = before.roles if change.roles is None else change.roles
    scopes = before.scopes if change.scopes is None else change.scopes
    _require_grantable(ctx, sorted(roles), sorted(scopes))
    if change.expires_at is not None and change.expires_at <= ctx.now:
        raise ExpiryPassed
    # Only what was asked for: somebody else may be changing the rest.
    values: dict[str, Any] = {}
    if change.roles is not None:
        values["roles"] = sorted(set(change.roles))
    if change.scopes is not None:
        values["scopes"] = sorted(set(change.scopes))
    if change.name is not None:
        values["name"] = change.name
    if change.ip_allow is not None:
        values["ip_allow"] = list(check_networks(change.ip_allow, "/ip_allow"))
    if change.expires_at is not None:
        values |= {"expires_at": change.expires_at, "alerted_days": None}
    if change.signed_only is not None:
        values["signed_only"] = change.signed_only
    if not values:
        return before
    after = await store.change_key(ctx.db, ctx.tenant.id, key_id, values)
    if after is None:
        raise KeyIsRevoked
    ctx.port(Gate).registry.forget_after(ctx.db, "key", key_id)
    await ctx.audit("key.changed", f"key:{key_id}", before=_told(before), after=_told(after))
    return after


async def rotate_key(ctx: Ctx, key_id: UUID, *, overlap_s: float | None = None) -> IssuedKey:
    """The key with a new secret; the present one holds for `overlap_s` more, the one before ends now.

    Raises: UnknownKey, KeyIsRevoked, MoreThanYouHave.
    """
    before = await _living(ctx, key_id)
    _require_grantable(ctx, sorted(before.roles), sorted(before.scopes))
    gate = ctx.port(Gate)
    overlap = timedelta(seconds=gate.settings.key_overlap_s if overlap_s is None else overlap_s)
    secret = new_secret()
    after = await store.rotate_key(
        ctx.db,
        ctx.tenant.id,
        key_id,
        digest=digest(secret),
        hint=hint(secret),
        previous_until=ctx.now + overlap,
        due_at=_due(ctx.now, before.rotate_every_days),
    )
    if after is None:
        raise KeyIsRevoked
    gate.registry.forget_after(ctx.db, "key", key_id)
    await ctx.audit("key.rotated", f"key:{key_id}", before=_told(before), after=_told(after))
    return IssuedKey(after, secret)


async def revoke_key(ctx: Ctx, key_id: UUID) -> Key:
    """The key, from now on refused: in this process at once, in all others within a second.

    Raises: UnknownKey, KeyIsRevoked.
    """
    before = await _living(ctx, key_id)
    after = await store.change_key(ctx.db, ctx.tenant.id, key_id, {"revoked_at": ctx.now, "previous_until": None})
    if after is None:
        raise KeyIsRevoked
    ctx.port(Gate).registry.forget_after(ctx.db, "key", key_id)
    await ctx.publish(KeyRevoked(key_id, before.name))
    await ctx.audit("key.revoked", f"key:{key_id}", before=_told(before), after=_told(after))
    return after


async def alert_ending_keys(ctx: Ctx) -> int:
    """How many keys' owners were told that they expire (30, 7 and 1 days before) or are due for rotation.

    Works across tenants; each alert is sent once, in the transaction that notes it.
    """
    gate = ctx.port(Gate)
    told = 0
    async with gate.registry.across(ctx) as db:
        for key in await store.keys_ending_before(db, ctx.now + timedelta(days=max(ALERT_DAYS))):
            fact, values = _alert(key, ctx.now, gate.settings.key_overlap_s)
            if fact is None:
                continue
            await store.change_key(db, key.tenant_id, key.id, values)
            await gate.registry.publish(db, fact, tenant_id=key.tenant_id, request_id=ctx.id)
            told += 1
    return told


def _alert(key: Key, now: datetime, overlap_s: float) -> tuple[object | None, dict[str, Any]]:
    """The fact that is due about a key, and how the key remembers that it was sent."""
    if key.rotate_due_at is not None and key.rotate_due_at <= now and key.alerted_days != 0:
        accepted_until = key.rotate_due_at + timedelta(seconds=overlap_s)
        return KeyRotationDue(key.id, key.name, accepted_until), {"alerted_days": 0}
    if key.expires_at is not None:
        days = alert_for(key.expires_at, now, key.alerted_days)
        if days is not None:
            return KeyExpiring(key.id, key.name, days, key.expires_at), {"alerted_days": days}
    return None, {}


async def require_living(ctx: Ctx, key_id: UUID, *, grantable: bool) -> Key:
    """A key of the tenant that is not revoked. grantable: it must not be able to do more than the caller.

    Raises: UnknownKey, KeyIsRevoked, MoreThanYouHave.
    """
    key = await _living(ctx, key_id)
    if grantable:
        _require_grantable(ctx, sorted(key.roles), sorted(key.scopes))
    return key


async def _living(ctx: Ctx, key_id: UUID) -> Key:
    key = await store.key(ctx.db, ctx.tenant.id, key_id)
    if key is None:
        raise UnknownKey
    if key.revoked_at is not None:
        raise KeyIsRevoked
    return key


def _require_grantable(ctx: Ctx, roles: Sequence[str], scopes: Sequence[str]) -> None:
    """Nobody makes a key that may do more than they may: its roles, or what its scopes leave of them."""
    book = ctx.port(Gate).roles
    book.require_known(roles)
    lacking = sorted(p for p in book.effective(roles, scopes) if not covers(ctx.actor.permissions, p))
    if lacking:
        raise MoreThanYouHave(permissions=lacking[:20])


def _due(now: datetime, every_days: int | None) -> datetime | None:
    return None if every_days is None else now + timedelta(days=every_days)


def _told(key: Key) -> dict[str, Any]:
    """What the audit trail says of a key."""
    return {
        "name": key.name,
        "hint": key.hint,
        "roles": sorted(key.roles),
        "scopes": sorted(key.scopes),
        "ip_allow": list(key.ip_allow),
        "project_id": str(key.project_id) if key.project_id else None,
        "expires_at": key.expires_at.isoformat() if key.expires_at else None,
        "revoked_at": key.revoked_at.isoformat() if key.revoked_at else None,
        "signed_only": key.signed_only,
    }
