"""Which route a request means: a look-up for fixed paths, a short search for those with parameters.

The framework's own router tries every route in turn, which costs more than the work of a small handler once a house has
a hundred routes.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.routing import compile_path
from starlette.types import ASGIApp, Receive, Scope, Send

from ossature.kernel.errors import FieldError, InvalidInput, MethodNotAllowed, NotFound
from ossature.kernel.http.problems import CONTROL, control_characters


@dataclass(frozen=True, slots=True)
class Entry:
    """One path: who answers each method. Prefix entries answer everything below their path."""

    template: str
    methods: dict[str, ASGIApp]
    segments: int
    pattern: re.Pattern[str] | None = None
    convertors: Mapping[str, Any] | None = None


class RouteTable:
    """An ASGI application that hands requests to routes. Raises NotFound and MethodNotAllowed for the others."""

    def __init__(self) -> None:
        self._fixed: dict[str, Entry] = {}
        self._open: dict[int, list[Entry]] = {}
        self._rest: list[Entry] = []
        self._below: list[tuple[str, ASGIApp]] = []
        self._sockets: dict[str, ASGIApp] = {}

    def add(self, template: str, methods: Sequence[str], app: ASGIApp) -> None:
        """Answer these methods of a path such as `/v1/jobs/{job_id}` with `app`."""
        entry = self._entry(template)
        for method in methods:
            entry.methods[method] = app
            if method == "GET":
                entry.methods.setdefault("HEAD", app)

    def add_below(self, prefix: str, app: ASGIApp) -> None:
        """Answer everything below a path that ends with `/`, whatever its method, WebSockets too."""
        self._below.append((prefix, app))
        self._below.sort(key=lambda one: -len(one[0]))

    def add_socket(self, path: str, app: ASGIApp) -> None:
        """Answer WebSockets of a fixed path."""
        self._sockets[path] = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand over one request."""
        path = scope["path"]
        if scope["type"] == "websocket":
            app = self._sockets.get(path) or self._prefixed(path)
            if app is None:
                raise NotFound
            await app(scope, receive, send)
            return
        found = self._find(scope, path)
        if found is None:
            app = self._prefixed(path)
            if app is None:
                raise NotFound
            await app(scope, receive, send)
            return
        method = scope["method"]
        answering = found.methods.get(method)
        if answering is None:
            allowed = ", ".join(sorted(found.methods))
            raise MethodNotAllowed(f"Allowed here: {allowed}.", headers={"Allow": allowed})
        await answering(scope, receive, send)

    def _find(self, scope: Scope, path: str) -> Entry | None:
        entry = self._fixed.get(path)
        if entry is not None:
            scope["path_params"] = {}
            return entry
        candidates: list[Entry] = [*self._open.get(path.count("/"), ()), *self._rest]
        for candidate in candidates:
            match = candidate.pattern.match(path) if candidate.pattern is not None else None
            if match is not None:
                scope["path_params"] = _converted(match.groupdict(), candidate.convertors or {})
                return candidate
        return None

    def _prefixed(self, path: str) -> ASGIApp | None:
        for prefix, app in self._below:
            if path.startswith(prefix) or path == prefix[:-1]:
                return app
        return None

    def _entry(self, template: str) -> Entry:
        known = self._fixed.get(template) or next(
            (one for group in (*self._open.values(), self._rest) for one in group if one.template == template), None
        )
        if known is not None:
            return known
        segments = template.count("/")
        if "{" not in template:
            entry = self._fixed[template] = Entry(template, {}, segments)
            return entry
        pattern, _, convertors = compile_path(template)
        entry = Entry(template, {}, segments, pattern, convertors)
        (self._rest if ":path}" in template else self._open.setdefault(segments, [])).append(entry)
        return entry


def _converted(values: Mapping[str, str], convertors: Mapping[str, Any]) -> dict[str, Any]:
    found = {}
    for name, value in values.items():
        if CONTROL.search(value):
            raise control_characters(f"path/{name}")
        try:
            found[name] = convertors[name].convert(unicodedata.normalize("NFC", value))
        except ValueError as error:
            raise InvalidInput(errors=[FieldError(f"path/{name}", str(error), "value_error")]) from error
    return found
