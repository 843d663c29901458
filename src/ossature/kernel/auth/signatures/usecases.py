"""What is done with signing keys: make, revoke; and forgetting nonces that nobody can use again."""

from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from ossature.kernel import clock
from ossature.kernel.auth.gate import Gate
from ossature.kernel.auth.keys import usecases as keys
from ossature.kernel.auth.policies import responsible
from ossature.kernel.auth.signatures import store
from ossature.kernel.auth.signatures.domain import (
    Algorithm,
    SigningKey,
    SigningKeyIsRevoked,
    TooManySigningKeys,
    UnknownSigningKey,
    read_public_key,
    shared_secret,
    shown_secret,
)
from ossature.kernel.context import Ctx
from ossature.kernel.errors import FieldError, InvalidInput

KEYS_MOST: Final = 10
"""Signing keys in use of one API key: enough to replace them without a gap."""


@dataclass(frozen=True, slots=True)
class IssuedSigningKey:
    """A signing key. secret: base64 of the bytes to sign with, which nobody can be shown again; empty where we have none."""

    key: SigningKey
    secret: str


async def create_signing_key(
    ctx: Ctx, key_id: UUID, *, name: str, algorithm: Algorithm, public_key: str | None
) -> IssuedSigningKey:
    """A signing key of an API key of the caller's tenant, which may do no more than the caller.

    public_key: PEM or base64; needed for Ed25519, and for nothing else.
    Raises: UnknownKey, KeyIsRevoked, MoreThanYouHave, TooManySigningKeys, InvalidInput.
    """
    await keys.require_living(ctx, key_id, grantable=True)
    if (public_key is None) is (algorithm is Algorithm.ED25519):
        said = "Ed25519 needs your public key; with HMAC the secret is made here, and shown once."
        raise InvalidInput(errors=[FieldError("/public_key", said, "public_key")])
    if await store.count_signing_keys(ctx.db, ctx.tenant.id, key_id) >= KEYS_MOST:
        raise TooManySigningKeys(f"An API key has at most {KEYS_MOST} in use.")
    values: dict[str, Any] = {
        "id": clock.new_id(),
        "key_id": key_id,
        "name": name,
        "algorithm": algorithm.value,
        "public_key": b"" if public_key is None else read_public_key(public_key),
        "created_by": responsible(ctx.actor),
    }
    made = await store.add_signing_key(ctx.db, ctx.tenant.id, values)
    await ctx.audit("signing_key.created", f"signing_key:{made.id}", after=_told(made))
    shared = algorithm is Algorithm.HMAC_SHA256
    return IssuedSigningKey(made, shown_secret(shared_secret(ctx.port(Gate).secret, made.id)) if shared else "")


async def revoke_signing_key(ctx: Ctx, signing_key_id: UUID) -> SigningKey:
    """The signing key, with which no request can be signed from the commit on. Raises: UnknownSigningKey, SigningKeyIsRevoked."""
    before = await store.signing_key(ctx.db, ctx.tenant.id, signing_key_id)
    if before is None:
        raise UnknownSigningKey
    after = await store.revoke_signing_key(ctx.db, ctx.tenant.id, signing_key_id, ctx.now)
    if after is None:
        raise SigningKeyIsRevoked
    await ctx.audit("signing_key.revoked", f"signing_key:{signing_key_id}", before=_told(before), after=_told(after))
    return after


async def forget_nonces(ctx: Ctx) -> int:
    """How many nonces were dropped since a signature with them would be too old. Works across tenants."""
    async with ctx.port(Gate).registry.across(ctx) as db:
        return await store.delete_nonces_expired_before(db, ctx.now)


def _told(key: SigningKey) -> dict[str, Any]:
    """What the audit trail says of a signing key."""
    return {
        "name": key.name,
        "key_id": str(key.key_id),
        "algorithm": key.algorithm.value,
        "revoked_at": key.revoked_at.isoformat() if key.revoked_at else None,
    }
