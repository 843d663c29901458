"""When a trip may be served, out of what was asked for and how long the way takes."""

from dataclasses import replace

from ossature.kernel.context import Ctx
from ossature.services.dispatch.domain.bookings import Client, Place, Trip
from ossature.services.dispatch.domain.windows import Leg, Widths, windows
from ossature.services.dispatch.ports import TravelTimes
from ossature.services.dispatch.settings import DispatchSettings


async def timed(ctx: Ctx, trip: Trip, here: Place, there: Place, client: Client) -> Trip:
    """A trip between two places with its windows and its longest ride. Raises: WindowImpossible.

    Never inside a write transaction, since travel times may come from outside.
    """
    matrix = await ctx.port(TravelTimes).matrix([here.point, there.point])  # type: ignore[type-abstract] # a promise is asked for by its Protocol
    settings = ctx.settings[DispatchSettings]
    way = Leg(
        direct_s=float(matrix.duration_s[0, 1]),
        service_p_s=trip.service_p_s,
        service_d_s=trip.service_d_s,
        max_ride_s=client.max_ride_s,
    )
    widths = Widths(
        urgent_s=settings.urgent_window_s,
        ride_floor_s=settings.ride_floor_s,
        ride_factor=settings.ride_factor,
        promise_s=settings.promise_width_s,
    )
    trip = replace(trip, from_place_id=here.id, to_place_id=there.id)
    found = windows(trip.time_rule, trip.at, way, now=ctx.now, widths=widths)
    if found is None:
        return replace(trip, pickup=None, dropoff=None, max_ride_s=0)
    return replace(trip, pickup=found.pickup, dropoff=found.dropoff, max_ride_s=found.max_ride_s)
