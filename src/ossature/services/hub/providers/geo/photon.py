"""Photon by komoot: where a place or an address is, from OpenStreetMap. No key. https://photon.komoot.io"""

from collections.abc import Mapping
from datetime import date
from typing import Any

from ossature.kernel.outbound.decode import fields, items, number, text
from ossature.kernel.outbound.provider import (
    Account,
    Call,
    Codec,
    Evidence,
    Limit,
    Manifest,
    Privacy,
    Provider,
    Reply,
    Term,
)
from ossature.services.hub.domain.geo import GeoForward, Place, Places

_TYPES = {"N": "node", "W": "way", "R": "relation"}
_LANGUAGES = frozenset({"de", "en", "fr"})
_ADDRESS = {
    "housenumber": "house_number",
    "street": "road",
    "postcode": "postcode",
    "district": "suburb",
    "city": "city",
    "county": "county",
    "state": "state",
    "country": "country",
}


def encode(query: GeoForward, account: Account) -> Call:
    """Ask in a language that it knows, else in that of the place."""
    del account
    language = query.language.partition("-")[0]
    return Call(
        "GET",
        "/api/",
        query={"q": query.q, "limit": query.limit, "lang": language if language in _LANGUAGES else "default"},
    )


def decode(query: GeoForward, reply: Reply) -> Places:
    """GeoJSON: longitude comes first; an address has no name, so one is put together."""
    del query
    return Places(results=[_place(feature) for feature in items(reply.json()["features"])])


def _place(feature: Mapping[str, Any]) -> Place:
    longitude, latitude = (number(value) for value in feature["geometry"]["coordinates"][:2])
    if latitude is None or longitude is None:
        msg = "a place without coordinates"
        raise ValueError(msg)
    properties = fields(feature["properties"])
    address = {ours: str(properties[theirs]) for theirs, ours in _ADDRESS.items() if properties.get(theirs)}
    if properties.get("countrycode"):
        address["country_code"] = str(properties["countrycode"]).upper()
    kind, number_ = _TYPES.get(str(properties.get("osm_type"))), text(properties.get("osm_id"))
    return Place(
        latitude=latitude,
        longitude=longitude,
        display_name=_name(properties),
        address=address,
        osm_id=f"{kind}/{number_}" if kind and number_ else None,
        precision=text(properties.get("type") or properties.get("osm_value")),
    )


def _name(properties: Mapping[str, Any]) -> str:
    street = " ".join(str(properties[part]) for part in ("street", "housenumber") if properties.get(part))
    city = " ".join(str(properties[part]) for part in ("postcode", "city") if properties.get(part))
    parts = [properties.get("name"), street, city, properties.get("state"), properties.get("country")]
    said = list(dict.fromkeys(str(part) for part in parts if part))
    if not said:
        msg = "a place without any name"
        raise ValueError(msg)
    return ", ".join(said)


provider = Provider(
    Manifest(
        id="photon",
        title="Photon (komoot)",
        base_url="https://photon.komoot.io",
        limits=(Limit(limit=60, per_s=60, scope="ip", evidence="unknown"),),
        licence="ODbL 1.0",
        attribution="© OpenStreetMap contributors",
        terms=(Term(about="attribution", holds=True), Term(about="caching", holds=None)),
        privacy=Privacy(leaves=("search text",), region="EU"),
        docs="https://photon.komoot.io",
        evidence=Evidence(how="docs", on=date(2026, 11, 21)),
        rank=70,
    ),
    {"geo.forward": Codec(encode, decode)},
)
