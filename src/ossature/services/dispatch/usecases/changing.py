"""Changing what was booked, before it is planned."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from ossature.kernel.context import Ctx
from ossature.kernel.errors import FieldError, InvalidInput
from ossature.services.dispatch.domain.bookings import (
    AddressNotPlaced,
    Booking,
    Place,
    Requirement,
    Trip,
    check_needs,
    require_changeable,
    require_version,
)
from ossature.services.dispatch.domain.clocks import check_year
from ossature.services.dispatch.domain.plans import local_day
from ossature.services.dispatch.domain.states import Command, Party, Rule, Situation, TripState, decide
from ossature.services.dispatch.domain.windows import TimeRule
from ossature.services.dispatch.store import bookings as store
from ossature.services.dispatch.store import people
from ossature.services.dispatch.usecases.placing import Address, place
from ossature.services.dispatch.usecases.seeing import reach_of, read_booking, read_trip
from ossature.services.dispatch.usecases.timing import timed
from ossature.services.dispatch.usecases.trips import after, submit, write


@dataclass(frozen=True, slots=True, kw_only=True)
class TripChange:
    """New values of a trip; None for what stays."""

    origin: Address | None = None
    destination: Address | None = None
    time_rule: TimeRule | None = None
    at: datetime | None = None
    requirement: Requirement | None = None
    priority: int | None = None


async def change_trip(ctx: Ctx, trip_id: UUID, version: int, change: TripChange) -> Trip:
    """A trip with new values and windows. One that could not be planned is confirmed again, a draft is submitted.

    Raises: TripNotFound, StaleVersion, TripFixed, AddressNotPlaced, GeocoderUnavailable, WindowImpossible, InvalidInput.
    """
    party = reach_of(ctx.actor).party
    before = await read_trip(ctx, trip_id)
    require_changeable(before.state, by_staff=party is Party.DISPATCHER)
    changed = await _changed(ctx, before, change)
    async with ctx.db.step():
        now = await read_trip(ctx, trip_id)
        require_version(now.version, version)
        require_version(now.version, before.version)  # the windows were made for what was read first
        if now.state is TripState.DRAFT:
            (moved,) = await submit(ctx, [changed], party)
        else:
            rules = _rules(now)
            moved = after(changed, rules[-1]) if rules else changed
            moved = replace(moved, version=now.version + 1)
            await write(ctx, [(now, moved, rules)], party)
        await ctx.audit("trip.changed", f"trip:{trip_id}", party=party.value)
    return moved


async def change_booking(ctx: Ctx, booking_id: UUID, version: int, changes: dict[str, Any]) -> Booking:
    """A booking after changes of `payer` or `notes`. Raises: BookingNotFound, StaleVersion."""
    async with ctx.db.step():
        before = await read_booking(ctx, booking_id, hold=True)
        require_version(before.version, version)
        made = replace(before, version=version + 1, **changes)
        await store.change_booking(ctx.db, ctx.tenant.id, made)
        await ctx.audit("booking.changed", f"booking:{booking_id}", changed=sorted(changes))
    return made


async def _changed(ctx: Ctx, before: Trip, change: TripChange) -> Trip:
    """The trip with its new values and windows, in its state and version."""
    if change.requirement is not None:
        check_needs(change.requirement.needs, "/requirement/needs")
    here = await _end(ctx, change.origin, before.from_place_id, "/from")
    there = await _end(ctx, change.destination, before.to_place_id, "/to")
    if here.id == there.id:
        raise InvalidInput(errors=[FieldError("/to", "The trip ends where it begins.", "same_place")])
    at = change.at or before.at
    if change.at is not None:
        check_year(change.at, "/at")
    wanted = replace(
        before,
        time_rule=change.time_rule or before.time_rule,
        at=at,
        day=local_day(at, ctx.tenant.zone) if at is not None else before.day,
        requirement=change.requirement or before.requirement,
        priority=before.priority if change.priority is None else change.priority,
        reason="",
    )
    (client,) = (await people.clients(ctx.db, ctx.tenant.id, [before.client_id])).values()
    return await timed(ctx, wanted, here, there, client)


async def _end(ctx: Ctx, wanted: Address | None, place_id: UUID, pointer: str) -> Place:
    """Where a trip begins or ends: the new address, or the place that it had. Raises: AddressNotPlaced."""
    if wanted is not None:
        return await place(ctx, wanted)
    known = await people.place(ctx.db, ctx.tenant.id, place_id)
    if not isinstance(known, Place):
        raise AddressNotPlaced(
            errors=[FieldError(pointer, "This address is on no map yet: give another, or pin it.", "waiting")]
        )
    return known


def _rules(now: Trip) -> Sequence[Rule]:
    """What a change does to the state of a trip."""
    if now.state is not TripState.UNPLANNABLE:
        return ()
    return (decide(Command.REOPEN, Party.DISPATCHER, Situation(state=now.state)),)
