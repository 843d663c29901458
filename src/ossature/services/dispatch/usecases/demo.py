"""A day of a small transport company, so that every list has something to show: addresses are pinned, nobody is asked."""

import random
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from ossature.kernel.context import Ctx
from ossature.services.dispatch.domain.bookings import Client, Origin, Requirement, Wheelchair
from ossature.services.dispatch.domain.fleet import DriverKind
from ossature.services.dispatch.domain.loads import Load
from ossature.services.dispatch.domain.places import Point
from ossature.services.dispatch.domain.plans import local_day
from ossature.services.dispatch.domain.windows import TimeRule
from ossature.services.dispatch.store import fleet as store
from ossature.services.dispatch.store import people
from ossature.services.dispatch.usecases.bookings import BookingWish, TripWish, book_all
from ossature.services.dispatch.usecases.clients import ClientWish, add_clients
from ossature.services.dispatch.usecases.fleet import (
    DriverWish,
    ShiftWish,
    VehicleWish,
    add_driver,
    add_shift,
    add_vehicle,
)
from ossature.services.dispatch.usecases.placing import Address
from ossature.services.dispatch.usecases.planning import request_plan

_DUTIES, _CLIENTS = 5, 24
_DEPOT = Address(label="Depot", point=Point(46.200, 6.140))
_CLINICS = (
    Address(label="North clinic", point=Point(46.232, 6.125)),
    Address(label="Lake hospital", point=Point(46.212, 6.168)),
    Address(label="Hill dialysis", point=Point(46.183, 6.152)),
)
_LAYOUTS = (Load(4), Load(2, 1), Load(1, 0, 1))


async def fill_demo(ctx: Ctx) -> None:
    """Five duties, two dozen clients who are brought to a clinic and back tomorrow, and a plan under way."""
    if await store.driver_numbered(ctx.db, ctx.tenant.id, "DEMO-1") is not None:
        return  # it is there already
    tomorrow = local_day(ctx.now, ctx.tenant.zone) + timedelta(days=1)
    dawn = datetime.combine(tomorrow, time(6), ZoneInfo(ctx.tenant.zone)).astimezone(UTC)
    await _book(ctx, dawn)
    for number in range(_DUTIES, 0, -1):  # the first one last: it says that all is there
        await _duty(ctx, number, dawn)
    await request_plan(ctx, tomorrow, time_limit_s=2.0)


async def _duty(ctx: Ctx, number: int, dawn: datetime) -> None:
    if await store.driver_numbered(ctx.db, ctx.tenant.id, f"DEMO-{number}") is not None:
        return
    kind = DriverKind.RESERVE if number == _DUTIES else DriverKind.REGULAR
    driver = await add_driver(ctx, DriverWish(number=f"DEMO-{number}", name=f"Driver {number}", kind=kind))
    van = VehicleWish(plate=f"DEMO {number}", name=f"Van {number}", layouts=_LAYOUTS)
    vehicle = await add_vehicle(ctx, van)
    begins = dawn + timedelta(minutes=30 * (number % 3))
    times = {"starts_at": begins, "ends_at": begins + timedelta(hours=9)}
    await add_shift(ctx, ShiftWish(driver_id=driver.id, vehicle_id=vehicle.id, base=_DEPOT, **times))


async def _book(ctx: Ctx, dawn: datetime) -> None:
    """The clients and their trips, unless they were made before."""
    references = [f"DEMO-{number}" for number in range(1, _CLIENTS + 1)]
    if await people.clients_referred(ctx.db, ctx.tenant.id, references[:1]):
        return
    wishes = [ClientWish(reference=one, last_name=f"Client {number}") for number, one in enumerate(references, 1)]
    clients = await add_clients(ctx, wishes)
    chance = random.Random(7)  # noqa: S311 - the same day each time
    times = [dawn + timedelta(minutes=90 + 15 * chance.randrange(20)) for _ in clients]
    await book_all(
        ctx,
        [
            _there_and_back(number, client, at, chance)
            for number, (client, at) in enumerate(zip(clients, times, strict=True), 1)
        ],
    )


def _there_and_back(number: int, client: Client, at: datetime, chance: random.Random) -> BookingWish:
    point = Point(46.205 + chance.uniform(-0.05, 0.05), 6.145 + chance.uniform(-0.06, 0.06))
    home = Address(label=f"{number} Demo Street", point=point)
    clinic = _CLINICS[number % len(_CLINICS)]
    chair = Wheelchair.MANUAL if number % 6 == 0 else Wheelchair.NONE
    need = Requirement(wheelchair=chair, escorts=int(number % 5 == 0))
    there = TripWish(origin=home, destination=clinic, time_rule=TimeRule.ARRIVE_BY, at=at, requirement=need)
    later = at + timedelta(hours=2)
    back = TripWish(origin=clinic, destination=home, time_rule=TimeRule.PICK_UP_AT, at=later, requirement=need)
    return BookingWish(client_id=client.id, trips=[there, back], origin=Origin.PHONE)
