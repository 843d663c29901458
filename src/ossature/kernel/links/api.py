"""Signed links over HTTP: which are out, and taking one back."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict

from ossature.kernel.context import CurrentCtx
from ossature.kernel.http.listing import Asked, Listing, answer, listing
from ossature.kernel.http.policy import policy
from ossature.kernel.links import store, usecases

router = APIRouter(tags=["links"])


class LinkOut(BaseModel):
    """A signed link; never its token. uses_left: null for as often as one likes."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    scope: str
    subject: str
    created_at: datetime
    expires_at: datetime
    uses_left: int | None
    used_at: datetime | None
    revoked_at: datetime | None


@router.get("")
@policy(allow="read:links")
async def list_links(ctx: CurrentCtx, query: Annotated[Asked, listing(store.LINKS, LinkOut)]) -> Listing[LinkOut]:
    """The links that the tenant gave out, spent ones of the last month included."""
    return answer(await store.links(ctx.db, ctx.tenant.id, query), LinkOut, query)


@router.delete("/{link_id}")
@policy(allow="write:links")
async def revoke_link(ctx: CurrentCtx, link_id: UUID) -> LinkOut:
    """The link, which opens nothing any more."""
    return LinkOut.model_validate(await usecases.revoke_link(ctx, link_id))
