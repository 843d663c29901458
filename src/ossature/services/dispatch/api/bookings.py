"""Clients, bookings and trips over HTTP."""

from enum import StrEnum
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Request, Response

from ossature.kernel.context import CurrentCtx
from ossature.kernel.http.listing import Asked, Listing, answer, listing
from ossature.kernel.http.policy import policy
from ossature.services.dispatch.api.reading import address, matching, requirement, tagged
from ossature.services.dispatch.api.shapes.bookings import (
    BookingIn,
    BookingOut,
    BookingPatch,
    ClientIn,
    ClientOut,
    CommandIn,
    HistoryOut,
    TripEventOut,
    TripIn,
    TripOut,
    TripPatch,
)
from ossature.services.dispatch.domain.bookings import ClientNotFound
from ossature.services.dispatch.domain.states import Command
from ossature.services.dispatch.store import bookings as store
from ossature.services.dispatch.store import people
from ossature.services.dispatch.usecases import bookings as usecases
from ossature.services.dispatch.usecases import changing, clients
from ossature.services.dispatch.usecases.seeing import own_client, reach_of, read_booking, read_trip
from ossature.services.dispatch.usecases.trips import BY_HAND, command_trip

router = APIRouter(tags=["dispatch"])

Asking = StrEnum("Asking", [(command.name, command.value.replace("_", "-")) for command in BY_HAND])  # type: ignore[misc] # the words are the domain's


@router.get("/clients")
@policy(allow="read:clients")
async def list_clients(
    ctx: CurrentCtx, query: Annotated[Asked, listing(people.CLIENTS, ClientOut)]
) -> Listing[ClientOut]:
    """The clients; a patient sees themselves."""
    found = await people.list_clients(ctx.db, ctx.tenant.id, query, only=own_client(ctx.actor))
    return answer(found, ClientOut, query)


@router.post("/clients", status_code=201)
@policy(allow="write:clients")
async def add_client(ctx: CurrentCtx, body: ClientIn) -> ClientOut:
    """Add a client."""
    return ClientOut.model_validate(
        await clients.add_client(ctx, clients.ClientWish(**body.model_dump(exclude_none=True)))
    )


@router.get("/clients/{client_id}")
@policy(allow="read:clients")
async def read_client(ctx: CurrentCtx, client_id: UUID) -> ClientOut:
    """One client; a patient reads themselves."""
    if own_client(ctx.actor) not in (None, client_id):
        raise ClientNotFound
    return ClientOut.model_validate(await clients.read_client(ctx, client_id))


@router.get("/bookings")
@policy(allow="read:bookings")
async def list_bookings(
    ctx: CurrentCtx, query: Annotated[Asked, listing(store.BOOKINGS, BookingOut)]
) -> Listing[BookingOut]:
    """The bookings with their trips, newest first; patients, requesters and drivers see their own."""
    found = await store.list_bookings(ctx.db, ctx.tenant.id, query, reach_of(ctx.actor))
    return answer(found, BookingOut, query)


@router.post("/bookings", status_code=201)
@policy(allow="write:bookings")
async def book(ctx: CurrentCtx, body: BookingIn) -> BookingOut:
    """Book one to ten trips of a client. Addresses without a pin are searched through the hub."""
    wish = usecases.BookingWish(
        client_id=body.client_id,
        trips=[_trip(one, f"/trips/{place}") for place, one in enumerate(body.trips)],
        requester=body.requester,
        payer=body.payer,
        external_id=body.external_id,
        notes=body.notes,
    )
    return BookingOut.model_validate(await usecases.book(ctx, wish))


@router.get("/bookings/{booking_id}")
@policy(allow="read:bookings")
async def show_booking(ctx: CurrentCtx, booking_id: UUID, response: Response) -> BookingOut:
    """One booking with its trips."""
    return tagged(response, BookingOut.model_validate(await read_booking(ctx, booking_id)))


@router.patch("/bookings/{booking_id}")
@policy(allow="write:bookings")
async def change_booking(
    ctx: CurrentCtx, request: Request, response: Response, booking_id: UUID, body: BookingPatch
) -> BookingOut:
    """Change who pays, or the notes, in the version that was read (`If-Match`)."""
    found = await read_booking(ctx, booking_id)
    matching(request, found)
    changed = await changing.change_booking(ctx, booking_id, found.version, body.model_dump(exclude_none=True))
    return tagged(response, BookingOut.model_validate(changed))


@router.get("/trips")
@policy(allow="read:bookings")
async def list_trips(ctx: CurrentCtx, query: Annotated[Asked, listing(store.TRIPS, TripOut)]) -> Listing[TripOut]:
    """The trips, newest first; patients, requesters and drivers see their own."""
    return answer(await store.list_trips(ctx.db, ctx.tenant.id, query, reach_of(ctx.actor)), TripOut, query)


@router.get("/trips/{trip_id}")
@policy(allow="read:bookings")
async def show_trip(ctx: CurrentCtx, trip_id: UUID, response: Response) -> TripOut:
    """One trip."""
    return tagged(response, TripOut.model_validate(await read_trip(ctx, trip_id)))


@router.patch("/trips/{trip_id}")
@policy(allow="write:bookings")
async def change_trip(ctx: CurrentCtx, request: Request, response: Response, trip_id: UUID, body: TripPatch) -> TripOut:
    """Change a trip before it is planned, in the version that was read (`If-Match`); its windows follow."""
    found = await read_trip(ctx, trip_id)
    matching(request, found)
    change = changing.TripChange(
        origin=None if body.origin is None else address(body.origin, "/from"),
        destination=None if body.destination is None else address(body.destination, "/to"),
        time_rule=body.time_rule,
        at=body.at,
        requirement=None if body.requirement is None else requirement(body.requirement),
        priority=body.priority,
    )
    return tagged(response, TripOut.model_validate(await changing.change_trip(ctx, trip_id, found.version, change)))


@router.get("/trips/{trip_id}/history")
@policy(allow="read:bookings")
async def show_history(ctx: CurrentCtx, trip_id: UUID) -> HistoryOut:
    """What happened to a trip, in order."""
    await read_trip(ctx, trip_id)
    found = await store.history(ctx.db, ctx.tenant.id, trip_id)
    return HistoryOut(items=[TripEventOut.model_validate(one) for one in found])


@router.post("/trips/{trip_id}/{command}")
@policy(allow="command:trips")
async def command(ctx: CurrentCtx, trip_id: UUID, command: Asking, body: CommandIn) -> TripOut:
    """Ask something of a trip; a refusal names what its state allows."""
    asked = Command(str(command).replace("-", "_"))
    moved = await command_trip(ctx, trip_id, asked, reason=body.reason, version=body.version)
    return TripOut.model_validate(moved)


def _trip(given: TripIn, pointer: str) -> usecases.TripWish:
    return usecases.TripWish(
        origin=address(given.origin, f"{pointer}/from"),
        destination=address(given.destination, f"{pointer}/to"),
        time_rule=given.time_rule,
        at=given.at,
        day=given.day,
        requirement=requirement(given.requirement),
        priority=given.priority,
        pointer=f"{pointer}/at",
    )
