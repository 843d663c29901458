"""What will go one day, and how callers are told: `Deprecation`, `Sunset` and `Link` on every answer, and a metric.

A route says so with `@deprecated(date(...))`, a whole version of a service in `Service.deprecated`. The
next version of a service stands beside the first: `Service(versions={2: router})` is served below `/v2/NAME`.
Sources: RFC 9745 (Deprecation), RFC 8594 (Sunset), RFC 5829 (successor-version).
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, time
from email.utils import format_datetime
from string import Formatter
from typing import Any
from urllib.parse import quote

from prometheus_client import Counter

from ossature.kernel.service import Deprecation, Service

USED = Counter(
    "http_deprecated_requests",
    "Requests to routes that will go one day, by whom: their tenant has to be told before that day.",
    ["method", "endpoint", "tenant"],
)


def stands_at(prefix: str, version: int) -> str:
    """Where another version of what stands below `/v1/...` stands."""
    return f"/v{version}{prefix.removeprefix('/v1')}"


def with_successor(deprecation: Deprecation | None, path: str, known: Iterable[str]) -> Deprecation | None:
    """The deprecation with the same path of the next version as its successor, where that is served and none is named."""
    if deprecation is None or deprecation.successor:
        return deprecation
    number, _, rest = path.removeprefix("/v").partition("/")
    later = f"/v{int(number) + 1}/{rest}" if number.isdigit() else ""
    return replace(deprecation, successor=later) if later in set(known) else deprecation


def headers(deprecation: Deprecation, parameters: Mapping[str, Any], public_url: str) -> list[tuple[bytes, bytes]]:
    """What an answer says about the end of its route. parameters: of the path, for the successor's."""
    found = [
        (b"deprecation", b"@%d" % int(_midnight(deprecation.since).timestamp())),
        (b"link", f'<{public_url}/reference/deprecated>; rel="deprecation"; type="text/html"'.encode()),
    ]
    if deprecation.sunset is not None:
        found.append((b"sunset", format_datetime(_midnight(deprecation.sunset), usegmt=True).encode()))
    successor = _filled(deprecation.successor, parameters)
    if successor:
        found.append((b"link", f'<{successor}>; rel="successor-version"'.encode()))
    return found


def told(deprecation: Deprecation) -> dict[str, Any]:
    """What the OpenAPI document says of it."""
    found: dict[str, Any] = {"deprecated": True, "x-deprecated-since": deprecation.since.isoformat()}
    if deprecation.sunset is not None:
        found["x-sunset"] = deprecation.sunset.isoformat()
    if deprecation.successor:
        found["x-successor"] = deprecation.successor
    return found


def faults(service: Service) -> Iterable[str]:
    """What makes no sense in the versions of a service."""
    if any(version < 2 for version in service.versions):  # the first one is `router`
        yield f"{service.name}: the versions beside the first are numbered from 2"
    unknown = sorted(set(service.deprecated) - {1, *service.versions})
    if unknown:
        yield f"{service.name}: there is no version {unknown[0]} that could be deprecated"


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _filled(template: str, parameters: Mapping[str, Any]) -> str:
    """A path with its parameters; empty where one of them is not known."""
    names = [name for _, name, _, _ in Formatter().parse(template) if name]
    if any(name not in parameters for name in names):
        return ""
    return template.format(**{name: quote(str(parameters[name]), safe="") for name in names})
