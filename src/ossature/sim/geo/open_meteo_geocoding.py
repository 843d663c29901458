"""Open-Meteo geocoding: https://open-meteo.com/en/docs/geocoding-api. Nothing found = no `results` at all."""

from typing import Any

from ossature.sim.limits import Limit
from ossature.sim.provider import Provider, Route
from ossature.sim.wire import InputError, Reason, Refusal, Reply, Request, json_reply, whole
from ossature.sim.world.cities import City, search

_MAX_COUNT = 100


def _row(request: Request, city: City) -> dict[str, Any]:
    lean = request.world.lean
    return {
        "id": 2_000_000 + city.number * 17,
        "name": city.name,
        "latitude": round(city.latitude + lean("open_meteo_geocoding", city.name, "north", by=0.002), 5),
        "longitude": round(city.longitude + lean("open_meteo_geocoding", city.name, "east", by=0.002), 5),
        "elevation": float(city.elevation_m),
        "feature_code": "PPLA",
        "country_code": city.country_code,
        "admin1_id": 2_500_000 + city.number,
        "timezone": city.zone,
        "population": city.population,
        "country_id": 3_000_000 + sum(map(ord, city.country_code)),
        "country": city.country,
        "admin1": city.region,
    }


def _no(reason: str, status: int = 400) -> Reply:
    return json_reply({"reason": reason, "error": True}, status=status)


def _search(request: Request) -> Reply:
    query = request.query()
    name = query.get("name", "")
    if not name:
        return _no("Parameter 'name' is required.")
    try:
        count = whole(query, "count", otherwise=10, least=1, most=_MAX_COUNT)
    except InputError:
        return _no(f"Parameter count must be between 1 and {_MAX_COUNT}.")
    country = query.get("countryCode")
    found = [city for city in search(name) if country in {None, city.country_code}]
    reply: dict[str, Any] = {"results": [_row(request, city) for city in found[:count]]} if found else {}
    return json_reply(reply | {"generationtime_ms": 0.4211})


_MESSAGES = {
    404: "Not Found",
    405: "Method Not Allowed",
    429: "Minutely API request limit exceeded. Please try again in one minute.",
}


def refuse(no: Refusal) -> Reply:
    """Say no as Open-Meteo does; it never sends Retry-After."""
    return _no(_MESSAGES.get(no.status, "Internal Server Error"), no.status)


def error_in_200() -> Reply:
    """Put the reason of a failure under status 200."""
    return refuse(Refusal(reason=Reason.BROKEN, status=200))


PROVIDER = Provider(
    id="open_meteo_geocoding",
    routes=(Route("GET", "/search", "geo.forward", _search, vital="results.*.latitude"),),
    refuse=refuse,
    error_in_200=error_in_200,
    limits=(Limit(600, "minute"), Limit(10_000, "day")),
)
