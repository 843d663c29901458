"""A small company over the API: a depot, a van with a driver, a client and what they book."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from ossature.kernel.testing.houses import Home

DAY = "2031-03-03"
SIX = datetime(2031, 3, 3, 6, tzinfo=UTC)
DEPOT = {"label": "Depot", "lat": 46.21, "lon": 6.15}
HOME = {"label": "1 Station Road", "lat": 46.20, "lon": 6.14}
CLINIC = {"label": "2 Hospital Street", "lat": 46.22, "lon": 6.16}


PASSWORD = "a green horse under 4 stairs"


@asynccontextmanager
async def bound(home: Home, admin: httpx.AsyncClient, role: str, **to: str) -> AsyncIterator[httpx.AsyncClient]:
    """Calls of somebody with a role who stands for a client, a driver or a requester."""
    email = f"{role}-{len(to)}@example.org"
    person = {"email": email, "name": role, "password": PASSWORD, "roles": [role], "bound": to}
    found(await admin.post("/v1/auth/users", json=person))
    login = {"email": email, "password": PASSWORD, "tenant": home.tenant.slug}
    token = found(await admin.post("/v1/auth/login", json=login))["access_token"]
    async with home.client(secret=token) as client:
        yield client


def found(answer: httpx.Response) -> Any:
    assert answer.is_success, f"{answer.request.url}: {answer.text}"
    return answer.json()


async def a_driver(http: httpx.AsyncClient, number: str = "D1", **more: Any) -> str:
    made = found(await http.post("/v1/dispatch/drivers", json={"number": number, "name": f"Driver {number}", **more}))
    return str(made["id"])


async def a_vehicle(http: httpx.AsyncClient, plate: str = "GE 1", **more: Any) -> str:
    van = {"plate": plate, "name": f"Van {plate}", "layouts": [{"seats": 4}, {"seats": 2, "wheelchairs": 1}], **more}
    return str(found(await http.post("/v1/dispatch/vehicles", json=van))["id"])


async def a_shift(http: httpx.AsyncClient, number: str = "1") -> dict[str, Any]:
    wish = {
        "driver_id": await a_driver(http, f"D{number}"),
        "vehicle_id": await a_vehicle(http, f"GE {number}"),
        "base": DEPOT,
        "starts_at": SIX.isoformat(),
        "ends_at": (SIX + timedelta(hours=10)).isoformat(),
    }
    made: dict[str, Any] = found(await http.post("/v1/dispatch/shifts", json=wish))
    return made


async def a_client(http: httpx.AsyncClient, reference: str = "C1") -> str:
    made = found(await http.post("/v1/dispatch/clients", json={"reference": reference, "last_name": "Example"}))
    return str(made["id"])


def a_trip(hours: float = 3, **more: Any) -> dict[str, Any]:
    at = SIX + timedelta(hours=hours)
    return {"from": HOME, "to": CLINIC, "time_rule": "arrive_by", "at": at.isoformat(), **more}


async def a_booking(http: httpx.AsyncClient, client_id: str, *trips: dict[str, Any], **more: Any) -> dict[str, Any]:
    wish = {"client_id": client_id, "trips": list(trips) or [a_trip()], **more}
    made: dict[str, Any] = found(await http.post("/v1/dispatch/bookings", json=wish))
    return made
