"""A day as it stands, for whoever looks at all of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from ossature.kernel.context import Ctx
from ossature.services.dispatch.domain.bookings import Client, Place, Trip
from ossature.services.dispatch.domain.fleet import Duty
from ossature.services.dispatch.domain.plans import Plan, PlanNotFound, PlanStop
from ossature.services.dispatch.domain.states import TripState
from ossature.services.dispatch.store import bookings, fleet, people, plans

_SHOWN = frozenset(TripState) - {TripState.DRAFT, TripState.REJECTED, TripState.CANCELLED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """A day: its plan, if there is one, with the stops of every duty, and its trips."""

    day: date
    plan: Plan | None
    duties: tuple[Duty, ...]
    stops: tuple[PlanStop, ...]
    trips: tuple[Trip, ...]
    places: Mapping[UUID, Place]
    clients: Mapping[UUID, Client]

    def stops_of(self, duty_id: UUID) -> list[PlanStop]:
        """The stops of a duty, in order."""
        return [stop for stop in self.stops if stop.duty_id == duty_id]


async def read_board(ctx: Ctx, day: date, *, plan_id: UUID | None = None) -> Board:
    """A day as it stands. plan_id: with this plan of the day instead of the one that holds. Raises: PlanNotFound."""
    tenant = ctx.tenant.id
    if plan_id is None:
        current = await plans.current_plan(ctx.db, tenant, day)
    else:
        current = await plans.plan(ctx.db, tenant, plan_id)
        if current is None or current.day != day:
            raise PlanNotFound
    duties = await fleet.duties(ctx.db, tenant, day)
    trips = await bookings.trips_of_day(ctx.db, tenant, day, _SHOWN)
    stops = await plans.stops(ctx.db, tenant, current.id) if current is not None else ()
    ends = {place for trip in trips for place in (trip.from_place_id, trip.to_place_id)}
    known = ends | {duty.place_id for duty in duties} | {stop.place_id for stop in stops}
    return Board(
        day=day,
        plan=current,
        duties=duties,
        stops=stops,
        trips=trips,
        places=await people.places(ctx.db, tenant, known),
        clients=await people.clients(ctx.db, tenant, [trip.client_id for trip in trips]),
    )
