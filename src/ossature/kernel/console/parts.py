"""The blocks that pages are made of. Everything said by others goes in as text, never as markup."""

import json
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Literal

import structlog
from nicegui import ui
from nicegui.element import Element

from ossature.kernel.console import say
from ossature.kernel.errors import Problem
from ossature.kernel.i18n.words import Words

Tone = Literal["good", "warn", "bad", "info", "off", "busy"]
Act = Callable[[], Awaitable[None]]

WORDS = Words(
    "console.parts",
    {
        "cancel": "Cancel",
        "close": "Close",
        "done": "I have kept it",
        "copy": "Copy",
        "copied": "Copied",
        "secret": "This is shown once. Keep it where secrets are kept; nobody can show it again.",
        "broken": "Something went wrong here",
        "logged": "It is in the log. Try again, or load the page anew.",
        "again_in": "Try again in {s} s.",
        "request": "Request {id}",
        "home": "Back to the overview",
    },
)

_COLOURS: Mapping[Tone, Literal["positive", "negative", "warning", "info"]] = {
    "good": "positive",
    "bad": "negative",
    "warn": "warning",
}
_NOTE_MS = 5000
_PROBLEM_MS = 12000
_IDLE_LIMIT_S = 3.0
_SOON_S = 0.8
_BONES = (
    '<svg viewBox="0 0 88 44" fill="none" stroke="currentColor" stroke-width="1.5" aria-hidden="true">'
    '<path d="M4 40V12L24 4h40l20 8v28M4 40h80M4 26h80M24 4v36M44 4v36M64 4v36M4 40l20-14 20 14 20-14 20 14"/></svg>'
)


def tag(name: str, text: str | None = None, cls: str = "", **attributes: Any) -> Element:
    """An HTML element with text; attributes by name, with `_` for `-`."""
    element = ui.element(name)
    if text is not None:
        element._text = text  # noqa: SLF001 - a plain element has no other door for its text
    if cls:
        element.classes(cls)
    for key, value in attributes.items():
        element.props[key.rstrip("_").replace("_", "-")] = value
    return element


def svg(markup: str, cls: str = "") -> Element:
    """A picture of our own making; `markup` holds no text of others that is not escaped."""
    return ui.html(markup, sanitize=False).classes(cls)


def link(text: str, path: str, cls: str = "") -> Element:
    """A link to a page of the console (`path` is below it) or, with a scheme, elsewhere."""
    return tag("a", text, cls, href=path if "://" in path or path.startswith("/v1/") else f"/console{path}")


@contextmanager
def panel(
    title: str = "", *, note: str = "", cls: str = "", actions: Callable[[], object] | None = None
) -> Iterator[Element]:
    """A sheet with a heading; `actions` draws what stands at its right end."""
    with tag("section", cls=f"o-panel {cls}") as section:
        if title:
            with tag("div", cls="o-panel-head"):
                with tag("div", cls="o-row"):
                    tag("h2", title)
                    if note:
                        tag("span", note, "o-dim")
                if actions is not None:
                    with tag("div", cls="o-actions"):
                        actions()
        yield section


def lamp(tone: Tone, text: str) -> Element:
    """A state, as a lamp and a word."""
    with tag("span", cls=f"o-lamp o-{tone}") as element:
        tag("span", text)
    return element


def reading(
    label: str, value: str, *, unit: str = "", note: str = "", tone: Tone | None = None, trace: str = "", path: str = ""
) -> None:
    """One figure of a row of instruments. trace: a small picture below; path: what it is made of."""
    outer = tag("a", cls="o-reading", href=f"/console{path}") if path else tag("div", cls="o-reading")
    with outer:
        tag("span", label, "o-label")
        with tag("div"):
            tag("span", value, f"o-value o-{tone}" if tone else "o-value")
            if unit:
                tag("span", unit, "o-unit")
        tag("span", note, "o-note o-cut")
        if trace:
            svg(trace)


def empty(title: str, text: str, action: Callable[[], object] | None = None) -> None:
    """What stands where nothing is yet: what this place is for and what to do next."""
    with tag("div", cls="o-empty"):
        svg(_BONES)
        tag("h3", title)
        tag("p", text)
        if action is not None:
            action()


def facts(pairs: Iterable[tuple[str, str | Callable[[], object]]]) -> None:
    """A list of names with what they say: text, or something that draws itself."""
    with tag("dl", cls="o-facts"):
        for name, said in pairs:
            tag("dt", name)
            if isinstance(said, str):
                tag("dd", said)
            else:
                with tag("dd"):
                    said()


def chips(names: Iterable[str]) -> None:
    """A few short names."""
    for name in names:
        tag("span", name, "o-chip")


def code(text: str) -> Element:
    """Text as a machine wrote it."""
    return tag("pre", text, "o-code", tabindex="0")


def document(value: Any) -> Element:  # noqa: ANN401 - any JSON value
    """A JSON value, indented."""
    return code(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def meter(fraction: float, *, tone: Tone | None = None, title: str = "") -> None:
    """How much of a whole, as a bar."""
    share = min(max(fraction, 0.0), 1.0)
    label = title or say.share(share)
    with tag(
        "span",
        cls="o-bar",
        role="meter",
        aria_label=label,
        aria_valuenow=round(share, 3),
        aria_valuemin=0,
        aria_valuemax=1,
    ):
        tag("i", cls=f"o-{tone}" if tone else "").style(f"width: {share * 100:.1f}%")


def button(text: str, act: Act, *, kind: Literal["", "main", "danger"] = "", small: bool = False) -> Element:
    """A button that cannot be pressed again while what it does is under way."""
    look = f"o-button{' o-' + kind if kind else ''}{' o-small' if small else ''}"
    element = tag("button", text, look, type="button")

    async def press() -> None:
        element.props["disabled"] = True
        try:
            # The place where the button stands may be drawn anew meanwhile; what the act draws must outlive it.
            with element.client.content:
                await act()
        finally:
            if not element.is_deleted:
                del element.props["disabled"]

    element.on("click", press)
    return element


def tabs(choices: Iterable[tuple[str, str]], chosen: str, path: Callable[[str], str]) -> None:
    """Filters of a list, as links, so that each has an address."""
    with tag("div", cls="o-tabs"):
        for value, text in choices:
            element = link(text, path(value))
            if value == chosen:
                element.props["aria-current"] = "true"


@contextmanager
def sheet(title: str, *, wide: bool = False) -> Iterator[ui.dialog]:
    """A dialog, to be awaited or opened by the caller."""
    with (
        ui.dialog() as dialog,
        tag("div", cls=f"o-sheet{' o-wide' if wide else ''}", role="document", aria_label=title),
    ):
        tag("h2", title)
        yield dialog


async def confirm(title: str, text: str, action: str) -> bool:
    """Whether the person really wants that."""

    async def agree() -> None:
        dialog.submit(True)  # noqa: FBT003 - what the dialog answers

    async def leave() -> None:
        dialog.submit(False)  # noqa: FBT003 - as above

    with sheet(title) as dialog:
        tag("p", text)
        with tag("div", cls="o-actions"):
            button(WORDS("cancel"), leave)
            button(action, agree, kind="danger")
    answer = await dialog
    dialog.delete()
    return bool(answer)


async def show_secret(title: str, secret: str) -> None:
    """A secret that is shown this once; ends when the person says that it is kept."""

    async def copy() -> None:
        ui.clipboard.write(secret)
        toast(WORDS("copied"), tone="good")

    async def leave() -> None:
        dialog.submit(None)

    with sheet(title) as dialog:
        dialog.props("persistent")
        tag("p", WORDS("secret"))
        tag("div", secret, "o-secret", tabindex="0")
        with tag("div", cls="o-actions"):
            button(WORDS("copy"), copy)
            button(WORDS("done"), leave, kind="main")
    await dialog
    dialog.delete()


def toast(text: str, *, detail: str = "", tone: Tone = "info") -> None:
    """A note that goes away by itself."""
    colour = _COLOURS.get(tone, "info")
    limit_ms = _PROBLEM_MS if tone == "bad" else _NOTE_MS
    ui.notify(text, caption=detail, type=colour, timeout=limit_ms, position="bottom-right", close_button=WORDS("close"))


def tell_problem(problem: Problem) -> None:
    """A refusal, as a note with all that it says."""
    lines = [problem.detail or "", *(f"{fault.pointer}: {fault.message}" for fault in problem.errors)]
    if problem.retry_after_s:
        lines.append(WORDS("again_in", s=round(problem.retry_after_s)))
    lines.append(request_line())
    toast(problem.title, detail=" ".join(line for line in lines if line), tone="bad")


def problem_panel(problem: Problem) -> None:
    """A refusal, where a page should be, with what to do about it."""
    with panel():
        empty(problem.title, problem.detail or (type(problem).__doc__ or "").strip(), _ways_on)


def _ways_on() -> None:
    with tag("div", cls="o-row o-centred"):
        link(WORDS("home"), "/", "o-button")
    if said := request_line():
        tag("p", said, "o-mono o-dim")


def request_line(request_id: str = "") -> str:
    """Under which id the log and the audit trail have what was just done; empty when nothing was."""
    found = request_id or structlog.contextvars.get_contextvars().get("request_id", "")
    return WORDS("request", id=found) if found else ""


class Refreshed(Element):
    """A part of a page that is drawn anew every so often, in one step, so that nothing flickers.

    Not while nobody looks, and not under the hands of somebody: while the keyboard or a selection is inside of it.
    """

    def __init__(self, seconds: float, draw: Callable[[], Awaitable[None]]) -> None:
        super().__init__("div")
        self._draw = draw
        self.timer = ui.timer(seconds, self._tick, immediate=False)
        self._catching_up = ui.timer(_SOON_S, self._catch_up, active=False, immediate=False)

    async def again(self) -> None:
        """Draw it now."""
        before = list(self.default_slot.children)
        with self:
            await self._draw()
        for child in before:
            child.delete()

    def soon(self) -> None:
        """Draw it within about a second, however often this is said meanwhile, or when it is out of everybody's hands."""
        self._catching_up.activate()

    async def _catch_up(self) -> None:
        if await self._tick():
            self._catching_up.deactivate()

    async def _tick(self) -> bool:
        """Draw it if somebody looks and nobody uses it; whether it was drawn."""
        if not self.client.has_socket_connection:
            return False
        with suppress(TimeoutError):  # the browser has gone, or is asleep
            if await ui.run_javascript(f"return ossature.idle({json.dumps(self.html_id)})", timeout=_IDLE_LIMIT_S):
                await self.again()
                return True
        return False


async def drawn(seconds: float, draw: Callable[[], Awaitable[None]], cls: str = "") -> Refreshed:
    """A part of a page that has been drawn and will be again every so often."""
    place = Refreshed(seconds, draw)
    place.classes(cls)
    await place.again()
    return place


def select(
    label: str,
    options: Sequence[str] | dict[str, str],
    *,
    value: str | Sequence[str] | None = None,
    several: bool = False,
) -> ui.select:
    """A choice."""
    shown = options if isinstance(options, dict) else list(options)
    return ui.select(shown, label=label, value=value, multiple=several).props(
        "outlined dense use-chips" if several else "outlined dense"
    )


def field(label: str, *, value: str = "", hint: str = "", kind: str = "text") -> ui.input:
    """A line to be typed."""
    made = ui.input(label, value=value).props(f"outlined dense type={kind} autocomplete=off")
    if hint:
        made.props["hint"] = hint
    return made
