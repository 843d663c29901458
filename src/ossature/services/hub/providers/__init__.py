"""Every provider, by hand: a file that is missing here is found by a test, and nothing is discovered by magic."""

from ossature.kernel.outbound.provider import Provider
from ossature.services.hub.ports import ModelProvider
from ossature.services.hub.providers.ai import groq, local_ai, mistral, ollama, openai, openrouter
from ossature.services.hub.providers.finance import ecb, frankfurter, open_er_api
from ossature.services.hub.providers.geo import nominatim, open_meteo_geocoding, photon
from ossature.services.hub.providers.weather import met_norway, open_meteo, weatherapi

MODEL_PROVIDERS: tuple[ModelProvider, ...] = (
    groq.models,
    local_ai.models,
    mistral.models,
    ollama.models,
    openai.models,
    openrouter.models,
)

PROVIDERS: tuple[Provider, ...] = (
    *(each.provider for each in MODEL_PROVIDERS),
    ecb.provider,
    frankfurter.provider,
    met_norway.provider,
    nominatim.provider,
    open_er_api.provider,
    open_meteo.provider,
    open_meteo_geocoding.provider,
    photon.provider,
    weatherapi.provider,
)
