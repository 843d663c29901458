"""The web application of a process: routes and mounts of the services behind the edge."""

import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute, RouteContext, iter_route_contexts
from starlette.types import Receive, Scope, Send

from ossature.kernel.db.engine import Database
from ossature.kernel.errors import Misconfigured
from ossature.kernel.http import openapi, versions
from ossature.kernel.http.edge import Edge
from ossature.kernel.http.listing import Cursors
from ossature.kernel.http.ports import Gatekeepers
from ossature.kernel.http.route import HouseRoute
from ossature.kernel.http.settings import HttpSettings
from ossature.kernel.http.table import RouteTable
from ossature.kernel.service import Deprecation, Mount, Service

_API = "/api"
_VERSION = re.compile(r"/v(\d{1,3})/")

if TYPE_CHECKING:
    from ossature.kernel.house import House


class Application:
    """An ASGI application: the edge, the table of routes behind it, and what must be held open while it serves."""

    def __init__(self, *, keepers: Gatekeepers, settings: HttpSettings, database: Database, version: str) -> None:
        self.fastapi = FastAPI(
            title="ossature", version=version, openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False
        )
        self.fastapi.router.route_class = HouseRoute
        self.table = RouteTable()
        self.edge = Edge(self.table, keepers, settings)
        self.mounts: list[Mount] = []
        self._open: list[Callable[[], Any]] = []
        state = self.fastapi.state
        state.edge = self.edge
        state.database = database
        state.cursors = Cursors(keepers.secret)

    def add_router(self, router: APIRouter, prefix: str = "", *, deprecated: Deprecation | None = None) -> None:
        """Serve the routes of a router below a prefix. Raises: Misconfigured for a route without a policy.

        deprecated: all of them will go one day.
        """
        for context in iter_route_contexts(router.routes):
            self._add_route(context, prefix, deprecated)

    def add_service(self, service: Service) -> None:
        """Serve every version of a service's routes, the newest first: it is what the older ones point to."""
        for fault in versions.faults(service):
            raise Misconfigured(fault)
        prefix = prefix_of(service)
        for version in sorted(service.versions, reverse=True):
            at = versions.stands_at(prefix, version)
            self.add_router(service.versions[version], at, deprecated=service.deprecated.get(version))
        if service.router is not None:
            self.add_router(service.router, prefix, deprecated=service.deprecated.get(1))

    def add_mount(self, mount: Mount, house: "House") -> None:
        """Serve a raw ASGI application with its policy."""
        app = self.edge.mounted(mount.build(house), mount.policy, mount.path)
        if mount.path.endswith("/") and mount.path != "/":
            self.table.add_below(mount.path, app)
        else:
            methods = [method for method in mount.methods if method != "WEBSOCKET"]
            if methods:
                self.table.add(mount.path, methods, app)
            if len(methods) != len(mount.methods):
                self.table.add_socket(mount.path, app)
        if mount.refuse is not None:
            self.edge.forms[mount.path] = mount.refuse
        self.mounts.append(mount)
        if mount.lifespan is not None:
            lifespan = mount.lifespan
            self._open.append(lambda: lifespan(house))

    @property
    def routes(self) -> Sequence[HouseRoute]:
        """Every route, for documents and house tests."""
        return [route for route in self.fastapi.routes if isinstance(route, HouseRoute)]

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI 3.1 document of everything that is served, mounts included."""
        return openapi.document(self.fastapi, self.routes, self.mounts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection, or hold the lifespan."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        if scope["path"].startswith("/api/"):
            scope = _by_alias(scope, legacy=self.edge.settings.legacy_api)
        scope["app"] = self.fastapi
        await self.edge(scope, receive, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        async with self.lifespan():
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """What mounts hold open while the process serves."""
        async with AsyncExitStack() as stack:
            for held in self._open:
                await stack.enter_async_context(held())
            yield

    def _add_route(self, context: RouteContext, prefix: str, deprecated: Deprecation | None) -> None:
        original = context.original_route
        if not isinstance(original, APIRoute):
            return
        path = f"{prefix}{context.path}"
        tags = context.tags
        self.fastapi.router.add_api_route(
            path,
            original.endpoint,
            route_class_override=HouseRoute,
            response_model=context.response_model,
            status_code=context.status_code,
            tags=tags,
            dependencies=context.dependencies,
            summary=context.summary,
            description=context.description,
            responses={**openapi.REFUSALS, **context.responses},
            deprecated=context.deprecated,
            methods=context.methods,
            operation_id=original.operation_id or _operation_id(original.endpoint.__name__, tags, path),
            include_in_schema=context.include_in_schema,
            response_class=context.response_class,
            name=context.name,
            openapi_extra=context.openapi_extra,
        )
        route = self.fastapi.router.routes[-1]
        if isinstance(route, HouseRoute):
            known = [one.path_format for one in self.routes]
            route.deprecation = versions.with_successor(route.deprecation or deprecated, path, known)
            self.table.add(path, sorted(route.methods or ()), route.answer)


def _operation_id(name: str, tags: Sequence[Any], path: str) -> str:
    """`jobs.read_job`, `jobs.v2.read_job`: unique, and a good name for a method of a generated client."""
    group = str(tags[0]) if tags else path.split("/")[1] or "root"
    later = _VERSION.match(path)
    return f"{group}.{name}" if later is None or later[1] == "1" else f"{group}.v{later[1]}.{name}"


def prefix_of(service: Service) -> str:
    """Where a service's routes stand."""
    return f"/v1/{service.name}" if service.prefix is None else service.prefix


def _by_alias(scope: Scope, *, legacy: bool) -> Scope:
    """`/api/v1/...` as `/v1/...`, any version so, and, if `legacy`, `/api/...` as `/v1/...`."""
    path: str = scope["path"]
    versioned = _VERSION.match(path, len(_API)) is not None
    if not versioned and not legacy:
        return scope
    raw: bytes = scope.get("raw_path") or path.encode()
    to = "" if versioned else "/v1"
    return {
        **scope,
        "path": to + path[len(_API) :],
        "raw_path": to.encode() + raw[len(_API) :],
        "ossature.raw_path": raw,
    }
