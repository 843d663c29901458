"""Points on the map, and how a piece of it is drawn."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

EARTH_RADIUS_M: Final = 6_371_008.8
"""Mean radius. Source: Moritz, Geodetic Reference System 1980, 2000."""
SAME_PLACE_M: Final = 1_000.0
"""Results of a search that lie closer together than this are one place."""


class Unplaced(StrEnum):
    """Why an address is on no map."""

    UNKNOWN = "address-unknown"
    AMBIGUOUS = "address-ambiguous"
    UNAVAILABLE = "geocoder-unavailable"


@dataclass(frozen=True, slots=True)
class Point:
    """A position, WGS 84, in degrees. Raises: ValueError for what is not on the globe."""

    lat: float
    lon: float

    def __post_init__(self) -> None:
        if not (-90 <= self.lat <= 90 and -180 <= self.lon <= 180):
            msg = f"{self.lat}, {self.lon} is no position; latitude comes first"
            raise ValueError(msg)


def bounds(points: Sequence[Point], *, margin: float = 0.05) -> tuple[Point, Point]:
    """South-west and north-east corner around points, with a margin on each side. Raises: ValueError for none."""
    lats, lons = [point.lat for point in points], [point.lon for point in points]
    tall, wide = max(max(lats) - min(lats), 0.01), max(max(lons) - min(lons), 0.01)
    low = Point(max(-90.0, min(lats) - margin * tall), max(-180.0, min(lons) - margin * wide))
    high = Point(min(90.0, max(lats) + margin * tall), min(180.0, max(lons) + margin * wide))
    return low, high


def mercator_y(lat: float) -> float:
    """Latitude as a height in a Mercator drawing, in the unit of degrees of longitude."""
    return math.degrees(math.asinh(math.tan(math.radians(lat))))


def tidy(label: str) -> str:
    """An address as it is compared and kept: without blanks that mean nothing."""
    return " ".join(label.split())


def distance_m(a: Point, b: Point) -> float:
    """The great circle between two points."""
    lat_a, lat_b = math.radians(a.lat), math.radians(b.lat)
    half = math.sin((lat_b - lat_a) / 2) ** 2
    half += math.cos(lat_a) * math.cos(lat_b) * math.sin(math.radians(b.lon - a.lon) / 2) ** 2
    return 2 * EARTH_RADIUS_M * math.asin(min(1.0, math.sqrt(half)))


def unequivocal(points: Sequence[Point], *, within_m: float = SAME_PLACE_M) -> bool:
    """Whether the results of a search, best first, all mean the place of the first one."""
    return all(distance_m(points[0], other) <= within_m for other in points[1:])
