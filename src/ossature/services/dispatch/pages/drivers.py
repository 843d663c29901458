"""Drivers: who there is, who drives on a day, and one alone with the shifts to come."""

from collections.abc import Sequence
from uuid import UUID

from ossature.kernel.console import say
from ossature.kernel.console.search import Hit
from ossature.kernel.console.table import Column
from ossature.kernel.console.visit import Visit
from ossature.kernel.context import Ctx
from ossature.kernel.db.listing import Found, ListQuery
from ossature.kernel.i18n.words import Words
from ossature.services.dispatch.domain.fleet import Driver, DriverNotFound
from ossature.services.dispatch.pages.days import today
from ossature.services.dispatch.pages.fleet import Kind, draw_list, draw_one, hits
from ossature.services.dispatch.pages.states import needs_said
from ossature.services.dispatch.store import roster
from ossature.services.dispatch.store.search import find_drivers
from ossature.services.dispatch.usecases.fleet import read_driver
from ossature.services.dispatch.usecases.seeing import own_driver

WORDS = Words(
    "dispatch.drivers",
    {
        "title": "Drivers",
        "note": "Who drives, what they are trained for, and who is on duty.",
        "search": "Name or number",
        "code": "Number",
        "name": "Name",
        "kind": "Kind",
        "regular": "regular",
        "reserve": "reserve",
        "skills": "Trained for",
        "phone": "Phone",
        "state": "State",
        "active": "In service",
        "off": "Out of service",
        "source": "Known from",
        "since": "Since",
        "here": "this system",
        "shifts": "Shifts of {day}",
        "to_come": "Shifts from today on",
        "none": "No driver fits",
        "none_text": "Search by fewer words.",
        "none_yet": "Nobody drives yet",
        "none_yet_text": "Drivers are added over the API, or come out of a synchronisation with the books of the employer.",
    },
)


async def drivers(visit: Visit) -> None:
    """Draw the list."""
    await draw_list(visit, _DRIVERS)


async def driver(visit: Visit, *, driver_id: UUID) -> None:
    """Draw one driver. Raises: DriverNotFound."""
    async with visit.ctx("read:fleet") as ctx:
        if own_driver(ctx.actor) not in (None, driver_id):
            raise DriverNotFound
        found = await read_driver(ctx, driver_id)
        shifts = await roster.shifts_since(ctx.db, ctx.tenant.id, today(visit), driver_id=driver_id)
    said = [
        (WORDS("kind"), WORDS(found.kind.value)),
        (WORDS("skills"), needs_said(found.skills) or say.NOTHING),
        (WORDS("phone"), found.phone or say.NOTHING),
        (WORDS("source"), WORDS("here") if found.source == "here" else found.source),
        (WORDS("since"), say.instant(found.created_at, visit.tenant.zone)),
    ]
    draw_one(visit, _DRIVERS, found, said=said, shifts=shifts)


async def find(visit: Visit, text: str) -> Sequence[Hit]:
    """Drivers by their name or number."""
    return await hits(visit, _DRIVERS, text)


async def _find(ctx: Ctx, query: ListQuery, text: str) -> Found[Driver]:
    return await find_drivers(ctx.db, ctx.tenant.id, query, text=text, only=own_driver(ctx.actor))


def _columns() -> list[Column[Driver]]:
    return [
        *_DRIVERS.first_columns(),
        Column(WORDS("kind"), lambda one: WORDS(one.kind.value), tight=True),
        Column(WORDS("skills"), lambda one: needs_said(one.skills) or say.NOTHING),
        Column(WORDS("phone"), lambda one: one.phone or say.NOTHING),
    ]


_DRIVERS: Kind[Driver] = Kind(
    path="/dispatch/drivers", words=WORDS, code=lambda one: one.number, find=_find, columns=_columns
)
