"""What we ask of the outside: every operation, with its shapes and how long an answer keeps."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from ossature.kernel.outbound.operation import Operation
from ossature.kernel.outbound.provider import ErrorKind, Provider, Refusal
from ossature.services.hub.domain.chat import Chat, Completion, ModelCard
from ossature.services.hub.domain.finance import Conversion, FxConvert, FxRates, Rates
from ossature.services.hub.domain.geo import GeoForward, Places
from ossature.services.hub.domain.weather import Forecast, Weather, WeatherCurrent, WeatherForecast

_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86400.0

OPERATIONS = (
    Operation(
        id="weather.current",
        title="The weather at a point, now",
        query=WeatherCurrent,
        result=Weather,
        ttl_s=5 * _MINUTE,
        stale_s=_HOUR,
    ),
    Operation(
        id="weather.forecast",
        title="The weather at a point over the coming days",
        query=WeatherForecast,
        result=Forecast,
        ttl_s=30 * _MINUTE,
        stale_s=6 * _HOUR,
    ),
    Operation(
        id="finance.fx_rates",
        title="Exchange rates of a currency",
        query=FxRates,
        result=Rates,
        ttl_s=_HOUR,
        stale_s=3 * _DAY,
        fallback_on_empty=True,  # sources know different currencies
    ),
    Operation(
        id="finance.fx_convert",
        title="An amount in another currency",
        query=FxConvert,
        result=Conversion,
        ttl_s=_HOUR,
        stale_s=3 * _DAY,
        fallback_on_empty=True,  # sources know different currencies
    ),
    Operation(
        id="geo.forward",
        title="Where a place or an address is",
        query=GeoForward,
        result=Places,
        ttl_s=30 * _DAY,
        stale_s=365 * _DAY,
        negative_ttl_s=_DAY,
        fallback_on_empty=True,
    ),
)
"""The registry. A category is the part of the id before the dot."""

CHAT = Operation(
    id="ai.chat",
    title="What a language model answers (OpenAI chat completions)",
    query=Chat,
    result=Completion,
    scope="tenant",
    single_flight=False,
    time_limit_s=10 * _MINUTE,
)
"""Asked at `/v1/chat/completions` and not at a route of its own, since official OpenAI clients speak to it."""


class Declined(Refusal):
    """A model provider's no, with what an OpenAI client is told of it. No tokens are counted for a no."""

    units = MappingProxyType({"tokens": 0, "tokens_in": 0, "tokens_out": 0})

    def __init__(
        self,
        kind: ErrorKind,
        detail: str = "",
        *,
        param: str | None = None,
        code: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(kind, detail, retry_after_s=retry_after_s)
        self.param = param
        self.code = code


@dataclass(frozen=True, slots=True)
class ModelProvider:
    """A provider of language models, with those that it is known to have. prefix: what its models' names begin with."""

    provider: Provider
    models: Mapping[str, ModelCard]
    prefix: str = ""

    @property
    def name(self) -> str:
        """What stands before the slash in `provider/model`."""
        return self.prefix or self.provider.id
