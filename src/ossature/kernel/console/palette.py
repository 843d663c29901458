"""The palette: one field that finds pages and things and does what one can do from anywhere (Ctrl-K, Cmd-K)."""

import json
from collections.abc import Sequence
from functools import partial

from nicegui import ui
from nicegui.element import Element
from nicegui.events import GenericEventArguments

from ossature.kernel.console.parts import tag
from ossature.kernel.console.search import Group, Hit, Source, fits, search
from ossature.kernel.console.visit import Visit
from ossature.kernel.i18n.language import LANGUAGES, language
from ossature.kernel.i18n.words import Words

WORDS = Words(
    "console.palette",
    {
        "search": "Search",
        "label": "Search, or say what to do",
        "hint": "A page, a job's id, a provider, the beginning of a key...",
        "results": "What was found",
        "nothing": "Nothing fits {text}. Search by a name, an id or the beginning of a key.",
        "commands": "Commands",
        "theme_auto": "Theme: as the system",
        "theme_light": "Theme: light",
        "theme_dark": "Theme: dark",
        "language": "Language: {name}",
        "leave": "Sign out",
    },
)
_DEBOUNCE_S = 0.12
_LENS = (
    '<svg viewBox="0 0 16 16" width="14" height="14" fill="none" stroke="currentColor" stroke-width="1.5" '
    'aria-hidden="true"><circle cx="7" cy="7" r="4.5"/><path d="m10.5 10.5 4 4"/></svg>'
)


async def _find_commands(visit: Visit, text: str) -> Sequence[Hit]:
    del visit
    themes = [
        Hit(title=WORDS(f"theme_{wish}"), script=f"ossature.dress({json.dumps(wish)})")
        for wish in ("auto", "light", "dark")
    ]
    languages = [
        Hit(title=WORDS("language", name=one.name), script=f"ossature.speak({json.dumps(one.code)})")
        for one in LANGUAGES.values()
        if one is not language()
    ]
    leave = Hit(title=WORDS("leave"), script="ossature.leave()")
    return [hit for hit in (*themes, *languages, leave) if fits(text, hit.title)] if text else []


COMMANDS = Source(partial(WORDS, "commands"), "*", _find_commands)
"""What can be done from anywhere."""


class Palette:
    """The palette of one page. It is drawn when it is first opened."""

    def __init__(self, visit: Visit, sources: Sequence[Source]) -> None:
        self._visit = visit
        self._all = tuple(sources)
        self._sources = self._all
        self._dialog: ui.dialog | None = None
        self._list: Element | None = None
        self._asked = ""

    def button(self) -> None:
        """Draw what opens it."""
        with tag(
            "button", cls="o-search", type="button", id="palette-open", aria_keyshortcuts="Control+K Meta+K"
        ) as it:
            ui.html(_LENS, sanitize=False)
            tag("span", WORDS("search"), "o-grow")
            tag("kbd", "Ctrl K", aria_hidden="true")

        async def press() -> None:
            await self.open(self._all)

        it.on("click", press)

    async def open(self, sources: Sequence[Source]) -> None:
        """Open it, to look in these sources."""
        self._sources = tuple(sources)
        with ui.context.client.content:
            if self._dialog is not None:
                self._dialog.delete()
            self._draw()
        await self._fill("")

    def _draw(self) -> None:
        with (
            ui.dialog(value=True).props("position=top") as self._dialog,
            tag("div", cls="o-sheet o-palette", role="document", aria_label=WORDS("label")),
        ):
            field = tag(
                "input",
                cls="o-palette-field",
                type="text",
                id="palette-field",
                role="combobox",
                aria_label=WORDS("label"),
                placeholder=WORDS("hint"),
                aria_expanded="true",
                aria_controls="palette-list",
                aria_autocomplete="list",
                autocomplete="off",
                spellcheck="false",
                autofocus=True,
            )
            field.on("keydown", js_handler="(event) => ossature.walk(event)")
            field.on(
                "input",
                self._typed,
                js_handler="(event) => emit(event.target.value)",
                throttle=_DEBOUNCE_S,
                leading_events=False,
            )
            self._list = tag(
                "div", cls="o-palette-list", role="listbox", id="palette-list", aria_label=WORDS("results")
            )

    async def _typed(self, event: GenericEventArguments) -> None:
        await self._fill(str(event.args)[:200])

    async def _fill(self, text: str) -> None:
        self._asked = text
        found = await search(self._visit, self._sources, text)
        place = self._list
        if text != self._asked or place is None or place.is_deleted:
            return  # more was typed meanwhile
        place.clear()
        place.props["data-for"] = text
        with place:
            if not found:
                tag("p", WORDS("nothing", text=text.strip()), "o-dim o-palette-none", role="status")
            for number, group in enumerate(found):
                self._group(group, first=number == 0)

    def _group(self, group: Group, *, first: bool) -> None:
        with tag("div", role="group", aria_label=group.title):
            tag("div", group.title, "o-label", aria_hidden="true")
            for number, hit in enumerate(group.hits):
                self._option(hit, chosen=first and number == 0)

    def _option(self, hit: Hit, *, chosen: bool) -> None:
        where = {"href": f"/console{hit.path}"} if hit.path else {"type": "button"}
        with tag(
            "a" if hit.path else "button",
            cls="o-option",
            role="option",
            tabindex="-1",
            aria_selected=str(chosen).lower(),
            **where,
        ) as option:
            option.props["id"] = f"option-{option.id}"
            tag("span", hit.title, "o-cut")
            tag("span", hit.note, "o-dim o-cut")
        if hit.path:
            return

        async def press() -> None:
            if self._dialog is not None:
                self._dialog.close()
            if hit.script:
                ui.run_javascript(hit.script)
            if hit.act is not None:
                await hit.act()

        option.on("click", press)
