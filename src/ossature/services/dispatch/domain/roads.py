"""How far apart places are, and how long the way takes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ossature.services.dispatch.domain.places import EARTH_RADIUS_M, Point

Grid = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Speeds:
    """How a great circle becomes a drive."""

    detour_factor: float = 1.3
    speed_mps: float = 8.3


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Matrix:
    """Travel between places. Both arrays are (places, places), row to column; source: who said it, for all cells."""

    duration_s: Grid
    distance_m: Grid
    source: str


def great_circle_m(points: Sequence[Point]) -> Grid:
    """Distances over the globe, shape (points, points). Source: haversine formula."""
    lat = np.radians([point.lat for point in points])
    lon = np.radians([point.lon for point in points])
    half = np.sin((lat[:, None] - lat[None, :]) / 2) ** 2
    half += np.cos(lat)[:, None] * np.cos(lat)[None, :] * np.sin((lon[:, None] - lon[None, :]) / 2) ** 2
    found: Grid = 2 * EARTH_RADIUS_M * np.arcsin(np.sqrt(np.minimum(half, 1.0)))
    return found


def direct(points: Sequence[Point], speeds: Speeds) -> Matrix:
    """Travel as the crow flies, made longer by a detour and slower than the crow.

    Durations are whole seconds, rounded up: two different places are never at the same one.
    """
    distance_m = great_circle_m(points) * speeds.detour_factor
    duration_s = np.ceil(distance_m / speeds.speed_mps)
    return Matrix(duration_s=duration_s, distance_m=distance_m, source="haversine")
