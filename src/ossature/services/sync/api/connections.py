"""Connections over HTTP. Secrets are names of settings; a value never passes here."""

from typing import Annotated

from fastapi import APIRouter, Request, Response

from ossature.kernel.context import CurrentCtx
from ossature.kernel.http.caching import require_match, tag_of
from ossature.kernel.http.listing import Asked, Listing, answer, listing
from ossature.kernel.http.policy import policy
from ossature.services.sync.api.shapes import ConnectionIn, ConnectionName, ConnectionOut, NewConnection
from ossature.services.sync.domain.values import Connection
from ossature.services.sync.store import pipelines as store
from ossature.services.sync.usecases import pipelines as usecases

router = APIRouter(tags=["sync"])


@router.get("/connections")
@policy(allow="read:sync")
async def list_connections(
    ctx: CurrentCtx, query: Annotated[Asked, listing(store.CONNECTIONS, ConnectionOut)]
) -> Listing[ConnectionOut]:
    """The connections, by name."""
    return answer(await store.list_connections(ctx.db, ctx.tenant.id, query), ConnectionOut, query)


@router.post("/connections", status_code=201)
@policy(allow="manage:sync")
async def add_connection(ctx: CurrentCtx, body: NewConnection, response: Response) -> ConnectionOut:
    """Keep a new connection; it is not opened."""
    async with ctx.db.step():
        made = await usecases.save_connection(ctx, Connection(**body.model_dump()), new=True)
    response.headers["location"] = f"/v1/sync/connections/{made.name}"
    return _shown(made, response)


@router.get("/connections/{connection}")
@policy(allow="read:sync")
async def read_connection(ctx: CurrentCtx, connection: ConnectionName, response: Response) -> ConnectionOut:
    """One connection; its `ETag` goes with the next change of it."""
    return _shown(await usecases.found_connection(ctx, connection), response)


@router.put("/connections/{connection}")
@policy(allow="manage:sync")
async def save_connection(
    ctx: CurrentCtx, request: Request, connection: ConnectionName, body: ConnectionIn, response: Response
) -> ConnectionOut:
    """Keep a connection over the one that `If-Match` names; it is not opened."""
    async with ctx.db.step():
        require_match(request, _tag(await usecases.found_connection(ctx, connection, hold=True)), required=True)
        saved = await usecases.save_connection(ctx, Connection(name=connection, **body.model_dump()))
    return _shown(saved, response)


@router.delete("/connections/{connection}", status_code=204)
@policy(allow="manage:sync")
async def remove_connection(ctx: CurrentCtx, request: Request, connection: ConnectionName) -> None:
    """Forget a connection that no pipeline names."""
    async with ctx.db.step():
        require_match(request, _tag(await usecases.found_connection(ctx, connection, hold=True)))
        await usecases.remove_connection(ctx, connection)


def _shown(one: Connection, response: Response) -> ConnectionOut:
    response.headers["etag"] = _tag(one)
    return ConnectionOut.model_validate(one)


def _tag(one: Connection) -> str:
    return tag_of(one.name, one.kind, sorted(one.public.items()), sorted(one.secrets.items()))
