"""A small shop, for the edge to stand in front of."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response
from pydantic import BaseModel, ConfigDict
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from ossature.kernel.context import CurrentCtx
from ossature.kernel.errors import Conflict
from ossature.kernel.http.policy import policy
from ossature.kernel.service import Job, Mount, Policy, Rate, Service


async def _pack(ctx: Any, **_: Any) -> None:
    del ctx


PACK = Job(name="shop.pack", run=_pack, queue="shop")


class Order(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str
    count: int = 1


class Ordered(BaseModel):
    name: str
    count: int


class Seen(BaseModel):
    kind: str
    tenant: str
    request_id: str
    ip: str


class SoldOut(Conflict):
    """Nothing is left."""

    title = "Sold out"


router = APIRouter(tags=["shop"])


@router.get("/seen")
@policy(allow="read:orders")
async def read_seen(ctx: CurrentCtx) -> Seen:
    return Seen(kind=ctx.actor.kind, tenant=ctx.tenant.slug, request_id=ctx.id, ip=ctx.actor.ip)


@router.get("/window")
@policy(public=True, rate="window", cache="public, max-age=5")
async def read_window() -> list[str]:
    return [f"article number {number}" for number in range(100)]


@router.get("/text")
@policy(public=True, cache="public, max-age=60")
async def read_text(size: Annotated[int, Query(ge=0, le=1_000_000)] = 10) -> Response:
    return Response("x" * size, media_type="text/plain")


LET_GO: list[bool] = []
"""Orders that wait do so until there is something in here."""


async def _let_go() -> None:
    while not LET_GO:  # noqa: ASYNC110 - of the test's own
        await asyncio.sleep(0.01)


@router.post("/let-go", status_code=204)
@policy(allow="write:orders")
async def let_go() -> None:
    LET_GO.append(True)


@router.get("/tagged")
@policy(allow="read:orders")
async def read_tagged(response: Response) -> Ordered:
    response.headers["etag"] = '"seven"'
    return Ordered(name="tea", count=7)


@router.post("/orders", status_code=201)
@policy(allow="write:orders", max_body_bytes=2048)
async def make_order(ctx: CurrentCtx, order: Order, then: str = "") -> Ordered:
    if then == "wait":
        await _let_go()
    if then.startswith("half"):
        async with ctx.db.step():
            await ctx.enqueue(PACK, {"name": order.name})
        if then == "half-wait":
            await _let_go()
    await ctx.enqueue(PACK, {"name": order.name})
    if then in {"refuse", "half"}:
        raise SoldOut("No tea.", left=0)
    if then == "break":
        raise ZeroDivisionError("a secret of ours")
    return Ordered(name=order.name, count=order.count)


@router.post("/notes")
@policy(public=True)
async def make_note(ctx: CurrentCtx, order: Order) -> Ordered:
    await ctx.enqueue(PACK, {"name": order.name})
    return Ordered(name=order.name, count=order.count)


@router.post("/slow")
@policy(allow="write:orders", time_limit_s=0.05)
async def be_slow(ctx: CurrentCtx) -> None:
    await ctx.enqueue(PACK, {"name": "slow"})
    await asyncio.sleep(5)


@router.get("/orders/{name}/{number}")
@policy(public=True)
async def read_order(name: str, number: int) -> Ordered:
    return Ordered(name=name, count=number)


@router.get("/stream")
@policy(public=True)
async def read_stream(kind: str = "text/plain", fail_at: int = -1) -> Response:
    async def pieces() -> AsyncIterator[bytes]:
        for number in range(5):
            if number == fail_at:
                raise ZeroDivisionError
            yield f"data: piece {number} {'x' * 200}\n\n".encode()

    return StreamingResponse(pieces(), media_type=kind)


@router.get("/headers")
@policy(public=True)
async def read_headers(request: Request, x_wish: Annotated[str, Header(max_length=20)] = "") -> dict[str, str]:
    return {"wish": x_wish, "query": str(request.url.query)}


async def _raw(scope: Scope, receive: Receive, send: Send) -> None:
    """Reads its body, says who asked, and how much came."""
    size = 0
    more = scope["method"] == "POST"
    while more:
        message = await receive()
        size += len(message.get("body", b""))
        more = message.get("more_body", False)
    body = f"{scope['ossature.ctx'].actor.kind} {size}".encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": body})


def _mount(path: str, **more: Any) -> Mount:
    return Mount(path=path, build=lambda _: _raw, policy=Policy(**more), methods=("GET", "POST"))


SHOP = Service(
    name="shop",
    router=router,
    jobs=(PACK,),
    permissions=frozenset({"read:orders", "write:orders"}),
    limits=(Rate("window", ((3, 3600),)),),
    mounts=(
        _mount("/v1/shop/raw", allow="write:orders", max_body_bytes=100),
        _mount("/v1/shop/raw-window", public=True, rate="window"),
        _mount("/v1/shop/below/", allow="read:orders"),
    ),
)
