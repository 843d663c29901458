"""Pages about the API itself: the OpenAPI document, a reference to read and try, and one page per kind of problem.

Everything is served from here: no page asks anything of another host.
"""

import html
import inspect
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Query, Response
from starlette.responses import HTMLResponse, JSONResponse

from ossature.kernel.errors import NotFound, Problem, catalogue
from ossature.kernel.http.caching import surrogate
from ossature.kernel.http.explorers import explorers
from ossature.kernel.http.policy import policy
from ossature.kernel.http.security import PAGE_CSP

if TYPE_CHECKING:
    from ossature.kernel.http.app import Application

_STYLE = """
:root{color-scheme:light dark;--ink:#1c2733;--soft:#5b6b7b;--line:#d9e0e7;--paper:#fbfcfd;--accent:#0f6f6a}
@media(prefers-color-scheme:dark){:root{--ink:#e4eaf0;--soft:#9aa9b8;--line:#2b3742;--paper:#12181e;--accent:#5cc9c1}}
body{font:16px/1.55 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:62rem;margin:0 auto;padding:2rem 1.2rem}
h1{font-size:1.6rem}h2{font-size:1.15rem;margin-top:2.2rem;border-bottom:1px solid var(--line);padding-bottom:.3rem}
a{color:var(--accent)}code,pre{font:13.5px/1.5 ui-monospace,monospace}pre{overflow:auto;padding:.8rem;border:1px solid var(--line);border-radius:6px}
details{border:1px solid var(--line);border-radius:6px;margin:.4rem 0;padding:.35rem .8rem}summary{cursor:pointer}
.m{display:inline-block;min-width:4.2rem;font-weight:600;color:var(--accent)}.s{color:var(--soft)}
table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.25rem .5rem;border-bottom:1px solid var(--line);vertical-align:top}
"""


def documents(application: "Application") -> APIRouter:
    """The routes of these pages; without those about the API where the setting `docs` is off."""
    router = APIRouter(tags=["docs"], include_in_schema=False)
    router.include_router(_problem_pages())
    if application.edge.settings.docs:
        router.include_router(_reference_pages(application))
        router.include_router(explorers(application.fastapi.title))
    return router


def _reference_pages(application: "Application") -> APIRouter:
    router = APIRouter(include_in_schema=False)
    made: dict[str, Any] = {}

    def document(version: int | None = None) -> dict[str, Any]:
        if "document" not in made:
            made["document"] = application.openapi()
        whole: dict[str, Any] = made["document"]
        if version is None:
            return whole
        paths = {path: item for path, item in whole["paths"].items() if path.startswith(f"/v{version}/")}
        if not paths:
            raise NotFound(f"There is no version {version}.")
        return {**whole, "paths": paths}

    @router.get("/openapi.json")
    @policy(public=True, rate="none", cache="public, max-age=60")
    async def read_openapi(version: Annotated[int | None, Query(ge=1, le=999)] = None) -> Response:
        """The OpenAPI 3.1 document of this installation. version: of this version of the API only."""
        return JSONResponse(document(version), headers={"surrogate-key": surrogate("docs")})

    @router.get("/reference/deprecated")
    @policy(public=True, rate="none", cache="public, max-age=60")
    async def read_deprecated() -> Response:
        """What will go one day, when, and what does the same from now on."""
        return _page(_deprecated(document()))

    @router.get("/reference")
    @policy(public=True, rate="none", cache="public, max-age=60")
    async def read_reference() -> Response:
        """The reference, to read."""
        if "page" not in made:
            made["page"] = _reference(document())
        return _page(made["page"])

    return router


def _problem_pages() -> APIRouter:
    router = APIRouter(include_in_schema=False)

    @router.get("/problems")
    @policy(public=True, rate="none", cache="public, max-age=60")
    async def read_problems() -> Response:
        """Every kind of problem."""
        return _page(_problems())

    @router.get("/problems/{slug}")
    @policy(public=True, rate="none", cache="public, max-age=60")
    async def read_problem(slug: str) -> Response:
        """What one kind of problem means; its `type` points here."""
        for kind in catalogue():
            if kind.slug == slug:
                return _page(_problem(kind))
        raise NotFound(f"There is no kind of problem {slug!r}.")

    return router


def _page(body: str) -> HTMLResponse:
    content = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" '
        f'content="width=device-width"><title>ossature</title><style>{_STYLE}</style></head><body>{body}</body></html>'
    )
    headers = {"content-security-policy": PAGE_CSP.decode(), "surrogate-key": surrogate("docs")}
    return HTMLResponse(content, headers=headers)


def _problem(kind: type[Problem]) -> str:
    about = html.escape(inspect.cleandoc(kind.__doc__ or "")).replace("\n\n", "</p><p>")
    return (
        f"<p><a href='/problems'>All problems</a></p><h1>{html.escape(kind.title)}</h1>"
        f"<p class=s>Status {kind.status} · <code>{kind.slug}</code></p><p>{about}</p>"
    )


def _problems() -> str:
    rows = "".join(
        f"<tr><td>{kind.status}</td><td><a href='/problems/{kind.slug}'>{kind.slug}</a></td>"
        f"<td>{html.escape(kind.title)}</td></tr>"
        for kind in sorted(catalogue(), key=lambda kind: (kind.status, kind.slug))
    )
    return (
        f"<h1>Problems</h1><p>Errors are problem documents (RFC 9457). These are their kinds.</p><table>{rows}</table>"
    )


def _reference(document: dict[str, Any]) -> str:
    groups: dict[str, list[str]] = {}
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if isinstance(operation, dict) and "responses" in operation:
                groups.setdefault((operation.get("tags") or ["other"])[0], []).append(
                    _operation(method, path, operation)
                )
    parts = "".join(f"<h2>{html.escape(group)}</h2>{''.join(found)}" for group, found in sorted(groups.items()))
    return (
        f"<h1>{html.escape(document['info']['title'])} API {html.escape(document['info']['version'])}</h1>"
        "<p><a href='/docs'>try it</a> · <a href='/redoc'>ReDoc</a> · <a href='/openapi.json'>openapi.json</a> · <a href='/problems'>problems</a> · <a href='/reference/deprecated'>what will go</a> · send your key as "
        f"<code>Authorization: Bearer oss_...</code></p>{parts}"
    )


def _deprecated(document: dict[str, Any]) -> str:
    rows = "".join(
        f"<tr><td><span class=m>{method.upper()}</span> <code>{html.escape(path)}</code></td>"
        f"<td>{operation['x-deprecated-since']}</td><td>{operation.get('x-sunset', '')}</td>"
        f"<td><code>{html.escape(operation.get('x-successor', ''))}</code></td></tr>"
        for path, item in sorted(document["paths"].items())
        for method, operation in item.items()
        if isinstance(operation, dict) and "x-deprecated-since" in operation
    )
    table = f"<table><tr><th>Route<th>Deprecated since<th>Gone after<th>Use instead</tr>{rows}</table>"
    return (
        "<p><a href='/reference'>The whole reference</a></p><h1>What will go</h1><p>Answers of these routes say so in "
        "<code>Deprecation</code> (RFC 9745), <code>Sunset</code> (RFC 8594) and <code>Link</code>.</p>"
        f"{table if rows else '<p>Nothing is deprecated.</p>'}"
    )


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    rows = "".join(
        f"<tr><td><code>{html.escape(one['name'])}</code></td><td class=s>{html.escape(one['in'])}</td>"
        f"<td>{html.escape(one.get('description', ''))}</td></tr>"
        for one in operation.get("parameters", [])
    )
    samples = "".join(
        f"<p class=s>{html.escape(one['label'])}</p><pre>{html.escape(one['source'])}</pre>"
        for one in operation.get("x-codeSamples", [])
    )
    about = html.escape(operation.get("description") or "")
    permission = html.escape(str(operation.get("x-permission", "")))
    return (
        f"<details><summary><span class=m>{method.upper()}</span> <code>{html.escape(path)}</code> "
        f"<span class=s>{html.escape(operation.get('summary') or '')}</span></summary><p>{about}</p>"
        f"{_end(operation)}<p class=s>Permission: <code>{permission}</code></p><table>{rows}</table>{samples}</details>"
    )


def _end(operation: dict[str, Any]) -> str:
    """When it will go, if it will."""
    if "x-deprecated-since" not in operation:
        return ""
    sunset = f", gone after {operation['x-sunset']}" if "x-sunset" in operation else ""
    return f"<p><strong>Deprecated since {operation['x-deprecated-since']}{sunset}.</strong></p>"
