"""Open-Meteo geocoding: where a town is, by its name. No key. https://open-meteo.com/en/docs/geocoding-api"""

from collections.abc import Mapping
from datetime import date
from typing import Any

from ossature.kernel.outbound.decode import items, number, required, text
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
from ossature.services.hub.providers.weather.open_meteo import refusal

_LEAST_LETTERS = 2


def encode(query: GeoForward, account: Account) -> Call:
    """Ask for names that begin so."""
    del account
    return Call(
        "GET",
        "/search",
        query={
            "name": query.q,
            "count": query.limit,
            "language": query.language.partition("-")[0],
            "format": "json",
        },
    )


def accepts(query: GeoForward) -> str | None:
    """It knows towns by name, not addresses."""
    if len(query.q) < _LEAST_LETTERS:
        return "at least two letters"
    return "place names only, no addresses" if any(letter.isdigit() for letter in query.q) else None


def decode(query: GeoForward, reply: Reply) -> Places:
    """`results`, which is absent when there are none."""
    del query
    return Places(results=[_place(item) for item in items(reply.json().get("results"))])


def _place(item: Mapping[str, Any]) -> Place:
    latitude, longitude = number(item["latitude"]), number(item["longitude"])
    if latitude is None or longitude is None:
        msg = "a place without coordinates"
        raise ValueError(msg)
    name = required(item["name"])
    address = {"city": name}
    for ours, theirs in (("state", "admin1"), ("county", "admin2"), ("country", "country")):
        if item.get(theirs):
            address[ours] = str(item[theirs])
    if item.get("country_code"):
        address["country_code"] = str(item["country_code"]).upper()
    parts = [name, address.get("state"), address.get("country")]
    return Place(
        latitude=latitude,
        longitude=longitude,
        display_name=", ".join(dict.fromkeys(part for part in parts if part)),
        address=address,
        osm_id=None,
        precision=text(item.get("feature_code")),
    )


provider = Provider(
    Manifest(
        id="open_meteo_geocoding",
        title="Open-Meteo geocoding",
        base_url="https://geocoding-api.open-meteo.com/v1",
        limits=(
            Limit(limit=600, per_s=60, scope="ip", evidence="unknown"),
            Limit(limit=10_000, per_s=86_400, kind="fixed", scope="ip", evidence="unknown"),
        ),
        licence="CC BY 4.0 (GeoNames)",
        attribution="Geocoding by Open-Meteo.com, data by GeoNames",
        terms=(
            Term(about="commercial", holds=False, text="The keyless service is for non-commercial use."),
            Term(about="caching", holds=None),
        ),
        privacy=Privacy(leaves=("search text",), region="EU"),
        docs="https://open-meteo.com/en/docs/geocoding-api",
        evidence=Evidence(how="docs", on=date(2026, 11, 21)),
        rank=60,
    ),
    {"geo.forward": Codec(encode, decode, refusal, accepts=accepts)},
)
