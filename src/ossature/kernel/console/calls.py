"""Calls of our own API from the browser, as any program would make them: through the edge, counted and limited."""

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nicegui import ui
from nicegui.element import Element

from ossature.kernel.console.parts import request_line, toast
from ossature.kernel.i18n.words import Words

WORDS = Words("console.calls", {"failed": "Not answered", "status": "{status}: {text}"})

_LIMIT_S = 60.0
_FILE_LIMIT_S = 600.0


@dataclass(frozen=True, slots=True)
class Called:
    """An answer as the browser got it. ms: until its last byte. text: at most 200,000 characters."""

    status: int
    ms: int
    bytes: int
    text: str
    headers: Mapping[str, str]

    @property
    def document(self) -> Any:  # noqa: ANN401 - any JSON value
        """The body, if it is JSON; else its text."""
        try:
            return json.loads(self.text)
        except ValueError:
            return self.text

    @property
    def good(self) -> bool:
        """Whether it is an answer and no refusal."""
        return self.status < 400


async def call(method: str, path: str, body: object = None) -> Called:
    """The answer of our API to the person who looks at this page."""
    said = await ui.run_javascript(
        f"return await ossature.call({json.dumps(method)}, {json.dumps(path)}, {json.dumps(body)})", timeout=_LIMIT_S
    )
    return Called(**said)


async def send_file(chosen: Element, path: str, kind: str, query: Mapping[str, str]) -> Called | None:
    """The answer of our API to the file that is chosen in a field; None when none is.

    kind: the media type that it is sent as, as a whole. query: goes along with the name of the file, as `name`.
    """
    arguments = ", ".join(json.dumps(one) for one in (chosen.html_id, path, kind, dict(query)))
    said = await ui.run_javascript(f"return await ossature.send({arguments})", timeout=_FILE_LIMIT_S)
    return None if said is None else Called(**said)


def tell_refusal(called: Called) -> None:
    """Say why the API refused."""
    document = called.document
    if not isinstance(document, dict):
        toast(WORDS("failed"), detail=WORDS("status", status=called.status, text=called.text[:200]), tone="bad")
        return
    errors = "; ".join(f"{one['pointer']}: {one['message']}" for one in document.get("errors", ()))
    said = (document.get("detail", ""), errors, request_line(document.get("request_id", "")))
    detail = " ".join(part for part in said if part)
    toast(str(document.get("title", WORDS("failed"))), detail=detail, tone="bad")


def curl(origin: str, method: str, path: str, body: object = None) -> str:
    """The same call for a shell, with the key in a variable."""
    parts = [f"curl -sS -X {method} {shlex.quote(origin + path)}", '-H "Authorization: Bearer $OSSATURE_KEY"']
    if body is not None:
        parts += ["-H 'Content-Type: application/json'", f"-d {shlex.quote(json.dumps(body, ensure_ascii=False))}"]
    return " \\\n  ".join(parts)
