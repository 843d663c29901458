"""Unexpected failures, told to Sentry or to whatever speaks its protocol (GlitchTip, Bugsink), where a DSN is set.

What leaves the house is which error it was, where in the code, at which route or job, and the ids under which our own log
has the rest. Neither the request nor any value goes along: no local variables, no headers, no addresses, no breadcrumbs; the
text of the exception only where `OSSATURE_OBSERVE_SENTRY_MESSAGES` says so, and then masked as log lines are.
"""

import sys
from collections.abc import Mapping
from importlib.metadata import version
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

import structlog
from structlog.typing import EventDict, WrappedLogger

from ossature.kernel.errors import Misconfigured
from ossature.kernel.observe.masking import Masker
from ossature.kernel.observe.settings import ObserveSettings

if TYPE_CHECKING:
    from sentry_sdk.types import Event

RELEASE: Final = f"ossature@{version('ossature')}"
_TOLD: Final = frozenset({"error", "exception", "critical", "fatal"})
_IDS: Final = ("request_id", "trace_id", "job_id", "tenant_id")
_NAMES: Final = ("route", "job", "task", "queue", "part")
_KEPT: Final = frozenset(
    {"event_id", "timestamp", "platform", "level", "logger", "transaction", "release", "environment", "server_name"}
    | {"exception", "tags", "fingerprint", "sdk"}
)
_KEPT_OF_FRAME: Final = (
    "filename",
    "function",
    "module",
    "lineno",
    "in_app",
    "pre_context",
    "context_line",
    "post_context",
)
_CLOSE_LIMIT_S = 3.0


class Reporter:
    """A step of structlog: lines of level error with an exception are told, all lines go on as they are.

    The SDK sends in a thread of its own and drops what it cannot send; nobody waits for it.
    """

    def __init__(self, settings: ObserveSettings, masker: Masker, *, environment: str) -> None:
        if find_spec("sentry_sdk") is None:
            raise Misconfigured("A DSN is set, and telling Sentry needs the extra: pip install 'ossature[sentry]'.")
        import sentry_sdk  # noqa: PLC0415 - only who has a DSN needs it
        from sentry_sdk.utils import BadDsn  # noqa: PLC0415 - likewise

        self._masker = masker
        self._with_messages = settings.sentry_messages
        try:
            self._client = sentry_sdk.Client(
                dsn=settings.sentry_dsn.get_secret_value(),
                release=settings.sentry_release or RELEASE,
                environment=environment,
                default_integrations=False,
                auto_enabling_integrations=False,
                include_local_variables=False,
                send_client_reports=False,
                max_breadcrumbs=0,
                before_send=self._scrubbed,
            )
        except BadDsn as error:
            # What is wrong with it may show it.
            raise Misconfigured(f"{settings.variable('sentry_dsn')} is no DSN.") from error

    def __call__(self, logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
        """Tell of a line if it is about an unexpected failure."""
        del logger
        if method in _TOLD and (error := _error_of(event.get("exc_info"))) is not None:
            self.tell(error, str(event.get("event")), event)
        return event

    def tell(self, error: BaseException, name: str, facts: Mapping[str, Any]) -> None:
        """Tell of an exception. name: of the log line; facts: its fields, of which ids and names of ours are sent."""
        from sentry_sdk.utils import event_from_exception  # noqa: PLC0415 - as above

        event, hint = event_from_exception(error, client_options=self._client.options)
        event["logger"] = name
        event["transaction"] = str(facts.get("route") or facts.get("job") or facts.get("task") or name)
        event["tags"] = {key: str(facts[key]) for key in (*_IDS, *_NAMES) if facts.get(key)}
        self._client.capture_event(event, hint)

    def close(self) -> None:
        """Send what waits, for three seconds at most."""
        self._client.close(timeout=_CLOSE_LIMIT_S)

    def _scrubbed(self, event: "Event", hint: object) -> "Event":
        """What is kept is listed; whatever an SDK of tomorrow adds stays here."""
        del hint
        kept: dict[str, Any] = {name: value for name, value in event.items() if name in _KEPT}
        values = kept.get("exception", {}).get("values", [])
        kept["exception"] = {"values": [self._exception(value) for value in values]}
        return kept  # type: ignore[return-value] # an event with fewer fields

    def _exception(self, value: Mapping[str, Any]) -> dict[str, Any]:
        text = self._masker.text(str(value.get("value") or "")) if self._with_messages else ""
        frames = (value.get("stacktrace") or {}).get("frames", [])
        return {
            "type": value.get("type"),
            "module": value.get("module"),
            "value": text,
            "stacktrace": {
                "frames": [{name: frame[name] for name in _KEPT_OF_FRAME if name in frame} for frame in frames]
            },
        }


def _error_of(said: Any) -> BaseException | None:  # noqa: ANN401 - what `exc_info` may be
    if isinstance(said, BaseException):
        return said
    if isinstance(said, tuple):
        return said[1] if len(said) > 1 and isinstance(said[1], BaseException) else None
    return sys.exc_info()[1] if said else None


def reporter(settings: ObserveSettings, masker: Masker, *, environment: str) -> Reporter | None:
    """Who tells Sentry in this process; None where no DSN is set. Raises: Misconfigured."""
    if not settings.sentry_dsn.get_secret_value():
        return None
    made = Reporter(settings, masker, environment=environment)
    structlog.get_logger().debug("sentry.told", release=settings.sentry_release or RELEASE)
    return made
