"""kill -9 while a day is planned: the day is planned all the same, once."""

import time
from pathlib import Path

import pytest

from tests.journeys.product import Product

DAY = "2031-03-03"


def _made(product: Product, path: str, body: object) -> dict[str, object]:
    status, answer = product.ask("POST", f"/v1/dispatch/{path}", body)
    assert status in {201, 202}, answer
    return answer


@pytest.mark.journey
def test_a_day_plan_that_is_killed_is_finished_after_the_restart(tmp_path: Path) -> None:
    depot = {"label": "Depot", "lat": 46.21, "lon": 6.15}
    home = {"label": "1 Station Road", "lat": 46.20, "lon": 6.14}
    with Product(tmp_path, {"OSSATURE_JOBS_LEASE_S": "2"}) as product:
        driver = _made(product, "drivers", {"number": "1", "name": "Driver"})
        vehicle = _made(product, "vehicles", {"plate": "GE 1", "name": "Van", "layouts": [{"seats": 4}]})
        times = {"starts_at": f"{DAY}T06:00:00Z", "ends_at": f"{DAY}T14:00:00Z"}
        who = {"driver_id": driver["id"], "vehicle_id": vehicle["id"]}
        _made(product, "shifts", {**who, **times, "base": depot})
        client = _made(product, "clients", {"reference": "1", "last_name": "Example"})
        trip = {"from": home, "to": depot, "time_rule": "arrive_by", "at": f"{DAY}T09:00:00Z"}
        _made(product, "bookings", {"client_id": client["id"], "trips": [trip]})
        run = _made(product, "plans", {"day": DAY, "time_limit_s": 4})
        assert _until(product, str(run["id"]), {"running"}) == "running"

        product.kill()
        product.start()

        assert _until(product, str(run["id"]), {"succeeded", "failed", "cancelled"}) == "succeeded"
        plans = product.ask("GET", f"/v1/dispatch/plans?day={DAY}")[1]["items"]
        assert [plan["number"] for plan in plans] == [1]
        (booked,) = product.ask("GET", f"/v1/dispatch/trips?day={DAY}")[1]["items"]
        assert booked["state"] == "planned"


def _until(product: Product, run_id: str, states: set[str]) -> str:
    """The state of a run once it is one of these, within three minutes."""
    limit = time.monotonic() + 180
    state = ""
    while state not in states and time.monotonic() < limit:
        time.sleep(0.1)
        state = str(product.ask("GET", f"/v1/dispatch/runs/{run_id}")[1]["state"])
    return state
