"""Swagger UI at `/docs` and ReDoc at `/redoc`, from files of this machine: their pages ask nothing of another host.

The files come with the package `fastapi-offline`, which is used for nothing else. Scripts are files and never stand in
the page, so that the content security policy can forbid those that do.
"""

import hashlib
import importlib.util
from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path as File
from typing import Annotated, Final

from fastapi import APIRouter, Path, Response
from starlette.responses import HTMLResponse

from ossature.kernel.errors import Misconfigured, NotFound
from ossature.kernel.http.caching import surrogate
from ossature.kernel.http.policy import policy
from ossature.kernel.http.security import PAGE_CSP

_PACKAGE: Final = "fastapi_offline"
_FOR_EVER: Final = "public, max-age=31536000, immutable"
# ReDoc's search runs in a worker that it makes of a blob.
_CSP: Final = f"{PAGE_CSP.decode()}; worker-src 'self' blob:"
_TYPES: Final[Mapping[str, str]] = {"js": "text/javascript", "css": "text/css", "png": "image/png"}

_SWAGGER_START: Final = """\
SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#explorer",
  deepLinking: true,
  displayRequestDuration: true,
  docExpansion: "none",
  filter: true,
  persistAuthorization: false,
  tryItOutEnabled: true,
  validatorUrl: null,
  requestInterceptor: (request) => {
    const proof = document.cookie.match(/(?:^|; )ossature_csrf=([^;]+)/);
    if (proof) request.headers["X-CSRF-Token"] = proof[1];
    return request;
  },
});
"""
_REDOC_START: Final = """\
Redoc.init("/openapi.json", {expandResponses: "200,201", nativeScrollbars: true}, document.getElementById("explorer"));
"""
_OWN: Final[Mapping[str, str]] = {"swagger-start.js": _SWAGGER_START, "redoc-start.js": _REDOC_START}
_BUNDLED: Final = frozenset({"swagger-ui-bundle.js", "swagger-ui.css", "redoc.standalone.js", "favicon.png"})


def explorers(title: str) -> APIRouter:
    """The routes of both pages and of their files. Raises: Misconfigured when the package is not there."""
    folder = _folder()
    # The address of a file changes with its content: it may be kept for ever.
    own = hashlib.sha256("".join(_OWN.values()).encode()).hexdigest()[:12]
    served = f"{version(_PACKAGE)}-{own}"
    base = f"/docs/files/{served}"
    router = APIRouter(include_in_schema=False)

    @router.get("/docs")
    @policy(public=True, rate="none", cache="public, max-age=60")
    async def read_swagger() -> Response:
        """The API, to try: put your key into *Authorize*."""
        style = f'<link rel="stylesheet" href="{base}/swagger-ui.css">'
        return _page(title, base, head=style, scripts=("swagger-ui-bundle.js", "swagger-start.js"))

    @router.get("/redoc")
    @policy(public=True, rate="none", cache="public, max-age=60")
    async def read_redoc() -> Response:
        """The API, to read."""
        return _page(title, base, scripts=("redoc.standalone.js", "redoc-start.js"))

    @router.get("/docs/files/{edition}/{name}")
    @policy(public=True, rate="none", cache=_FOR_EVER)
    async def read_file(
        edition: Annotated[str, Path(max_length=60)], name: Annotated[str, Path(max_length=60)]
    ) -> Response:
        """A file of these pages."""
        if edition != served or (name not in _OWN and name not in _BUNDLED):
            raise NotFound
        content = _OWN[name].encode() if name in _OWN else _read(folder / name)
        return Response(content, media_type=_TYPES[name.rpartition(".")[2]])

    return router


def _folder() -> File:
    """Where the files lie; the package itself is not imported."""
    found = importlib.util.find_spec(_PACKAGE)
    if found is None or found.origin is None:
        raise Misconfigured("The package fastapi-offline is not installed: install ossature with its requirements.")
    return File(found.origin).parent / "static"


@cache
def _read(path: File) -> bytes:
    return path.read_bytes()


def _page(title: str, base: str, *, scripts: tuple[str, ...], head: str = "") -> HTMLResponse:
    loaded = "".join(f'<script src="{base}/{script}"></script>' for script in scripts)
    content = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f'<title>{title} API</title><link rel="icon" href="{base}/favicon.png">{head}</head>'
        f'<body style="margin:0"><div id="explorer"></div>{loaded}</body></html>'
    )
    return HTMLResponse(content, headers={"content-security-policy": _CSP, "surrogate-key": surrogate("docs")})
