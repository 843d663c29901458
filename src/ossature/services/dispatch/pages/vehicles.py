"""Vehicles: how each can be arranged, what it carries, and when it is out."""

from collections.abc import Callable, Sequence
from uuid import UUID

from ossature.kernel.console import say
from ossature.kernel.console.parts import tag
from ossature.kernel.console.search import Hit
from ossature.kernel.console.table import Column
from ossature.kernel.console.visit import Visit
from ossature.kernel.context import Ctx
from ossature.kernel.db.listing import Found, ListQuery
from ossature.kernel.i18n.words import Words
from ossature.services.dispatch.domain.fleet import Vehicle
from ossature.services.dispatch.pages.days import today
from ossature.services.dispatch.pages.fleet import Kind, draw_list, draw_one, hits
from ossature.services.dispatch.pages.states import load_said, needs_said
from ossature.services.dispatch.store import roster
from ossature.services.dispatch.store.search import find_vehicles
from ossature.services.dispatch.usecases.fleet import read_vehicle
from ossature.services.dispatch.usecases.seeing import own_driver

WORDS = Words(
    "dispatch.vehicles",
    {
        "title": "Vehicles",
        "note": "How each can be arranged, and what it has on board.",
        "search": "Plate or name",
        "code": "Plate",
        "name": "Name",
        "layouts": "Can be arranged for",
        "either": "{one}, or {rest}",
        "equipment": "Equipment",
        "state": "State",
        "active": "In service",
        "off": "Out of service",
        "since": "Since",
        "shifts": "Shifts of {day}",
        "to_come": "Shifts from today on",
        "none": "No vehicle fits",
        "none_text": "Search by fewer words.",
        "none_yet": "No vehicles yet",
        "none_yet_text": "Vehicles are added over the API, each with the ways in which it can be arranged.",
    },
)


async def vehicles(visit: Visit) -> None:
    """Draw the list."""
    await draw_list(visit, _VEHICLES)


async def vehicle(visit: Visit, *, vehicle_id: UUID) -> None:
    """Draw one vehicle. Raises: VehicleNotFound."""
    async with visit.ctx("read:fleet") as ctx:
        found = await read_vehicle(ctx, vehicle_id)
        mine = own_driver(ctx.actor)
        shifts = await roster.shifts_since(ctx.db, ctx.tenant.id, today(visit), vehicle_id=vehicle_id, driver_id=mine)
    said: list[tuple[str, str | Callable[[], object]]] = [
        (WORDS("layouts"), lambda: _layouts(found)),
        (WORDS("equipment"), needs_said(found.equipment) or say.NOTHING),
        (WORDS("since"), say.instant(found.created_at, visit.tenant.zone)),
    ]
    draw_one(visit, _VEHICLES, found, said=said, shifts=shifts)


async def find(visit: Visit, text: str) -> Sequence[Hit]:
    """Vehicles by their plate or name."""
    return await hits(visit, _VEHICLES, text)


async def _find(ctx: Ctx, query: ListQuery, text: str) -> Found[Vehicle]:
    return await find_vehicles(ctx.db, ctx.tenant.id, query, text=text)


def _layouts(one: Vehicle) -> None:
    for layout in one.layouts:
        tag("div", load_said(layout))


def _arranged(one: Vehicle) -> str:
    said = load_said(one.layouts[0]) if one.layouts else say.NOTHING
    for layout in one.layouts[1:]:
        said = WORDS("either", one=said, rest=load_said(layout))
    return said


def _columns() -> list[Column[Vehicle]]:
    return [
        *_VEHICLES.first_columns(),
        Column(WORDS("layouts"), _arranged, _layouts),
        Column(WORDS("equipment"), lambda one: needs_said(one.equipment) or say.NOTHING),
    ]


_VEHICLES: Kind[Vehicle] = Kind(
    path="/dispatch/vehicles", words=WORDS, code=lambda one: one.plate, find=_find, columns=_columns
)
