"""The planned duties of a day with what their vehicles do in them, as a dispatcher looks at them."""

from uuid import UUID

from ossature.kernel.context import Ctx
from ossature.services.dispatch.domain.timeline import Lane, lane_of
from ossature.services.dispatch.ports import TravelTimes
from ossature.services.dispatch.usecases.board import Board


async def read_lanes(ctx: Ctx, board: Board) -> tuple[Lane, ...]:
    """The lanes of a board, one for each duty that is in service. Raises: the problems of the travel times."""
    places = sorted({stop.place_id for stop in board.stops})
    rows = {place: row for row, place in enumerate(places)}
    points = [board.places[place].point for place in places]
    matrix = await ctx.port(TravelTimes).matrix(points) if points else None  # type: ignore[type-abstract] # a promise is asked for by its Protocol

    def way(here: UUID, there: UUID) -> tuple[float, float]:
        if matrix is None:
            return 0.0, 0.0
        cell = rows[here], rows[there]
        return float(matrix.duration_s[cell]), float(matrix.distance_m[cell])

    return tuple(lane_of(duty, board.stops_of(duty.id), way) for duty in board.duties)
