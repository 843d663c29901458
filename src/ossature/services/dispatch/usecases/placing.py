"""Putting addresses on the map, through the hub's promise."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from ossature.contracts.hub import Geocoder
from ossature.kernel import clock
from ossature.kernel.context import Ctx
from ossature.kernel.errors import (
    FieldError,
    InvalidInput,
    Problem,
    TooManyRequests,
    Unavailable,
    UpstreamFailed,
    UpstreamTimedOut,
)
from ossature.services.dispatch.domain.bookings import AddressNotPlaced, GeocoderUnavailable, Place, WaitingPlace
from ossature.services.dispatch.domain.places import Point, Unplaced, tidy, unequivocal
from ossature.services.dispatch.store import people as store
from ossature.services.dispatch.store.portions import portions

_SURE, _GUESSED = 1.0, 0.5
_ASKED = 5
_AT_ONCE = 200
_SAID = {
    Unplaced.UNKNOWN: "Nobody knows this address.",
    Unplaced.AMBIGUOUS: "There are several places of this address: add the town, or give coordinates.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where something is, as it was said. point: a pin, which needs no search. pointer: where it stood in the request."""

    label: str
    point: Point | None = None
    pointer: str = "/"


async def place_all(ctx: Ctx, addresses: Iterable[Address]) -> Mapping[str, Place | Unplaced]:
    """Where addresses are, by their tidy label: known, pinned or found by the geocoder, or why they are nowhere yet.

    Statements are as many for a few hundred as for one. Never inside a write transaction, since it may ask the outside
    world; once the geocoder does not answer, it is not asked again. What was found is kept as it goes on: a job that is
    ended in the middle of a long file does not ask for the same once more.
    """
    wanted: dict[str, Address] = {}
    for address in addresses:
        label = tidy(address.label)
        if label not in wanted or wanted[label].point is None:
            wanted[label] = address
    known = await store.places_called(ctx.db, ctx.tenant.id, wanted)
    found: dict[str, Place | Unplaced] = {label: one for label, one in known.items() if isinstance(one, Place)}
    silent = False
    for some in portions([(label, one.point) for label, one in wanted.items() if label not in found], _AT_ONCE):
        made: dict[str, Place] = {}
        for label, pin in some:
            place = Unplaced.UNAVAILABLE if silent and pin is None else await _found(ctx, label, pin)
            silent = silent or place is Unplaced.UNAVAILABLE
            if isinstance(place, Place):
                made[label] = place
            else:
                found[label] = place
        if made:
            found.update(await _kept(ctx, made))
    return found


async def _kept(ctx: Ctx, made: Mapping[str, Place]) -> dict[str, Place]:
    """Places as they are kept: what somebody else has placed meanwhile stays, what waited is where it was found."""
    async with ctx.db.step():
        await store.add_places(ctx.db, ctx.tenant.id, list(made.values()))
        known = await store.places_called(ctx.db, ctx.tenant.id, made)
        waited = [replace(made[label], id=one.id) for label, one in known.items() if isinstance(one, WaitingPlace)]
        await store.position_places(ctx.db, ctx.tenant.id, waited)
    there = {label: one for label, one in known.items() if isinstance(one, Place)}
    return {**there, **{one.label: one for one in waited}}


async def settle(ctx: Ctx, found: Mapping[str, Place | Unplaced]) -> Mapping[str, Place | WaitingPlace]:
    """The same places, with one that waits for each address that is nowhere yet."""
    why = {label: one for label, one in found.items() if isinstance(one, Unplaced)}
    settled: dict[str, Place | WaitingPlace] = {
        label: one for label, one in found.items() if not isinstance(one, Unplaced)
    }
    if why:
        async with ctx.db.step():
            await store.add_places(ctx.db, ctx.tenant.id, [WaitingPlace(id=clock.new_id(), label=one) for one in why])
            known = await store.places_called(ctx.db, ctx.tenant.id, why)
        for one in known.values():
            settled[one.label] = replace(one, why=why[one.label]) if isinstance(one, WaitingPlace) else one
    return settled


async def place(ctx: Ctx, address: Address) -> Place:
    """The place of an address. Raises: AddressNotPlaced, GeocoderUnavailable."""
    found = (await place_all(ctx, [address]))[tidy(address.label)]
    if isinstance(found, Place):
        return found
    raise refusal(address, found)


def refusal(address: Address, why: Unplaced) -> Problem:
    """How an address is refused that is nowhere."""
    if why is Unplaced.UNAVAILABLE:
        return GeocoderUnavailable()
    return AddressNotPlaced(errors=[FieldError(address.pointer, _SAID[why], why.value)])


async def _found(ctx: Ctx, label: str, pin: Point | None) -> Place | Unplaced:
    if pin is not None:
        return Place(id=clock.new_id(), label=label, point=pin, source="pin", confidence=_SURE)
    try:
        results = await ctx.port(Geocoder).locate(ctx, label, limit=_ASKED, language=ctx.tenant.language)  # type: ignore[type-abstract] # a promise is asked for by its Protocol
    except InvalidInput:  # the source refuses the text
        return Unplaced.UNKNOWN
    except (Unavailable, UpstreamFailed, UpstreamTimedOut, TooManyRequests):
        return Unplaced.UNAVAILABLE
    points = [Point(one.latitude, one.longitude) for one in results]
    if not points:
        return Unplaced.UNKNOWN
    if not unequivocal(points):
        return Unplaced.AMBIGUOUS
    return Place(id=clock.new_id(), label=label, point=points[0], source=results[0].source, confidence=_GUESSED)
