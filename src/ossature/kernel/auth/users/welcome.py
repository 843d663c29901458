"""Accepting an invitation over HTTP: for programs, and as a page for who opens the link of the mail."""

from string import Template
from typing import Annotated

from fastapi import APIRouter, Form, Path, Request
from pydantic import Field
from starlette.responses import HTMLResponse

from ossature.kernel.auth.password_rules import WeakPassword
from ossature.kernel.auth.users import invitations
from ossature.kernel.auth.users.sheet import AGAIN, NOTHING, PASSWORD_FORM, SIGN_IN, language_of, page
from ossature.kernel.context import CurrentCtx
from ossature.kernel.http.input import Input
from ossature.kernel.http.policy import policy
from ossature.kernel.i18n.language import speaking
from ossature.kernel.i18n.words import Words
from ossature.kernel.links.domain import TOKEN_PATTERN, LinkRefused

router = APIRouter(prefix="/invitations", tags=["users"])

Token = Annotated[str, Field(max_length=58, pattern=TOKEN_PATTERN, examples=["osl_" + 54 * "x"])]
_words = Words(
    "auth.welcome",
    {
        "title": "Choose a password",
        "invited": "You were invited. With a password you can sign in.",
        "password": "Password",
        "choose": "Set the password",
        "done": "Your password is set.",
        "sign_in": "Sign in",
        "refused": "This link is too old or has been used. Whoever sent it can send another.",
    },
)


class AcceptIn(Input):
    """The token of an invitation, and the password that its user wants."""

    token: Token
    password: str = Field(min_length=1, max_length=1024, examples=["correct horse battery staple"])


class PasswordForm(Input):
    """The password that somebody chose."""

    password: str = Field(min_length=1, max_length=1024)


@router.post("", status_code=204)
@policy(public=True, rate="reset", effects=False)
async def accept(ctx: CurrentCtx, body: AcceptIn) -> None:
    """Who was invited has a password, and can sign in. A token is good once."""
    await invitations.accept(ctx, body.token, body.password)


@router.get("/{token}", response_class=HTMLResponse)
@policy(public=True, rate="reset")
async def open_invitation(request: Request, token: Annotated[Token, Path()]) -> HTMLResponse:
    """The page that the link of an invitation opens, in the language of the browser."""
    del token
    with speaking(language_of(request)):
        return _page(_words("invited"), PASSWORD_FORM)


@router.post("/{token}", response_class=HTMLResponse, responses={422: AGAIN})
@policy(public=True, rate="reset", effects=False, nobody=True)
async def submit(
    ctx: CurrentCtx, request: Request, token: Annotated[Token, Path()], form: Annotated[PasswordForm, Form()]
) -> HTMLResponse:
    """What that page sends."""
    with speaking(language_of(request)):
        try:
            await invitations.accept(ctx, token, form.password)
        except WeakPassword as error:
            return _page(" ".join(one.message for one in error.errors) or error.title, PASSWORD_FORM, status=422)
        except LinkRefused:
            return _page(_words("refused"), NOTHING, status=422)
        return _page(_words("done"), SIGN_IN)


def _page(said: str, form: Template, *, status: int = 200) -> HTMLResponse:
    words = {key: _words(key) for key in ("title", "password", "choose", "sign_in")}
    return page(said, form, words, status=status)
