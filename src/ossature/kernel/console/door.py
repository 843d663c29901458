"""The door of the console: its files, the sign-in page, and who gets to the pages behind it.

Nobody who is not signed in reaches the toolkit, neither by a request nor by a WebSocket. The session is the kernel's
cookie; there is no second one.
"""

import hashlib
import html
from importlib.resources import files
from string import Template
from typing import TYPE_CHECKING
from urllib.parse import quote

from starlette.requests import HTTPConnection
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ossature.kernel.errors import NotFound, PermissionDenied, Unauthenticated
from ossature.kernel.http import security
from ossature.kernel.i18n.language import LANGUAGES, Language, choose, language, speaking
from ossature.kernel.i18n.words import Words

if TYPE_CHECKING:
    from ossature.kernel.http.edge import Edge, Passage

ROOT = "/console"
SIGN_IN = f"{ROOT}/sign-in"
LANGUAGE_COOKIE = "ossature_language"
_OK = 200
_FOR_EVER = b"public, max-age=31536000, immutable"
_TYPES = {
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".txt": "text/plain",
}

WORDS = Words(
    "console.door",
    {
        "title": "Sign in - ossature",
        "heading": "Sign in",
        "email": "E-mail",
        "password": "Password",
        "enter": "Sign in",
        "by_key": "Use an API key instead",
        "by_password": "Use e-mail and password instead",
        "code": "Code",
        "code_hint": "The code of your authenticator app, or one of your recovery codes.",
        "forgot": "Forgot the password?",
        "forgot_hint": "If there is an account with this address, a mail with a link goes there.",
        "forgot_send": "Send the link",
        "forgot_sent": "If there is an account with this address, a mail is on its way.",
        "key": "API key",
        "key_hint": "The first start of a house prints one. The session ends with the key.",
        "away": "The house does not answer. Is it running?",
        "wait": "Try again in {{s}} s.",
        "language": "Language",
    },
)


class Assets:
    """The console's own files, in memory. base: below this address they never change."""

    def __init__(self) -> None:
        folder = files("ossature.kernel.console").joinpath("static")
        found = list(folder.iterdir())
        self._files = {
            path.name: (path.read_bytes(), kind)
            for path in found
            if (kind := _TYPES.get("." + path.name.rpartition(".")[2])) is not None
        }
        digest = hashlib.sha256(b"".join(body for _, (body, _) in sorted(self._files.items()))).hexdigest()
        self.base = f"{ROOT}/_assets/{digest[:12]}"
        self.mark = self._files["mark.svg"][0].decode().strip()
        self._door = Template(folder.joinpath("sign-in.html").read_text("utf-8"))

    def sign_in(self) -> bytes:
        """The sign-in page, in the language of its reader."""
        reader = language()
        said = {key: html.escape(WORDS(key)) for key in WORDS.english}
        options = "".join(
            f'<option value="{one.code}"{" selected" if one is reader else ""}>{html.escape(one.name)}</option>'
            for one in LANGUAGES.values()
        )
        head = {"lang": reader.code, "dir": reader.direction, "languages": options}
        return self._door.substitute(said, **head, assets=self.base, mark=self.mark).encode()

    def answer(self, path: str) -> Response:
        """One file. Raises: NotFound."""
        found = self._files.get(path.removeprefix(f"{self.base}/"))
        if found is None:
            raise NotFound
        return Response(found[0], media_type=found[1], headers={"cache-control": _FOR_EVER.decode()})


class Door:
    """The ASGI application at `/console`. pages: what lies behind it, the toolkit's application."""

    def __init__(self, assets: Assets, pages: ASGIApp) -> None:
        self._assets = assets
        self._pages = pages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request or let a WebSocket in. Raises: NotFound, Unauthenticated, PermissionDenied."""
        passage: Passage = scope["ossature.passage"]
        # Every task that the toolkit begins for this request or WebSocket says things in the same language.
        with speaking(_read_by(scope, passage)):
            await self._answer(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        passage: Passage = scope["ossature.passage"]
        signed_in = bool(passage.session) and passage.identity.actor.kind != "anonymous"
        if scope["type"] == "websocket":
            self._check_socket(scope, passage, signed_in=signed_in)
            await self._behind(scope, receive, send)
            return
        passage.csp = security.PAGE_CSP
        path: str = scope["path"]
        answer: Response | None = None
        if path.startswith(f"{ROOT}/_assets/"):
            answer = self._assets.answer(path)
        elif path == SIGN_IN:
            answer = RedirectResponse(f"{ROOT}/", 303) if signed_in else HTMLResponse(self._assets.sign_in())
        elif path == ROOT:
            answer = RedirectResponse(f"{ROOT}/", 308)
        elif not signed_in:
            if "_nicegui" in path:
                raise Unauthenticated
            answer = RedirectResponse(f"{SIGN_IN}?next={quote(path, safe='/')}", 303)
        if answer is not None:
            await answer(scope, receive, send)
            return
        passage.csp = security.CONSOLE_CSP
        await self._behind(scope, receive, _kept(send) if path.startswith(f"{ROOT}/_nicegui/") else send)

    def _check_socket(self, scope: Scope, passage: "Passage", *, signed_in: bool) -> None:
        if not signed_in:
            raise Unauthenticated
        edge: Edge = scope["app"].state.edge
        headers = dict(scope["headers"])
        origin = headers.get(b"origin")
        # A browser sends cookies with the WebSockets of any page; what is no browser sends no origin.
        if origin is not None and not edge.owns(origin, passage.headers.get(b"host", b"")):
            raise PermissionDenied("This WebSocket was opened by a page of another site.")

    async def _behind(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._pages({**scope, "root_path": ROOT}, receive, send)


def _read_by(scope: Scope, passage: "Passage") -> Language:
    """The language of a person: as their account says, else this browser's cookie, else its settings."""
    browser = HTTPConnection(scope)
    return choose(
        passage.identity.actor.language,
        browser.cookies.get(LANGUAGE_COOKIE, ""),
        accept=browser.headers.get("accept-language", ""),
    )


def _kept(send: Send) -> Send:
    """The toolkit's own files carry their version in the address, so browsers may keep them."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] == _OK:
            headers = [pair for pair in message["headers"] if pair[0] != b"cache-control"]
            message = {**message, "headers": [*headers, (b"cache-control", _FOR_EVER)]}
        await send(message)

    return sending
