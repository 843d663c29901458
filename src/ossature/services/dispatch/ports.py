"""What dispatch asks of the outside."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from ossature.services.dispatch.domain.places import Point

if TYPE_CHECKING:
    from ossature.services.dispatch.domain.roads import Matrix


class TravelTimes(Protocol):
    """Knows how long it takes from place to place."""

    async def matrix(self, points: Sequence[Point]) -> "Matrix":
        """Travel between all of these."""
