"""Signing keys over HTTP."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from ossature.kernel.auth.signatures import store, usecases
from ossature.kernel.auth.signatures.domain import Algorithm, UnknownSigningKey
from ossature.kernel.context import CurrentCtx
from ossature.kernel.http.input import Input
from ossature.kernel.http.listing import Asked, Listing, answer, listing
from ossature.kernel.http.policy import policy

router = APIRouter(prefix="/signing-keys", tags=["signing-keys"])


class SigningKeyIn(Input):
    """A signing key to be made. public_key: with Ed25519 only, PEM or base64 of 32 bytes."""

    key_id: UUID
    name: str = Field(min_length=1, max_length=120, examples=["billing server"])
    algorithm: Algorithm = Algorithm.HMAC_SHA256
    public_key: str | None = Field(default=None, max_length=400)


class SigningKeyOut(BaseModel):
    """What requests of an API key are signed with; never its secret. id: the `keyid` of signatures."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    key_id: UUID
    name: str
    algorithm: Algorithm
    created_by: UUID | None
    created_at: datetime
    revoked_at: datetime | None


class IssuedSigningKeyOut(BaseModel):
    """A signing key. secret: base64 of the bytes to sign with, shown this once; null with Ed25519, where only you have it."""

    signing_key: SigningKeyOut
    secret: str | None


@router.get("")
@policy(allow="read:keys")
async def list_signing_keys(
    ctx: CurrentCtx, query: Annotated[Asked, listing(store.SIGNING_KEYS, SigningKeyOut)]
) -> Listing[SigningKeyOut]:
    """The signing keys of the tenant, revoked ones included."""
    return answer(await store.signing_keys(ctx.db, ctx.tenant.id, query), SigningKeyOut, query)


@router.post("", status_code=201)
@policy(allow="write:keys", rate="keys")
async def create_signing_key(ctx: CurrentCtx, body: SigningKeyIn) -> IssuedSigningKeyOut:
    """A new signing key of an API key: whoever signs with it acts as that key."""
    made = await usecases.create_signing_key(
        ctx, body.key_id, name=body.name, algorithm=body.algorithm, public_key=body.public_key
    )
    return IssuedSigningKeyOut(signing_key=SigningKeyOut.model_validate(made.key), secret=made.secret or None)


@router.get("/{signing_key_id}")
@policy(allow="read:keys")
async def read_signing_key(ctx: CurrentCtx, signing_key_id: UUID) -> SigningKeyOut:
    """A signing key of the tenant."""
    key = await store.signing_key(ctx.db, ctx.tenant.id, signing_key_id)
    if key is None:
        raise UnknownSigningKey
    return SigningKeyOut.model_validate(key)


@router.delete("/{signing_key_id}")
@policy(allow="write:keys", rate="keys")
async def revoke_signing_key(ctx: CurrentCtx, signing_key_id: UUID) -> SigningKeyOut:
    """The signing key, revoked for good, in all processes at once."""
    return SigningKeyOut.model_validate(await usecases.revoke_signing_key(ctx, signing_key_id))
