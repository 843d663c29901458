"""NiceGUI, as the console uses it: one application per process, behind our door, with nothing of its own at work.

Its storage, its cookies, its compression and its CSS framework stay unused; what it might write goes to the var folder.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache, partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote

import structlog
from nicegui import core, ui
from nicegui.client import Client
from nicegui.storage import Storage
from nicegui.translations import translations
from starlette.requests import Request
from starlette.types import ASGIApp

from ossature.kernel import background
from ossature.kernel.console import parts
from ossature.kernel.console.door import Assets
from ossature.kernel.console.palette import COMMANDS, Palette
from ossature.kernel.console.places import PLACES, project_name
from ossature.kernel.console.pulse import Pulse
from ossature.kernel.console.search import Find, Source, of_pages
from ossature.kernel.console.shell import Menu, frame
from ossature.kernel.console.visit import Visit
from ossature.kernel.console.work import Toasts
from ossature.kernel.context import SYSTEM_TENANT_ID
from ossature.kernel.errors import NotFound, Problem, Unauthenticated
from ossature.kernel.i18n.language import FALLBACK, LANGUAGES, Language, language, speaking
from ossature.kernel.i18n.words import Words, translate
from ossature.kernel.service import Page

if TYPE_CHECKING:
    from ossature.kernel.house import House

log = structlog.get_logger()

Draw = Callable[..., Awaitable[None]]

_BUILD_LIMIT_S = 20.0
_RECONNECT_S = 30.0
# Notes are white on these in both themes.
_COLOURS = {
    "primary": "var(--accent)",
    "positive": "#2b7548",
    "negative": "#a53026",
    "warning": "#855000",
    "info": "#2c5c99",
}
_NOWHERE = Page(path="", title="Not found", build="", allow="*")

WORDS = Words(
    "console.toolkit",
    {
        "title": "{page} - ossature",
        "nowhere": "There is no page {path}.",
        "connection_lost": "Connection lost",
        "trying_to_reconnect": "Trying to connect again...",
        "message_too_long": "Message too long",
        "message_too_long_body": "What was to be sent is too much for the line.",
    },
)


class _Page(ui.page):
    """A page that is in the language of who asked for it."""

    def resolve_language(self) -> Any:  # noqa: ANN401 - the toolkit lists the names of languages as literals
        """The name that the toolkit knows the language by."""
        return _named(language())


def assemble(house: "House", assets: Assets) -> ASGIApp:
    """The application with every page of every service. Raises: ImportError for a page that is not where it is said to be."""
    _configure(house, assets)
    pages = [page for service in house.services for page in service.pages]
    around = _Around(house, Menu.of(pages), assets.mark, _sources(pages))
    for page in pages:
        _add(page, partial(_show, around, page, _find(page.build)))
    core.root = _asked(partial(_show, around, _NOWHERE, _nowhere))
    return cast("ASGIApp", core.app)


@asynccontextmanager
async def running(house: "House") -> AsyncIterator[None]:
    """What the pages need while they are served."""
    async with core.app.router.lifespan_context(core.app):
        watching = background.start(pulse().watch, "console.pulse")
        try:
            yield
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
            for client in list(Client.instances.values()):
                client.delete()
    del house


@cache
def pulse() -> Pulse:
    """The traffic of this process over the last while."""
    return Pulse()


def _configure(house: "House", assets: Assets) -> None:
    folder = house.config.main.var_dir.absolute() / "console"
    Storage.path = folder
    core.app.storage = Storage()
    config = core.app.config
    config.quasar_config["brand"] = dict(_COLOURS)
    config.socket_io_js_transports = ["websocket"]  # polling would need our cross-site proof in each request
    config.vue_config_script = config.vue_config_script.replace("setDark(dark);", "setDark(ossature.dark());")
    config.add_run_config(
        reload=False,
        title="ossature",
        viewport="width=device-width, initial-scale=1",
        favicon=assets.mark,
        dark=None,
        language="en-US",
        binding_refresh_interval=None,
        reconnect_timeout=_RECONNECT_S,
        message_history_length=1000,
        tailwind=False,
        unocss=None,
        prod_js=True,
        show_welcome_message=False,
        markdown=False,
    )
    for each in LANGUAGES.values():
        with speaking(each):
            translations[cast("Any", _named(each))] = {key: WORDS(key) for key in translations["en-US"]}
    Client.shared_head_html = (
        f'<link rel="stylesheet" href="{assets.base}/console.css"><script src="{assets.base}/early.js"></script>'
        f'<script src="{assets.base}/palette.js"></script>'
    )


def _named(chosen: Language) -> str:
    return "en-US" if chosen is FALLBACK else chosen.code


def _find(build: str) -> Draw:
    module, _, name = build.partition(":")
    return cast("Draw", getattr(import_module(module), name))


def _asked(show: Callable[[Request], Awaitable[None]]) -> Callable[[Request], Awaitable[None]]:
    """A function with the signature that the toolkit reads."""

    async def page(request: Request) -> None:
        await show(request)

    return page


def _add(page: Page, show: Callable[[Request], Awaitable[None]]) -> None:
    _Page(page.path, response_timeout=_BUILD_LIMIT_S)(_asked(show))


@dataclass(frozen=True, slots=True)
class _Around:
    """What every page has around it."""

    house: "House"
    menu: Menu
    mark: str
    sources: Sequence[Source]


def _sources(pages: Sequence[Page]) -> Sequence[Source]:
    """Where the palette looks: the pages and what they find, then what can be done."""
    found = [
        Source(partial(translate, page.title), page.allow, cast("Find", _find(page.find)))
        for page in pages
        if page.find
    ]
    return (of_pages(pages), *found, *PLACES, COMMANDS)


async def _show(around: _Around, page: Page, draw: Draw, request: Request) -> None:
    visit = Visit.of(around.house, request)
    ui.on_exception(_tell)
    ui.page_title(WORDS("title", page=translate(page.title)))
    palette = Palette(visit, around.sources)
    with frame(visit, around.menu, around.mark, palette=palette, project=await project_name(visit)):
        try:
            if page.allow != "*":
                visit.actor.require(page.allow)
            await draw(visit, **_parameters(request))
        except Problem as problem:
            ui.context.client.status_code = problem.status
            parts.problem_panel(problem)
    if visit.may("read:jobs"):
        await _follow_jobs(visit, except_for=str(request.path_params.get("job_id", "")))


async def _follow_jobs(visit: Visit, *, except_for: str) -> None:
    """Have the page hear of jobs, and show those that this person follows."""
    Toasts(visit.person, visit.feed, except_for=except_for)
    tenants = [visit.tenant.id, SYSTEM_TENANT_ID] if visit.may("read:platform") else [visit.tenant.id]
    await visit.feed.open(tenants, partial(visit.identity, "read:jobs"))


def _parameters(request: Request) -> Mapping[str, Any]:
    return dict(request.path_params)


async def _nowhere(visit: Visit, **_: object) -> None:
    ui.context.client.page.language = cast("Any", _named(language()))  # the toolkit makes a page of its own for this
    raise NotFound(WORDS("nowhere", path=visit.path))


def _tell(error: Exception) -> None:
    """Say what went wrong after the page was sent: refusals as they are, all else as our fault, in the log."""
    if isinstance(error, Unauthenticated):
        here = ui.context.client.request.scope["path"]
        ui.navigate.to(f"/sign-in?next={quote(here, safe='/')}")
    elif isinstance(error, Problem):
        parts.tell_problem(error)
    else:
        log.error("console.unexpected", page=ui.context.client.page.path, exc_info=error)
        detail = f"{parts.WORDS('logged')} {parts.request_line()}".strip()
        parts.toast(parts.WORDS("broken"), detail=detail, tone="bad")
