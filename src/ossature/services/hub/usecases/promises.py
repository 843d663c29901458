"""Keepers of the hub's promises to the other services: see `contracts.hub`."""

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Raw

from ossature.contracts.hub import Located, Message, WeatherNow, Words
from ossature.kernel.context import Ctx
from ossature.kernel.outbound.answer import Answer
from ossature.kernel.outbound.kinds import NoMatch
from ossature.services.hub.domain.chat import ChatRequest, HubOptions
from ossature.services.hub.domain.geo import GeoForward, Places
from ossature.services.hub.domain.weather import Weather, WeatherCurrent
from ossature.services.hub.usecases.chat import Chats


class HubGeocoder:
    """Keeps `contracts.hub.Geocoder`."""

    async def locate(self, ctx: Ctx, text: str, *, limit: int = 5, language: str = "en") -> Sequence[Located]:
        """Places of that name or address, best first; empty when nobody knows one."""
        try:
            answer: Answer[Places] = await ctx.ask("geo.forward", GeoForward(q=text, limit=limit, language=language))
        except NoMatch:
            return []
        return [
            Located(
                latitude=place.latitude,
                longitude=place.longitude,
                display_name=place.display_name,
                precision=place.precision,
                source=answer.meta.provider,
                attribution=answer.meta.attribution,
            )
            for place in answer.data.results
        ]


class HubWeather:
    """Keeps `contracts.hub.Weather`."""

    async def now(self, ctx: Ctx, *, latitude: float, longitude: float) -> WeatherNow:
        """The weather at a point."""
        query = WeatherCurrent(latitude=latitude, longitude=longitude)
        answer: Answer[Weather] = await ctx.ask("weather.current", query)
        weather = answer.data
        return WeatherNow(
            temperature_c=weather.temperature_c,
            humidity_fraction=weather.humidity_fraction,
            wind_ms=weather.wind_ms,
            wind_direction_deg=weather.wind_direction_deg,
            condition=weather.condition,
            observed_at=weather.observed_at,
            source=answer.meta.provider,
            attribution=answer.meta.attribution,
        )


class _Said(msgspec.Struct):
    content: str | None = None


class _Choice(msgspec.Struct):
    message: _Said
    finish_reason: str | None = None


class _Answer(msgspec.Struct):
    choices: list[_Choice]


class HubChat:
    """Keeps `contracts.hub.Chat`."""

    def __init__(self, chats: Chats) -> None:
        self._chats = chats

    async def say(
        self, ctx: Ctx, messages: Sequence[Message], *, model: str = "auto", max_tokens: int | None = None
    ) -> Words:
        """What the model answers. Raises: ModelNotFound, and the problems of `kernel.outbound`."""
        said = [{"role": message.role, "content": message.content} for message in messages]
        fields: dict[str, Any] = {"messages": said}
        if max_tokens is not None:
            fields["max_tokens"] = max_tokens
        request = ChatRequest(
            names=(model,),
            fields={name: Raw(msgspec.json.encode(value)) for name, value in fields.items()},
            stream=False,
            wants_usage=False,
            max_tokens=max_tokens,
            choices=1,
            hub=HubOptions(),
        )
        answered = await self._chats.complete(ctx, request)
        first = msgspec.json.decode(answered.completion.body, type=_Answer).choices[0]
        usage = answered.completion.usage
        return Words(
            text=first.message.content or "",
            model=str(answered.seat),
            finish_reason=first.finish_reason or "stop",
            tokens_in=usage.tokens_in if usage is not None else None,
            tokens_out=usage.tokens_out if usage is not None else None,
            cost_microusd=answered.cost_microusd,
        )
