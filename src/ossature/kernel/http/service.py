"""The edge as a part of the house: the table of idempotent requests, the live channel, settings and housekeeping."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from ossature.kernel.db.engine import Database
from ossature.kernel.http import batch, store
from ossature.kernel.http.budgets import store as budgets
from ossature.kernel.http.budgets.tally import Tally
from ossature.kernel.http.cdn import PURGE, Cdn, cdn_of
from ossature.kernel.http.facts import FACTS
from ossature.kernel.http.live import Live
from ossature.kernel.http.live_doors import EventsDoor, SocketDoor
from ossature.kernel.http.ports import Fanout
from ossature.kernel.http.settings import HttpSettings
from ossature.kernel.observe import metrics
from ossature.kernel.observe.alerts import HOUSE
from ossature.kernel.service import Every, Job, Mount, Policy, Service, objectives

if TYPE_CHECKING:
    from ossature.kernel.context import Ctx
    from ossature.kernel.house import House

_TOPICS = {
    "name": "topics",
    "in": "query",
    "description": "Topics, separated by commas.",
    "schema": {"type": "string", "maxLength": 2000},
}
_RESUME = {
    "name": "resume_from",
    "in": "query",
    "description": "Number of the last frame that was received; `Last-Event-ID` says the same.",
    "schema": {"type": "integer", "minimum": 0, "maximum": 10**18 - 1},
}
_SOCKET: dict[str, Any] = {
    "get": {
        "operationId": "live.connect",
        "tags": ["live"],
        "summary": "Live frames over a WebSocket",
        "description": "Subprotocol `ossature.live.v1`: say hello with a token and topics, then listen.",
        "responses": {"101": {"description": "The WebSocket is open."}},
    }
}
_EVENTS: dict[str, Any] = {
    "get": {
        "operationId": "live.listen",
        "tags": ["live"],
        "summary": "Live frames as server-sent events",
        "parameters": [_TOPICS, _RESUME],
        "responses": {"200": {"description": "A stream of frames.", "content": {"text/event-stream": {}}}},
    }
}


async def purge_answers(ctx: "Ctx") -> int:
    """Forget the answers to idempotent requests whose time is over; how many."""
    return await store.purge(ctx.db, ctx.now)


async def purge_budgets(ctx: "Ctx") -> int:
    """Forget the hours of routes that are older than anybody looks at them; how many."""
    keep = timedelta(days=ctx.settings[HttpSettings].budget_keep_days)
    return await budgets.purge(ctx.db, before=ctx.now - keep)


def _live(house: "House") -> Live:
    """The live channel of this process, with the topics of all services."""
    topics = [topic for service in house.services for topic in service.topics]
    return Live(house.port(Fanout), topics, house.config[HttpSettings])  # type: ignore[type-abstract] # a promise


@asynccontextmanager
async def _open(house: "House") -> AsyncIterator[None]:
    """Held open while the process serves."""
    every_s = house.config[HttpSettings].budget_write_s
    async with Tally(house.port(Database), metrics.requests, every_s=every_s).keeping():
        yield
    await house.port(Live).close()


service: Final = Service(
    name="http",
    title="HTTP",
    settings=(HttpSettings,),
    router=batch.router,
    prefix="/v1",
    facts=FACTS,
    offers={Live: _live, Cdn: cdn_of},
    lifespan=_open,
    mounts=(
        Mount(
            path="/v1/live",
            build=lambda house: SocketDoor(house.port(Live)),
            policy=Policy(public=True),
            methods=("WEBSOCKET",),
            openapi={"/v1/live": _SOCKET},
        ),
        Mount(
            path="/v1/live/events",
            build=lambda house: EventsDoor(house.port(Live)),
            policy=Policy(allow="*"),
            openapi={"/v1/live/events": _EVENTS},
        ),
    ),
    tables=(store.IdempotencyRow, budgets.RouteHourRow),
    permissions=frozenset({"read:health", "read:metrics"}),
    slos=(
        *objectives("GET /health", "GET /health/live", p95_ms=100, error_rate=0.001),
        # 503 is how these say no: a refusal is no failure of theirs, so they promise to be quick.
        *objectives("GET /ready", "GET /health/ready", p95_ms=200, error_rate=0.05, availability=0.95),
    ),
    alerts=HOUSE,
    jobs=(
        Job(name="http.purge_answers", run=purge_answers, every=Every(interval=timedelta(hours=1))),
        Job(name="http.purge_budgets", run=purge_budgets, every=Every(interval=timedelta(days=1))),
        PURGE,
    ),
)
