"""Several who do the same in the same moment: one does it, the others are told so, and nobody meets a fault of ours."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.services.dispatch.days import (
    CLINIC,
    DAY,
    DEPOT,
    HOME,
    SIX,
    a_booking,
    a_client,
    a_driver,
    a_trip,
    a_vehicle,
    found,
)

V1 = "/v1/dispatch"
CROWD = 4

Ask = Callable[[int], Awaitable[httpx.Response]]


async def _statuses(ask: Ask) -> Counter[int]:
    """How often each status was answered to a crowd, of whom each asks in a way of its own."""
    answers = await asyncio.gather(*(ask(number) for number in range(CROWD)))
    return Counter(answer.status_code for answer in answers)


async def test_a_day_is_planned_by_one_of_them(http: httpx.AsyncClient) -> None:
    statuses = await _statuses(lambda _: http.post(f"{V1}/plans", json={"day": DAY}))

    assert statuses == {202: 1, 409: CROWD - 1}
    assert len(found(await http.get(f"{V1}/runs"))["items"]) == 1


async def test_nobody_is_in_two_shifts(http: httpx.AsyncClient) -> None:
    driver = await a_driver(http)
    vans = [await a_vehicle(http, f"GE {number}") for number in range(CROWD)]
    times = {"starts_at": SIX.isoformat(), "ends_at": (SIX + timedelta(hours=8)).isoformat()}

    statuses = await _statuses(
        lambda n: http.post(f"{V1}/shifts", json={"driver_id": driver, "vehicle_id": vans[n], "base": DEPOT, **times})
    )

    assert statuses == {201: 1, 409: CROWD - 1}


@pytest.mark.parametrize(
    ("kind", "wish"),
    [
        ("drivers", {"number": "D1", "name": "Driver"}),
        ("vehicles", {"plate": "GE 1", "name": "Van", "layouts": [{"seats": 4}]}),
        ("clients", {"reference": "C1", "last_name": "Example"}),
    ],
)
async def test_a_name_is_taken_by_one_of_them(http: httpx.AsyncClient, kind: str, wish: dict[str, Any]) -> None:
    assert await _statuses(lambda _: http.post(f"{V1}/{kind}", json=wish)) == {201: 1, 409: CROWD - 1}


async def test_an_external_id_is_booked_by_one_of_them(http: httpx.AsyncClient) -> None:
    client_id = await a_client(http)
    await a_booking(http, client_id)
    wish = {"client_id": client_id, "trips": [a_trip()], "external_id": "A-1"}

    assert await _statuses(lambda _: http.post(f"{V1}/bookings", json=wish)) == {201: 1, 409: CROWD - 1}


async def test_a_new_address_is_one_place_for_all_of_them(http: httpx.AsyncClient) -> None:
    client_id = await a_client(http)
    trip = a_trip(**{"from": HOME, "to": {**CLINIC, "label": f"Clinic {uuid4()}"}})

    made = await asyncio.gather(*(a_booking(http, client_id, trip) for _ in range(CROWD)))

    assert len({one["trips"][0]["to_place_id"] for one in made}) == 1
    assert {one["state"] for one in made} == {"confirmed"}


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("drivers", [{"name": f"Renamed {number}"} for number in range(CROWD)]),
        ("vehicles", [{"name": f"Renamed {number}"} for number in range(CROWD)]),
        ("bookings", [{"notes": f"Note {number}"} for number in range(CROWD)]),
    ],
)
async def test_a_version_is_changed_by_one_of_them(
    http: httpx.AsyncClient, kind: str, changes: list[dict[str, str]]
) -> None:
    makers = {"drivers": a_driver, "vehicles": a_vehicle}
    one = (await a_booking(http, await a_client(http)))["id"] if kind == "bookings" else await makers[kind](http)
    read = await http.get(f"{V1}/{kind}/{one}")
    seen = {"if-match": read.headers["etag"]}

    statuses = await _statuses(lambda n: http.patch(f"{V1}/{kind}/{one}", json=changes[n], headers=seen))

    assert statuses[200] == 1
    assert set(statuses) <= {200, 409, 412}
    assert found(await http.get(f"{V1}/{kind}/{one}"))["version"] == 2
