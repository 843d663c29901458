"""Addresses without a pin: found through the hub, whose sources are simulated; those that are not found lose nothing."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest

from ossature.kernel import clock
from ossature.kernel.jobs.worker import Worker
from ossature.kernel.outbound.board import Board
from ossature.kernel.testing.houses import Home, open_house
from ossature.services.dispatch.domain.places import Point
from ossature.services.dispatch.service import service as dispatch
from ossature.services.dispatch.store import people
from ossature.services.dispatch.usecases.placing import Address, place_all
from ossature.services.hub.service import service as hub
from ossature.services.hub.settings import HubSettings
from ossature.services.sync.service import service as sync
from ossature.sim.app import create
from ossature.sim.run import started
from tests.services.dispatch.days import DAY, a_booking, a_client, a_driver, a_shift, a_vehicle, bound, found

HOME, CLINIC = "1 Station Road, Geneva", "2 Hospital Street, Lausanne"
AMBIGUOUS, UNKNOWN = "7 Lyon Street, Paris", "7 Nowhere Lane"

Fault = Callable[..., None]


@pytest.fixture(scope="module")
def simulator() -> Iterator[str]:
    """Address of the simulated sources."""
    with started(create(seed=1)) as url:
        yield url


@pytest.fixture
def fault(simulator: str) -> Iterator[Fault]:
    """Have all sources misbehave in some way; without one they are well again."""
    with httpx.Client(base_url=simulator, timeout=10) as sim:
        sim.post("/_sim/reset").raise_for_status()

        def order(kind: str | None = None, **more: int) -> None:
            if kind is None:
                sim.delete("/_sim/faults").raise_for_status()
            else:
                sim.post("/_sim/faults", json={"provider": "*", "fault": kind, **more}).raise_for_status()

        yield order


@pytest.fixture
async def home(tmp_path: Path, database_url: str, simulator: str, fault: Fault) -> AsyncIterator[Home]:
    del fault
    around = HubSettings(sim_url=simulator, contact="tests@example.org")
    async with open_house(
        hub, sync, dispatch, var_dir=tmp_path, database_url=database_url, settings=[around]
    ) as opened:
        yield opened


def a_trip(origin: str = HOME, destination: str = CLINIC) -> dict[str, Any]:
    ends = {"from": {"label": origin}, "to": {"label": destination}}
    return {**ends, "time_rule": "arrive_by", "at": f"{DAY}T10:00:00Z"}


async def _trip(http: httpx.AsyncClient, booking: dict[str, Any]) -> dict[str, Any]:
    trip: dict[str, Any] = found(await http.get(f"/v1/dispatch/trips/{booking['trips'][0]['id']}"))
    return trip


async def test_addresses_are_found_remembered_and_planned_with(
    http: httpx.AsyncClient, worker: Worker, simulator: str
) -> None:
    await a_shift(http)
    client_id = await a_client(http)

    first = await a_booking(http, client_id, a_trip())
    assert first["state"] == "confirmed"
    place = found(await http.get(f"/v1/dispatch/places/{first['trips'][0]['from_place_id']}"))
    assert (round(place["lat"], 1), round(place["lon"], 1), place["confidence"]) == (46.2, 6.1, 0.5)
    assert place["source"]

    asked = _reached(simulator)
    again = await a_booking(http, client_id, a_trip(f" {HOME.replace(' ', '  ')} "))
    assert again["trips"][0]["from_place_id"] == place["id"]
    assert _reached(simulator) == asked

    found(await http.post("/v1/dispatch/plans", json={"day": DAY, "time_limit_s": 0.2}))
    await worker.run_due()
    assert (await _trip(http, first))["state"] == "planned"


def _reached(simulator: str) -> int:
    seen = httpx.get(f"{simulator}/_sim/requests", timeout=10).json()["providers"]
    return sum(int(one["reached"]) for one in seen.values())


@pytest.mark.parametrize(
    ("address", "why"), [(UNKNOWN, "address-unknown"), (AMBIGUOUS, "address-ambiguous")], ids=["unknown", "ambiguous"]
)
async def test_a_booking_waits_for_a_pin_and_then_goes_on(http: httpx.AsyncClient, address: str, why: str) -> None:
    booking = await a_booking(http, await a_client(http), a_trip(address), a_trip())

    waiting, ready = booking["trips"]
    assert (booking["state"], waiting["state"], waiting["reason"]) == ("draft", "draft", why)
    assert (waiting["pickup"], ready["state"]) == (None, "confirmed")
    place_id = waiting["from_place_id"]
    assert found(await http.get(f"/v1/dispatch/places/{place_id}"))["lat"] is None

    pinned = found(await http.put(f"/v1/dispatch/places/{place_id}/pin", json={"lat": 46.21, "lon": 6.15}))

    assert (pinned["label"], pinned["source"], pinned["confidence"]) == (address, "pin", 1.0)
    moved = await _trip(http, booking)
    assert (moved["state"], moved["reason"]) == ("confirmed", "")
    assert moved["pickup"]["earliest"] < moved["dropoff"]["latest"]
    assert (await a_booking(http, booking["client_id"], a_trip(address)))["state"] == "confirmed"


@pytest.mark.parametrize("kind", ["500", "reset", "bad_json", "503"])
async def test_nothing_is_lost_while_nobody_can_be_asked(
    home: Home, http: httpx.AsyncClient, worker: Worker, fault: Fault, kind: str
) -> None:
    fault(kind)
    booking = await a_booking(http, await a_client(http), a_trip())
    (trip,) = booking["trips"]
    assert (trip["state"], trip["reason"]) == ("draft", "geocoder-unavailable")
    refused = await http.post("/v1/dispatch/shifts", json=await _a_shift_from_nowhere(http))
    assert (refused.status_code, refused.json()["type"].rpartition("/")[2]) == (503, "geocoder-unavailable")

    await _later(worker, minutes=2)
    assert (await _trip(http, booking))["state"] == "draft"  # they are still away

    fault()
    _ask_again(home)
    for minutes in range(60, 600, 60):
        await _later(worker, minutes=minutes)
        if (await _trip(http, booking))["state"] != "draft":
            break
    moved = await _trip(http, booking)
    assert (moved["state"], moved["reason"]) == ("confirmed", "")
    assert found(await http.get(f"/v1/dispatch/places/{moved['to_place_id']}"))["lat"] is not None


async def test_what_turns_out_to_be_nowhere_says_so(
    home: Home, http: httpx.AsyncClient, worker: Worker, fault: Fault
) -> None:
    fault("503")
    booking = await a_booking(http, await a_client(http), a_trip(UNKNOWN))

    fault()
    _ask_again(home)
    for minutes in range(2, 600, 60):
        await _later(worker, minutes=minutes)
        if (await _trip(http, booking))["reason"] != "geocoder-unavailable":
            break

    waiting = await _trip(http, booking)
    assert (waiting["state"], waiting["reason"]) == ("draft", "address-unknown")


async def test_what_was_found_is_kept_before_the_rest_of_a_long_list_is_asked_for(home: Home, fault: Fault) -> None:
    fault("slow", ms=60_000)
    known = [Address(label=f"Home {number}", point=Point(46.2, 6.1)) for number in range(200)]

    async def place() -> None:
        async with home.house.occasion(tenant=home.tenant) as ctx:
            await place_all(ctx, [*known, Address(label=HOME)])

    placing = asyncio.create_task(place())
    async with home.house.occasion(tenant=home.tenant) as ctx:
        while not placing.done() and not await people.places_called(ctx.db, home.tenant.id, ["Home 0"]):
            await ctx.db.commit()  # what is read next is what is there then
            await asyncio.sleep(0.01)
        placing.cancel()
        await asyncio.wait([placing])

        assert placing.cancelled()
        assert len(await people.places_called(ctx.db, home.tenant.id, [one.label for one in known])) == 200


async def test_a_file_waits_for_the_geocoder_and_is_not_half_booked(
    home: Home, http: httpx.AsyncClient, worker: Worker, fault: Fault
) -> None:
    fault("503")
    heading = "external_id;date;time;last_name;from;to"
    rows = f"{heading}\nA-1;{DAY};10:00;Example;{HOME};{CLINIC}\nA-2;{DAY};10:00;Example;{HOME};{UNKNOWN}\n"
    came = found(await http.post("/v1/dispatch/imports", content=rows.encode(), headers={"content-type": "text/csv"}))
    await worker.run_due()
    assert found(await http.get(f"/v1/dispatch/imports/{came['id']}"))["state"] == "uploaded"

    fault()
    _ask_again(home)
    for minutes in range(2, 600, 60):
        await _later(worker, minutes=minutes)
        if (checked := found(await http.get(f"/v1/dispatch/imports/{came['id']}")))["state"] != "uploaded":
            break

    assert (checked["state"], checked["faulty"]) == ("checked", 1)
    (problem,) = found(await http.get(f"/v1/dispatch/imports/{came['id']}/problems"))["items"]
    assert (problem["row"], problem["column"], problem["code"]) == (3, "to", "address-unknown")


async def test_a_patient_s_booking_is_only_requested_when_its_address_is_found(
    home: Home, http: httpx.AsyncClient
) -> None:
    client_id = await a_client(http)
    async with bound(home, http, "patient", client=client_id) as patient:
        booking = await a_booking(patient, client_id, a_trip(UNKNOWN))
        place_id = booking["trips"][0]["from_place_id"]
        pin = {"lat": 46.21, "lon": 6.15}
        assert (await patient.put(f"/v1/dispatch/places/{place_id}/pin", json=pin)).status_code == 403

    found(await http.put(f"/v1/dispatch/places/{place_id}/pin", json=pin))

    assert (await _trip(http, booking))["state"] == "requested"
    nowhere = UUID(int=1)
    assert (await http.put(f"/v1/dispatch/places/{nowhere}/pin", json=pin)).status_code == 404


class Ahead:
    """A clock that is ahead, and on which nobody sleeps for long."""

    def __init__(self, minutes: int) -> None:
        self._ahead = timedelta(minutes=minutes)

    def now(self) -> datetime:
        """What it says."""
        return datetime.now(UTC) + self._ahead

    async def sleep(self, seconds: float) -> None:
        """Return soon."""
        await asyncio.sleep(min(seconds, 0.05))


def _ask_again(home: Home) -> None:
    """Close the breakers, which leave a source alone for half a minute of real time whatever the clock of a test says."""
    board = home.house.port(Board)
    for key, _, _ in list(board.states()):
        board.breaker(key).close()


async def _later(worker: Worker, *, minutes: int) -> None:
    """Let the worker do what is due so much later."""
    with clock.using(Ahead(minutes)):
        await worker.run_due()


async def _a_shift_from_nowhere(http: httpx.AsyncClient) -> dict[str, Any]:
    return {
        "driver_id": await a_driver(http),
        "vehicle_id": await a_vehicle(http),
        "base": {"label": HOME},
        "starts_at": f"{DAY}T06:00:00Z",
        "ends_at": f"{DAY}T14:00:00Z",
    }
