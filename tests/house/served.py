"""Everything that the product serves, for the laws: its routes, its mounts and their operations in the OpenAPI document."""

import asyncio
import tempfile
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from starlette.types import Message, Scope

from ossature.app import services
from ossature.kernel.guests import everybody
from ossature.kernel.http.route import HouseRoute
from ossature.kernel.service import Policy
from ossature.kernel.testing.houses import Home, open_house


@dataclass(frozen=True, slots=True)
class Served:
    """One method of one path. operation: its OpenAPI operation, None when it is not in the document.

    route: None for a mount, which is a raw ASGI application.
    """

    method: str
    path: str
    policy: Policy
    operation: dict[str, Any] | None = field(repr=False, compare=False)
    route: HouseRoute | None = field(repr=False, compare=False)

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@dataclass(frozen=True, slots=True)
class Serving:
    """What is served, and the whole OpenAPI document."""

    operations: tuple[Served, ...]
    document: dict[str, Any]

    def resolved(self, schema: dict[str, Any]) -> dict[str, Any]:
        """A schema, looked up where it is a reference."""
        while "$ref" in schema:
            schema = self.document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        return schema

    def answer_of(self, served: Served) -> dict[str, Any]:
        """The schema of a good answer; empty when it is not JSON."""
        responses = (served.operation or {}).get("responses", {})
        found = (answer.get("content", {}) for status, answer in responses.items() if status.startswith("2"))
        return self.resolved(next(found, {}).get("application/json", {}).get("schema", {}))


@lru_cache(maxsize=1)
def serving() -> Serving:
    """Everything that the product serves; a house is opened for it once."""
    return asyncio.run(_look())


async def routes_of(home: Home) -> list[HouseRoute]:
    """The routes of an open house."""
    scope: Scope = {
        "type": "http",
        "method": "GET",
        "path": "/health",
        "raw_path": b"/health",
        "query_string": b"",
        "headers": [],
        "client": ("192.0.2.7", 50_000),
    }

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        del message

    await home.app(scope, receive, send)
    application: FastAPI = scope["app"]
    return [route for route in application.routes if isinstance(route, HouseRoute)]


async def _look() -> Serving:
    with tempfile.TemporaryDirectory() as folder:
        async with open_house(*services(), var_dir=Path(folder)) as home:
            async with home.client(secret=None) as http:
                document = (await http.get("/openapi.json")).json()
            routes = await routes_of(home)
    paths = document["paths"]
    found = [
        Served(method, route.path, route.policy, paths.get(route.path_format, {}).get(method.lower()), route)
        for route in routes
        for method in sorted(route.methods or ())
    ]
    found += [
        Served(method, path, mount.policy, paths.get(path, {}).get(method.lower()), None)
        for service in everybody(services())
        for mount in service.mounts
        for path in (mount.openapi or {mount.path: {}})
        for method in mount.methods
    ]
    return Serving(tuple(sorted(found, key=lambda one: (one.path, one.method))), document)
