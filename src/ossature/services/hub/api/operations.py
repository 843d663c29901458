"""A route for each operation: `GET` and `POST /v1/hub/{category}/{operation}`, with its own typed question and answer."""

from decimal import Decimal
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Query
from pydantic import BaseModel, BeforeValidator, Field, model_validator

from ossature.kernel.context import CurrentCtx
from ossature.kernel.http.policy import policy
from ossature.kernel.outbound.answer import Answer
from ossature.kernel.outbound.operation import Operation
from ossature.services.hub.api.shapes import In, envelope_of, example_of, parted, query_from, question_of
from ossature.services.hub.ports import OPERATIONS

_MICROUSD = 1_000_000

Name = Annotated[str, Field(max_length=60)]
Names = Annotated[Annotated[list[Name], Field(max_length=50)] | None, BeforeValidator(parted)]


class Common(In):
    """What may be said about any question."""

    policy: Annotated[
        Literal["free_first", "fast", "cheap", "quality"] | None,
        Field(description="How providers are ordered. The house's own way, if it is left out."),
    ] = None
    provider: Annotated[str | None, Field(description="Only this provider, without fallback.", max_length=60)] = None
    only: Annotated[Names, Field(description="Only these providers.")] = None
    ignore: Annotated[Names, Field(description="Not these providers.")] = None
    max_cost: Annotated[
        Decimal | None,
        Field(ge=0, le=1000, description="At most so many US dollars for an attempt.", examples=["0.001"]),
    ] = None
    cache: Annotated[
        Literal["auto", "only", "refresh", "off"],
        Field(
            description="`only` asks nobody, `refresh` asks even if an answer is at hand, `off` neither reads nor keeps one."
        ),
    ] = "auto"
    max_stale_s: Annotated[
        float | None, Field(ge=0, le=31_536_000, description="How old a stand-in may be when no provider answers.")
    ] = None
    raw: Annotated[bool, Field(description="Add the upstream's own body; needs `read:hub.raw`.")] = False
    deadline_ms: Annotated[
        int | None, Field(ge=50, le=300_000, description="All attempts together may take so long.", examples=[5000])
    ] = None

    @model_validator(mode="after")
    def _without_contradiction(self) -> "Common":
        both = set(self.only or ()) & set(self.ignore or ())
        if both:
            msg = f"{', '.join(sorted(both))}: in `only` and in `ignore`"
            raise ValueError(msg)
        if self.provider and (self.only or self.ignore):
            msg = "`provider` names the one that answers; `only` and `ignore` contradict it"
            raise ValueError(msg)
        return self

    def options(self) -> dict[str, Any]:
        """As `ctx.ask` takes them; what was not said is left out."""
        said = {
            "policy": "pinned" if self.provider else self.policy,
            "order": (self.provider,) if self.provider else None,
            "only": self.only,
            "ignore": self.ignore,
            "max_cost_microusd": None if self.max_cost is None else int(self.max_cost * _MICROUSD),
            "cache": self.cache,
            "max_stale_s": self.max_stale_s,
            "raw": self.raw or None,
            "time_limit_s": None if self.deadline_ms is None else self.deadline_ms / 1000,
        }
        return {name: value for name, value in said.items() if value is not None}


def enveloped(answer: Answer[Any], request_id: str) -> dict[str, Any]:
    """An answer as it goes out."""
    raw = None if answer.raw is None else answer.raw.decode(errors="replace")
    return {"data": answer.data, "meta": answer.meta, "request_id": request_id, "raw": raw}


def add_to(router: APIRouter) -> None:
    """Put the routes of all operations on a router."""
    for operation in OPERATIONS:
        _add(router, operation)


def _add(router: APIRouter, operation: Operation) -> None:
    question, envelope = question_of(operation, Common), envelope_of(operation)
    path = f"/{operation.id.replace('.', '/', 1)}"
    name = operation.id.replace(".", "_")

    async def answer(ctx: CurrentCtx, asked: Common) -> BaseModel:
        if asked.raw:
            ctx.actor.require("read:hub.raw")
        found = await ctx.ask(operation.id, query_from(operation, asked), **asked.options())
        return envelope.model_validate(enveloped(found, ctx.id))

    @policy(allow="call:hub")
    async def by_query(ctx: CurrentCtx, asked: Annotated[question, Query()]) -> envelope:  # type: ignore[valid-type] # made at the start
        return await answer(ctx, asked)

    @policy(allow="call:hub", effects=False)
    async def by_body(
        ctx: CurrentCtx,
        asked: Annotated[question, Body(examples=[example_of(operation)])],  # type: ignore[valid-type] # made at the start
    ) -> envelope:  # type: ignore[valid-type] # made at the start
        return await answer(ctx, asked)

    if operation.kind == "read":
        router.add_api_route(
            path,
            by_query,
            methods=["GET"],
            summary=operation.title,
            description=question.__doc__,
            operation_id=f"hub_get_{name}",
            tags=["hub"],
        )
    router.add_api_route(
        path,
        by_body,
        methods=["POST"],
        summary=operation.title,
        description=question.__doc__,
        operation_id=f"hub_{name}",
        tags=["hub"],
    )
