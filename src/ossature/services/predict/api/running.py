"""Imports, models, evaluation and rounds by hand over HTTP."""

from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Query, Request
from pydantic import AwareDatetime

from ossature.kernel.context import CurrentCtx
from ossature.kernel.errors import FieldError, InvalidInput
from ossature.kernel.http.listing import Asked, Listing, answer, listing
from ossature.kernel.http.policy import policy
from ossature.kernel.http.validation import Filename
from ossature.services.predict.api.shapes import (
    BinOut,
    EnqueuedOut,
    EvaluationOut,
    GapOut,
    ImportOut,
    ModelOut,
    ReliabilityOut,
    SummaryOut,
)
from ossature.services.predict.domain.matches import CHAMPION
from ossature.services.predict.store import models
from ossature.services.predict.usecases import looking
from ossature.services.predict.usecases.freezing import FREEZE
from ossature.services.predict.usecases.importing import import_file
from ossature.services.predict.usecases.pricing import PRICE

router = APIRouter(tags=["predict"])

_MOST_BYTES: Final = 32_000_000
_BYTES: Final = "application/octet-stream"
_BINARY: Final = {"type": "string", "format": "binary", "maxLength": _MOST_BYTES}
_BODY: Final = {"requestBody": {"required": True, "content": {_BYTES: {"schema": _BINARY}}}}

Competition = Annotated[str | None, Query(max_length=20, description="Only matches of this division.")]
First = Annotated[AwareDatetime | None, Query(alias="from", description="Only matches that begin then or later.")]
Last = Annotated[AwareDatetime | None, Query(alias="to", description="Only matches that begin then or earlier.")]


@router.post("/imports", status_code=201, openapi_extra=_BODY)
@policy(allow="run:predict.collect", max_body_bytes=_MOST_BYTES, time_limit_s=300)
async def import_matches(
    ctx: CurrentCtx, request: Request, name: Annotated[Filename, Query()] = "matches_odds.parquet"
) -> ImportOut:
    """Store a Parquet file of matches, sent as the body; what follows from it is predicted and scored."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _BYTES:
        raise InvalidInput(errors=[FieldError("header/content-type", f"Send {_BYTES}.", "content_type")])
    return ImportOut.model_validate(await import_file(ctx, await request.body(), name=name))


@router.post("/scheduler/price", status_code=202)
@policy(allow="run:predict.price")
async def price(ctx: CurrentCtx) -> EnqueuedOut:
    """Have everything that is to come predicted now; what is said already is not said again."""
    return EnqueuedOut(job_id=await ctx.enqueue(PRICE, unique="price"))


@router.post("/scheduler/freeze", status_code=202)
@policy(allow="run:predict.price")
async def freeze(ctx: CurrentCtx) -> EnqueuedOut:
    """Have everything frozen that is due; what is official already stays so."""
    return EnqueuedOut(job_id=await ctx.enqueue(FREEZE, unique="freeze"))


@router.get("/models")
@policy(allow="read:predict.forecasts")
async def list_models(ctx: CurrentCtx, query: Annotated[Asked, listing(models.MODELS, ModelOut)]) -> Listing[ModelOut]:
    """The versions of models, newest first."""
    return answer(await models.list_models(ctx.db, ctx.tenant.id, query), ModelOut, query)


@router.get("/models/{model_id}")
@policy(allow="read:predict.forecasts")
async def read_model(ctx: CurrentCtx, model_id: UUID) -> ModelOut:
    """One version of a model."""
    return ModelOut.model_validate(await looking.read_model(ctx, model_id))


@router.get("/evaluation/summary")
@policy(allow="read:predict.public")
async def read_evaluation(
    ctx: CurrentCtx, competition: Competition = None, first: First = None, last: Last = None
) -> EvaluationOut:
    """What official predictions were worth, and how far they are from the market on the same matches."""
    found = await looking.read_worth(ctx, competition=competition, first=first, last=last)
    return EvaluationOut(
        model=CHAMPION,
        summary=None if found.summary is None else SummaryOut.model_validate(found.summary),
        market_gap=None if found.gap is None else GapOut.model_validate(found.gap),
        abstained=found.abstained,
        missed=found.missed,
    )


@router.get("/evaluation/reliability")
@policy(allow="read:predict.public")
async def read_reliability(
    ctx: CurrentCtx, competition: Competition = None, first: First = None, last: Last = None
) -> ReliabilityOut:
    """How often what was said came true."""
    found = await looking.read_worth(ctx, competition=competition, first=first, last=last)
    return ReliabilityOut(model=CHAMPION, bins=[BinOut.model_validate(one) for one in found.reliability])
