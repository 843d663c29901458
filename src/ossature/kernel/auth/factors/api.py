"""The second factor over HTTP."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from ossature.kernel.auth.factors import usecases
from ossature.kernel.auth.factors.domain import CODE_PATTERN
from ossature.kernel.context import CurrentCtx
from ossature.kernel.http.input import Input
from ossature.kernel.http.policy import policy

router = APIRouter(tags=["second factor"])

Code = Annotated[str, Field(pattern=CODE_PATTERN, examples=["123456"])]


class FactorsOut(BaseModel):
    """What the caller has besides the password. confirmed_at: since when an authenticator app; null without one."""

    model_config = ConfigDict(from_attributes=True)

    confirmed_at: datetime | None
    recovery_codes_left: int


class EnrolIn(Input):
    """The caller's password: who only found an open session takes nothing up."""

    password: str = Field(min_length=1, max_length=1024, examples=["correct horse battery staple"])


class EnrolmentOut(BaseModel):
    """What an authenticator app takes up: to be typed, as an address, and as a picture of that address to be scanned."""

    model_config = ConfigDict(from_attributes=True)

    secret: str
    uri: str = Field(examples=["otpauth://totp/ossature:ada%40example.com?secret=...&issuer=ossature"])
    qr_svg: str


class CodeIn(Input):
    """A code of the authenticator app, or a recovery code where one is good too."""

    code: Code


class RecoveryCodesOut(BaseModel):
    """Codes for when the app is lost. Keep them: they are not shown again, and each is good once."""

    recovery_codes: list[str]


@router.get("/totp")
@policy(allow="*")
async def read_factors(ctx: CurrentCtx) -> FactorsOut:
    """What the caller has besides the password."""
    return FactorsOut.model_validate(await usecases.factors_of(ctx))


@router.post("/totp", status_code=201)
@policy(allow="*", rate="password", effects=False)
async def enrol(ctx: CurrentCtx, body: EnrolIn) -> EnrolmentOut:
    """A secret for an authenticator app; it counts once it is confirmed."""
    return EnrolmentOut.model_validate(await usecases.enrol(ctx, body.password))


@router.post("/totp/confirm")
@policy(allow="*", rate="password", effects=False)
async def confirm(ctx: CurrentCtx, body: CodeIn) -> RecoveryCodesOut:
    """From now on the caller signs in with a code besides the password."""
    return _shown(await usecases.confirm(ctx, body.code))


@router.post("/totp/recovery-codes")
@policy(allow="*", rate="password", effects=False)
async def renew_recovery_codes(ctx: CurrentCtx, body: CodeIn) -> RecoveryCodesOut:
    """New recovery codes in the place of those before."""
    return _shown(await usecases.renew_recovery_codes(ctx, body.code))


@router.post("/totp/remove", status_code=204)
@policy(allow="*", rate="password", effects=False)
async def remove(ctx: CurrentCtx, body: CodeIn) -> None:
    """The caller signs in with the password alone again."""
    await usecases.remove(ctx, body.code)


@router.delete("/users/{user_id}/totp", status_code=204)
@policy(allow="write:users", rate="password")
async def remove_from(ctx: CurrentCtx, user_id: UUID) -> None:
    """A user who lost the app and the codes signs in with the password alone again."""
    await usecases.remove_from(ctx, user_id)


def _shown(codes: Sequence[str]) -> RecoveryCodesOut:
    return RecoveryCodesOut(recovery_codes=list(codes))
