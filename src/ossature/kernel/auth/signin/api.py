"""Signing in, refreshing, signing out and who am I, over HTTP."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from ossature.kernel.auth.factors.domain import CODE_PATTERN
from ossature.kernel.auth.gate import Gate
from ossature.kernel.auth.sessions import domain, store
from ossature.kernel.auth.signin import usecases
from ossature.kernel.context import Ctx, CurrentCtx
from ossature.kernel.errors import NotFound
from ossature.kernel.http.input import Input
from ossature.kernel.http.policy import policy
from ossature.kernel.http.security import SESSION_COOKIE, csrf_token, drop_session, set_session
from ossature.kernel.http.validation import Email

router = APIRouter(tags=["sessions"])


class UnknownSession(NotFound):
    """No live session of yours has this id."""

    title = "No such session"


class LoginIn(Input):
    """What a person types to sign in. cookie: a console session in place of tokens.

    code: of the authenticator app, or a recovery code, asked for with `second-factor-needed`.
    """

    email: Email
    password: str = Field(min_length=1, max_length=1024, examples=["correct horse battery staple"])
    tenant: str | None = Field(default=None, max_length=48, examples=["main"])
    cookie: bool = False
    code: str | None = Field(default=None, pattern=CODE_PATTERN, examples=[None])


class RefreshIn(Input):
    """A refresh token, which is used up by sending it."""

    refresh_token: str = Field(min_length=10, max_length=200, examples=["the one that signing in gave"])


class TenantBriefOut(BaseModel):
    """A tenant in short."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    slug: str
    name: str
    plan: str
    zone: str
    language: str


class LoginOut(BaseModel):
    """Who is signed in, with tokens, or with a cookie and the proof that its requests carry as `X-CSRF-Token`."""

    user_id: UUID
    tenant: TenantBriefOut
    token_type: Literal["Bearer", "cookie"]
    access_token: str | None
    expires_in_s: float
    refresh_token: str | None
    refresh_expires_in_s: float | None
    csrf_token: str | None


class MeOut(BaseModel):
    """Who asks. permissions: `verb:object`, `*` on either side for all."""

    kind: str
    id: UUID | None
    name: str
    roles: list[str]
    permissions: list[str]
    project_id: UUID | None
    bound: dict[str, str]
    tenant: TenantBriefOut


class SessionOut(BaseModel):
    """A live session."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    kind: str
    created_at: datetime
    seen_at: datetime
    expires_at: datetime


class SessionsOut(BaseModel):
    """Live sessions, newest first."""

    items: list[SessionOut]


class ConsoleOut(BaseModel):
    """The proof that requests with the new cookie carry as `X-CSRF-Token`."""

    csrf_token: str


@router.post("/login")
@policy(public=True, rate="login", effects=False)
async def login(ctx: CurrentCtx, body: LoginIn, response: Response) -> LoginOut:
    """A session for a user who knows their password."""
    attempt = usecases.Attempt(body.email, body.password, tenant=body.tenant, cookie=body.cookie, code=body.code)
    return _said(ctx, await usecases.sign_in(ctx, attempt), response)


@router.post("/refresh")
@policy(public=True, rate="refresh", effects=False)
async def refresh(ctx: CurrentCtx, body: RefreshIn, response: Response) -> LoginOut:
    """New tokens for a refresh token. Sending one twice ends the session."""
    return _said(ctx, await usecases.refresh(ctx, body.refresh_token), response)


@router.post("/logout", status_code=204)
@policy(allow="*", effects=False)
async def logout(ctx: CurrentCtx, request: Request, response: Response) -> None:
    """The session that this request came with has ended."""
    session_id = await _session_of(ctx, request)
    if session_id is not None:
        await usecases.sign_out(ctx, session_id)
    drop_session(response, https=ctx.port(Gate).https)


@router.post("/console", status_code=201)
@policy(allow="*", rate="login", effects=False)
async def open_console(ctx: CurrentCtx, response: Response) -> ConsoleOut:
    """A console session, in a cookie, for the key that this request came with."""
    cookie = await usecases.open_console(ctx)
    return ConsoleOut(csrf_token=_set_cookie(ctx, cookie, response))


@router.get("/me")
@policy(allow="*")
async def me(ctx: CurrentCtx) -> MeOut:
    """Who asks, for which tenant, and what they may do."""
    actor = ctx.actor
    return MeOut(
        kind=actor.kind,
        id=actor.id,
        name=actor.name,
        roles=sorted(actor.roles),
        permissions=sorted(actor.permissions),
        project_id=actor.project_id,
        bound=dict(actor.bound),
        tenant=TenantBriefOut.model_validate(ctx.tenant),
    )


@router.get("/sessions")
@policy(allow="*")
async def list_sessions(ctx: CurrentCtx) -> SessionsOut:
    """The caller's own live sessions in this tenant."""
    if ctx.actor.kind != "user" or ctx.actor.id is None:
        return SessionsOut(items=[])
    found = await store.sessions_of_user(ctx.db, ctx.tenant.id, ctx.actor.id, ctx.now)
    return SessionsOut(items=[SessionOut.model_validate(one) for one in found])


@router.delete("/sessions", status_code=204)
@policy(allow="*")
async def end_sessions(ctx: CurrentCtx) -> None:
    """All of the caller's own sessions in this tenant have ended, this one included."""
    if ctx.actor.kind == "user" and ctx.actor.id is not None:
        await usecases.sign_out_everywhere(ctx, ctx.actor.id)


@router.delete("/sessions/{session_id}", status_code=204)
@policy(allow="*")
async def end_session(ctx: CurrentCtx, session_id: UUID) -> None:
    """One of the caller's own sessions has ended."""
    if not await usecases.sign_out(ctx, session_id):
        raise UnknownSession


@router.get("/jwks.json")
@policy(public=True, rate="read", cache="public, max-age=300")
async def key_set(ctx: CurrentCtx) -> dict[str, list[dict[str, Any]]]:
    """The public keys that access tokens are signed with, as a JWK set."""
    return (await ctx.port(Gate).ready_to_sign()).key_set()


def _said(ctx: Ctx, signed_in: usecases.SignedIn, response: Response) -> LoginOut:
    tokens = signed_in.tokens
    proof = _set_cookie(ctx, signed_in.cookie, response) if signed_in.cookie else None
    return LoginOut(
        user_id=signed_in.user.id,
        tenant=TenantBriefOut.model_validate(signed_in.tenant),
        token_type="Bearer" if tokens else "cookie",
        access_token=tokens.access_token if tokens else None,
        expires_in_s=tokens.expires_in_s if tokens else ctx.port(Gate).settings.session_s,
        refresh_token=tokens.refresh_token if tokens else None,
        refresh_expires_in_s=tokens.refresh_expires_in_s if tokens else None,
        csrf_token=proof,
    )


def _set_cookie(ctx: Ctx, cookie: str, response: Response) -> str:
    gate = ctx.port(Gate)
    set_session(response, cookie, secret=gate.secret, https=gate.https, max_age_s=int(gate.settings.session_s))
    return csrf_token(gate.secret, cookie)


async def _session_of(ctx: Ctx, request: Request) -> UUID | None:
    """The session that a request came with; None when it came with a key."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.casefold() == "bearer" and token.count(".") == 2:
        return (await ctx.port(Gate).ready_to_read(token)).read(token).session_id
    cookie = request.cookies.get(SESSION_COOKIE)
    session = await store.session_by_token(ctx.db, domain.digest(cookie)) if cookie else None
    return session.id if session else None
