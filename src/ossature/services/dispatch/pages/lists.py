"""What the lists of drivers and of vehicles share: words to search by, a day, and pages that follow the last row."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from nicegui import ui

from ossature.kernel.console.parts import button, field, link, tag
from ossature.kernel.console.visit import Visit
from ossature.kernel.db.listing import ListQuery, Order
from ossature.kernel.errors import FieldError, InvalidInput
from ossature.kernel.i18n.words import Words

WORDS = Words(
    "dispatch.lists",
    {
        "find": "Find",
        "clear": "Clear",
        "more": "Further ones",
        "first": "Back to the first ones",
        "cursor": "This place in the list is none.",
    },
)

PAGE = 50
_MOST = 200
_DIGITS = 9


def instant_in(text: str) -> datetime:
    """An instant as it stands in an address. Raises: ValueError for what is none, or has no zone."""
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        msg = f"{text} has no zone"
        raise ValueError(msg)
    return found


def number_in(text: str) -> int:
    """A place in a list of no more than a billion. Raises: ValueError."""
    if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS):
        msg = f"{text} is no place in a list"
        raise ValueError(msg)
    return int(text)


class Address:
    """The address of a list page, out of which it is drawn. names: of the parts that say what is shown."""

    def __init__(self, visit: Visit, path: str, names: Sequence[str]) -> None:
        self._visit = visit
        self._path = path
        self._names = (*names, "after")

    def __getitem__(self, name: str) -> str:
        """A part; empty where it is not given."""
        return "".join(one for one in self._visit.query.get(name, "")[:_MOST] if one.isprintable())

    @property
    def narrowed(self) -> bool:
        """Whether anything is asked for but the whole list from its begin."""
        return any(self[name] for name in self._names)

    def but(self, **changed: str) -> str:
        """The page with some parts changed, from the first row on."""
        known = {name: self[name] for name in self._names if name != "after"} | changed
        said = {name: value for name, value in known.items() if value}
        return f"{self._path}?{urlencode(said)}" if said else self._path

    def query(self, read: Callable[[str], object], *sort: Order, key: Callable[[str], object] = UUID) -> ListQuery:
        """The page of the list that is asked for. read, key: a value of the order and the key, out of their texts.

        Raises: InvalidInput for a place in the list that is none.
        """
        said = self["after"]
        if not said:
            return ListQuery(limit=PAGE, sort=sort)
        value, _, row = said.rpartition("~")
        try:
            return ListQuery(limit=PAGE, sort=sort, after=(read(value), key(row)))
        except ValueError as error:
            raise InvalidInput(errors=[FieldError("/after", WORDS("cursor"), "cursor")]) from error

    def finder(self, label: str) -> None:
        """A field for words, which are looked for in the list."""

        async def find() -> None:
            ui.navigate.to(self.but(q=words.value.strip()))

        words = field(label, value=self["q"]).on("keydown.enter", find).style("width: 240px")
        button(WORDS("find"), find, small=True)
        if self["q"]:
            link(WORDS("clear"), self.but(q=""))

    def pager(self, position: tuple[Any, ...] | None) -> None:
        """The ways to the rows that follow, and back to the first ones. position: `Found.next`."""
        if position is None and not self["after"]:
            return
        with tag("div", cls="o-below"):
            if self["after"]:
                link(WORDS("first"), self.but())
            if position is not None:
                value, key = position
                said = value.isoformat() if hasattr(value, "isoformat") else str(value)
                link(WORDS("more"), self.but(after=f"{said}~{key}"))
