"""Log lines: an event name and fields, JSON in UTC, or for people when a terminal is there.

    log = structlog.get_logger()
    log.info("plan.stored", trips=12, duration_ms=340)

Every line carries the ids of what it belongs to (request, tenant, job, trace), which `bind` sets for the current task.
Personal data and secrets are masked in every line, wherever they come from. Source: twelve-factor app, XI.
"""

import logging
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from typing import IO, Any
from zoneinfo import ZoneInfo

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from ossature.kernel import clock
from ossature.kernel.observe import tracing
from ossature.kernel.observe.masking import Masker
from ossature.kernel.observe.settings import ObserveSettings
from ossature.kernel.observe.writer import LineWriter

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
KEPT_OF_BURST = 100
_JSON = orjson.OPT_UTC_Z | orjson.OPT_APPEND_NEWLINE | orjson.OPT_NON_STR_KEYS
_NO_IDS: Mapping[str, str] = {}
# These say at level info what our own lines say already, one by one.
_CHATTY = (
    "aiosqlite",
    "asyncio",
    "httpx",
    "httpcore",
    "urllib3",
    "taskiq",
    "aio_pika",
    "aiormq",
    "alembic",
    "uvicorn.access",
)

ids: ContextVar[Mapping[str, str]] = ContextVar("ossature_log_ids", default=_NO_IDS)
"""Ids that every line of the current task carries. The edge sets a fresh dict per request: `ids.set({...})`."""

masker = Masker()
"""What hides personal data and secrets; `masker.hide(values)` at boot teaches it ours."""


@contextmanager
def bound(**names: str) -> Iterator[None]:
    """Lines that are written inside this block carry these ids as well."""
    token = ids.set({**ids.get(), **names})
    try:
        yield
    finally:
        ids.reset(token)


class Burst:
    """Lets through so many lines of one event per second, then one in a hundred; says how many are missing.

    Levels are not mixed: a burst of information never hides an error.
    """

    def __init__(self, per_second: int) -> None:
        self._per_second = per_second
        self._second = 0
        self._seen: dict[tuple[str, str], int] = {}
        self._suppressed: dict[tuple[str, str], int] = {}

    def __call__(self, logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
        """The line, with `suppressed` if some before it were left out. Raises: DropEvent."""
        del logger
        second = int(time.monotonic())
        if second != self._second:
            self._second = second
            self._seen.clear()
        key = (method, str(event.get("event")))
        seen = self._seen[key] = self._seen.get(key, 0) + 1
        if seen > self._per_second and seen % KEPT_OF_BURST:
            self._suppressed[key] = self._suppressed.get(key, 0) + 1
            raise structlog.DropEvent
        suppressed = self._suppressed.pop(key, 0)
        if suppressed:
            event["suppressed"] = suppressed
        return event


def _add_ids(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    del logger, method
    for name, value in ids.get().items():
        event.setdefault(name, value)
    span = tracing.current.get()
    if span is not None:
        event.setdefault("trace_id", span.trace_id)
        event.setdefault("span_id", span.span_id)
    return event


def _add_time(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    del logger
    event["at"] = clock.now()
    event.setdefault("level", method)
    return event


def _mask(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    del logger, method
    field = masker.field
    return {name: value if name in {"at", "level"} else field(name, value) for name, value in event.items()}


def _plain(value: object) -> str:
    return str(value)


def encode(event: Mapping[str, Any]) -> bytes:
    """One JSON line: time and level first, then the event name, then the fields."""
    first = {"at": event["at"], "level": event["level"], "event": event.get("event")}
    return orjson.dumps({**first, **event}, default=_plain, option=_JSON)


class ForPeople:
    """Lines with colours and a local time, for a terminal."""

    def __init__(self, zone: str, *, colors: bool) -> None:
        self._zone = ZoneInfo(zone)
        self._render = structlog.dev.ConsoleRenderer(colors=colors, timestamp_key="at", pad_event_to=28)

    def __call__(self, event: MutableMapping[str, Any]) -> bytes:
        """One line; `event` has at least `at` (an instant, or one in ISO 8601), `level` and `event`."""
        at = event["at"]
        at = datetime.fromisoformat(at) if isinstance(at, str) else at
        event["at"] = f"{at.astimezone(self._zone):%H:%M:%S.%f}"[:-3]
        return (str(self._render(None, event["level"], event)) + "\n").encode()


class _Logger:
    """The last step of structlog: hands the line to the writer, at once if it is a warning or worse."""

    def __init__(self, writer: LineWriter) -> None:
        self.debug = self.info = self.msg = writer.write
        self.warning = self.warn = self.error = self.critical = self.exception = self.fatal = self._at_once
        self._writer = writer

    def _at_once(self, line: bytes) -> None:
        self._writer.write(line, now=True)


class Bridge(logging.Handler):
    """Carries lines of the standard library's `logging` (uvicorn, SQLAlchemy, ...) into ours."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record as the event `library.said`, with the name of its logger."""
        logger = structlog.get_logger("library")
        level = next((name for name in ("error", "warning", "info") if record.levelno >= LEVELS[name]), "debug")
        fields: dict[str, Any] = {"logger": record.name, "said": record.getMessage()}
        if record.exc_info:
            fields["exc_info"] = record.exc_info
        getattr(logger, level)("library.said", **fields)


recent: deque[bytes] = deque(maxlen=200)
"""The last lines of level warning and worse of this process, for the console and for `/health/detailed`."""


def _remember(event: EventDict, line: bytes) -> None:
    if LEVELS.get(str(event.get("level")), logging.ERROR) >= logging.WARNING:
        recent.append(line)


def configure(
    settings: ObserveSettings,
    *,
    stream: IO[bytes] | None = None,
    secrets: Iterable[str] = (),
    told: Iterable[Processor] = (),
) -> LineWriter:
    """Set up logging for this process; the writer, which the access log shares.

    stream: where lines go, standard error by default (standard output belongs to the answers of the CLI).
    secrets: values of secret settings, never to be shown. told: who else hears of each line, with its exception.
    """
    masker.hide(secrets)
    target = stream or sys.stderr.buffer
    writer = LineWriter(target, flush_s=settings.log_flush_s)
    terminal = target.isatty()
    people = settings.log_format == "console" or (settings.log_format == "auto" and terminal)
    render = ForPeople(settings.log_zone, colors=terminal) if people else encode

    def finish(logger: WrappedLogger, method: str, event: EventDict) -> tuple[tuple[bytes], dict[str, bool]]:
        del logger, method
        line = render(event)
        _remember(event, line)
        return (line,), {}

    structlog.configure(
        processors=[
            Burst(settings.log_burst),
            structlog.contextvars.merge_contextvars,
            _add_ids,
            _add_time,
            *told,
            structlog.processors.StackInfoRenderer(),
            structlog.processors.format_exc_info,
            _mask,
            finish,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[settings.log_level]),
        context_class=dict,
        logger_factory=lambda *_: _Logger(writer),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    root.handlers[:] = [Bridge()]
    root.setLevel(LEVELS[settings.log_level])
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
    return writer


class AccessLog:
    """One line per exchange, cheaply: no processors and no masking, one JSON encoding.

    Who calls gives ids, a route template and numbers, nothing that a person typed.
    """

    def __init__(self, writer: LineWriter) -> None:
        self._write = writer.write

    def __call__(self, fields: Mapping[str, Any]) -> None:
        """Write the line `http.request` with these fields."""
        self._write(
            orjson.dumps(
                {"at": clock.now(), "level": "info", "event": "http.request", **fields}, default=_plain, option=_JSON
            )
        )
