"""`ossature logs`: lines of JSON made readable."""

import sys
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import IO, Annotated, Any

import orjson
import typer

from ossature.kernel.cli.session import Session
from ossature.kernel.observe.logs import LEVELS, ForPeople

app = typer.Typer(no_args_is_help=True, help="Read log lines of a file or of a pipe.")

POLL_S = 0.2


@app.callback()
def group() -> None:
    """Read log lines of a file or of a pipe."""


@app.command()
def tail(
    ctx: typer.Context,
    file: Annotated[Path | None, typer.Argument(help="The file; standard input by default.")] = None,
    *,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Wait for more.")] = False,
    level: Annotated[str, typer.Option(help="This level and worse: debug, info, warning, error.")] = "debug",
    event: Annotated[str, typer.Option(help="Only events whose name begins so.")] = "",
    trace: Annotated[str, typer.Option(help="Only lines of this trace or request.")] = "",
    zone: Annotated[str, typer.Option(help="IANA zone of the times shown.")] = "UTC",
) -> None:
    """Show log lines for people, chosen by level, event, trace or request.

    Example: journalctl -u ossature -o cat -f | ossature logs tail --level warning
    """
    if level not in LEVELS:
        raise typer.BadParameter(f"--level: one of {', '.join(LEVELS)}")
    session = Session.of(ctx)
    render = ForPeople(zone, colors=sys.stdout.isatty())
    with sys.stdin.buffer if file is None else file.open("rb") as stream:
        for line in _lines(stream, follow=follow):
            fields = _parsed(line)
            if fields is None:
                typer.echo(line.rstrip(b"\n"))
            elif _wanted(fields, level=level, event=event, trace=trace):
                typer.echo(line.rstrip(b"\n") if session.out.as_json else render(fields).rstrip(b"\n"))


def _lines(stream: IO[bytes], *, follow: bool) -> Iterator[bytes]:
    part = b""
    while True:
        read = stream.readline()
        part += read
        if part.endswith(b"\n"):
            yield part
            part = b""
        elif not read and not follow:
            if part:
                yield part
            return
        elif not read:
            time.sleep(POLL_S)


def _parsed(line: bytes) -> dict[str, Any] | None:
    """The fields of a line of ours; None for lines of others, JSON or not."""
    try:
        fields = orjson.loads(line)
        if not isinstance(fields, dict) or not fields.keys() >= {"at", "level", "event"}:
            return None
        datetime.fromisoformat(str(fields["at"]))
    except ValueError:
        return None
    return fields


def _wanted(fields: dict[str, Any], *, level: str, event: str, trace: str) -> bool:
    return (
        LEVELS.get(str(fields.get("level")), LEVELS["error"]) >= LEVELS[level]
        and str(fields.get("event", "")).startswith(event)
        and (not trace or trace in (fields.get("trace_id"), fields.get("request_id")))
    )
