"""Patients, requesters and drivers see and do what is theirs; what is not theirs is not there."""

from typing import Any

import httpx
import pytest

from ossature.kernel.jobs.worker import Worker
from ossature.kernel.testing.houses import Home
from tests.services.dispatch.days import DAY, a_booking, a_client, a_shift, a_trip, bound, found


async def _ids(client: httpx.AsyncClient, path: str) -> set[str]:
    return {one["id"] for one in found(await client.get(f"/v1/dispatch/{path}"))["items"]}


async def test_a_patient_sees_books_and_cancels_for_themselves_only(home: Home, http: httpx.AsyncClient) -> None:
    me, other = await a_client(http, "me"), await a_client(http, "other")
    mine, hers = await a_booking(http, me), await a_booking(http, other)

    async with bound(home, http, "patient", client=me) as patient:
        assert await _ids(patient, "bookings") == {mine["id"]}
        assert await _ids(patient, "clients") == {me}
        assert (await patient.get(f"/v1/dispatch/bookings/{hers['id']}")).status_code == 404
        assert (await patient.get(f"/v1/dispatch/trips/{hers['trips'][0]['id']}")).status_code == 404
        assert (await patient.get(f"/v1/dispatch/clients/{other}")).status_code == 404
        wish: dict[str, Any] = {"client_id": other, "trips": [a_trip(5)]}
        assert (await patient.post("/v1/dispatch/bookings", json=wish)).status_code == 404
        asked = await a_booking(patient, me, a_trip(5), requester="clinic-a")
        assert asked["requester"] == ""  # nobody books in the name of another
        assert asked["state"] == "requested"  # a dispatcher accepts it
        trip_id = asked["trips"][0]["id"]
        refused = await patient.post(f"/v1/dispatch/trips/{trip_id}/accept", json={})
        assert refused.status_code == 403
        found(await patient.post(f"/v1/dispatch/trips/{trip_id}/cancel", json={"reason": "well again"}))


async def test_a_requester_sees_what_it_booked(home: Home, http: httpx.AsyncClient) -> None:
    client_id = await a_client(http)
    await a_booking(http, client_id, requester="clinic-b")

    async with bound(home, http, "requester", requester="clinic-a") as clinic:
        own = await a_booking(clinic, client_id, requester="clinic-b")
        assert own["requester"] == "clinic-a"
        assert await _ids(clinic, "bookings") == {own["id"]}
        assert (await clinic.get("/v1/dispatch/board", params={"day": DAY})).status_code == 403


async def test_a_driver_sees_and_drives_their_own_duty(home: Home, http: httpx.AsyncClient, worker: Worker) -> None:
    shift, other = await a_shift(http, "1"), await a_shift(http, "2")
    booking = await a_booking(http, await a_client(http))
    run = found(await http.post("/v1/dispatch/plans", json={"day": DAY, "time_limit_s": 0.2}))
    await worker.run_due()
    plan_id = found(await http.get(f"/v1/dispatch/runs/{run['id']}"))["plan_id"]
    found(await http.post(f"/v1/dispatch/plans/{plan_id}/publish"))
    trip = found(await http.get(f"/v1/dispatch/bookings/{booking['id']}"))["trips"][0]
    drives, rests = (shift, other) if trip["duty_id"] == shift["duty_id"] else (other, shift)

    async with bound(home, http, "driver", driver=drives["driver_id"]) as driver:
        assert await _ids(driver, "trips") == {trip["id"]}
        assert await _ids(driver, "drivers") == {drives["driver_id"]}
        assert (await driver.get(f"/v1/dispatch/drivers/{rests['driver_id']}")).status_code == 404
        assert found(await driver.post(f"/v1/dispatch/trips/{trip['id']}/start", json={}))["state"] == "en_route"


async def test_who_is_bound_to_nobody_sees_nothing(home: Home, http: httpx.AsyncClient) -> None:
    shift = await a_shift(http)
    await a_booking(http, await a_client(http))

    async with bound(home, http, "driver") as nobody:
        assert [await _ids(nobody, path) for path in ("trips", "bookings", "drivers", "shifts")] == [set()] * 4
        assert (await nobody.get(f"/v1/dispatch/drivers/{shift['driver_id']}")).status_code == 404
    async with bound(home, http, "patient") as nobody:
        assert [await _ids(nobody, path) for path in ("trips", "bookings", "clients")] == [set()] * 3


@pytest.mark.parametrize(("role", "to"), [("requester", ""), ("patient", "nobody"), ("driver", "nobody")])
async def test_who_is_bound_to_what_nothing_is_called_sees_nothing(
    home: Home, http: httpx.AsyncClient, role: str, to: str
) -> None:
    await a_booking(http, await a_client(http))

    async with bound(home, http, role, **{"client" if role == "patient" else role: to}) as nobody:
        assert [await _ids(nobody, path) for path in ("trips", "bookings")] == [set()] * 2
