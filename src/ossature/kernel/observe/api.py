"""Probes and metrics over HTTP: `/health`, `/ready`, `/health/detailed`, `/metrics`."""

import os
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool

from ossature.kernel.observe import metrics
from ossature.kernel.observe.health import Inspector, Report
from ossature.kernel.service import Health, Policy

UNAVAILABLE = 503
POLICY = "__policy__"  # where kernel.http.policy, which lies above this room, looks
VERSION = version("ossature")
METRICS_PATHS = ("/metrics", "/prometheus/metrics-http")
_STARTED = time.monotonic()


class Alive(BaseModel):
    """The process turns."""

    status: Literal["ok"]
    version: str


class Ready(BaseModel):
    """Whether requests may be sent here; `failing` names what is in the way, `degraded` what is not as it should be."""

    status: Literal["ok", "degraded", "down"]
    failing: list[str]
    degraded: list[str]


class Component(BaseModel):
    """One part of the house."""

    name: str
    status: Literal["ok", "degraded", "down"]
    needed: bool
    latency_ms: float
    detail: str
    advice: str
    facts: dict[str, Any]


class Detailed(BaseModel):
    """Everything that is known about how the house is."""

    status: Literal["ok", "degraded", "down"]
    version: str
    pid: int
    uptime_s: float
    components: list[Component]


def _of(*, allow: str | None = None, rate: str = "none") -> Policy:
    return Policy(allow=allow, public=allow is None, rate=rate, effects=False)


def router(inspector: Inspector, *, shared_metrics: Path | None = None) -> APIRouter:
    """Routes for probes, people and Prometheus. They stand at the root: no version, no service."""
    routes = APIRouter(tags=["health"])

    async def alive() -> Alive:
        """Always 200 while the event loop turns: restart the process when this does not answer."""
        return Alive(status="ok", version=VERSION)

    async def ready(response: Response) -> Ready:
        """200 when requests may be sent here, else 503 with the names of the failing checks."""
        report = await inspector.ready()
        if not report.ready:
            response.status_code = UNAVAILABLE
        return Ready(
            status=report.health.value, failing=list(report.failing), degraded=list(report.of(Health.DEGRADED))
        )

    async def detailed() -> Detailed:
        """Every part with its state, latency and what an operator can do about it."""
        return _detailed(await inspector.everything())

    async def scrape() -> Response:
        """All metrics in the text format of Prometheus. They are the operator's: labels name tenants and projects."""
        metrics.refresh()
        page = await run_in_threadpool(metrics.render, shared_metrics)
        return Response(page, media_type=metrics.CONTENT_TYPE)

    public, admin, scraper = _of(), _of(allow="read:health", rate="default"), _of(allow="read:metrics")
    not_ready: dict[int | str, dict[str, Any]] = {
        UNAVAILABLE: {"model": Ready, "description": "Requests may not be sent here now."}
    }
    for endpoint, paths, policy, hidden in (
        (alive, ("/health", "/health/live"), public, False),
        (ready, ("/ready", "/health/ready"), public, False),
        (detailed, ("/health/detailed",), admin, False),
        (scrape, METRICS_PATHS, scraper, True),
    ):
        setattr(endpoint, POLICY, policy)
        for path in paths:
            routes.add_api_route(
                path,
                endpoint,
                methods=["GET"],
                include_in_schema=not hidden,
                response_model=None if hidden else endpoint.__annotations__["return"],
                responses=not_ready if endpoint is ready else None,
                operation_id=path.strip("/").replace("/", "_").replace("-", "_"),
            )
    return routes


def _detailed(report: Report) -> Detailed:
    return Detailed(
        status=report.health.value,
        version=VERSION,
        pid=os.getpid(),
        uptime_s=round(time.monotonic() - _STARTED, 1),
        components=[
            Component(
                name=found.name,
                status=found.health.value,
                needed=found.ready,
                latency_ms=found.latency_ms,
                detail=found.detail,
                advice=found.advice,
                facts=dict(found.facts),
            )
            for found in report.findings
        ],
    )
