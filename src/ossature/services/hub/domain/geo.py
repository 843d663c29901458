"""Places on the map."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from ossature.services.hub.domain.shapes import Language, Words


@dataclass(frozen=True, slots=True, kw_only=True)
class GeoForward:
    """Where a place or an address is."""

    q: Words
    limit: Annotated[int, Meta(ge=1, le=20, description="At most so many places.", examples=[5])] = 5
    language: Language = "en"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A place. osm_id: `node/1`, `way/2` or `relation/3` of OpenStreetMap. precision: what kind of thing was matched.

    address: parts by name (`road`, `postcode`, `city`, `country`, ...), country codes as ISO 3166-1 alpha-2.
    """

    latitude: float
    longitude: float
    display_name: str
    address: Mapping[str, str]
    osm_id: str | None
    precision: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """The places that were found, best first."""

    results: list[Place]
