"""Forgotten passwords and confirmed addresses over HTTP: for programs, and as pages for who opens the link of a mail."""

from string import Template
from typing import Annotated

from fastapi import APIRouter, Form, Path, Request
from starlette.responses import HTMLResponse

from ossature.kernel.auth.password_rules import WeakPassword
from ossature.kernel.auth.users import mailed
from ossature.kernel.auth.users.sheet import (
    AGAIN,
    BUTTON_FORM,
    NOTHING,
    PASSWORD_FORM,
    SIGN_IN,
    language_of,
    page,
)
from ossature.kernel.auth.users.welcome import AcceptIn, PasswordForm, Token
from ossature.kernel.context import CurrentCtx
from ossature.kernel.http.input import Input
from ossature.kernel.http.policy import policy
from ossature.kernel.http.validation import Email
from ossature.kernel.i18n.language import speaking
from ossature.kernel.i18n.words import Words
from ossature.kernel.links.domain import LinkRefused

router = APIRouter(tags=["users"])

_words = Words(
    "auth.mailed",
    {
        "reset": "Choose a new password",
        "reset_said": "It replaces the one that you had, and you are signed out everywhere.",
        "password": "Password",
        "choose": "Set the password",
        "done": "Your password is set.",
        "sign_in": "Sign in",
        "verify": "Confirm your e-mail address",
        "verify_said": "This shows that mail to you arrives.",
        "confirm": "Confirm the address",
        "verified": "Your address is confirmed.",
        "refused": "This link is too old or has been used. You can ask for another.",
    },
)


class ForgotIn(Input):
    """The address of the account whose password nobody remembers."""

    email: Email


class TokenIn(Input):
    """The token of a link."""

    token: Token


@router.post("/password/forgot", status_code=204)
@policy(public=True, rate="reset", effects=False)
async def forgot_password(ctx: CurrentCtx, body: ForgotIn) -> None:
    """A link to choose another password is on its way, if there is an account with this address; which is not said."""
    await mailed.ask_for_reset(ctx, body.email)


@router.post("/password/reset", status_code=204)
@policy(public=True, rate="reset", effects=False)
async def reset_password(ctx: CurrentCtx, body: AcceptIn) -> None:
    """The password is another one, and every session has ended. A token is good once."""
    await mailed.reset_password(ctx, body.token, body.password)


@router.get("/password/reset/{token}", response_class=HTMLResponse)
@policy(public=True, rate="reset")
async def open_reset(request: Request, token: Annotated[Token, Path()]) -> HTMLResponse:
    """The page that the link of the mail opens. It uses nothing up: programs that look through mail open links too."""
    del token
    with speaking(language_of(request)):
        return _page("reset", _words("reset_said"), PASSWORD_FORM)


@router.post("/password/reset/{token}", response_class=HTMLResponse, responses={422: AGAIN})
@policy(public=True, rate="reset", effects=False, nobody=True)
async def submit_reset(
    ctx: CurrentCtx, request: Request, token: Annotated[Token, Path()], form: Annotated[PasswordForm, Form()]
) -> HTMLResponse:
    """What that page sends."""
    with speaking(language_of(request)):
        try:
            await mailed.reset_password(ctx, token, form.password)
        except WeakPassword as error:
            said = " ".join(one.message for one in error.errors) or error.title
            return _page("reset", said, PASSWORD_FORM, status=422)
        except LinkRefused:
            return _page("reset", _words("refused"), NOTHING, status=422)
        return _page("reset", _words("done"), SIGN_IN)


@router.post("/users/me/verification", status_code=204)
@policy(allow="*", rate="reset", effects=False)
async def ask_for_verification(ctx: CurrentCtx) -> None:
    """A mail is on its way to the caller, with a link that confirms their address."""
    await mailed.ask_for_verification(ctx)


@router.post("/email/verify", status_code=204)
@policy(public=True, rate="reset", effects=False)
async def verify_email(ctx: CurrentCtx, body: TokenIn) -> None:
    """The address of the token's user is confirmed. A token is good once."""
    await mailed.verify_email(ctx, body.token)


@router.get("/email/verify/{token}", response_class=HTMLResponse)
@policy(public=True, rate="reset")
async def open_verification(request: Request, token: Annotated[Token, Path()]) -> HTMLResponse:
    """The page that the link of the mail opens. It confirms nothing by itself: programs open links too."""
    del token
    with speaking(language_of(request)):
        return _page("verify", _words("verify_said"), BUTTON_FORM, choose="confirm")


@router.post("/email/verify/{token}", response_class=HTMLResponse, responses={422: AGAIN})
@policy(public=True, rate="reset", effects=False, nobody=True)
async def submit_verification(ctx: CurrentCtx, request: Request, token: Annotated[Token, Path()]) -> HTMLResponse:
    """What that page sends."""
    with speaking(language_of(request)):
        try:
            await mailed.verify_email(ctx, token)
        except LinkRefused:
            return _page("verify", _words("refused"), NOTHING, status=422)
        return _page("verify", _words("verified"), SIGN_IN)


def _page(title: str, said: str, form: Template, *, choose: str = "choose", status: int = 200) -> HTMLResponse:
    shown = {"password": _words("password"), "choose": _words(choose), "sign_in": _words("sign_in")}
    return page(said, form, {"title": _words(title), **shown}, status=status)
