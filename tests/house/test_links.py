"""Links in the pages outside the site, and from sources into the docs, lead somewhere. The site checks its own, strictly."""

import re
import subprocess
from functools import cache
from pathlib import Path

import pytest
from markdown.extensions.toc import slugify

from tests.house.places import ROOT

LINK = re.compile(r"\]\(<?(?!\w+:)([^)\s>]+)")
FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
MENTIONED = re.compile(r"\bdocs/[\w/.-]+\.md(?:#[\w-]+)?")
PAGES = sorted(
    ROOT / name
    for name in subprocess.run(
        ["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    if (ROOT / name).is_file()
)


@cache
def _anchors(page: Path) -> frozenset[str]:
    titles = re.findall(r"^#+ (.+)$", FENCED.sub("", page.read_text()), re.MULTILINE)
    return frozenset(slugify(re.sub(r"[`*]", "", title), "-") for title in titles)


def _leads(target: str, *, start: Path) -> bool:
    """Whether a relative address leads to a file or folder, and its anchor to a heading."""
    path, _, anchor = target.partition("#")
    page = (start / path).resolve() if path else start
    if not page.exists():
        return False
    return not anchor or (page.suffix == ".md" and anchor in _anchors(page))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_of_a_page_lead_somewhere(page: Path) -> None:
    targets = LINK.findall(FENCED.sub("", page.read_text()))

    assert [one for one in targets if not _leads(one, start=page if one.startswith("#") else page.parent)] == []


def test_pages_that_sources_mention_exist() -> None:
    listed = subprocess.run(
        ["git", "grep", "-lE", r"docs/[a-z/-]+\.md", "--", "*.py", "*.toml", "*.yml", "*.yaml", "*.conf", "Makefile"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    dead = [
        f"{name}: {mentioned}"
        for name in listed
        for mentioned in MENTIONED.findall((ROOT / name).read_text())
        if not _leads(mentioned, start=ROOT)
    ]

    assert len(listed) > 3
    assert dead == []
