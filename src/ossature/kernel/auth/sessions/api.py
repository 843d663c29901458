"""Where a signed-in person may act, and going there, over HTTP."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from ossature.kernel.auth.gate import Gate
from ossature.kernel.auth.sessions import store, usecases
from ossature.kernel.auth.sessions.domain import digest
from ossature.kernel.auth.sessions.usecases import NotSwitchable
from ossature.kernel.context import CurrentCtx
from ossature.kernel.http.input import Input
from ossature.kernel.http.listing import Listing
from ossature.kernel.http.policy import policy
from ossature.kernel.http.security import SESSION_COOKIE, csrf_token, set_session

router = APIRouter(tags=["sessions"])


class ReachableOut(BaseModel):
    """A tenant that the caller may act for. current: whether they do now."""

    id: UUID
    slug: str
    name: str
    current: bool


class ReachableProjectOut(BaseModel):
    """A project in short."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    slug: str
    name: str


class SwitchIn(Input):
    """Where to act from now on: slugs. Without a project, for the tenant as a whole."""

    tenant: str = Field(min_length=1, max_length=48, examples=["main"])
    project: str | None = Field(default=None, max_length=48, examples=[None])


class SwitchOut(BaseModel):
    """Where the caller acts now, and the proof that requests with the new cookie carry as `X-CSRF-Token`."""

    tenant: ReachableOut
    project: ReachableProjectOut | None
    csrf_token: str


@router.get("/tenants", summary="List the tenants that one may act for")
@policy(allow="*")
async def list_reachable(ctx: CurrentCtx, q: Annotated[str, Query(max_length=100)] = "") -> Listing[ReachableOut]:
    """The tenants that the caller may act for, their own first; `q` is a part of a name or slug. At most 200."""
    found = await usecases.reachable_tenants(ctx, matching=q)
    items = [ReachableOut(id=t.id, slug=t.slug, name=t.name, current=t.id == ctx.tenant.id) for t in found]
    return Listing(items=items, next=None)


@router.post("/switch", summary="Act for another tenant or project")
@policy(allow="*", effects=False)
async def switch(ctx: CurrentCtx, body: SwitchIn, request: Request, response: Response) -> SwitchOut:
    """A console session for another tenant or project in place of this one, in a new cookie."""
    cookie = request.cookies.get(SESSION_COOKIE)
    session = await store.session_by_token(ctx.db, digest(cookie)) if cookie else None
    if session is None or ctx.actor.id not in (session.user_id, session.key_id):
        raise NotSwitchable
    done = await usecases.switch(ctx, session, tenant=body.tenant, project=body.project)
    gate = ctx.port(Gate)
    max_age_s = int((session.expires_at - ctx.now).total_seconds())
    set_session(response, done.cookie, secret=gate.secret, https=gate.https, max_age_s=max_age_s)
    return SwitchOut(
        tenant=ReachableOut(id=done.tenant.id, slug=done.tenant.slug, name=done.tenant.name, current=True),
        project=ReachableProjectOut.model_validate(done.project) if done.project else None,
        csrf_token=csrf_token(gate.secret, done.cookie),
    )
