"""Every simulated provider, by hand: a file under `sim/<category>/` that is missing here is caught by a test."""

from ossature.sim.ai import groq, mistral, ollama, openai, openrouter
from ossature.sim.expenses import n2f
from ossature.sim.finance import currency_api, ecb, frankfurter, open_er_api
from ossature.sim.geo import nominatim, open_meteo_geocoding, opencage, photon
from ossature.sim.provider import Provider
from ossature.sim.weather import met_norway, open_meteo, weatherapi

PROVIDERS: tuple[Provider, ...] = (
    openai.PROVIDER,
    groq.PROVIDER,
    mistral.PROVIDER,
    openrouter.PROVIDER,
    ollama.PROVIDER,
    open_meteo.PROVIDER,
    met_norway.PROVIDER,
    weatherapi.PROVIDER,
    frankfurter.PROVIDER,
    open_er_api.PROVIDER,
    currency_api.PROVIDER,
    ecb.PROVIDER,
    nominatim.PROVIDER,
    photon.PROVIDER,
    open_meteo_geocoding.PROVIDER,
    opencage.PROVIDER,
    n2f.PROVIDER,
)
