"""Trips whose addresses are on no map yet: drafts that go on once somebody finds the place, or pins it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final
from uuid import UUID

from ossature.kernel.context import Ctx
from ossature.kernel.service import Backoff, Job
from ossature.services.dispatch.domain.bookings import GeocoderUnavailable, Place, PlaceNotFound, Trip
from ossature.services.dispatch.domain.places import Point, Unplaced
from ossature.services.dispatch.domain.states import Party
from ossature.services.dispatch.domain.windows import WindowImpossible
from ossature.services.dispatch.store import bookings as store
from ossature.services.dispatch.store import people
from ossature.services.dispatch.usecases.placing import Address, place_all
from ossature.services.dispatch.usecases.timing import timed
from ossature.services.dispatch.usecases.trips import submit


async def place_waiting(ctx: Ctx) -> int:
    """Search again for addresses that could not be searched; how many trips go on. May run twice.

    Raises: GeocoderUnavailable while nobody can be asked.
    """
    waiting = [trip for trip, _ in await store.drafts(ctx.db, ctx.tenant.id) if trip.reason == Unplaced.UNAVAILABLE]
    ends = {place_id for trip in waiting for place_id in (trip.from_place_id, trip.to_place_id)}
    labels = await people.labels(ctx.db, ctx.tenant.id, ends)
    found = await place_all(ctx, [Address(label=label) for label in labels.values()])
    moved = await submit_placed(ctx, {label: one.value for label, one in found.items() if isinstance(one, Unplaced)})
    if Unplaced.UNAVAILABLE in found.values():
        raise GeocoderUnavailable
    return moved


PLACE_AGAIN_S: Final = 60.0
PLACE_WAITING: Final = Job(
    name="dispatch.place_waiting",
    run=place_waiting,
    attempts=100,
    backoff=Backoff(first_s=PLACE_AGAIN_S, most_s=1800.0),
)
"""A hundred attempts are two days: nobody's provider is away for longer without somebody knowing."""


async def pin(ctx: Ctx, place_id: UUID, point: Point) -> Place:
    """A place where somebody says that it is; trips that waited for it go on. Raises: PlaceNotFound."""
    async with ctx.db.step():
        known = await people.place(ctx.db, ctx.tenant.id, place_id)
        if known is None:
            raise PlaceNotFound
        pinned = Place(id=place_id, label=known.label, point=point, source="pin", confidence=1.0)
        await people.position_places(ctx.db, ctx.tenant.id, [pinned])
        await ctx.audit("place.pinned", f"place:{place_id}")
    await submit_placed(ctx, {})
    return pinned


async def submit_placed(ctx: Ctx, why: Mapping[str, str]) -> int:
    """Submit the drafts whose addresses are all on the map now; how many. why: what is said of the others, by label."""
    waiting = await store.drafts(ctx.db, ctx.tenant.id)
    ends = {place_id for trip, _ in waiting for place_id in (trip.from_place_id, trip.to_place_id)}
    places = await people.places(ctx.db, ctx.tenant.id, ends)
    labels = await people.labels(ctx.db, ctx.tenant.id, ends - set(places))
    clients = await people.clients(ctx.db, ctx.tenant.id, [trip.client_id for trip, _ in waiting])
    ready: dict[Party, list[Trip]] = {}
    said: list[Trip] = []
    for trip, party in waiting:
        missing = [labels[end] for end in (trip.from_place_id, trip.to_place_id) if end not in places]
        reason = next((why[label] for label in missing if label in why), trip.reason)
        if not missing:
            here, there = places[trip.from_place_id], places[trip.to_place_id]
            try:
                ready.setdefault(party, []).append(
                    replace(await timed(ctx, trip, here, there, clients[trip.client_id]), reason="")
                )
                continue
            except WindowImpossible as refused:
                reason = refused.slug
        if reason != trip.reason:
            said.append(replace(trip, reason=reason, version=trip.version + 1))
    async with ctx.db.step():
        await store.change_trips(ctx.db, ctx.tenant.id, said, [])
        for party, trips in ready.items():
            await submit(ctx, trips, party)
    return sum(map(len, ready.values()))
