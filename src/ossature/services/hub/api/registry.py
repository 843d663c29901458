"""The registry over HTTP: operations, providers, quotas, and what would be asked."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from difflib import get_close_matches
from functools import cache
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query
from pydantic import Field, JsonValue, ValidationError

from ossature.kernel.context import CurrentCtx
from ossature.kernel.http.listing import Listing
from ossature.kernel.http.policy import policy
from ossature.kernel.http.problems import from_validation
from ossature.kernel.outbound.engine import Engine
from ossature.kernel.outbound.kinds import OperationUnknown
from ossature.kernel.outbound.operation import Operation
from ossature.kernel.outbound.provider import Provider
from ossature.services.hub.api.operations import Common
from ossature.services.hub.api.shapes import In, Out, envelope_of, example_of, query_from, question_of
from ossature.services.hub.ports import CHAT, OPERATIONS
from ossature.services.hub.providers import PROVIDERS
from ossature.services.hub.usecases.providers import (
    Allowance,
    Standing,
    Status,
    allowances,
    find_provider,
    providers_standing,
)
from ossature.services.hub.usecases.switching import Switchboard

_Name = Annotated[str, Path(max_length=100)]
_BY_ID: Mapping[str, Operation] = {operation.id: operation for operation in (*OPERATIONS, CHAT)}


class OperationOut(Out):
    """An operation. keyless: some provider answers it without a key. ttl_s: how long an answer is fresh; null is not kept."""

    id: str
    title: str
    category: str
    kind: Literal["read", "write", "job"]
    model_version: int
    ttl_s: float | None
    stale_s: float
    path: str
    providers: list[str]
    keyless: bool
    single_source: bool


class OperationDetailOut(OperationOut):
    """An operation with the JSON Schemas of its question and answer."""

    question: dict[str, JsonValue]
    answer: dict[str, JsonValue]
    example: dict[str, JsonValue]


class TermOut(Out):
    """One thing that a provider's terms say; null where nobody knows."""

    about: str
    holds: bool | None
    text: str


class LimitOut(Out):
    """A limit of a provider, and how surely it is known."""

    limit: int
    unit: str
    per_s: float | None
    period: str | None
    kind: str
    scope: str
    evidence: Literal["verified", "second_hand", "unknown"]


class EvidenceOut(Out):
    """How a wire format is known, and since when."""

    how: Literal["docs", "recorded", "live"]
    on: date


class ProviderOut(Out):
    """A provider and how it stands. missing: settings that would make it usable, never values.

    status: `contract-tested` means that every operation passed our tests with a fixture written from its documents; it
    says nothing about the real service, which these tests never call.
    """

    id: str
    title: str
    operations: list[str]
    docs: str
    status: Status
    usable: bool
    why_not: str
    missing: list[str]
    credentials: list[str]
    breakers: dict[str, str]
    ewma_ms: float | None
    last_error: str
    needs_key: bool
    needs_contact: bool
    licence: str
    attribution: str
    terms: list[TermOut]
    limits: list[LimitOut]
    region: str
    leaves: list[str]
    quirks: list[str]
    evidence: EvidenceOut | None


class WindowOut(Out):
    """How full one window of a provider is. resets_at: null while nothing of it is used."""

    provider: str
    credential: str
    operations: list[str]
    unit: str
    kind: str
    per_s: float | None
    period: str | None
    limit: int
    used: int
    reserved: int
    outside: int
    remaining: int
    resets_at: datetime | None
    held_until: datetime | None


class ConsideredOut(Out):
    """A candidate: its score and the parts of it, or why it was refused."""

    provider: str
    credential: str
    score: float | None
    parts: dict[str, float]
    refused: str


class ExplanationOut(Out):
    """What would be asked now, in this order. Nothing is sent and nothing reserved for it."""

    operation: str
    policy: str
    cached: bool
    candidates: list[ConsideredOut]


class ExplainIn(Common):
    """A question that is not to be asked."""

    operation: Annotated[str, Field(max_length=100, examples=["weather.current"])]
    query: Annotated[dict[str, JsonValue], Field(examples=[{"latitude": 46.2044, "longitude": 6.1432}])]


class DisableIn(In):
    """Why a provider is not to be asked."""

    reason: Annotated[str, Field(max_length=300, examples=["Their terms have changed."])] = ""


router = APIRouter(tags=["hub"])


@router.get("/operations", summary="List operations")
@policy(allow="read:hub")
async def list_operations(
    ctx: CurrentCtx, category: Annotated[str | None, Query(max_length=60)] = None
) -> Listing[OperationOut]:
    """Everything that can be asked, and who answers."""
    del ctx
    kept = [operation for operation in _BY_ID.values() if category in (None, operation.category)]
    return Listing(items=[OperationOut(**_operation(operation)) for operation in kept], next=None)


@router.get("/operations/{operation_id}", summary="Read an operation")
@policy(allow="read:hub")
async def read_operation(ctx: CurrentCtx, operation_id: _Name) -> OperationDetailOut:
    """One operation with the schemas of its question and answer."""
    del ctx
    operation = find_operation(operation_id)
    return OperationDetailOut(**_operation(operation), **_schemas(operation))


@router.get("/providers", summary="List providers")
@policy(allow="read:hub")
async def list_providers(
    ctx: CurrentCtx, category: Annotated[str | None, Query(max_length=60)] = None
) -> Listing[ProviderOut]:
    """Every provider, with what is missing to use it, how it does, and what its terms say."""
    kept = [
        each for each in PROVIDERS if category is None or any(_BY_ID[o].category == category for o in each.operations)
    ]
    return Listing(items=[_provider(each) for each in await providers_standing(ctx, kept)], next=None)


@router.get("/providers/{provider_id}", summary="Read a provider")
@policy(allow="read:hub")
async def read_provider(ctx: CurrentCtx, provider_id: _Name) -> ProviderOut:
    """One provider."""
    return await _standing_of(ctx, find_provider(PROVIDERS, provider_id))


@router.post("/providers/{provider_id}/enable", summary="Switch a provider on")
@policy(allow="write:platform")
async def enable_provider(ctx: CurrentCtx, provider_id: _Name) -> ProviderOut:
    """Have a provider asked again, also one that is off by default."""
    provider = find_provider(PROVIDERS, provider_id)
    await ctx.port(Switchboard).switch(ctx, provider, enabled=True)
    return await _standing_of(ctx, provider)


@router.post("/providers/{provider_id}/disable", summary="Switch a provider off")
@policy(allow="write:platform")
async def disable_provider(ctx: CurrentCtx, provider_id: _Name, asked: DisableIn) -> ProviderOut:
    """Have a provider no longer asked, for all tenants."""
    provider = find_provider(PROVIDERS, provider_id)
    await ctx.port(Switchboard).switch(ctx, provider, enabled=False, reason=asked.reason)
    return await _standing_of(ctx, provider)


@router.get("/quotas", summary="What is left of the limits")
@policy(allow="read:hub")
async def list_quotas(
    ctx: CurrentCtx, provider: Annotated[str | None, Query(max_length=60)] = None
) -> Listing[WindowOut]:
    """Every window of every provider that can be asked: used, reserved, left, and when it opens again."""
    kept = PROVIDERS if provider is None else (find_provider(PROVIDERS, provider),)
    return Listing(items=[_window(each) for each in await allowances(ctx, kept)], next=None)


@router.post("/route/explain", summary="Explain who would be asked")
@policy(allow="read:hub", effects=False)
async def explain_route(ctx: CurrentCtx, asked: ExplainIn) -> ExplanationOut:
    """A dry run: candidates with their scores, and those refused with the reason."""
    operation = find_operation(asked.operation)
    if operation is CHAT:
        raise OperationUnknown("Chat models are listed at /v1/models; only data operations are explained.", near=[])
    try:
        question = question_of(operation, In).model_validate(asked.query)
    except ValidationError as error:
        raise from_validation(error, "/query") from None
    engine = ctx.port(Engine)
    found = await engine.explain(ctx, operation.id, query_from(operation, question), **asked.options())
    return ExplanationOut.model_validate(found)


def find_operation(operation_id: str) -> Operation:
    """The operation of that name. Raises: OperationUnknown."""
    if operation_id not in _BY_ID:
        near = get_close_matches(operation_id, _BY_ID, n=3, cutoff=0.3)
        raise OperationUnknown(f"There is no operation {operation_id!r}.", near=near)
    return _BY_ID[operation_id]


def answering(operation: Operation) -> Sequence[Provider]:
    """Who can be asked it."""
    return [provider for provider in PROVIDERS if operation.id in provider.codecs]


def _operation(operation: Operation) -> dict[str, Any]:
    providers = answering(operation)
    return {
        "id": operation.id,
        "title": operation.title,
        "category": operation.category,
        "kind": operation.kind,
        "model_version": operation.model_version,
        "ttl_s": operation.ttl_s,
        "stale_s": operation.stale_s,
        "path": "/v1/chat/completions" if operation is CHAT else f"/v1/hub/{operation.id.replace('.', '/', 1)}",
        "providers": [provider.id for provider in providers],
        "keyless": any(provider.manifest.auth.need != "required" for provider in providers),
        "single_source": len(providers) == 1,
    }


@cache
def _schemas(operation: Operation) -> dict[str, Any]:
    if operation is CHAT:
        reference = {
            "type": "object",
            "description": "As the OpenAI API has it: https://platform.openai.com/docs/api-reference/chat",
        }
        message = {"model": "auto", "messages": [{"role": "user", "content": "Hello!"}]}
        return {"question": reference, "answer": reference, "example": message}
    return {
        "question": question_of(operation, Common).model_json_schema(),
        "answer": envelope_of(operation).model_json_schema(mode="serialization"),
        "example": example_of(operation),
    }


async def _standing_of(ctx: CurrentCtx, provider: Provider) -> ProviderOut:
    return _provider((await providers_standing(ctx, [provider]))[0])


def _provider(standing: Standing) -> ProviderOut:
    manifest = standing.provider.manifest
    return ProviderOut.model_validate(
        {
            "id": manifest.id,
            "title": manifest.title,
            "operations": standing.provider.operations,
            "docs": manifest.docs,
            "status": standing.status,
            "usable": standing.usable,
            "why_not": standing.why_not,
            "missing": standing.missing,
            "credentials": standing.credentials,
            "breakers": standing.breakers,
            "ewma_ms": standing.ewma_ms,
            "last_error": standing.last_error,
            "needs_key": manifest.auth.need == "required",
            "needs_contact": manifest.needs_contact,
            "licence": manifest.licence,
            "attribution": manifest.attribution,
            "terms": manifest.terms,
            "limits": manifest.limits,
            "region": manifest.privacy.region,
            "leaves": manifest.privacy.leaves,
            "quirks": manifest.quirks,
            "evidence": manifest.evidence,
        }
    )


def _window(allowance: Allowance) -> WindowOut:
    state = allowance.state
    return WindowOut(
        provider=allowance.provider,
        credential=allowance.credential,
        operations=list(allowance.operations),
        unit=state.window.unit,
        kind=state.window.kind,
        per_s=state.window.seconds,
        period=state.window.period,
        limit=state.limit,
        used=state.used,
        reserved=state.reserved,
        outside=state.outside,
        remaining=state.remaining,
        resets_at=state.resets_at,
        held_until=state.held_until,
    )
