"""What the pages of drivers and of vehicles share: the list beside the shifts of a day, and one alone with those to come."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar
from uuid import UUID

from ossature.kernel.console.parts import drawn, empty, facts, lamp, panel, tag
from ossature.kernel.console.search import Hit
from ossature.kernel.console.shell import heading
from ossature.kernel.console.table import Column, exports, table
from ossature.kernel.console.visit import Visit
from ossature.kernel.context import Ctx
from ossature.kernel.db.listing import Found, ListQuery
from ossature.kernel.i18n.words import Words
from ossature.services.dispatch.domain.roster import ShiftView
from ossature.services.dispatch.pages.days import asked_day, chooser, long_day, zone_note
from ossature.services.dispatch.pages.lists import Address
from ossature.services.dispatch.pages.shifts import shift_table
from ossature.services.dispatch.store import roster
from ossature.services.dispatch.usecases.seeing import own_driver

_HITS = 6


class Unit(Protocol):
    """A driver or a vehicle."""

    @property
    def id(self) -> UUID:
        """Which one."""

    @property
    def name(self) -> str:
        """As it is called."""

    @property
    def active(self) -> bool:
        """Whether it may be planned."""


T = TypeVar("T", bound=Unit)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind(Generic[T]):
    """Drivers, or vehicles. code: the number or plate. find: one page of those that have these words."""

    path: str
    words: Words
    code: Callable[[T], str]
    find: Callable[[Ctx, ListQuery, str], Awaitable[Found[T]]]
    columns: Callable[[], Sequence[Column[T]]]

    def state(self, one: T) -> str:
        """Whether it is in service, in words."""
        return self.words("active" if one.active else "off")

    def state_lamp(self, one: T) -> None:
        """The same as a lamp."""
        lamp("good" if one.active else "off", self.state(one))

    def first_columns(self) -> list[Column[T]]:
        """Name, number or plate, and state, with which every list begins."""
        return [
            Column(self.words("name"), self.called, path=lambda one: f"{self.path}/{one.id}"),
            Column(self.words("code"), self.code, tight=True),
            Column(self.words("state"), self.state, self.state_lamp, tight=True),
        ]

    def called(self, one: T) -> str:
        """Its name, or the code of one without."""
        return one.name or self.code(one)


async def draw_list(visit: Visit, kind: Kind[T]) -> None:
    """Draw the list of a kind, with the shifts of the day that is asked for."""
    asked = Address(visit, kind.path, ("day", "q"))
    shown: list[T] = []
    words, columns, day = kind.words, kind.columns(), asked_day(visit)
    heading(words("title"), note=" ".join(filter(None, (words("note"), zone_note(visit)))))

    async def draw() -> None:
        async with visit.ctx("read:fleet") as ctx:
            found = await kind.find(ctx, asked.query(str), asked["q"])
            shifts = await roster.shifts_of_day(ctx.db, ctx.tenant.id, day, driver_id=own_driver(ctx.actor))
        shown[:] = found.items
        with tag("div", cls="o-stack"):
            if visit.may("read:planning"):
                with panel(words("shifts", day=long_day(day))):
                    shift_table(visit, shifts)
            name = kind.path.rpartition("/")[2]
            with panel(words("title"), actions=lambda: exports(name, lambda: shown, columns)):
                if shown:
                    table(shown, columns)
                    asked.pager(found.next)
                else:
                    key = "none" if asked["q"] else "none_yet"
                    empty(words(key), words(f"{key}_text"))

    with tag("div", cls="o-stack"):
        with tag("div", cls="o-row"):
            if visit.may("read:planning"):
                chooser(visit, day, lambda one: asked.but(day=one.isoformat()))
            asked.finder(words("search"))
        await drawn(30.0, draw)


def draw_one(
    visit: Visit,
    kind: Kind[T],
    one: T,
    *,
    said: Sequence[tuple[str, str | Callable[[], object]]],
    shifts: Sequence[ShiftView],
) -> None:
    """Draw one of a kind alone, with what is said of it and its shifts to come."""
    heading(kind.called(one), note=zone_note(visit), trail=[(kind.words("title"), kind.path)])
    with tag("div", cls="o-stack"):
        with panel():
            first: list[tuple[str, str | Callable[[], object]]] = [
                (kind.words("code"), kind.code(one)),
                (kind.words("state"), lambda: kind.state_lamp(one)),
            ]
            facts([*first, *said])
        if visit.may("read:planning"):
            with panel(kind.words("to_come")):
                shift_table(visit, shifts, with_day=True)


async def hits(visit: Visit, kind: Kind[T], text: str) -> Sequence[Hit]:
    """Those of a kind that the palette offers for some words."""
    if not text:
        return []
    async with visit.ctx("read:fleet") as ctx:
        found = await kind.find(ctx, ListQuery(limit=_HITS), text)
    return [Hit(title=one.name, note=kind.code(one), path=f"{kind.path}/{one.id}") for one in found.items]
