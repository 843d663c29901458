"""`ossature routes`: every route with what it needs."""

from collections.abc import Iterator
from typing import Any

import typer
from fastapi.routing import APIRoute

from ossature.kernel.cli.session import Session
from ossature.kernel.guests import everybody
from ossature.kernel.http.policy import policy_of
from ossature.kernel.service import Policy, Service

app = typer.Typer()


@app.command()
def routes(ctx: typer.Context) -> None:
    """All routes with the permission and the class of rate limits of each.

    Example: ossature routes --json
    """
    session = Session.of(ctx)
    session.only_here()
    rows = [row for service in everybody(session.services) for row in _rows(service)]
    session.out.table(sorted(rows, key=lambda row: (row["path"], row["methods"])))


def _rows(service: Service) -> Iterator[dict[str, Any]]:
    prefix = service.prefix if service.prefix is not None else f"/v1/{service.name}"
    if service.router is not None:
        for route in service.router.routes:
            if isinstance(route, APIRoute):
                yield _row(service, prefix + route.path, sorted(route.methods or ()), policy_of(route.endpoint))
    for mount in service.mounts:
        yield _row(service, mount.path, list(mount.methods), mount.policy)


def _row(service: Service, path: str, methods: list[str], policy: Policy | None) -> dict[str, Any]:
    needs = "nobody may: it has no policy" if policy is None else "public" if policy.public else policy.allow
    return {
        "methods": " ".join(methods),
        "path": path,
        "service": service.name,
        "needs": needs,
        "rate": policy.rate if policy else "",
    }
