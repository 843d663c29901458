"""Files of bookings over HTTP: upload, read what is wrong, book."""

import csv
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Query, Request
from starlette.datastructures import UploadFile
from starlette.responses import Response

from ossature.kernel.context import CurrentCtx
from ossature.kernel.errors import FieldError, InvalidInput
from ossature.kernel.http.listing import Asked, Listing, answer, listing
from ossature.kernel.http.policy import policy
from ossature.kernel.http.validation import Filename
from ossature.services.dispatch.api.shapes.base import Requester
from ossature.services.dispatch.api.shapes.imports import FaultOut, ImportApply, ImportOut
from ossature.services.dispatch.domain.imports import quoted, template
from ossature.services.dispatch.store import imports as store
from ossature.services.dispatch.usecases import importing as usecases

router = APIRouter(tags=["dispatch"])

_PIECE_BYTES: Final = 256 * 1024
_CSV: Final[dict[int | str, dict[str, Any]]] = {200: {"content": {"text/csv": {"schema": {"type": "string"}}}}}
_BINARY: Final = {"type": "string", "format": "binary", "maxLength": usecases.FILE_MOST_BYTES}
_BODY: Final = {
    "requestBody": {
        "required": True,
        "content": {
            "text/csv": {"schema": _BINARY},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {"file": _BINARY},
                    "required": ["file"],
                    "additionalProperties": False,
                }
            },
        },
    }
}


@router.get("/imports")
@policy(allow="import:bookings")
async def list_imports(
    ctx: CurrentCtx, query: Annotated[Asked, listing(store.IMPORTS, ImportOut)]
) -> Listing[ImportOut]:
    """The files that came, newest first."""
    return answer(await store.list_imports(ctx.db, ctx.tenant.id, query), ImportOut, query)


@router.post("/imports", status_code=202, openapi_extra=_BODY)
@policy(allow="import:bookings", rate="imports", max_body_bytes=usecases.FILE_MOST_BYTES + 64 * 1024)
async def upload(
    ctx: CurrentCtx,
    request: Request,
    name: Annotated[Filename, Query()] = "bookings.csv",
    requester: Annotated[Requester, Query()] = "",
) -> ImportOut:
    """Bring a CSV file of bookings: as the body, or as the part `file` of a form.

    A job looks through it; nothing is booked until it is applied.
    """
    async with _content(request) as content:
        return ImportOut.model_validate(await usecases.upload(ctx, content, name=name, requester=requester))


@router.get("/imports/template.csv", response_class=Response, responses=_CSV)
@policy(allow="import:bookings")
async def read_template(ctx: CurrentCtx) -> Response:
    """An empty file of the right shape, with one example."""
    del ctx
    return _csv(template(), "bookings.csv")


@router.get("/imports/{import_id}")
@policy(allow="import:bookings")
async def read_import(ctx: CurrentCtx, import_id: UUID) -> ImportOut:
    """One file: how far it is, and what it comes to."""
    return ImportOut.model_validate(await usecases.read_import(ctx, import_id))


@router.get("/imports/{import_id}/problems")
@policy(allow="import:bookings")
async def list_problems(
    ctx: CurrentCtx, import_id: UUID, query: Annotated[Asked, listing(store.FAULTS, FaultOut)]
) -> Listing[FaultOut]:
    """What is wrong with a file: row, column and reason of every fault."""
    await usecases.read_import(ctx, import_id)
    return answer(await store.list_faults(ctx.db, ctx.tenant.id, import_id, query), FaultOut, query)


@router.get("/imports/{import_id}/problems.csv", response_class=Response, responses=_CSV)
@policy(allow="import:bookings")
async def read_problems(ctx: CurrentCtx, import_id: UUID) -> Response:
    """What is wrong with a file, as a file."""
    await usecases.read_import(ctx, import_id)
    told = io.StringIO()
    writer = csv.writer(told, delimiter=";", lineterminator="\r\n")
    writer.writerow(("row", "column", "message", "code"))
    for one in await store.faults(ctx.db, ctx.tenant.id, import_id):
        writer.writerow((one.row, quoted(one.column), quoted(one.message), one.code))
    return _csv(told.getvalue(), "problems.csv")


@router.post("/imports/{import_id}/apply", status_code=202)
@policy(allow="import:bookings")
async def apply(ctx: CurrentCtx, import_id: UUID, body: ImportApply) -> ImportOut:
    """Have a file booked by a job: all of it, or with `partial` its good rows. What was booked before stays as it is."""
    return ImportOut.model_validate(await usecases.request_apply(ctx, import_id, partial=body.partial))


@asynccontextmanager
async def _content(request: Request) -> AsyncIterator[AsyncIterator[bytes]]:
    """The content of a file that is sent, in pieces. Raises: InvalidInput."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "text/csv":
        yield request.stream()
        return
    if kind != "multipart/form-data":
        fault = FieldError("header/content-type", "Send text/csv, or a form with a part named file.", "content_type")
        raise InvalidInput(errors=[fault])
    async with request.form(max_files=1, max_fields=0) as form:
        file = form.get("file")
        if not isinstance(file, UploadFile):
            raise InvalidInput(errors=[FieldError("/file", "The form has no part named file.", "missing")])
        yield _pieces(file)


async def _pieces(file: UploadFile) -> AsyncIterator[bytes]:
    while piece := await file.read(_PIECE_BYTES):
        yield piece


def _csv(text: str, name: str) -> Response:
    headers = {"content-disposition": f'attachment; filename="{name}"'}
    return Response(text, media_type="text/csv; charset=utf-8", headers=headers)
