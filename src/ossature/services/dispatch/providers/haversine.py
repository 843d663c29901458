"""Travel times without roads: the last resort, and the default of an installation without a routing engine."""

from collections.abc import Sequence

from ossature.services.dispatch.domain.places import Point
from ossature.services.dispatch.domain.roads import Matrix, Speeds, direct


class Haversine:
    """Keeps `ports.TravelTimes` by arithmetic."""

    def __init__(self, speeds: Speeds) -> None:
        self._speeds = speeds

    async def matrix(self, points: Sequence[Point]) -> Matrix:
        """Travel between all of these."""
        return direct(points, self._speeds)
