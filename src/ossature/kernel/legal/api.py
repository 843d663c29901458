"""Legal documents over HTTP, with what the product promises: limits of each plan, and service levels."""

from datetime import date, datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from ossature.kernel.context import CurrentCtx
from ossature.kernel.http.input import Input
from ossature.kernel.http.listing import Asked, Listing, answer, listing
from ossature.kernel.http.policy import policy
from ossature.kernel.http.validation import LanguageTag
from ossature.kernel.i18n.language import choose
from ossature.kernel.legal import store, usecases
from ossature.kernel.legal.domain import KIND_PATTERN, Edition
from ossature.kernel.legal.promises import Promises
from ossature.kernel.quotas.plans.api import PlansOut
from ossature.kernel.quotas.plans.api import list_plans as list_plans_of_quotas

router = APIRouter(tags=["legal"])

_CACHED = "public, max-age=60"
Kind = Annotated[str, Path(pattern=KIND_PATTERN, examples=["terms"])]


class EditionOut(BaseModel):
    """A version of a document. version: the day from which it holds. in_force: it holds now, and no later one does."""

    kind: str
    version: date
    title: str
    languages: list[str]
    in_force: bool


class EditionsOut(BaseModel):
    """Versions of documents: by kind, the latest first."""

    items: list[EditionOut]


class DocumentOut(BaseModel):
    """A text in Markdown. sha256: what who accepts it names."""

    model_config = ConfigDict(from_attributes=True)

    kind: str
    version: date
    language: str
    title: str
    text: str
    sha256: str


class LevelOut(BaseModel):
    """What is promised for a route: 95 of 100 answers within p95_ms; error_rate and availability are fractions."""

    model_config = ConfigDict(from_attributes=True)

    route: str
    p95_ms: float
    error_rate: float
    availability: float


class LevelsOut(BaseModel):
    """The service levels of every service. period: what they are counted over."""

    period: str
    items: dict[str, list[LevelOut]]


class AcceptIn(Input):
    """What is accepted. sha256: of the text that was read."""

    kind: Annotated[str, Field(pattern=KIND_PATTERN, examples=["terms"])]
    version: date
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", examples=["0" * 64])]


class AcceptanceOut(BaseModel):
    """That somebody has accepted a text, and where they did."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    user_id: UUID
    kind: str
    version: date
    language: str
    sha256: str
    ip: str
    created_at: datetime


@router.get("/documents")
@policy(public=True, cache=_CACHED)
async def list_documents(ctx: CurrentCtx) -> EditionsOut:
    """The documents of this installation in all their versions."""
    return _editions(await usecases.all_editions(ctx))


@router.get("/documents/{kind}")
@policy(public=True)
async def read_document(
    ctx: CurrentCtx,
    request: Request,
    kind: Kind,
    version: Annotated[date | None, Query(description="Without one: that which is in force.")] = None,
    language: Annotated[LanguageTag | None, Query(description="Without one: the reader's.")] = None,
) -> DocumentOut:
    """A text, in the reader's language if it is kept in it."""
    reader = choose(ctx.actor.language, accept=request.headers.get("accept-language", "")).code
    return DocumentOut.model_validate(await usecases.document(ctx, kind, version, *filter(None, (language, reader))))


@router.get("/limits")
@policy(public=True, cache=_CACHED)
async def list_limits(ctx: CurrentCtx) -> PlansOut:
    """How much each plan allows."""
    return await list_plans_of_quotas(ctx)


@router.get("/levels")
@policy(public=True, cache=_CACHED)
async def list_levels(ctx: CurrentCtx) -> LevelsOut:
    """How fast and how reliable each route is promised to be."""
    promises = ctx.port(Promises)
    items = {
        name: [LevelOut.model_validate(one) for one in objectives] for name, objectives in promises.by_service.items()
    }
    return LevelsOut(period=promises.period, items=items)


@router.get("/pending")
@policy(allow="*")
async def list_pending(ctx: CurrentCtx) -> EditionsOut:
    """What is in force and the caller has not accepted yet."""
    return _editions(await usecases.pending(ctx))


@router.get("/acceptances")
@policy(allow="read:legal")
async def list_acceptances(
    ctx: CurrentCtx, query: Annotated[Asked, listing(store.ACCEPTANCES, AcceptanceOut)]
) -> Listing[AcceptanceOut]:
    """Who of the tenant has accepted what."""
    return answer(await store.acceptances(ctx.db, ctx.tenant.id, query), AcceptanceOut, query)


@router.post("/acceptances", status_code=201)
@policy(allow="*", rate="write")
async def accept_document(ctx: CurrentCtx, body: AcceptIn) -> AcceptanceOut:
    """The caller accepts a text. Whoever has done so before gets what was recorded then."""
    return AcceptanceOut.model_validate(await usecases.accept(ctx, body.kind, body.version, body.sha256))


def _editions(found: list[Edition]) -> EditionsOut:
    return EditionsOut(
        items=[
            EditionOut(
                kind=one.kind,
                version=one.version,
                title=one.in_language().title,
                languages=[document.language for document in one.documents],
                in_force=one.in_force,
            )
            for one in found
        ]
    )
