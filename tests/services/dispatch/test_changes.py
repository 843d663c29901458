"""What is changed over the API: in the version that was read, by whom it belongs to, and before it is planned."""

from typing import Any

import httpx
import pytest

from ossature.kernel.jobs.worker import Worker
from ossature.kernel.testing.houses import Home
from tests.services.dispatch.days import (
    CLINIC,
    DAY,
    DEPOT,
    a_booking,
    a_client,
    a_driver,
    a_shift,
    a_trip,
    a_vehicle,
    bound,
    found,
)

V1 = "/v1/dispatch"


async def _tag(http: httpx.AsyncClient, path: str) -> dict[str, str]:
    return {"if-match": (await http.get(f"{V1}/{path}")).headers["etag"]}


@pytest.mark.parametrize(("kind", "change"), [("drivers", {"name": "Renamed"}), ("vehicles", {"plate": "GE 9"})])
async def test_a_change_is_made_in_the_version_that_was_read(
    http: httpx.AsyncClient, kind: str, change: dict[str, str]
) -> None:
    one = await (a_driver if kind == "drivers" else a_vehicle)(http)
    path = f"{V1}/{kind}/{one}"
    read = await _tag(http, f"{kind}/{one}")

    assert (await http.patch(path, json=change)).status_code == 428
    changed = await http.patch(path, json=change, headers=read)
    assert (changed.status_code, changed.json() | change) == (200, changed.json())
    stale = await http.patch(path, json=change, headers=read)
    assert (stale.status_code, stale.headers["etag"]) == (412, changed.headers["etag"])
    assert (await http.get(path, headers={"if-none-match": changed.headers["etag"]})).status_code == 304


@pytest.mark.parametrize("kind", ["drivers", "vehicles"])
async def test_who_and_what_is_withdrawn_stays_known(http: httpx.AsyncClient, kind: str) -> None:
    shift = await a_shift(http)
    path = f"{V1}/{kind}/{shift['driver_id' if kind == 'drivers' else 'vehicle_id']}"

    for _ in range(2):
        assert (await http.delete(path)).status_code == 204

    withdrawn = await http.get(path)
    assert (withdrawn.json()["active"], withdrawn.json()["version"]) == (False, 2)
    assert found(await http.get(f"{V1}/board", params={"day": DAY}))["duties"] == []
    back = await http.patch(path, json={"active": True}, headers={"if-match": withdrawn.headers["etag"]})
    assert found(back)["active"] is True


async def test_a_trip_is_changed_before_it_is_planned_and_not_after(http: httpx.AsyncClient, worker: Worker) -> None:
    await a_shift(http)
    booking = await a_booking(http, await a_client(http), a_trip(3))
    (before,) = booking["trips"]
    path = f"trips/{before['id']}"

    later = await http.patch(
        f"{V1}/{path}",
        json={"at": f"{DAY}T11:00:00Z", "from": DEPOT, "requirement": {"wheelchair": "manual"}},
        headers=await _tag(http, path),
    )

    moved = found(later)
    assert (moved["state"], moved["version"]) == ("confirmed", before["version"] + 1)
    assert moved["dropoff"]["latest"] == f"{DAY}T10:55:00Z"
    assert moved["from_place_id"] != before["from_place_id"]
    assert moved["requirement"]["wheelchair"] == "manual"
    assert (await http.patch(f"{V1}/{path}", json={"to": DEPOT}, headers=await _tag(http, path))).status_code == 422

    found(await http.post(f"{V1}/plans", json={"day": DAY, "time_limit_s": 0.2}))
    await worker.run_due()
    refused = await http.patch(f"{V1}/{path}", json={"priority": 1}, headers=await _tag(http, path))
    assert (refused.status_code, refused.json()["state"]) == (409, "planned")


async def test_what_could_not_be_planned_is_confirmed_again_when_it_is_changed(
    http: httpx.AsyncClient, worker: Worker
) -> None:
    await a_shift(http)
    electric = a_trip(requirement={"wheelchair": "electric"})
    booking = await a_booking(http, await a_client(http), electric)
    found(await http.post(f"{V1}/plans", json={"day": DAY, "time_limit_s": 0.2}))
    await worker.run_due()
    path = f"trips/{booking['trips'][0]['id']}"
    assert found(await http.get(f"{V1}/{path}"))["state"] == "unplannable"

    change = {"requirement": {"wheelchair": "manual"}}
    again = found(await http.patch(f"{V1}/{path}", json=change, headers=await _tag(http, path)))

    assert (again["state"], again["reason"]) == ("confirmed", "")


async def test_a_booking_has_other_notes_and_another_payer(http: httpx.AsyncClient) -> None:
    booking = await a_booking(http, await a_client(http))
    path = f"bookings/{booking['id']}"
    read = await _tag(http, path)

    changed = await http.patch(f"{V1}/{path}", json={"payer": "insurer", "notes": "Ring twice."}, headers=read)

    assert (found(changed)["payer"], changed.json()["notes"], changed.json()["version"]) == (
        "insurer",
        "Ring twice.",
        2,
    )
    assert (await http.patch(f"{V1}/{path}", json={"notes": ""}, headers=read)).status_code == 412
    trip = booking["trips"][0]["id"]
    found(await http.post(f"{V1}/trips/{trip}/cancel", json={"reason": "well again"}))
    fresh = await http.get(f"{V1}/{path}", headers={"if-none-match": changed.headers["etag"]})
    assert (fresh.status_code, fresh.json()["state"]) == (200, "cancelled")


async def test_everybody_changes_what_is_theirs_until_it_is_confirmed(home: Home, http: httpx.AsyncClient) -> None:
    client_id = await a_client(http)
    confirmed = await a_booking(http, client_id)
    async with bound(home, http, "patient", client=client_id) as patient:
        asked = (await a_booking(patient, client_id, a_trip(5)))["trips"][0]
        change: dict[str, Any] = {"to": {**CLINIC, "label": "3 Hospital Street", "lat": 46.23}}
        path = f"trips/{asked['id']}"
        moved = found(await patient.patch(f"{V1}/{path}", json=change, headers=await _tag(patient, path)))
        assert moved["state"] == "requested"
        path = f"trips/{confirmed['trips'][0]['id']}"
        refused = await patient.patch(f"{V1}/{path}", json=change, headers=await _tag(patient, path))
        assert refused.status_code == 409
        assert (await patient.delete(f"{V1}/drivers/{await a_driver(http)}")).status_code == 403
    async with bound(home, http, "requester", requester="clinic-a") as other:
        assert (await other.patch(f"{V1}/{path}", json=change, headers={"if-match": "*"})).status_code == 404
    async with bound(home, http, "driver", driver=await a_driver(http, "D2")) as driver:
        assert (await driver.patch(f"{V1}/{path}", json=change, headers={"if-match": "*"})).status_code == 403
