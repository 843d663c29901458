"""`GET /v1/models[/{id}]`, as official OpenAI clients read it: the models that the caller can use now, and the house's names."""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime, time
from typing import Any, cast

import orjson
from starlette.types import Receive, Scope, Send

from ossature.kernel.context import Ctx
from ossature.kernel.errors import Problem
from ossature.kernel.outbound.manifest import Manifest
from ossature.services.hub.api.openai_shape import refuse
from ossature.services.hub.domain.chat import Catalogue, ModelCard, ModelNotFound
from ossature.services.hub.ports import ModelProvider
from ossature.services.hub.usecases.providers import contract_tested, usable_names

_PREFIX = "/v1/models"
_OURS = "ossature"


class Models:
    """The application. One per process."""

    def __init__(self, catalogue: Catalogue, providers: Sequence[ModelProvider], *, public_url: str) -> None:
        self._catalogue = catalogue
        self._providers = {each.name: each for each in providers}
        self._public_url = public_url

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        del receive
        ctx = cast("Ctx", scope["ossature.ctx"])
        name = scope["path"].removeprefix(_PREFIX).strip("/")
        try:
            body = orjson.dumps(await self._one(ctx, name) if name else await self._all(ctx))
            status, headers = 200, [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        except Problem as problem:
            status, headers, body = refuse(problem, public_url=self._public_url, request_id=ctx.id)
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _all(self, ctx: Ctx) -> Mapping[str, Any]:
        return {"object": "list", "data": [each async for each in self._usable(ctx)]}

    async def _one(self, ctx: Ctx, name: str) -> Mapping[str, Any]:
        wanted = {name, *(str(seat) for seat in self._seats_of(name))}
        async for each in self._usable(ctx):
            if each["id"] in wanted:
                return each
        raise ModelNotFound(f"There is no model {name!r} that you can use.", near=[])

    def _seats_of(self, name: str) -> Sequence[object]:
        return () if name in self._catalogue.aliases else self._catalogue.seats([name])

    async def _usable(self, ctx: Ctx) -> AsyncIterator[dict[str, Any]]:
        """Names of the house first, then every known model of each provider that can be asked."""
        usable = await usable_names(ctx, self._providers.values())
        for alias in self._catalogue.aliases:
            seats = [seat for seat in self._catalogue.seats([alias]) if seat.provider in usable]
            if seats:
                yield {**_frame(alias, _OURS, 0), "stands_for": [str(seat) for seat in seats]}
        for name, provider in self._providers.items():
            if name in usable:
                for card in provider.models.values():
                    yield _described(provider, card)


def _described(provider: ModelProvider, card: ModelCard) -> dict[str, Any]:
    manifest = provider.provider.manifest
    tested = "ai.chat" in contract_tested().get(manifest.id, {})
    return {
        **_frame(f"{provider.name}/{card.id}", manifest.id, _since(manifest)),
        "context_tokens": card.context_tokens,
        "max_output_tokens": card.max_output_tokens,
        "prices": {"usd_per_million_tokens_in": card.usd_in, "usd_per_million_tokens_out": card.usd_out},
        "status": "contract-tested" if tested else "untested",
    }


def _frame(name: str, owner: str, created: int) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": created, "owned_by": owner}


def _since(manifest: Manifest) -> int:
    """When we learned of it, as the format wants an instant here."""
    return int(datetime.combine(manifest.evidence.on, time(0), UTC).timestamp()) if manifest.evidence else 0
