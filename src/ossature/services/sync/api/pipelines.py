"""Pipelines and their versions over HTTP."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response

from ossature.kernel.context import CurrentCtx
from ossature.kernel.http.caching import require_match, tag_of
from ossature.kernel.http.listing import Asked, Listing, answer, listing
from ossature.kernel.http.policy import policy
from ossature.services.sync.api.shapes import (
    CheckedOut,
    PipelineIn,
    PipelineName,
    PipelineOut,
    PipelineSwitch,
    ValidOut,
    VersionOut,
)
from ossature.services.sync.domain.config import Pipeline, read_pipeline, version_of
from ossature.services.sync.domain.problems import PipelineInvalid, VersionUnknown
from ossature.services.sync.domain.values import PipelineView
from ossature.services.sync.store import pipelines as store
from ossature.services.sync.usecases import pipelines as usecases

router = APIRouter(tags=["sync"])


@router.get("/schema", summary="JSON Schema of pipeline files")
@policy(allow="read:sync", cache="private, max-age=300")
async def read_schema(ctx: CurrentCtx) -> dict[str, Any]:
    """What a pipeline file may say."""
    del ctx
    return Pipeline.model_json_schema()


@router.get("/pipelines")
@policy(allow="read:sync")
async def list_pipelines(
    ctx: CurrentCtx, query: Annotated[Asked, listing(store.PIPELINES, PipelineOut)]
) -> Listing[PipelineOut]:
    """The pipelines, by name."""
    return answer(await store.list_pipelines(ctx.db, ctx.tenant.id, query), PipelineOut, query)


@router.post("/pipelines", status_code=201)
@policy(allow="manage:sync")
async def add_pipeline(ctx: CurrentCtx, body: PipelineIn, response: Response) -> PipelineOut:
    """Keep a new pipeline. Nothing is opened: trying it out is a call of its own."""
    made = await usecases.save(ctx, body.toml, new=True)
    response.headers["location"] = f"/v1/sync/pipelines/{made.name}"
    return _shown(made, response)


@router.post("/pipelines/validate", summary="Find the faults of a pipeline file")
@policy(allow="read:sync", effects=False)
async def validate_pipeline(ctx: CurrentCtx, body: PipelineIn) -> ValidOut:
    """Whether a file is a pipeline; a refusal names every fault with its line. Nothing is kept."""
    del ctx
    return ValidOut(name=read_pipeline(body.toml).name, version=version_of(body.toml))


@router.get("/pipelines/{pipeline}")
@policy(allow="read:sync")
async def read_pipeline_(ctx: CurrentCtx, pipeline: PipelineName, response: Response) -> PipelineOut:
    """One pipeline; its `ETag` goes with the next change of it."""
    return _shown(await usecases.found(ctx, pipeline), response)


@router.put("/pipelines/{pipeline}")
@policy(allow="manage:sync")
async def save_pipeline(
    ctx: CurrentCtx, request: Request, pipeline: PipelineName, body: PipelineIn, response: Response
) -> PipelineOut:
    """Keep a new version of a pipeline, made for the one that `If-Match` names."""
    async with ctx.db.step():
        require_match(request, _tag(await usecases.found(ctx, pipeline, hold=True)), required=True)
        if read_pipeline(body.toml).name != pipeline:
            raise PipelineInvalid(f"This file is not named {pipeline!r}.")
        saved = await usecases.save(ctx, body.toml, file=f"{pipeline}.toml")
    return _shown(saved, response)


@router.patch("/pipelines/{pipeline}")
@policy(allow="manage:sync")
async def switch_pipeline(
    ctx: CurrentCtx, request: Request, pipeline: PipelineName, body: PipelineSwitch, response: Response
) -> PipelineOut:
    """Have a pipeline planned with all others, or only by its name."""
    async with ctx.db.step():
        require_match(request, _tag(await usecases.found(ctx, pipeline, hold=True)))
        changed = await usecases.enable(ctx, pipeline, enabled=body.enabled)
    return _shown(changed, response)


@router.delete("/pipelines/{pipeline}", status_code=204)
@policy(allow="manage:sync")
async def remove_pipeline(ctx: CurrentCtx, request: Request, pipeline: PipelineName) -> None:
    """Forget a pipeline with its versions; its plans and runs stay."""
    async with ctx.db.step():
        require_match(request, _tag(await usecases.found(ctx, pipeline, hold=True)))
        await usecases.remove(ctx, pipeline)


@router.post("/pipelines/{pipeline}/check", summary="Try a pipeline out")
@policy(allow="plan:sync", effects=False, time_limit_s=60)
async def check_pipeline(ctx: CurrentCtx, pipeline: PipelineName) -> CheckedOut:
    """Open both ends and read their first rows; nothing is written anywhere."""
    return CheckedOut.model_validate(await usecases.check(ctx, pipeline))


@router.get("/pipelines/{pipeline}/versions")
@policy(allow="read:sync")
async def list_versions(
    ctx: CurrentCtx, pipeline: PipelineName, query: Annotated[Asked, listing(store.VERSIONS, VersionOut)]
) -> Listing[VersionOut]:
    """The versions of a pipeline, newest first."""
    found = await usecases.found(ctx, pipeline)
    return answer(await store.list_versions(ctx.db, ctx.tenant.id, found.id, query), VersionOut, query)


@router.get("/pipelines/{pipeline}/versions/{number}")
@policy(allow="read:sync")
async def read_version(
    ctx: CurrentCtx, pipeline: PipelineName, number: Annotated[int, Path(ge=1, lt=2**31)]
) -> VersionOut:
    """One version of a pipeline."""
    found = await usecases.found(ctx, pipeline)
    version = await store.version(ctx.db, ctx.tenant.id, found.id, number)
    if version is None:
        raise VersionUnknown
    return VersionOut.model_validate(version)


def _shown(view: PipelineView, response: Response) -> PipelineOut:
    response.headers["etag"] = _tag(view)
    return PipelineOut.model_validate(view)


def _tag(view: PipelineView) -> str:
    return tag_of(view.id, view.version_n, view.enabled)
