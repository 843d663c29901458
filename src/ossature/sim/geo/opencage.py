"""OpenCage geocoding: https://opencagedata.com/api. Key in the query; what is left of the day is in the body."""

from datetime import timedelta
from typing import Any

from ossature.sim.limits import Limit
from ossature.sim.provider import Credential, Provider, Route
from ossature.sim.wire import InputError, Reason, Refusal, Reply, Request, json_reply, retry_after, whole
from ossature.sim.world.cities import City, nearest, search

_MAX_LIMIT = 100
_MIN_LETTERS = 2


def _result(request: Request, city: City) -> dict[str, Any]:
    latitude = round(city.latitude + request.world.lean("opencage", city.name, "north", by=0.002), 7)
    longitude = round(city.longitude + request.world.lean("opencage", city.name, "east", by=0.002), 7)
    return {
        "bounds": {
            "northeast": {"lat": round(latitude + 0.1, 7), "lng": round(longitude + 0.15, 7)},
            "southwest": {"lat": round(latitude - 0.1, 7), "lng": round(longitude - 0.15, 7)},
        },
        "components": {
            "ISO_3166-1_alpha-2": city.country_code,
            "_category": "place",
            "_normalized_city": city.name,
            "_type": "city",
            "city": city.name,
            "country": city.country,
            "country_code": city.country_code.lower(),
            "state": city.region,
        },
        "confidence": 4,
        "formatted": f"{city.name}, {city.country}",
        "geometry": {"lat": latitude, "lng": longitude},
    }


def _envelope(status: int, message: str, results: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    found = results or []
    return {
        "documentation": "https://opencagedata.com/api",
        "licenses": [{"name": "see attribution guide", "url": "https://opencagedata.com/credits"}],
        "results": found,
        "status": {"code": status, "message": message},
        "total_results": len(found),
    }


def _rate(request: Request) -> dict[str, Any]:
    for state in request.windows:
        if state.limit.period == "day":
            reset = int((request.now + timedelta(seconds=state.reset_s)).timestamp())
            return {"rate": {"limit": state.limit.most, "remaining": state.remaining, "reset": reset}}
    return {}


def _cities(text: str) -> list[City] | None:
    """Return the cities at or named so; None for coordinates that are none."""
    try:
        latitude, longitude = (float(part) for part in text.replace("+", ",").split(","))
    except ValueError:
        return search(text)
    if not -90 <= latitude <= 90 or not -180 <= longitude <= 180:
        return None
    city = nearest(latitude, longitude)
    return [] if city is None else [city]


def _json(request: Request) -> Reply:
    query = request.query()
    text = query.get("q", "").strip()
    if len(text) < _MIN_LETTERS:
        return json_reply(_envelope(400, "missing or bad query"), status=400)
    try:
        limit = whole(query, "limit", otherwise=10, least=1, most=_MAX_LIMIT)
    except InputError:
        return json_reply(_envelope(400, "invalid value for limit"), status=400)
    found = _cities(text)
    if found is None:
        return json_reply(_envelope(400, "invalid coordinates"), status=400)
    results = [_result(request, city) for city in found[:limit]]
    return json_reply(_envelope(200, "OK", results) | _rate(request))


def _operation(request: Request) -> str:
    text = request.query().get("q", "").replace(",", "").replace(".", "").replace("-", "").replace(" ", "")
    return "geo.reverse" if text.isdecimal() else "geo.forward"


_MESSAGES = {
    401: "missing API key",
    404: "not found",
    405: "method not allowed",
    429: "too many requests",
}


def refuse(no: Refusal) -> Reply:
    """Say no as OpenCage does: 402 when the day is used up, with the moment of its reset."""
    if no.limit is not None and no.limit.period == "day":
        reset = int(no.resets_at.timestamp()) if no.resets_at else None
        rate = {"rate": {"limit": no.limit.most, "remaining": 0, "reset": reset}}
        return json_reply(_envelope(402, "quota exceeded") | rate, status=402)
    message = "invalid API key" if no.reason is Reason.WRONG_KEY else _MESSAGES.get(no.status, "internal server error")
    return json_reply(_envelope(no.status, message), status=no.status, headers=retry_after(no.retry_after_s))


def error_in_200() -> Reply:
    """Put a 503 into the body of a 200."""
    return json_reply(_envelope(503, "service unavailable"))


PROVIDER = Provider(
    id="opencage",
    routes=(Route("GET", "/json", _operation, _json, vital="results.*.geometry"),),
    refuse=refuse,
    error_in_200=error_in_200,
    credential=Credential("query", "key"),
    limits=(Limit(1, "second"), Limit(2_500, "day")),
)
