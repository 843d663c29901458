"""What a plan does to the trips of its day: who gets a place, who keeps it, who is left out and why."""

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from ossature.services.dispatch.domain.bookings import Trip
from ossature.services.dispatch.domain.days import Day, hopeless
from ossature.services.dispatch.domain.plans import PlanStop, RecallNeeded, StopKind
from ossature.services.dispatch.domain.states import Command, Party, Rule, Situation, TripState, decide
from ossature.services.dispatch.usecases.trips import after

_NO_PLACE = "no-place"
_NAMED = 3

Move = tuple[Trip, Trip, list[Rule]]
"""A trip as it was, as it becomes, and the rules that it goes by."""


def moves_of(day: Day, stops: tuple[PlanStop, ...]) -> list[Move]:
    """What a plan does to the trips of its day. Raises: RecallNeeded."""
    duties = {stop.trip_id: stop.duty_id for stop in stops if stop.kind is StopKind.PICKUP}
    never = hopeless(day)
    require_kept([trip for trip in day.trips if trip.state is TripState.DISPATCHED and trip.id not in duties])
    moves = []
    for trip in day.trips:
        duty_id = duties.get(trip.id)
        if trip.state is TripState.DISPATCHED:
            continue
        move = _placed(trip, duty_id) if duty_id is not None else _left_out(trip, never.get(trip.id, _NO_PLACE))
        if move is not None:
            moves.append(move)
    return moves


def require_kept(lost: Sequence[Trip]) -> None:
    """Every trip that its driver was told of has its place. Raises: RecallNeeded."""
    if lost:
        first = ", ".join(str(trip.id) for trip in lost[:_NAMED])
        raise RecallNeeded(f"{len(lost)} in all, among them {first}.", trips=[str(trip.id) for trip in lost])


def _placed(trip: Trip, duty_id: UUID) -> Move | None:
    if trip.duty_id == duty_id:
        return None
    rules = _back_in_line(trip)
    seen = Situation(state=rules[-1].target if rules else trip.state, has_window=True, in_plan=True)
    rules.append(decide(Command.PLAN, Party.RUN, seen))
    moved = replace(after(trip, rules[-1]), duty_id=duty_id, version=trip.version + 1)
    return trip, moved, rules


def _left_out(trip: Trip, reason: str) -> Move | None:
    if trip.state is TripState.UNPLANNABLE and trip.reason == reason:
        return None
    rules = _back_in_line(trip)
    if trip.state is TripState.UNPLANNABLE:
        rules.append(decide(Command.REOPEN, Party.RUN, Situation(state=trip.state)))
    rules.append(decide(Command.PLAN, Party.RUN, Situation(state=TripState.CONFIRMED, reason=reason)))
    return trip, replace(after(trip, rules[-1], reason), version=trip.version + 1), rules


def _back_in_line(trip: Trip) -> list[Rule]:
    if trip.state is not TripState.PLANNED:
        return []
    return [decide(Command.UNASSIGN, Party.RUN, Situation(state=trip.state))]


def unassigned(trip: Trip) -> Move:
    """A trip that its duty no longer has."""
    rule = decide(Command.UNASSIGN, Party.DISPATCHER, Situation(state=trip.state))
    return trip, replace(after(trip, rule), version=trip.version + 1), [rule]
