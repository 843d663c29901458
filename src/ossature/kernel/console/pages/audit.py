"""The audit trail: who did what, and the proof that nobody changed the record."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from nicegui import ui

from ossature.kernel.audit import store
from ossature.kernel.audit.domain import CHAIN, Entry
from ossature.kernel.audit.trail import Trail
from ossature.kernel.console import say
from ossature.kernel.console.parts import (
    Tone,
    button,
    document,
    drawn,
    empty,
    facts,
    field,
    lamp,
    link,
    panel,
    select,
    sheet,
    svg,
    tag,
)
from ossature.kernel.console.pictures import strip
from ossature.kernel.console.search import Hit
from ossature.kernel.console.shell import heading
from ossature.kernel.console.table import Column, exports, table
from ossature.kernel.console.visit import Visit
from ossature.kernel.db import chain
from ossature.kernel.db.chain import Anchor, Verdict
from ossature.kernel.db.listing import Filter, Found, ListQuery
from ossature.kernel.i18n.words import Message, Words

WORDS = Words(
    "console.audit",
    {
        "title": "Audit trail",
        "note": "Each entry carries the hash of the one before; a change anywhere breaks the chain from there on.",
        "verify": "Verify the chain",
        "chain": "The chain",
        "links": Message("the last entry", plural="the last {count} entries, the newest at the end"),
        "intact": Message(
            "Intact: one entry was read, number {last}.",
            plural="Intact: {count} entries were read, up to number {last}.",
        ),
        "broken": Message(
            "Broken: one fault in {entries} entries.", plural="Broken: {count} faults in {entries} entries."
        ),
        "fault": "Entry {seq}, {where}: {detail}",
        "unverified": "Not verified since this page was opened.",
        "anchors": Message(
            "One anchor vouches for it, up to entry {last}, {when}.",
            plural="{count} anchors vouch for it; the last one up to entry {last}, {when}.",
        ),
        "no_anchors": "The first anchor is laid tonight: it vouches for all that is older.",
        "seq": "No.",
        "at": "When",
        "actor": "Who",
        "action": "Did what",
        "what": "To what",
        "result": "Result",
        "ip": Message("From", context="network address"),
        "all": "All",
        "ok": "ok",
        "denied": "denied",
        "failed": "failed",
        "search": "Search",
        "clear": "Clear",
        "none": "No entry fits",
        "none_text": "What changes something is recorded here, with who did it and what it was before.",
        "older": "Older",
        "newest": "Back to the newest",
        "before": "Before",
        "after": "After",
        "facts": "Facts",
        "request": "Request",
        "hash": "Hash",
        "close": "Close",
        "export": "All as NDJSON",
    },
)

_TONES: dict[str, Tone] = {"ok": "good", "denied": "warn", "failed": "bad"}
_PAGE = 50
_LONGEST_NUMBER = 18  # digits of a number of 64 bits, whatever they are
_FILTERS = ("action", "what", "result", "request_id")


async def trail(visit: Visit) -> None:
    """Draw the page."""
    shown: list[Entry] = []
    columns = _columns(visit)
    heading(WORDS("title"), note=WORDS("note"))
    async with visit.ctx("read:audit") as ctx:
        anchors = await chain.anchors_of(ctx.db, ctx.tenant.id, CHAIN)
        newest = await store.list_entries(ctx.db, ctx.tenant.id, ListQuery(limit=120))
    with tag("div", cls="o-stack"):
        _chain(visit, newest.items, anchors)
        with panel():
            with tag("div", cls="o-panel-head"):
                _filters(visit)
                with tag("div", cls="o-actions"):
                    exports("audit", lambda: shown, columns)
                    if visit.may("export:audit"):
                        link(WORDS("export"), "/v1/audit/export", "o-button o-small")

            async def draw() -> None:
                found = await _find(visit)
                shown[:] = found.items
                _list(visit, found, columns)

            await drawn(20.0, draw)


def _chain(visit: Visit, newest: Sequence[Entry], anchors: Sequence[Anchor]) -> None:
    async def verify() -> None:
        async with visit.ctx("read:audit") as ctx:
            found = await ctx.port(Trail).verify(ctx.db, ctx.tenant.id)
        verdict.clear()
        with verdict:
            _verdict(found)

    with (
        panel(
            WORDS("chain"),
            note=WORDS("links", count=len(newest)),
            actions=lambda: button(WORDS("verify"), verify, kind="main"),
        ),
        tag("div", cls="o-stack"),
    ):
        svg(strip([(_TONES.get(one.result, "info"), f"{one.seq} {one.action}") for one in reversed(newest)]))
        verdict = tag("div", cls="o-stack", aria_live="polite")
        with verdict:
            tag("span", WORDS("unverified"), "o-dim")
        tag("span", _anchored(visit, anchors), "o-dim")


def _anchored(visit: Visit, anchors: Sequence[Anchor]) -> str:
    if not anchors:
        return WORDS("no_anchors")
    last = anchors[-1]
    return WORDS("anchors", count=len(anchors), last=last.last_seq, when=say.instant(last.at, visit.zone))


def _verdict(found: Verdict) -> None:
    if found.intact:
        tag("div", WORDS("intact", count=found.checked, last=found.last_seq), "o-note-good")
        return
    with tag("div", cls="o-note-bad"):
        tag("div", WORDS("broken", count=len(found.faults), entries=found.checked))
        for fault in found.faults[:20]:
            tag("div", WORDS("fault", seq=fault.seq, where=fault.where, detail=fault.detail), "o-mono")


def _filters(visit: Visit) -> None:
    async def search() -> None:
        said = {"action": action.value, "what": what.value, "result": result.value or ""}
        kept = {name: value.strip() for name, value in said.items() if value.strip()}
        ui.navigate.to(f"/audit?{urlencode(kept)}" if kept else "/audit")

    results = {"": WORDS("all"), "ok": WORDS("ok"), "denied": WORDS("denied"), "failed": WORDS("failed")}
    with tag("div", cls="o-row"):
        action = field(WORDS("action"), value=visit.query.get("action", "")).on("keydown.enter", search)
        what = field(WORDS("what"), value=visit.query.get("what", "")).on("keydown.enter", search)
        result = select(WORDS("result"), results, value=visit.query.get("result", "")).style("min-width: 110px")
        button(WORDS("search"), search)
        if any(visit.query.get(name) for name in _FILTERS):
            link(WORDS("clear"), "/audit")


async def _find(visit: Visit) -> Found[Entry]:
    filters = tuple(Filter(name, "eq", value) for name in _FILTERS if (value := visit.query.get(name)))
    before = number_in(visit.query.get("before", ""))
    after: tuple[Any, ...] | None = None if before is None else (before, before)
    async with visit.ctx("read:audit") as ctx:
        return await store.list_entries(ctx.db, ctx.tenant.id, ListQuery(limit=_PAGE, filters=filters, after=after))


def number_in(text: str) -> int | None:
    """The number of an entry that stands in an address; None for anything else that somebody wrote there."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _LONGEST_NUMBER else None


def _list(visit: Visit, found: Found[Entry], columns: Sequence[Column[Entry]]) -> None:
    if not found.items:
        empty(WORDS("none"), WORDS("none_text"))
        return
    table(found.items, columns)
    kept = {name: value for name in _FILTERS if (value := visit.query.get(name))}
    if not visit.query.get("before") and found.next is None:
        return
    with tag("div", cls="o-below"):
        if visit.query.get("before"):
            link(WORDS("newest"), f"/audit?{urlencode(kept)}")
        if found.next is not None:
            link(WORDS("older"), f"/audit?{urlencode(kept | {'before': str(found.items[-1].seq)})}")


async def find(visit: Visit, text: str) -> Sequence[Hit]:
    """What was done to one thing, or by one request: by its exact name, such as `schedule/files.sweep`, or id."""
    if not text:
        return []
    found = []
    async with visit.ctx("read:audit") as ctx:
        for name in ("what", "action", "request_id"):
            query = ListQuery(limit=1, filters=(Filter(name, "eq", text),))
            for entry in (await store.list_entries(ctx.db, ctx.tenant.id, query)).items:
                note = f"{entry.action}, {say.instant(entry.at, visit.zone)}"
                found.append(Hit(title=text, note=note, path=f"/audit?{urlencode({name: text})}"))
    return found


def _columns(visit: Visit) -> list[Column[Entry]]:
    def look_button(entry: Entry) -> None:
        async def press() -> None:
            await _look(visit, entry)

        button(str(entry.seq), press, small=True)

    return [
        Column(WORDS("seq"), lambda one: str(one.seq), look_button, tight=True),
        Column(
            WORDS("action"),
            lambda one: one.action,
            lambda one: lamp(_TONES.get(one.result, "info"), one.action),
            tight=True,
        ),
        Column(WORDS("what"), lambda one: one.what, lambda one: tag("span", one.what, "o-mono")),
        Column(WORDS("actor"), lambda one: one.actor),
        Column(WORDS("ip"), lambda one: one.ip, numeric=True),
        Column(WORDS("at"), lambda one: say.instant(one.at, visit.zone), numeric=True),
    ]


async def _look(visit: Visit, entry: Entry) -> None:
    async def leave() -> None:
        dialog.close()

    with sheet(f"{entry.seq}. {entry.action}", wide=True) as dialog:
        facts(
            [
                (WORDS("actor"), f"{entry.actor} ({entry.actor_kind})"),
                (WORDS("what"), entry.what),
                (WORDS("result"), WORDS(entry.result)),
                (WORDS("at"), say.instant(entry.at, visit.zone)),
                (WORDS("ip"), entry.ip or say.NOTHING),
                (WORDS("request"), entry.request_id),
                (WORDS("hash"), lambda: tag("span", entry.hash, "o-mono")),
            ]
        )
        for title, value in (("before", entry.before), ("after", entry.after), ("facts", entry.facts)):
            if value:
                tag("div", WORDS(title), "o-label")
                document(value)
        with tag("div", cls="o-actions"):
            button(WORDS("close"), leave)
    await dialog
    dialog.delete()
