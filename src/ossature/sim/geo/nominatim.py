"""Nominatim: https://nominatim.org/release-docs/latest/api/. Coordinates are texts; a block is a page; one call a second.

Policy: https://operations.osmfoundation.org/policies/nominatim/ (a User-Agent with a contact, one request a second
for the whole application).
"""

from typing import Any

from ossature.sim.limits import Limit
from ossature.sim.provider import Provider, Route
from ossature.sim.wire import (
    InputError,
    Reason,
    Refusal,
    Reply,
    Request,
    json_reply,
    number,
    retry_after,
    text_reply,
    whole,
)
from ossature.sim.world.cities import City, nearest, search

_LICENCE = "Data © OpenStreetMap contributors, ODbL 1.0. http://osm.org/copyright"
_FORMATS = ("json", "jsonv2")
_MAX_LIMIT = 40


def _place(request: Request, city: City, *, with_address: bool) -> dict[str, Any]:
    latitude = city.latitude + request.world.lean("nominatim", city.name, "north", by=0.002)
    longitude = city.longitude + request.world.lean("nominatim", city.name, "east", by=0.002)
    # Before version 2 of the format the category was called class.
    category = "category" if request.query().get("format", "jsonv2") == "jsonv2" else "class"
    place: dict[str, Any] = {
        "place_id": 80_000_000 + city.number,
        "licence": _LICENCE,
        "osm_type": "relation",
        "osm_id": 7_000 + city.number * 13,
        "lat": f"{latitude:.7f}",
        "lon": f"{longitude:.7f}",
        category: "boundary",
        "type": "administrative",
        "place_rank": 16,
        "importance": round(min(0.95, 0.5 + city.population / 30_000_000), 6),
        "addresstype": "city",
        "name": city.name,
        "display_name": f"{city.name}, {city.region}, {city.country}",
    }
    if with_address:
        place["address"] = {
            "city": city.name,
            "state": city.region,
            "country": city.country,
            "country_code": city.country_code.lower(),
        }
    edges = (latitude - 0.1, latitude + 0.1, longitude - 0.15, longitude + 0.15)
    return place | {"boundingbox": [f"{edge:.7f}" for edge in edges]}


def _bad(message: str) -> Reply:
    return json_reply({"error": {"code": 400, "message": message}}, status=400)


def _format_is_unknown(request: Request) -> Reply | None:
    if request.query().get("format", "jsonv2") in _FORMATS:
        return None
    return _bad("Parameter 'format' must be one of: json, jsonv2")


def _search(request: Request) -> Reply:
    query = request.query()
    text = query.get("q") or ", ".join(query[name] for name in ("city", "country") if query.get(name))
    if not text:
        return _bad("Nothing to search for.")
    try:
        limit = whole(query, "limit", otherwise=10, least=0, most=10**9)
    except InputError:
        return _bad("Parameter 'limit' must be a number.")
    with_address = query.get("addressdetails") == "1"
    found = search(text)[: min(_MAX_LIMIT, limit)]
    return _format_is_unknown(request) or json_reply(
        [_place(request, city, with_address=with_address) for city in found],
    )


def _reverse(request: Request) -> Reply:
    try:
        latitude, longitude = number(request.query(), "lat"), number(request.query(), "lon")
    except InputError as bad:
        return _bad(f"Parameter '{bad.message}' missing or not a number.")
    if not -90 <= latitude <= 90 or not -180 <= longitude <= 180:
        return _bad("Bad coordinates")
    city = nearest(latitude, longitude)
    if city is None:
        return json_reply({"error": "Unable to geocode"})
    with_address = request.query().get("addressdetails", "1") == "1"
    return _format_is_unknown(request) or json_reply(_place(request, city, with_address=with_address))


_PAGE = """<html>
<head><title>{title}</title></head>
<body bgcolor="white">
<h1>{title}</h1>
<p>{text}</p>
</body>
</html>
"""
_BLOCKED = (
    "You have been blocked because you have violated the usage policy of OSM's Nominatim geocoding service. "
    "Please be aware that OSM's resources are limited and shared between many people."
)


def refuse(no: Refusal) -> Reply:
    """Say no as Nominatim does: blocks and limits are pages, the rest is JSON."""
    if no.reason in {Reason.NO_CONTACT, Reason.THROTTLED}:
        title = "Access blocked" if no.reason is Reason.NO_CONTACT else "Bandwidth limit exceeded"
        page = _PAGE.format(title=title, text=_BLOCKED)
        return text_reply(page, status=no.status, content_type="text/html", headers=retry_after(no.retry_after_s))
    message = {404: "Not found", 405: "Method not allowed"}.get(no.status, "Internal error")
    return json_reply({"error": {"code": no.status, "message": message}}, status=no.status)


def error_in_200() -> Reply:
    """Answer with the page of a block under status 200."""
    return text_reply(_PAGE.format(title="Access blocked", text=_BLOCKED), content_type="text/html")


PROVIDER = Provider(
    id="nominatim",
    routes=(
        Route("GET", "/search", "geo.forward", _search, vital="*.lat"),
        Route("GET", "/reverse", "geo.reverse", _reverse, vital="lat"),
    ),
    refuse=refuse,
    error_in_200=error_in_200,
    limits=(Limit(1, "second", everyone=True),),
    needs_contact=True,
)
