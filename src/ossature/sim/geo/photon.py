"""Photon: https://github.com/komoot/photon. GeoJSON, so longitude comes first; addresses have no name."""

import re
from typing import Any

from ossature.sim.provider import Provider, Route
from ossature.sim.wire import InputError, Reason, Refusal, Reply, Request, json_reply, number, retry_after, whole
from ossature.sim.world.cities import City, nearest, search

_LANGUAGES = ("default", "en", "de", "fr")
_HOUSE = re.compile(r"(?P<number>\d+[a-z]?)\s+(?P<street>[^,\d]+)|(?P<street2>[^,\d]+?)\s+(?P<number2>\d+[a-z]?)\b")


def _feature(request: Request, city: City, *, house: tuple[str, str] | None) -> dict[str, Any]:
    latitude = round(city.latitude + request.world.lean("photon", city.name, "north", by=0.002), 7)
    longitude = round(city.longitude + request.world.lean("photon", city.name, "east", by=0.002), 7)
    properties: dict[str, Any] = {
        "osm_type": "N" if house else "R",
        "osm_id": 7_000 + city.number * 13,
        "osm_key": "building" if house else "place",
        "osm_value": "yes" if house else "city",
        "type": "house" if house else "city",
        "countrycode": city.country_code,
        "country": city.country,
        "state": city.region,
    }
    if house:
        properties |= {"city": city.name, "street": house[1], "housenumber": house[0], "postcode": "10000"}
    else:
        # West, north, east, south.
        extent = (longitude - 0.15, latitude + 0.1, longitude + 0.15, latitude - 0.1)
        properties |= {"name": city.name, "extent": [round(edge, 7) for edge in extent]}
    point = {"type": "Point", "coordinates": [longitude, latitude]}
    return {"type": "Feature", "properties": properties, "geometry": point}


def _collection(features: list[dict[str, Any]]) -> Reply:
    return json_reply({"type": "FeatureCollection", "features": features})


def _no(message: str, status: int = 400) -> Reply:
    return json_reply({"message": message}, status=status)


def _house(text: str) -> tuple[str, str] | None:
    found = _HOUSE.search(text)
    if found is None:
        return None
    number_text = found["number"] or found["number2"]
    return number_text, (found["street"] or found["street2"]).strip()


def _api(request: Request) -> Reply:
    query = request.query()
    text, language = query.get("q", ""), query.get("lang", "default")
    if not text:
        return _no("missing search term 'q': /?q=berlin")
    if language not in _LANGUAGES:
        return _no(f"language {language} is not supported, supported languages are: {', '.join(_LANGUAGES)}")
    try:
        limit = whole(query, "limit", otherwise=15, least=0, most=10**9)
    except InputError:
        return _no("invalid limit")
    house = _house(text)
    return _collection([_feature(request, city, house=house) for city in search(text)[: max(1, limit)]])


def _reverse(request: Request) -> Reply:
    try:
        latitude, longitude = number(request.query(), "lat"), number(request.query(), "lon")
    except InputError as bad:
        return _no(f"missing or invalid parameter '{bad.message}'")
    if not -90 <= latitude <= 90 or not -180 <= longitude <= 180:
        return _no("invalid coordinates")
    city = nearest(latitude, longitude)
    return _collection([] if city is None else [_feature(request, city, house=("1", "Main Street"))])


_MESSAGES = {404: "Not found", 405: "Method not allowed", 429: "Too many requests"}


def refuse(no: Refusal) -> Reply:
    """Say no as Photon does: one message."""
    message = _MESSAGES.get(no.status, "Internal server error")
    return json_reply({"message": message}, status=no.status, headers=retry_after(no.retry_after_s))


def error_in_200() -> Reply:
    """Put the message of a failure under status 200."""
    return refuse(Refusal(reason=Reason.BROKEN, status=200))


PROVIDER = Provider(
    id="photon",
    routes=(
        Route("GET", "/api/", "geo.forward", _api, vital="features.*.geometry"),
        Route("GET", "/api", "geo.forward", _api, vital="features.*.geometry"),
        Route("GET", "/reverse", "geo.reverse", _reverse, vital="features.*.geometry"),
    ),
    refuse=refuse,
    error_in_200=error_in_200,
)
