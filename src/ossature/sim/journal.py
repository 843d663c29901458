"""What reached the simulator, most recent last, with every secret struck out."""

import re
from collections import deque
from dataclasses import replace
from datetime import datetime
from typing import Any, NamedTuple

from ossature.sim.wire import Request

KEPT = 500
BODY_KEPT_BYTES = 8_192

_HIDDEN = "***"
_SECRET_HEADERS = frozenset({"authorization", "proxy-authorization", "cookie", "x-api-key", "x-goog-api-key"})
_SECRET_WORDS = re.compile(r"(?i)(key|token|secret|password|appid|signature)")
_SECRET_VALUES = re.compile(r"\bsim-[a-z0-9][\w-]*")
_QUERY_PAIR = re.compile(r"([^&=]*)=([^&]*)")


class Entry(NamedTuple):
    """One request and the status it got; the body up to 8 KiB."""

    at: datetime
    provider: str
    operation: str
    request: Request
    status: int


def _hide(text: str) -> str:
    return _SECRET_VALUES.sub(_HIDDEN, text)


def _hide_in_pair(pair: re.Match[str]) -> str:
    name, value = pair.groups()
    return f"{name}={_HIDDEN if _SECRET_WORDS.search(name) else _hide(value)}"


def _is_secret(header: str) -> bool:
    return header in _SECRET_HEADERS or _SECRET_WORDS.search(header) is not None


class Journal:
    """The last requests of all upstreams."""

    def __init__(self) -> None:
        self._entries: deque[Entry] = deque(maxlen=KEPT)

    def write(self, entry: Entry) -> None:
        """Remember the request; of a large body only the beginning."""
        if len(entry.request.body) > BODY_KEPT_BYTES:
            beginning = replace(entry.request, body=entry.request.body[:BODY_KEPT_BYTES])
            entry = entry._replace(request=beginning)
        self._entries.append(entry)

    def clear(self) -> None:
        """Forget all requests."""
        self._entries.clear()

    def recent(self, *, provider: str | None, most: int) -> list[dict[str, Any]]:
        """Return the last requests, newest first, as JSON values without secrets."""
        chosen = [entry for entry in self._entries if provider in {None, entry.provider}]
        return [_shown(entry) for entry in reversed(chosen[-most:] if most else [])]


def _shown(entry: Entry) -> dict[str, Any]:
    request = entry.request
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers]
    return {
        "at": entry.at.isoformat().replace("+00:00", "Z"),
        "provider": entry.provider,
        "operation": entry.operation or None,
        "method": request.method,
        "path": _hide(request.path),
        "query": _QUERY_PAIR.sub(_hide_in_pair, request.query_string.decode("latin-1")),
        "headers": {name: _HIDDEN if _is_secret(name) else _hide(value) for name, value in headers},
        "body": _hide(request.body.decode("utf-8", "replace")),
        "status": entry.status,
    }
