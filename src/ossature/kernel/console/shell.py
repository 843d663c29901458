"""The frame around every page: the menu, who is signed in, the heading."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from ossature.kernel.console.palette import Palette
from ossature.kernel.console.parts import link, svg, tag
from ossature.kernel.console.places import PLACES
from ossature.kernel.console.visit import Visit
from ossature.kernel.i18n.language import LANGUAGES, language
from ossature.kernel.i18n.words import Words, translate
from ossature.kernel.service import Page

WORDS = Words(
    "console.shell",
    {
        "skip": "Skip to the content",
        "menu": "Menu",
        "pages": "Pages",
        "theme": "Theme",
        "theme_auto": "Theme: as the system",
        "theme_light": "Theme: light",
        "theme_dark": "Theme: dark",
        "leave": "Sign out",
        "language": "Language",
        "move": "Act for another tenant or project",
    },
)


_BARS = (
    '<svg viewBox="0 0 16 16" width="16" height="16" fill="none" stroke="currentColor" stroke-width="1.5" '
    'aria-hidden="true"><path d="M2 4h12M2 8h12M2 12h12"/></svg>'
)


@dataclass(frozen=True, slots=True)
class Menu:
    """All pages that are listed, under their headings, in the order in which the services bring them."""

    groups: Sequence[tuple[str, Sequence[Page]]]

    @classmethod
    def of(cls, pages: Sequence[Page]) -> "Menu":
        """The menu of these pages."""
        groups: dict[str, list[Page]] = {}
        for page in pages:
            if page.menu is not None:
                groups.setdefault(page.menu, []).append(page)
        return cls(tuple(groups.items()))


@contextmanager
def frame(visit: Visit, menu: Menu, mark: str, *, palette: Palette, project: str = "") -> Iterator[None]:
    """The frame; what is drawn inside of the block is the page. project: the name of the one that is acted for."""
    tag("a", WORDS("skip"), "o-skip", href="#content")
    with tag("div", cls="o-frame"):
        with tag("header", cls="o-side"):
            with tag("a", cls="o-brand", href="/console/"):
                svg(mark)
                tag("span", "ossature")
            with tag("button", cls="o-button o-burger", type="button", aria_expanded="false") as burger:
                svg(_BARS)
                tag("span", WORDS("menu"))
            burger.props["aria-controls"] = "drawer"
            burger.on("click", js_handler="() => ossature.menu()")
            with tag("div", cls="o-drawer", id="drawer"):
                palette.button()
                with tag("nav", cls="o-menu", aria_label=WORDS("pages")):
                    _menu(visit, menu)
                _who(visit, palette, project)
        with tag("div", cls="o-page", id="content", tabindex="-1"):  # the toolkit's own element around it is `main`
            yield


def _menu(visit: Visit, menu: Menu) -> None:
    for heading, pages in menu.groups:
        seen = [page for page in pages if visit.may(page.allow)]
        if seen and heading:
            tag("span", translate(heading), "o-label")
        for page in seen:
            element = link(translate(page.title), page.path)
            here = f"/console{page.path}".rstrip("/")
            if visit.path == here or (page.path != "/" and visit.path.startswith(f"{here}/")):
                element.props["aria-current"] = "page"


def _who(visit: Visit, palette: Palette, project: str) -> None:
    async def move() -> None:
        await palette.open(PLACES)

    with tag("div", cls="o-who"):
        with tag("button", cls="o-plain o-place", type="button", title=WORDS("move")) as place:
            tag("span", visit.tenant.name, "o-cut")
            if project:
                tag("span", project, "o-chip")
        place.on("click", move)
        with tag("div", cls="o-cut"):
            link(visit.actor.name, "/account", "o-dim")
        _languages()
        with tag("div", cls="o-who-row"):
            names = {f"data_{wish}": WORDS(f"theme_{wish}") for wish in ("auto", "light", "dark")}
            theme = tag("button", WORDS("theme"), "o-plain", type="button", **names)
            theme.on("click", js_handler="(event) => ossature.turn(event.currentTarget)")
            leave = tag("button", WORDS("leave"), "o-plain", type="button")
            leave.on("click", js_handler="() => ossature.leave()")


def _languages() -> None:
    """The choice of a language, each by its own name."""
    with tag("select", cls="o-plain o-language", aria_label=WORDS("language")) as choice:
        for one in LANGUAGES.values():
            option = tag("option", one.name, value=one.code, lang=one.code)
            if one is language():
                option.props["selected"] = True
    choice.on("change", js_handler="(event) => ossature.speak(event.target.value)")


def heading(
    title: str, *, note: str = "", trail: Sequence[tuple[str, str]] = (), actions: Callable[[], object] | None = None
) -> None:
    """The head of a page. trail: (text, path) of the pages above it; actions: draws what can be done here."""
    if trail:
        with tag("div", cls="o-trail"):
            for text, path in trail:
                link(text, path)
                tag("span", " / ", "o-dim")
    with tag("div", cls="o-head"):
        with tag("div"):
            tag("h1", title)
            if note:
                tag("div", note, "o-dim")
        if actions is not None:
            with tag("div", cls="o-actions"):
                actions()
    tag("div", cls="o-ruler", aria_hidden="true")
