"""Nominatim of OpenStreetMap: where a place or an address is. No key, a contact in the User-Agent, one request a second.

https://nominatim.org/release-docs/latest/api/Search/
"""

from collections.abc import Mapping
from datetime import date
from typing import Any

from ossature.kernel.outbound.decode import fields, items, number, required, text
from ossature.kernel.outbound.provider import (
    Account,
    Call,
    Codec,
    ErrorKind,
    Evidence,
    Limit,
    Manifest,
    Privacy,
    Provider,
    Reply,
    Term,
)
from ossature.services.hub.domain.geo import GeoForward, Place, Places


def encode(query: GeoForward, account: Account) -> Call:
    """Ask with the parts of the address."""
    del account
    return Call(
        "GET",
        "/search",
        query={"q": query.q, "format": "jsonv2", "limit": query.limit, "addressdetails": 1},
        headers={"Accept-Language": query.language},
    )


def decode(query: GeoForward, reply: Reply) -> Places:
    """A list; coordinates are texts."""
    del query
    return Places(results=[_place(item) for item in items(reply.json())])


def _place(item: Mapping[str, Any]) -> Place:
    latitude, longitude = number(item["lat"]), number(item["lon"])
    if latitude is None or longitude is None:
        msg = "a place without coordinates"
        raise ValueError(msg)
    address = {str(key): str(value) for key, value in fields(item.get("address")).items() if value}
    if "country_code" in address:
        address["country_code"] = address["country_code"].upper()
    kind, number_ = text(item.get("osm_type")), text(item.get("osm_id"))
    return Place(
        latitude=latitude,
        longitude=longitude,
        display_name=required(item["display_name"]),
        address=address,
        osm_id=f"{kind}/{number_}" if kind and number_ else None,
        precision=text(item.get("addresstype") or item.get("type")),
    )


def refusal(reply: Reply) -> ErrorKind | None:
    """Who asks too often is blocked with a page of HTML."""
    return ErrorKind.RATE if reply.body.lstrip()[:1] == b"<" and reply.status in {200, 403, 429} else None


provider = Provider(
    Manifest(
        id="nominatim",
        title="Nominatim (OpenStreetMap)",
        base_url="https://nominatim.openstreetmap.org",
        limits=(Limit(limit=1, per_s=1, kind="pace", scope="application", evidence="verified"),),
        needs_contact=True,
        licence="ODbL 1.0",
        attribution="© OpenStreetMap contributors",
        terms=(
            Term(about="attribution", holds=True),
            Term(about="caching", holds=True, text="Results must be cached; no autocompletion."),
        ),
        privacy=Privacy(leaves=("search text",), region="EU"),
        docs="https://nominatim.org/release-docs/latest/api/Search/",
        evidence=Evidence(how="docs", on=date(2026, 11, 21)),
        rank=80,
    ),
    {"geo.forward": Codec(encode, decode, refusal)},
)
