"""Legal documents: terms and the like, in versions that hold from a day on, in the languages that they are kept in."""

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from ossature.kernel.errors import Conflict, NotFound, PermissionDenied

KIND_PATTERN = r"^[a-z][a-z0-9-]{0,39}$"
MOST_BYTES = 1_000_000
_NAME = re.compile(r"([a-z][a-z0-9-]{0,39})\.(\d{4}-\d{2}-\d{2})\.([a-z]{2,3}(?:-[A-Z]{2})?)\.md")


@dataclass(frozen=True, slots=True)
class Document:
    """One text. kind: `terms`, `privacy`, ... version: the day from which it holds. language: BCP 47. text: Markdown."""

    kind: str
    version: date
    language: str
    text: str

    @property
    def title(self) -> str:
        """Its first heading; its kind where it has none."""
        first = next((line for line in self.text.splitlines() if line.startswith("# ")), "")
        return first[2:].strip() or self.kind

    @property
    def sha256(self) -> str:
        """The digest of the text, which an acceptance names: what was accepted cannot be changed behind anybody's back."""
        return hashlib.sha256(self.text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Edition:
    """A version of a document in all its languages. in_force: it holds now, and no later one does."""

    kind: str
    version: date
    documents: Sequence[Document]
    in_force: bool

    def in_language(self, *wishes: str) -> Document:
        """The text in the first of these languages that it is kept in, else in English, else in any."""
        by_language = {one.language: one for one in self.documents}
        for wish in (*wishes, "en"):
            if wish in by_language:
                return by_language[wish]
        return self.documents[0]


@dataclass(frozen=True, slots=True)
class Acceptance:
    """That somebody has accepted a text. sha256: of the text that they were shown. ip: where they did."""

    id: UUID
    user_id: UUID
    kind: str
    version: date
    language: str
    sha256: str
    ip: str
    created_at: datetime


class UnknownDocument(NotFound):
    """No document of this kind holds, or it never had this version."""

    title = "No such document"


class AnotherText(Conflict):
    """The digest is not that of the text as it stands: read it again, then accept that."""

    title = "Another text"


class PeopleOnly(PermissionDenied):
    """A person accepts, signed in as themselves; a key cannot."""

    title = "Only people accept"


def parse_name(name: str) -> tuple[str, date, str]:
    """Kind, version and language of a file `terms.2026-11-01.en.md`. Raises: ValueError, saying how names look."""
    found = _NAME.fullmatch(name)
    if found is None:
        raise ValueError(
            f"{name}: a legal document is named KIND.YYYY-MM-DD.LANGUAGE.md, such as terms.2026-11-01.en.md"
        )
    return found[1], date.fromisoformat(found[2]), found[3]


def editions(documents: Iterable[Document], today: date) -> list[Edition]:
    """All versions, the latest of each kind first. Those of days to come are there too, and not in force."""
    grouped: dict[tuple[str, date], list[Document]] = {}
    for one in documents:
        grouped.setdefault((one.kind, one.version), []).append(one)
    newest: dict[str, date] = {}
    for kind, version in grouped:
        if version <= today:
            newest[kind] = max(version, newest.get(kind, version))
    in_order = sorted(grouped, key=lambda key: (key[0], -key[1].toordinal()))
    return [
        Edition(kind, version, sorted(grouped[kind, version], key=_language), newest.get(kind) == version)
        for kind, version in in_order
    ]


def _language(one: Document) -> str:
    return one.language
