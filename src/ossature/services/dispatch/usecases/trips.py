"""What is done to trips: the only way to another state."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from ossature.contracts.dispatch import NoShow, TripCancelled, TripCompleted, TripConfirmed, TripRejected, TripStarted
from ossature.kernel.context import Ctx
from ossature.kernel.events.outbox import Outbox
from ossature.services.dispatch.domain.bookings import StaleVersion, Trip, TripEvent
from ossature.services.dispatch.domain.states import Command, Party, Rule, Situation, TripState, decide
from ossature.services.dispatch.domain.windows import Window, promise
from ossature.services.dispatch.settings import DispatchSettings
from ossature.services.dispatch.store import bookings as store
from ossature.services.dispatch.store import fleet, plans
from ossature.services.dispatch.usecases.seeing import reach_of, read_trip

BY_HAND: Final = (
    Command.ACCEPT, Command.REJECT, Command.REOPEN, Command.UNASSIGN, Command.PUBLISH, Command.RECALL, Command.START,
    Command.ARRIVE, Command.BOARD, Command.NO_SHOW, Command.COMPLETE, Command.CANCEL, Command.BREAKDOWN,
)  # fmt: skip
"""What a person asks of a trip; planning and submitting have ways of their own."""

_FACTS: Final[Mapping[TripState, Callable[[Trip, Party], object]]] = {
    TripState.REJECTED: lambda trip, _: TripRejected(trip_id=trip.id, booking_id=trip.booking_id, reason=trip.reason),
    TripState.CANCELLED: lambda trip, by: TripCancelled(
        trip_id=trip.id, booking_id=trip.booking_id, by=by.value, reason=trip.reason
    ),
    TripState.EN_ROUTE: lambda trip, _: TripStarted(trip_id=trip.id, booking_id=trip.booking_id),
    TripState.COMPLETED: lambda trip, _: TripCompleted(trip_id=trip.id, booking_id=trip.booking_id),
    TripState.NO_SHOW: lambda trip, _: NoShow(trip_id=trip.id, booking_id=trip.booking_id),
}
_WITHOUT_DUTY = frozenset({TripState.CONFIRMED, TripState.UNPLANNABLE, TripState.CANCELLED, TripState.REJECTED})


async def command_trip(
    ctx: Ctx, trip_id: UUID, command: Command, *, reason: str = "", version: int | None = None
) -> Trip:
    """A trip after a command, given in the part that the caller has.

    version: that the caller has seen; None for whatever is there.
    Raises: TripNotFound, StaleVersion, TransitionNotAllowed, CommandNotYours, ConditionNotMet.
    """
    party = reach_of(ctx.actor).party
    async with ctx.db.step():
        trip = await read_trip(ctx, trip_id)
        if version is not None and version != trip.version:
            raise StaleVersion(f"It is in version {trip.version} now.", version=trip.version, state=trip.state.value)
        rule = decide(command, party, await _situation(ctx, trip, reason))
        moved = replace(after(trip, rule, reason), version=trip.version + 1)
        if rule.target is TripState.AT_PICKUP:
            moved = replace(moved, arrived_at=ctx.now)
        if rule.target is TripState.DISPATCHED:
            moved = replace(moved, promised=moved.promised or await _promised(ctx, trip))
        await write(ctx, [(trip, moved, (rule,))], party)
        await ctx.audit(f"trip.{command}", f"trip:{trip_id}", state=moved.state.value, party=party.value)
    return moved


async def submit(ctx: Ctx, trips: Sequence[Trip], party: Party) -> list[Trip]:
    """Drafts as requested, and confirmed where the policy accepts them; each in a version of its own."""
    accepts = party is Party.DISPATCHER and ctx.settings[DispatchSettings].accept_from_staff
    moves: list[tuple[Trip, Trip, Sequence[Rule]]] = []
    for trip in trips:
        seen = Situation(state=trip.state, placed=True, load=trip.requirement.load)
        rules = [decide(Command.SUBMIT, party, seen)]
        if accepts:
            rules.append(decide(Command.ACCEPT, Party.POLICY, Situation(state=TripState.REQUESTED)))
        moved = trip
        for rule in rules:
            moved = after(moved, rule)
        moves.append((trip, replace(moved, version=trip.version + 1), rules))
    await write(ctx, moves, party)
    return [moved for _, moved, _ in moves]


def after(trip: Trip, rule: Rule, reason: str = "") -> Trip:
    """A trip after a row of the table, still in its version."""
    kept = None if rule.target in _WITHOUT_DUTY else trip.duty_id
    promised = trip.promised if kept is not None else None
    return replace(trip, state=rule.target, reason=reason, duty_id=kept, promised=promised)


async def write(ctx: Ctx, moves: Sequence[tuple[Trip, Trip, Sequence[Rule]]], party: Party) -> None:
    """Keep trips as they are after the rows of the table that they went through, and tell of it.

    moves: before, after (one version later), rows. Raises: StaleVersion when one was changed meanwhile.
    """
    seqs = await store.last_seqs(ctx.db, ctx.tenant.id, [before.id for before, _, _ in moves])
    events: list[tuple[UUID, TripEvent]] = []
    for before, now, rules in moves:
        state = before.state
        for seq, rule in enumerate(rules, seqs.get(before.id, 0) + 1):
            events.append((before.id, _event(ctx, seq, state, rule, party=party, reason=now.reason)))
            state = rule.target
    changed = [now for _, now, _ in moves]
    if not await store.change_trips(ctx.db, ctx.tenant.id, changed, events):
        raise StaleVersion("A trip was changed meanwhile.")
    facts = [fact for before, now, _ in moves for fact in _facts(before, now, party)]
    await ctx.port(Outbox).publish_all(ctx, facts)


def _facts(before: Trip, now: Trip, party: Party) -> Iterator[object]:
    """What is told of a trip that was changed."""
    if before.state in {TripState.DRAFT, TripState.REQUESTED} and now.state is TripState.CONFIRMED:
        yield TripConfirmed(trip_id=now.id, booking_id=now.booking_id)
    fact = _FACTS.get(now.state)
    if fact is not None and now.state is not before.state:
        yield fact(now, party)


def _event(ctx: Ctx, seq: int, state: TripState, rule: Rule, *, party: Party, reason: str) -> TripEvent:
    return TripEvent(
        seq=seq,
        command=rule.command.value,
        from_state=state,
        to_state=rule.target,
        actor=ctx.actor.name[:200],
        party=party.value,
        at=ctx.now,
        reported_at=ctx.now,
        reason=reason,
    )


async def _promised(ctx: Ctx, trip: Trip) -> Window | None:
    """What the client is told of a trip that goes to its driver alone, out of the plan that holds."""
    planned_at = await plans.pickup_of(ctx.db, ctx.tenant.id, trip.id)
    if planned_at is None or trip.pickup is None:
        return None
    return promise(planned_at, trip.pickup, width_s=ctx.settings[DispatchSettings].promise_width_s)


async def _situation(ctx: Ctx, trip: Trip, reason: str) -> Situation:
    """What the conditions of the table look at."""
    settings = ctx.settings[DispatchSettings]
    known: dict[str, Any] = {}
    if trip.duty_id is not None:
        duties = {duty.id: duty for duty in await fleet.duties(ctx.db, ctx.tenant.id, trip.day)}
        duty = duties.get(trip.duty_id)
        riding = await store.trips_of_duty(ctx.db, ctx.tenant.id, trip.duty_id, TripState.ONBOARD)
        known = {
            "duty_has_driver": duty is not None,
            "layouts": duty.layouts if duty is not None else (),
            "onboard": tuple(other.requirement.load for other in riding),
        }
    cutoff_at = None
    if trip.pickup is not None:
        cutoff_at = trip.pickup.earliest - timedelta(seconds=settings.cancel_cutoff_s)
    return Situation(
        state=trip.state,
        now=ctx.now,
        reason=reason,
        placed=True,
        has_window=trip.pickup is not None,
        load=trip.requirement.load,
        arrived_at=trip.arrived_at,
        promised_at=trip.promised.latest if trip.promised is not None else None,
        cutoff_at=cutoff_at,
        **known,
    )
