"""Tables of values: read on wide screens as rows, on narrow ones as cards, and taken away as CSV or JSON."""

import csv
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from nicegui import ui

from ossature.kernel.console.parts import button, link, tag
from ossature.kernel.i18n.words import Words

T = TypeVar("T")

WORDS = Words("console.table", {"csv": "CSV", "json": "JSON", "export": "Take this list away"})
# A spreadsheet takes text that begins like this for a formula, and runs it.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, slots=True)
class Column(Generic[T]):
    """A column. text: what a cell says. draw: how it looks, where that is more than text. path: where it leads."""

    title: str
    text: Callable[[T], str]
    draw: Callable[[T], object] | None = None
    path: Callable[[T], str] | None = None
    numeric: bool = False
    tight: bool = False


def table(rows: Sequence[T], columns: Sequence[Column[T]]) -> None:
    """Rows of values. Must stand in a panel, whose edges it meets."""
    with tag("div", cls="o-scroll"), tag("table", cls="o-table"):
        with tag("thead"), tag("tr"):
            for column in columns:
                if column.title:
                    tag("th", column.title, _look(column), scope="col")
                else:
                    tag("td")
        with tag("tbody"):
            for row in rows:
                with tag("tr"):
                    for column in columns:
                        _cell(row, column)


def _cell(row: T, column: Column[T]) -> None:
    plain = column.draw is None and column.path is None
    with tag("td", column.text(row) if plain else None, _look(column), data_title=column.title):
        if column.draw is not None:
            column.draw(row)
        elif column.path is not None:
            link(column.text(row), column.path(row))


def _look(column: Column[T]) -> str:
    return "o-number" if column.numeric else "o-tight" if column.tight else ""


def exports(name: str, rows: Callable[[], Sequence[T]], columns: Sequence[Column[T]]) -> None:
    """Buttons that hand the rows over as a file."""

    async def as_table() -> None:
        ui.download.content(as_csv(rows(), columns), f"{name}.csv", "text/csv")

    async def as_document() -> None:
        ui.download.content(as_json(rows(), columns), f"{name}.json", "application/json")

    with tag("div", cls="o-row", role="group", aria_label=WORDS("export")):
        button(WORDS("csv"), as_table, small=True)
        button(WORDS("json"), as_document, small=True)


def as_csv(rows: Sequence[T], columns: Sequence[Column[T]]) -> str:
    """The rows as CSV (RFC 4180), safe to be opened in a spreadsheet."""
    out = io.StringIO()
    writer = csv.writer(out)
    named = [column for column in columns if column.title]
    writer.writerow([column.title for column in named])
    for row in rows:
        writer.writerow([_harmless(column.text(row)) for column in named])
    return out.getvalue()


def as_json(rows: Sequence[T], columns: Sequence[Column[T]]) -> str:
    """The rows as a JSON array of objects, by the titles of the columns."""
    named = [column for column in columns if column.title]
    return json.dumps([{one.title: one.text(row) for one in named} for row in rows], ensure_ascii=False, indent=2)


def _harmless(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text
