"""Looking bookings, people and vehicles up by a day, a state and a few words, on both databases."""

from collections.abc import AsyncIterator
from datetime import date
from typing import Any
from uuid import UUID

import httpx
import pytest

from ossature.kernel.context import SYSTEM, Ctx
from ossature.kernel.db.listing import ListQuery, parse_order
from ossature.kernel.jobs.worker import Worker
from ossature.kernel.testing.houses import Home
from ossature.services.dispatch.domain.bookings import WaitingPlace
from ossature.services.dispatch.domain.reach import Reach
from ossature.services.dispatch.domain.roster import AddressView
from ossature.services.dispatch.domain.states import TripState
from ossature.services.dispatch.domain.timeline import Doing
from ossature.services.dispatch.store import people, roster
from ossature.services.dispatch.store.search import (
    Sought,
    addresses,
    find_bookings,
    find_clients,
    find_drivers,
    find_vehicles,
    known_addresses,
    next_day,
)
from ossature.services.dispatch.usecases.board import read_board
from ossature.services.dispatch.usecases.progress import run_under_way
from ossature.services.dispatch.usecases.timeline import read_lanes
from tests.services.dispatch.days import CLINIC, DAY, HOME, a_booking, a_client, a_shift, a_trip, found

EVERYTHING = Reach(everything=True)
THE_DAY = date.fromisoformat(DAY)


@pytest.fixture
async def ctx(home: Home) -> AsyncIterator[Ctx]:
    async with home.house.occasion(home.tenant, SYSTEM) as ctx:
        yield ctx


async def _found(ctx: Ctx, reach: Reach = EVERYTHING, sort: str = "created_at", **sought: Any) -> list[str]:
    query = ListQuery(sort=(parse_order(sort),))
    page = await find_bookings(ctx.db, ctx.tenant.id, query, reach, Sought(**sought))
    return [str(one.id) for one in page.items]


async def test_a_booking_is_found_by_its_client_its_requester_its_external_id_and_its_addresses(
    http: httpx.AsyncClient, ctx: Ctx
) -> None:
    harbour = {"label": "9 Harbour Lane", "lat": 46.25, "lon": 6.2}
    clinic = {"requester": "north clinic", "external_id": "N-100%"}
    first = await a_booking(http, await a_client(http, "C-77"), a_trip(3), **clinic)
    second = await a_booking(http, await a_client(http, "D-1"), a_trip(5, **{"from": harbour}))

    assert await _found(ctx, text="c-77") == [first["id"]]
    assert await _found(ctx, text="EXAMPLE") == [first["id"], second["id"]]
    assert await _found(ctx, text="north") == [first["id"]]
    assert await _found(ctx, text="harbour d-1") == [second["id"]]
    assert await _found(ctx, text="harbour c-77") == []
    assert await _found(ctx, text="100%") == [first["id"]]
    assert await _found(ctx, text="1_0") == []  # no character stands for another


async def test_day_and_state_are_of_one_trip_and_the_order_is_by_its_pickup(http: httpx.AsyncClient, ctx: Ctx) -> None:
    client_id = await a_client(http)
    late = await a_booking(http, client_id, a_trip(8))
    early = await a_booking(http, client_id, a_trip(2), a_trip(30))
    on_call = await a_booking(http, client_id, {"from": HOME, "to": CLINIC, "time_rule": "on_call", "day": DAY})
    cancelled = early["trips"][0]["id"]
    found(await http.post(f"/v1/dispatch/trips/{cancelled}/cancel", json={"reason": "ill"}))

    assert await _found(ctx, day=THE_DAY, sort="pickup") == [early["id"], late["id"], on_call["id"]]
    assert await _found(ctx, day=THE_DAY, sort="-created_at") == [on_call["id"], early["id"], late["id"]]
    assert await _found(ctx, day=THE_DAY, states=frozenset({TripState.CANCELLED})) == [early["id"]]
    assert await _found(ctx, day=THE_DAY, states=frozenset({TripState.CONFIRMED})) == [late["id"], on_call["id"]]
    assert await _found(ctx, day=date(2031, 3, 4)) == [early["id"]]


async def test_the_pages_of_a_list_hold_every_booking_once(http: httpx.AsyncClient, ctx: Ctx) -> None:
    client_id = await a_client(http)
    made = [await a_booking(http, client_id, a_trip(hour)) for hour in (4, 2, 6, 2, 8)]
    seen: list[str] = []
    after: tuple[Any, ...] | None = None

    while True:
        query = ListQuery(limit=2, sort=(parse_order("pickup"),), after=after)
        page = await find_bookings(ctx.db, ctx.tenant.id, query, EVERYTHING, Sought(day=THE_DAY))
        seen += [str(one.id) for one in page.items]
        after = page.next
        if after is None:
            break

    assert seen == [made[place]["id"] for place in (1, 3, 0, 2, 4)]


async def test_who_sees_the_bookings_of_one_requester_finds_no_other(http: httpx.AsyncClient, ctx: Ctx) -> None:
    client_id = await a_client(http)
    mine = await a_booking(http, client_id, requester="north")
    await a_booking(http, client_id, requester="south")

    assert await _found(ctx, Reach(requester="north"), text="example") == [mine["id"]]
    assert await _found(ctx, Reach(client_id=UUID(int=0)), text="example") == []


async def test_people_and_vehicles_are_found_by_the_beginnings_middles_and_ends_of_their_names(
    http: httpx.AsyncClient, ctx: Ctx
) -> None:
    shift = await a_shift(http, "12")
    other = await a_shift(http, "13")
    client_id = await a_client(http, "C-9")

    drivers = await find_drivers(ctx.db, ctx.tenant.id, ListQuery(), text="driver 12")
    vehicles = await find_vehicles(ctx.db, ctx.tenant.id, ListQuery(), text="ge 13")
    clients = await find_clients(ctx.db, ctx.tenant.id, ListQuery(), text="c-9 exam")
    mine = await find_drivers(ctx.db, ctx.tenant.id, ListQuery(), only=UUID(other["driver_id"]))

    assert [str(one.id) for one in drivers.items] == [shift["driver_id"]]
    assert [str(one.id) for one in vehicles.items] == [other["vehicle_id"]]
    assert [str(one.id) for one in clients.items] == [client_id]
    assert [str(one.id) for one in mine.items] == [other["driver_id"]]


async def test_the_roster_names_who_and_what_and_how_much_is_planned(
    http: httpx.AsyncClient, worker: Worker, ctx: Ctx
) -> None:
    shift = await a_shift(http)
    await a_booking(http, await a_client(http), a_trip(3), a_trip(5))
    found(await http.post("/v1/dispatch/plans", json={"day": DAY, "time_limit_s": 0.2}))
    await worker.run_due()

    (seen,) = await roster.shifts_of_day(ctx.db, ctx.tenant.id, THE_DAY)
    assert (seen.driver, seen.vehicle, seen.base, seen.trips) == ("Driver D1", "Van GE 1", "Depot", 2)
    assert str(seen.duty_id) == shift["duty_id"]
    driver_id, vehicle_id = seen.driver_id, seen.vehicle_id
    assert await roster.shifts_of_day(ctx.db, ctx.tenant.id, date(2031, 3, 4)) == ()
    assert await roster.shifts_since(ctx.db, ctx.tenant.id, THE_DAY, driver_id=driver_id) == (seen,)
    assert await roster.shifts_since(ctx.db, ctx.tenant.id, THE_DAY, vehicle_id=vehicle_id) == (seen,)
    assert await roster.shifts_since(ctx.db, ctx.tenant.id, date(2031, 3, 4), driver_id=driver_id) == ()

    board = await read_board(ctx, THE_DAY)
    (lane,) = await read_lanes(ctx, board)
    assert len(lane.rides) == 2
    assert {one.doing for one in lane.stretches} == set(Doing)
    assert board.plan is not None
    assert lane.distance_m == pytest.approx(board.plan.metrics["distance_m"], abs=1)
    assert await next_day(ctx.db, ctx.tenant.id, date(2031, 3, 2)) == THE_DAY
    assert await next_day(ctx.db, ctx.tenant.id, THE_DAY) is None
    assert set(await known_addresses(ctx.db, ctx.tenant.id, 10)) == {"Depot", HOME["label"], CLINIC["label"]}


async def test_a_run_is_under_way_from_its_request_to_its_end(
    home: Home, http: httpx.AsyncClient, worker: Worker
) -> None:
    async with home.house.occasion(home.tenant, SYSTEM) as ctx:
        assert await run_under_way(ctx, THE_DAY) is None
    await a_shift(http)
    run = found(await http.post("/v1/dispatch/plans", json={"day": DAY, "time_limit_s": 0.2}))

    async with home.house.occasion(home.tenant, SYSTEM) as ctx:
        under_way = await run_under_way(ctx, THE_DAY)
    assert under_way is not None
    assert str(under_way.run.id) == run["id"]
    assert under_way.job.id == under_way.run.job_id

    await worker.run_due()
    async with home.house.occasion(home.tenant, SYSTEM) as ctx:
        assert await run_under_way(ctx, THE_DAY) is None


async def test_an_address_that_waits_for_its_place_is_still_read(http: httpx.AsyncClient, ctx: Ctx) -> None:
    await a_booking(http, await a_client(http))
    waiting = WaitingPlace(id=UUID(int=7), label="Nowhere Lane")
    await people.add_places(ctx.db, ctx.tenant.id, [waiting])
    known = await people.places_called(ctx.db, ctx.tenant.id, [HOME["label"]])
    home_id = known[HOME["label"]].id

    seen = await addresses(ctx.db, ctx.tenant.id, [waiting.id, home_id, UUID(int=8)])

    assert seen == {
        waiting.id: AddressView("Nowhere Lane", placed=False),
        home_id: AddressView(HOME["label"], placed=True),
    }
