"""Taking a tenant along, over HTTP: start an export, see what there is, download it."""

from datetime import datetime
from typing import Any
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict
from starlette.responses import StreamingResponse

from ossature.kernel.context import Ctx, CurrentCtx
from ossature.kernel.files.archive import Files
from ossature.kernel.http.policy import policy
from ossature.kernel.tenants.takeout import usecases

router = APIRouter()
_ZIP: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}}}
}


class StartedOut(BaseModel):
    """The job that does it; `/v1/jobs/{id}` says how far it is."""

    job_id: UUID


class ExportOut(BaseModel):
    """An archive with everything of a tenant. keep_until: it is erased after this."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    name: str
    size_bytes: int
    sha256: str
    created_at: datetime
    keep_until: datetime | None


class ExportsOut(BaseModel):
    """The archives that are kept, newest first."""

    items: list[ExportOut]


@router.post("/current/exports", status_code=202)
@policy(allow="export:tenant", rate="export")
async def export_current(ctx: CurrentCtx) -> StartedOut:
    """Everything of the caller's tenant, every row and file, in one archive: a job."""
    return StartedOut(job_id=await usecases.start_export(ctx, ctx.tenant.id))


@router.get("/current/exports")
@policy(allow="export:tenant")
async def list_current_exports(ctx: CurrentCtx) -> ExportsOut:
    """The archives of the caller's tenant."""
    return await _list(ctx, ctx.tenant.id)


@router.get("/current/exports/{export_id}", response_class=StreamingResponse, responses=_ZIP)
@policy(allow="export:tenant", rate="export")
async def download_current_export(ctx: CurrentCtx, export_id: UUID) -> StreamingResponse:
    """An archive of the caller's tenant: a ZIP with a manifest, JSON lines for each table, and the files."""
    return await _download(ctx, ctx.tenant.id, export_id)


@router.post("/{tenant_id}/exports", status_code=202)
@policy(allow="write:tenants", rate="export")
async def export_tenant(ctx: CurrentCtx, tenant_id: UUID) -> StartedOut:
    """Everything of any tenant, every row and file, in one archive: a job."""
    return StartedOut(job_id=await usecases.start_export(ctx, tenant_id))


@router.get("/{tenant_id}/exports")
@policy(allow="write:tenants")
async def list_exports(ctx: CurrentCtx, tenant_id: UUID) -> ExportsOut:
    """The archives of any tenant."""
    return await _list(ctx, tenant_id)


@router.get("/{tenant_id}/exports/{export_id}", response_class=StreamingResponse, responses=_ZIP)
@policy(allow="write:tenants", rate="export")
async def download_export(ctx: CurrentCtx, tenant_id: UUID, export_id: UUID) -> StreamingResponse:
    """An archive of any tenant."""
    return await _download(ctx, tenant_id, export_id)


async def _list(ctx: Ctx, tenant_id: UUID) -> ExportsOut:
    return ExportsOut(items=[ExportOut.model_validate(file) for file in await usecases.exports(ctx, tenant_id)])


async def _download(ctx: Ctx, tenant_id: UUID, export_id: UUID) -> StreamingResponse:
    file = await usecases.read_export(ctx, tenant_id, export_id)
    headers = {"content-disposition": f'attachment; filename="{file.name}"', "content-length": str(file.size_bytes)}
    return StreamingResponse(ctx.port(Files).read(file), media_type=file.media_type, headers=headers)
