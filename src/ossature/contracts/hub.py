"""What the hub promises the other services: places, weather and words, whichever provider gives them.

Ask for the keeper of a promise with `ctx.port(Geocoder)`. Every call is counted, cached and charged to the caller's tenant.
All of them raise the problems of `kernel.outbound`: ProviderUnavailable, QuotaExhausted, NoMatch, ...
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from ossature.kernel.context import Ctx


@dataclass(frozen=True, slots=True, kw_only=True)
class Located:
    """A place on the map, WGS 84. precision: what kind of thing was matched, where the source says. source: who said it."""

    latitude: float
    longitude: float
    display_name: str
    precision: str | None
    source: str
    attribution: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WeatherNow:
    """The weather at a point; null is what the source does not say. humidity in 0..1, direction where the wind comes from."""

    temperature_c: float | None
    humidity_fraction: float | None
    wind_ms: float | None
    wind_direction_deg: float | None
    condition: str | None
    observed_at: datetime
    source: str
    attribution: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """What a language model said. model: `provider/model` that answered. cost_microusd: None where the price is unknown."""

    text: str
    model: str
    finish_reason: str
    tokens_in: int | None
    tokens_out: int | None
    cost_microusd: int | None


class Geocoder(Protocol):
    """Finds places."""

    async def locate(self, ctx: Ctx, text: str, *, limit: int = 5, language: str = "en") -> Sequence[Located]:
        """Places of that name or address, best first; empty when nobody knows one."""


class Weather(Protocol):
    """Knows the weather."""

    async def now(self, ctx: Ctx, *, latitude: float, longitude: float) -> WeatherNow:
        """The weather at a point."""


class Chat(Protocol):
    """Asks language models."""

    async def say(
        self, ctx: Ctx, messages: Sequence[Message], *, model: str = "auto", max_tokens: int | None = None
    ) -> Words:
        """What the model answers. model: `provider/model`, or a name of the house such as `auto` or `cheap`."""
