"""From a booking to a told driver, over the API: the day is planned by a job."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest

from ossature.kernel.jobs.domain import JobDead
from ossature.kernel.jobs.worker import Worker
from ossature.kernel.testing.houses import Home
from ossature.services.dispatch.domain.plans import PlanOutdated
from ossature.services.dispatch.store import plans as store
from ossature.services.dispatch.usecases.planning import PLAN_DAY
from tests.services.dispatch.days import (
    DAY,
    DEPOT,
    SIX,
    a_booking,
    a_client,
    a_driver,
    a_shift,
    a_trip,
    a_vehicle,
    found,
)


async def _planned(http: httpx.AsyncClient, worker: Worker, **wish: Any) -> dict[str, Any]:
    run = found(await http.post("/v1/dispatch/plans", json={"day": DAY, "time_limit_s": 0.2, **wish}))
    await worker.run_due()
    ended: dict[str, Any] = found(await http.get(f"/v1/dispatch/runs/{run['id']}"))
    return ended


def _slug(refused: httpx.Response) -> str:
    return str(refused.json()["type"]).rpartition("/")[2]


async def _board(http: httpx.AsyncClient) -> dict[str, Any]:
    board: dict[str, Any] = found(await http.get("/v1/dispatch/board", params={"day": DAY}))
    return board


async def test_a_booked_day_is_planned_and_published(http: httpx.AsyncClient, worker: Worker) -> None:
    shift = await a_shift(http)
    client_id = await a_client(http)
    booking = await a_booking(http, client_id, a_trip(3), a_trip(5))
    assert booking["state"] == "confirmed"

    run = await _planned(http, worker)

    assert (run["state"], run["unserved"], run["sources"]) == ("succeeded", 0, {"haversine": 1.0})
    assert run["problem_hash"]
    assert run["iterations"] is not None
    board = await _board(http)
    assert board["plan"]["state"] == "draft"
    (lane,) = board["duties"]
    assert lane["duty_id"] == shift["duty_id"]
    assert [stop["kind"] for stop in lane["stops"]] == ["start", "pickup", "dropoff", "pickup", "dropoff", "end"]
    assert {trip["state"] for trip in board["trips"]} == {"planned"}

    published = found(await http.post(f"/v1/dispatch/plans/{run['plan_id']}/publish"))

    assert published["state"] == "published"
    trips = found(await http.get("/v1/dispatch/trips", params={"day": DAY}))["items"]
    assert {trip["state"] for trip in trips} == {"dispatched"}
    for trip in trips:
        assert trip["pickup"]["earliest"] <= trip["promised"]["earliest"] <= trip["promised"]["latest"]
        assert trip["promised"]["latest"] <= trip["pickup"]["latest"]
    history = found(await http.get(f"/v1/dispatch/trips/{trips[0]['id']}/history"))["items"]
    assert [one["command"] for one in history] == ["submit", "accept", "plan", "publish"]
    assert [one["seq"] for one in history] == [1, 2, 3, 4]


async def test_a_driver_takes_a_trip_through_the_day(http: httpx.AsyncClient, worker: Worker) -> None:
    await a_shift(http)
    booking = await a_booking(http, await a_client(http))
    run = await _planned(http, worker)
    found(await http.post(f"/v1/dispatch/plans/{run['plan_id']}/publish"))
    trip_id = booking["trips"][0]["id"]

    for command in ("start", "arrive", "board", "arrive", "complete"):
        found(await http.post(f"/v1/dispatch/trips/{trip_id}/{command}", json={}))

    assert found(await http.get(f"/v1/dispatch/trips/{trip_id}"))["state"] == "completed"
    refused = await http.post(f"/v1/dispatch/trips/{trip_id}/cancel", json={"reason": "late"})
    assert (refused.status_code, refused.json()["allowed"]) == (409, [])


async def test_a_trip_in_a_stale_version_is_not_moved(http: httpx.AsyncClient) -> None:
    booking = await a_booking(http, await a_client(http))
    trip = booking["trips"][0]
    moved = {"reason": "not needed", "version": trip["version"]}
    found(await http.post(f"/v1/dispatch/trips/{trip['id']}/cancel", json=moved))

    again = await http.post(f"/v1/dispatch/trips/{trip['id']}/cancel", json=moved)

    assert again.status_code == 409
    assert (_slug(again), again.json()["version"]) == ("stale-version", trip["version"] + 1)


async def test_what_no_vehicle_takes_is_unplannable_with_its_reason(http: httpx.AsyncClient, worker: Worker) -> None:
    await a_shift(http)
    client_id = await a_client(http)
    served = await a_booking(http, client_id)
    electric = await a_booking(http, client_id, a_trip(4, requirement={"wheelchair": "electric"}))

    run = await _planned(http, worker)

    assert (run["state"], run["unserved"]) == ("succeeded", 1)
    assert found(await http.get(f"/v1/dispatch/bookings/{served['id']}"))["state"] == "planned"
    left = found(await http.get(f"/v1/dispatch/bookings/{electric['id']}"))["trips"][0]
    assert (left["state"], left["reason"]) == ("unplannable", "no-room")


async def test_a_day_is_planned_by_one_run_at_a_time_and_a_waiting_one_can_be_cancelled(
    http: httpx.AsyncClient, worker: Worker
) -> None:
    await a_shift(http)
    await a_booking(http, await a_client(http))
    wish = {"day": DAY, "time_limit_s": 0.2}
    first = found(await http.post("/v1/dispatch/plans", json=wish))

    second = await http.post("/v1/dispatch/plans", json=wish)

    assert (second.status_code, second.json()["run_id"]) == (409, first["id"])
    stopped = found(await http.post(f"/v1/dispatch/runs/{first['id']}/cancel"))
    assert stopped["state"] == "cancelled"
    await worker.run_due()
    assert (await _board(http))["plan"] is None
    assert (await http.post(f"/v1/dispatch/runs/{first['id']}/cancel")).status_code == 409
    assert (await _planned(http, worker))["state"] == "succeeded"


async def test_a_new_plan_takes_the_place_of_the_draft_and_an_outdated_one_is_not_published(
    http: httpx.AsyncClient, worker: Worker
) -> None:
    await a_shift(http)
    client_id = await a_client(http)
    await a_booking(http, client_id)
    first = await _planned(http, worker)
    late = await a_booking(http, client_id, a_trip(6))
    second = await _planned(http, worker)

    assert found(await http.get(f"/v1/dispatch/plans/{first['plan_id']}"))["state"] == "superseded"
    assert (await http.post(f"/v1/dispatch/plans/{first['plan_id']}/publish")).status_code == 409
    cancelled = {"reason": "not needed"}
    found(await http.post(f"/v1/dispatch/trips/{late['trips'][0]['id']}/cancel", json=cancelled))
    refused = await http.post(f"/v1/dispatch/plans/{second['plan_id']}/publish")
    assert (refused.status_code, _slug(refused)) == (409, PlanOutdated.slug)


async def test_a_discarded_draft_gives_its_trips_back(http: httpx.AsyncClient, worker: Worker) -> None:
    await a_shift(http)
    booking = await a_booking(http, await a_client(http))
    run = await _planned(http, worker)

    assert found(await http.post(f"/v1/dispatch/plans/{run['plan_id']}/discard"))["state"] == "discarded"

    trip = found(await http.get(f"/v1/dispatch/bookings/{booking['id']}"))["trips"][0]
    assert (trip["state"], trip["duty_id"]) == ("confirmed", None)


async def test_a_run_whose_worker_was_lost_is_finished_by_the_next_one(
    home: Home, http: httpx.AsyncClient, worker: Worker
) -> None:
    await a_shift(http)
    await a_booking(http, await a_client(http))
    run = found(await http.post("/v1/dispatch/plans", json={"day": DAY, "time_limit_s": 0.2}))
    async with home.house.database.begin(home.tenant.id) as db:  # as a worker leaves it that is killed while it solves
        await store.move_run(db, home.tenant.id, UUID(run["id"]), state="running", heartbeat_at=SIX - timedelta(days=1))

    await worker.run_due()

    ended = found(await http.get(f"/v1/dispatch/runs/{run['id']}"))
    assert ended["state"] == "succeeded"
    assert len(found(await http.get("/v1/dispatch/plans"))["items"]) == 1


async def test_a_run_whose_job_was_given_up_has_failed(home: Home, http: httpx.AsyncClient, worker: Worker) -> None:
    run = found(await http.post("/v1/dispatch/plans", json={"day": DAY, "time_limit_s": 0.2}))
    job_id = UUID(run["job_id"])
    async with home.house.database.begin() as db:  # the worker that declares a job dead publishes this fact
        await home.house.jobs.pause(db, home.tenant.id, job_id)
        dead = JobDead(job_id, PLAN_DAY.name, PLAN_DAY.queue, 3, "The workers that ran it were lost.")
        await home.house.outbox.record(db, dead, tenant_id=home.tenant.id)

    await worker.run_due()

    ended = found(await http.get(f"/v1/dispatch/runs/{run['id']}"))
    assert (ended["state"], ended["reason"]) == ("failed", "lost")
    assert ended["ended_at"]


async def test_a_told_trip_whose_driver_was_withdrawn_is_to_be_recalled_before_the_day_is_planned(
    http: httpx.AsyncClient, worker: Worker
) -> None:
    shift = await a_shift(http)
    booking = await a_booking(http, await a_client(http))
    run = await _planned(http, worker)
    found(await http.post(f"/v1/dispatch/plans/{run['plan_id']}/publish"))
    assert (await http.delete(f"/v1/dispatch/drivers/{shift['driver_id']}")).status_code == 204

    refused = await _planned(http, worker)

    trip_id = booking["trips"][0]["id"]
    assert refused["state"] == "failed"
    assert refused["reason"].startswith("recall-needed")
    assert trip_id in refused["reason"]
    assert found(await http.get(f"/v1/dispatch/plans/{run['plan_id']}"))["state"] == "published"
    found(await http.post(f"/v1/dispatch/trips/{trip_id}/recall", json={}))
    assert (await _planned(http, worker))["unserved"] == 1


async def test_a_day_that_changes_while_it_is_planned_is_planned_as_it_is_then(
    http: httpx.AsyncClient, worker: Worker
) -> None:
    shift = await a_shift(http)
    client_id = await a_client(http)
    await a_booking(http, client_id)
    run = found(await http.post("/v1/dispatch/plans", json={"day": DAY, "time_limit_s": 4}))
    working = asyncio.create_task(worker.run_due())
    await _until_it_solves(http, run["id"])

    late = await a_booking(http, client_id, a_trip(6))
    assert (await http.delete(f"/v1/dispatch/drivers/{shift['driver_id']}")).status_code == 204
    await working

    ended = found(await http.get(f"/v1/dispatch/runs/{run['id']}"))
    assert (ended["state"], ended["unserved"]) == ("succeeded", 2)
    assert found(await http.get(f"/v1/dispatch/trips/{late['trips'][0]['id']}"))["reason"] == "no-duty"


async def test_what_is_booked_while_a_day_is_planned_waits_for_the_next_plan(
    http: httpx.AsyncClient, worker: Worker
) -> None:
    await a_shift(http)
    client_id = await a_client(http)
    first = await a_booking(http, client_id)
    run = found(await http.post("/v1/dispatch/plans", json={"day": DAY, "time_limit_s": 4}))
    working = asyncio.create_task(worker.run_due())
    await _until_it_solves(http, run["id"])

    late = await a_booking(http, client_id, a_trip(6))
    await working

    assert found(await http.get(f"/v1/dispatch/runs/{run['id']}"))["state"] == "succeeded"
    states = [found(await http.get(f"/v1/dispatch/bookings/{one['id']}"))["state"] for one in (first, late)]
    assert states == ["planned", "confirmed"]


async def _until_it_solves(http: httpx.AsyncClient, run_id: str) -> None:
    for _ in range(2_400):
        if found(await http.get(f"/v1/dispatch/runs/{run_id}"))["state"] == "running":
            return
        await asyncio.sleep(0.05)
    pytest.fail("the run did not begin within two minutes")


async def test_a_trip_that_is_sent_alone_has_its_promise_too(http: httpx.AsyncClient, worker: Worker) -> None:
    await a_shift(http)
    booking = await a_booking(http, await a_client(http))
    await _planned(http, worker)

    sent = found(await http.post(f"/v1/dispatch/trips/{booking['trips'][0]['id']}/publish", json={}))

    assert sent["state"] == "dispatched"
    assert sent["pickup"]["earliest"] <= sent["promised"]["earliest"] <= sent["promised"]["latest"]


@pytest.mark.parametrize(
    ("trip", "slug"),
    [
        ({"at": None}, "window-impossible"),
        ({"to": {"label": "1 Station Road"}}, "invalid-input"),
        ({"from": {"label": "Half", "lat": 46.0}}, "invalid-input"),
        ({"at": "2031-03-03T09:00:00"}, "invalid-input"),
        ({"at": "2001-03-03T09:00:00Z"}, "invalid-input"),
        ({"at": "9999-12-31T23:59:59Z"}, "invalid-input"),
        ({"at": "0001-01-01T00:00:00+14:00"}, "invalid-input"),
        ({"at": None, "time_rule": "on_call", "day": "9999-12-31"}, "invalid-input"),
    ],
)
async def test_a_trip_that_cannot_be_is_refused(http: httpx.AsyncClient, trip: dict[str, Any], slug: str) -> None:
    client_id = await a_client(http)
    await a_booking(http, client_id)

    refused = await http.post("/v1/dispatch/bookings", json={"client_id": client_id, "trips": [a_trip(**trip)]})

    assert (refused.status_code, _slug(refused)) == (422, slug)


async def test_days_where_calendars_end_are_refused(http: httpx.AsyncClient) -> None:
    assert (await http.post("/v1/dispatch/plans", json={"day": "9999-12-31"})).status_code == 422
    who = {"driver_id": await a_driver(http), "vehicle_id": await a_vehicle(http), "base": DEPOT}
    for begins, ends in (
        ("9999-12-31T20:00:00Z", "9999-12-31T23:00:00Z"),
        ("0001-01-01T00:00:00+14:00", "0001-01-01T01:00:00Z"),
    ):
        shift = await http.post("/v1/dispatch/shifts", json={**who, "starts_at": begins, "ends_at": ends})
        assert shift.status_code == 422
    trip = (await a_booking(http, await a_client(http)))["trips"][0]
    path = f"/v1/dispatch/trips/{trip['id']}"
    seen = {"if-match": (await http.get(path)).headers["etag"]}
    assert (await http.patch(path, json={"at": "9999-12-31T23:59:59Z"}, headers=seen)).status_code == 422


async def test_an_external_id_is_booked_once(http: httpx.AsyncClient) -> None:
    client_id = await a_client(http)
    booking = await a_booking(http, client_id, external_id="A-1")

    again = await http.post(
        "/v1/dispatch/bookings", json={"client_id": client_id, "trips": [a_trip()], "external_id": "A-1"}
    )

    assert (again.status_code, again.json()["booking_id"]) == (409, booking["id"])


async def test_nobody_is_in_two_shifts_at_once_and_a_used_shift_stays(http: httpx.AsyncClient, worker: Worker) -> None:
    shift = await a_shift(http)
    twice = {
        "driver_id": shift["driver_id"],
        "vehicle_id": shift["vehicle_id"],
        "base": {"label": "Depot"},
        "starts_at": (SIX + timedelta(hours=9)).isoformat(),
        "ends_at": (SIX + timedelta(hours=12)).isoformat(),
    }
    refused = await http.post("/v1/dispatch/shifts", json=twice)
    assert (refused.status_code, refused.json()["shift_id"]) == (409, shift["id"])
    await a_booking(http, await a_client(http))
    await _planned(http, worker)

    assert (await http.delete(f"/v1/dispatch/shifts/{shift['id']}")).status_code == 409
