"""Finding things by typing: every page may say what it finds, and the palette asks all of them.

Page(path="/pots", title="Pots", build="...:pots", allow="read:pots", find="...:find_pots")

async def find_pots(visit: Visit, text: str) -> Sequence[Hit]: ...
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import structlog

from ossature.kernel.console.visit import Visit
from ossature.kernel.errors import Problem
from ossature.kernel.i18n.words import Words, translate
from ossature.kernel.service import Page

log = structlog.get_logger()

WORDS = Words("console.search", {"pages": "Pages"})
MOST = 6
"""How many hits of one kind are shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """Something that was found: a page to go to, or something to do.

    path: below `/console`. script: what the browser does instead; act: what we do instead. note: what tells it from others.
    """

    title: str
    note: str = ""
    path: str = ""
    script: str = ""
    act: Callable[[], Awaitable[object]] | None = None


Find = Callable[[Visit, str], Awaitable[Sequence[Hit]]]
"""What a person may see that fits a text (stripped, perhaps empty), the best first; the permission of the page is checked."""


@dataclass(frozen=True, slots=True)
class Source:
    """Somewhere to look. title: the heading of its hits, in the language of who reads it."""

    title: Callable[[], str]
    allow: str
    find: Find


@dataclass(frozen=True, slots=True)
class Group:
    """What one source has found."""

    title: str
    hits: Sequence[Hit]


async def search(visit: Visit, sources: Iterable[Source], text: str) -> Sequence[Group]:
    """What the sources find that this person may look at, in the order of the sources. One that refuses is passed over."""
    wanted = text.strip()
    groups = []
    for source in sources:
        if not visit.may(source.allow):
            continue
        try:
            hits = await source.find(visit, wanted)
        except Problem as problem:
            log.warning("console.search_refused", find=source.find.__qualname__, problem=problem.title)
            continue
        if hits:
            groups.append(Group(source.title(), hits[:MOST]))
    return groups


def fits(text: str, *where: str) -> bool:
    """Whether every word of a text is somewhere in these, whatever its case."""
    there = " ".join(where).casefold()
    return all(word in there for word in text.casefold().split())


def of_pages(pages: Iterable[Page]) -> Source:
    """The pages of the menu, by their names."""
    listed = [page for page in pages if page.menu is not None]

    async def find(visit: Visit, text: str) -> Sequence[Hit]:
        return [
            Hit(title=translate(page.title), note=translate(page.menu or ""), path=page.path)
            for page in listed
            if visit.may(page.allow) and fits(text, page.title, translate(page.title), page.path)
        ]

    return Source(partial(WORDS, "pages"), "*", find)
