"""Settings as this process read them: names, values without secrets, and where each came from."""

from collections.abc import Sequence
from urllib.parse import urlencode

from ossature.kernel.config import Value
from ossature.kernel.console import say
from ossature.kernel.console.parts import empty, field, lamp, panel, tabs, tag
from ossature.kernel.console.search import Hit, fits
from ossature.kernel.console.shell import heading
from ossature.kernel.console.table import Column, exports, table
from ossature.kernel.console.visit import Visit
from ossature.kernel.i18n.words import Message, Words

WORDS = Words(
    "console.settings",
    {
        "title": "Settings",
        "note": "Read once, at the start of the process. Profile: {profile}. Secrets are never shown.",
        "changed": "Set here",
        "all": "All",
        "name": "Variable",
        "value": "Value",
        "source": Message("From", context="place of a setting"),
        "what": "What it does",
        "default": "default",
        "none": "Nothing is set",
        "none_text": "Every setting has its default. Set one in the environment, in `.env` or in `ossature.toml`, and start again.",
        "find": "Find a setting",
        "empty": "(empty)",
    },
)

_DEFAULT = "default"


async def settings(visit: Visit) -> None:
    """Draw the page."""
    config = visit.house.config
    every = sorted(config.values(), key=lambda value: value.name)
    changed = [value for value in every if value.source != _DEFAULT]
    chosen = visit.query.get("show", "changed" if changed else "all")
    sought = visit.query.get("q", "")
    shown: list[Value] = []
    columns = _columns()
    heading(WORDS("title"), note=WORDS("note", profile=config.main.profile))

    def draw(words: str) -> None:
        pool = every if chosen == "all" else changed
        shown[:] = [value for value in pool if words.casefold() in f"{value.name} {value.description}".casefold()]
        place.clear()
        with place:
            _list(shown, columns)

    with panel():
        with tag("div", cls="o-panel-head"):
            choices = [
                ("changed", f"{WORDS('changed')} ({say.count(len(changed))})"),
                ("all", f"{WORDS('all')} ({say.count(len(every))})"),
            ]
            tabs(choices, chosen, lambda value: f"/settings?show={value}")
            with tag("div", cls="o-actions"):
                field(WORDS("find"), value=sought).on_value_change(lambda event: draw(event.value or ""))
                exports("settings", lambda: shown, columns)
        place = tag("div")
        draw(sought)


async def find(visit: Visit, text: str) -> Sequence[Hit]:
    """Settings by the name of their variable or by what they do."""
    if not text:
        return []
    return [
        Hit(title=value.name, note=value.description, path=f"/settings?{urlencode({'show': 'all', 'q': value.name})}")
        for value in sorted(visit.house.config.values(), key=lambda value: value.name)
        if fits(text, value.name, value.description)
    ]


def _list(shown: Sequence[Value], columns: Sequence[Column[Value]]) -> None:
    if shown:
        table(shown, columns)
    else:
        empty(WORDS("none"), WORDS("none_text"))


def _columns() -> list[Column[Value]]:
    def source(value: Value) -> None:
        lamp("off" if value.source == _DEFAULT else "good", said(value))

    def said(value: Value) -> str:
        return WORDS("default") if value.source == _DEFAULT else value.source

    return [
        Column(WORDS("name"), lambda value: value.name, lambda value: tag("span", value.name, "o-mono")),
        Column(
            WORDS("value"),
            lambda value: value.shown,
            lambda value: tag("span", value.shown or WORDS("empty"), "o-mono" if value.shown else "o-dim"),
        ),
        Column(WORDS("source"), said, source, tight=True),
        Column(WORDS("what"), lambda value: value.description),
    ]
