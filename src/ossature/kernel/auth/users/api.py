"""Users of a tenant over HTTP."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from ossature.kernel.auth.users import store, usecases
from ossature.kernel.auth.users.domain import User
from ossature.kernel.context import CurrentCtx
from ossature.kernel.http.input import Input
from ossature.kernel.http.listing import Asked, Listing, answer, listing
from ossature.kernel.http.policy import policy
from ossature.kernel.http.validation import Email
from ossature.kernel.tenants import store as tenants

router = APIRouter(prefix="/users", tags=["users"])

RoleName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$", examples=["user"])]
Name = Annotated[str, Field(min_length=1, max_length=120, examples=["Ada Lovelace"])]
Password = Annotated[str, Field(min_length=1, max_length=1024, examples=["correct horse battery staple"])]
BoundKey = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,40}$")]


class UserIn(Input):
    """A user to be made. bound: what the person stands for, such as `driver -> id`."""

    email: Email
    name: Name
    roles: list[RoleName] = Field(default=["user"], min_length=1, max_length=20)
    bound: dict[BoundKey, Annotated[str, Field(max_length=100)]] = Field(default={}, max_length=20)
    password: Password | None = None


class InviteIn(Input):
    """A user of another tenant who is to be a member here too."""

    email: Email
    roles: list[RoleName] = Field(default=["user"], min_length=1, max_length=20)


class UserPatch(Input):
    """New values of a user; what is left out stays."""

    name: Name | None = None
    active: bool | None = None


class PasswordIn(Input):
    """A password that an administrator chooses for a user."""

    password: Password


class OwnPasswordIn(Input):
    """The present and the new password of the caller."""

    present: Password
    password: Password


class LanguageIn(Input):
    """The language that the caller wants to read; null leaves it to their browser."""

    language: Literal["en", "fr", "de", "he"] | None = Field(examples=["de"])


class UserOut(BaseModel):
    """A user."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    email: str
    name: str
    created_at: datetime
    deactivated_at: datetime | None
    last_login_at: datetime | None
    email_verified_at: datetime | None


class UserHereOut(UserOut):
    """A user with what they are in this tenant. administered_here: whether the account belongs to this tenant."""

    roles: list[str]
    bound: dict[str, str]
    administered_here: bool


@router.get("")
@policy(allow="read:users")
async def list_users(ctx: CurrentCtx, query: Annotated[Asked, listing(store.USERS, UserOut)]) -> Listing[UserOut]:
    """The users who are members of the tenant."""
    ids = await tenants.member_ids(ctx.db, ctx.tenant.id)
    return answer(await store.users(ctx.db, ids, query), UserOut, query)


@router.post("", status_code=201)
@policy(allow="write:users", rate="users")
async def create_user(ctx: CurrentCtx, body: UserIn) -> UserHereOut:
    """A new user of the tenant."""
    return _here(ctx, await usecases.create_user(ctx, usecases.NewUser(**body.model_dump())))


@router.post("/invite", status_code=201)
@policy(allow="write:users", rate="users")
async def invite_user(ctx: CurrentCtx, body: InviteIn) -> UserHereOut:
    """A user of another tenant, who is a member here from now on."""
    return _here(ctx, await usecases.invite_user(ctx, body.email, body.roles))


@router.put("/me/password", status_code=204)
@policy(allow="*", rate="password")
async def change_own_password(ctx: CurrentCtx, body: OwnPasswordIn) -> None:
    """The caller has a new password; all of their sessions have ended."""
    await usecases.change_own_password(ctx, present=body.present, password=body.password)


@router.put("/me/language", status_code=204)
@policy(allow="*", rate="users")
async def choose_language(ctx: CurrentCtx, body: LanguageIn) -> None:
    """The console and its messages are in this language for the caller from now on, in every browser."""
    await usecases.choose_language(ctx, body.language)


@router.get("/{user_id}")
@policy(allow="read:users")
async def read_user(ctx: CurrentCtx, user_id: UUID) -> UserHereOut:
    """A user of the tenant."""
    return _here(ctx, await usecases.read_user(ctx, user_id))


@router.patch("/{user_id}")
@policy(allow="write:users", rate="users")
async def change_user(ctx: CurrentCtx, user_id: UUID, body: UserPatch) -> UserHereOut:
    """The user with another name, deactivated or active again."""
    here = await usecases.read_user(ctx, user_id)
    if body.name is not None:
        here = await usecases.rename_user(ctx, user_id, body.name)
    if body.active is not None and body.active != (here.user.deactivated_at is None):
        change = usecases.reactivate_user if body.active else usecases.deactivate_user
        here = await change(ctx, user_id)
    return _here(ctx, here)


@router.put("/{user_id}/password", status_code=204)
@policy(allow="write:users", rate="password")
async def set_password(ctx: CurrentCtx, user_id: UUID, body: PasswordIn) -> None:
    """The user has a password that an administrator chose; all of their sessions have ended."""
    await usecases.set_password(ctx, user_id, body.password)


def _here(ctx: CurrentCtx, here: usecases.UserHere) -> UserHereOut:
    user: User = here.user
    return UserHereOut(
        id=user.id,
        email=user.email,
        name=user.name,
        created_at=user.created_at,
        deactivated_at=user.deactivated_at,
        last_login_at=user.last_login_at,
        email_verified_at=user.email_verified_at,
        roles=sorted(here.member.roles),
        bound=dict(here.member.bound),
        administered_here=user.tenant_id == ctx.tenant.id,
    )
