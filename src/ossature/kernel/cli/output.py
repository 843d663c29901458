"""What verbs print: tables for people, JSON for programs. Answers go to standard output, remarks to standard error."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import orjson
import typer

# rich is imported where people look: it costs half of the time of an answer to a program.
_OPTIONS = orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS | orjson.OPT_UTC_Z


class Output:
    """Prints for people or for programs; colours only on a terminal, and never with NO_COLOR."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json

    def value(self, value: Any, text: str | None = None) -> None:  # noqa: ANN401 - any JSON value
        """One answer: `value` for programs, `text` for people (or the value's own text)."""
        if self.as_json:
            typer.echo(orjson.dumps(value, default=str, option=_OPTIONS))
        else:
            typer.echo(text if text is not None else str(value))

    def table(self, rows: Sequence[Mapping[str, Any]], *, empty: str = "Nothing there.") -> None:
        """Rows with the same names: a JSON list for programs, a table for people."""
        if self.as_json:
            typer.echo(orjson.dumps(list(rows), default=str, option=_OPTIONS))
            return
        if not rows:
            typer.echo(empty)
            return
        from rich.console import Console  # noqa: PLC0415 - see above
        from rich.table import Table  # noqa: PLC0415 - see above

        table = Table(box=None, pad_edge=False, header_style="bold")
        for name in rows[0]:
            table.add_column(name, overflow="fold")
        for row in rows:
            table.add_row(*(_cell(row[name]) for name in rows[0]))
        # In a pipe lines are not broken: whoever reads them has a width of their own.
        Console(width=None if sys.stdout.isatty() else 1000, soft_wrap=not sys.stdout.isatty()).print(table)

    def remark(self, text: str) -> None:
        """Something that a person may want to know and no program reads."""
        typer.echo(text, err=True)

    @contextmanager
    def working(self, what: str) -> Iterator[None]:
        """A sign of life during work that may take longer than two seconds."""
        if self.as_json or not sys.stderr.isatty():
            yield
            return
        from rich.console import Console  # noqa: PLC0415 - see above

        with Console(stderr=True).status(what):
            yield


def _cell(value: object) -> str:
    from rich.markup import escape  # noqa: PLC0415 - see above

    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, (dict, list, tuple)):
        return escape(orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS).decode())
    return escape(f"{value:%Y-%m-%d %H:%M:%S}" if hasattr(value, "strftime") else str(value))
