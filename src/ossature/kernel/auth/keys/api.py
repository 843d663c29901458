"""API keys over HTTP."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from ossature.kernel.auth.keys import store, usecases
from ossature.kernel.auth.keys.domain import UnknownKey
from ossature.kernel.context import CurrentCtx
from ossature.kernel.http.input import Input
from ossature.kernel.http.listing import Asked, Listing, answer, listing
from ossature.kernel.http.policy import policy

router = APIRouter(prefix="/keys", tags=["keys"])

RoleName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$", examples=["user"])]
Scope = Annotated[
    str, Field(pattern=r"^(\*|[a-z][a-z0-9_]*):(\*|[a-z][a-z0-9_.]*)$", max_length=100, examples=["read:*"])
]
Block = Annotated[str, Field(max_length=64, examples=["203.0.113.0/24"])]
Name = Annotated[str, Field(min_length=1, max_length=120, examples=["night import"])]


class KeyIn(Input):
    """A key to be made. signed_only: its requests must be signed."""

    name: Name
    roles: list[RoleName] = Field(default=["user"], min_length=1, max_length=20)
    scopes: list[Scope] = Field(default=[], max_length=100)
    ip_allow: list[Block] = Field(default=[], max_length=100)
    project_id: UUID | None = None
    expires_at: AwareDatetime | None = Field(default=None, examples=["2031-01-01T00:00:00Z"])
    rotate_every_days: int | None = Field(default=None, ge=1, le=730, examples=[90])
    signed_only: bool = False


class KeyPatch(Input):
    """New values of a key; what is left out stays."""

    name: Name | None = None
    roles: list[RoleName] | None = Field(default=None, min_length=1, max_length=20)
    scopes: list[Scope] | None = Field(default=None, max_length=100)
    ip_allow: list[Block] | None = Field(default=None, max_length=100)
    expires_at: AwareDatetime | None = None
    signed_only: bool | None = None


class RotateIn(Input):
    """How a key is rotated. overlap_s: how long its present secret still holds; left out, the house's default."""

    overlap_s: float | None = Field(default=None, ge=0, le=30 * 86_400, examples=[3600])


class KeyOut(BaseModel):
    """A key; never its secret."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    name: str
    hint: str
    roles: list[str]
    scopes: list[str]
    ip_allow: list[str]
    project_id: UUID | None
    created_by: UUID | None
    created_at: datetime
    expires_at: datetime | None
    previous_until: datetime | None
    rotate_every_days: int | None
    rotate_due_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None
    signed_only: bool


class IssuedKeyOut(BaseModel):
    """A key with its secret. Keep the secret: it is not shown again."""

    key: KeyOut
    secret: str = Field(examples=["oss_..."])


@router.get("")
@policy(allow="read:keys")
async def list_keys(ctx: CurrentCtx, query: Annotated[Asked, listing(store.KEYS, KeyOut)]) -> Listing[KeyOut]:
    """The keys of the tenant, revoked ones included."""
    return answer(await store.keys(ctx.db, ctx.tenant.id, query), KeyOut, query)


@router.post("", status_code=201)
@policy(allow="write:keys", rate="keys")
async def create_key(ctx: CurrentCtx, body: KeyIn) -> IssuedKeyOut:
    """A new key with its secret, shown this once."""
    return _issued(await usecases.create_key(ctx, usecases.NewKey(**body.model_dump())))


@router.get("/{key_id}")
@policy(allow="read:keys")
async def read_key(ctx: CurrentCtx, key_id: UUID) -> KeyOut:
    """A key of the tenant."""
    key = await store.key(ctx.db, ctx.tenant.id, key_id)
    if key is None:
        raise UnknownKey
    return KeyOut.model_validate(key)


@router.patch("/{key_id}")
@policy(allow="write:keys", rate="keys")
async def change_key(ctx: CurrentCtx, key_id: UUID, body: KeyPatch) -> KeyOut:
    """The key with new values."""
    return KeyOut.model_validate(await usecases.change_key(ctx, key_id, usecases.KeyChange(**body.model_dump())))


@router.post("/{key_id}/rotate")
@policy(allow="write:keys", rate="keys")
async def rotate_key(ctx: CurrentCtx, key_id: UUID, body: RotateIn) -> IssuedKeyOut:
    """The key with a new secret; the present one holds a while longer."""
    return _issued(await usecases.rotate_key(ctx, key_id, overlap_s=body.overlap_s))


@router.delete("/{key_id}")
@policy(allow="write:keys", rate="keys")
async def revoke_key(ctx: CurrentCtx, key_id: UUID) -> KeyOut:
    """The key, revoked for good, in all processes within a second."""
    return KeyOut.model_validate(await usecases.revoke_key(ctx, key_id))


def _issued(issued: usecases.IssuedKey) -> IssuedKeyOut:
    return IssuedKeyOut(key=KeyOut.model_validate(issued.key), secret=issued.secret)
