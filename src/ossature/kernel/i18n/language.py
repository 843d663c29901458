"""The languages that the product speaks, and which of them the present reader reads."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final

from babel import Locale
from babel.core import negotiate_locale


@dataclass(frozen=True, slots=True)
class Language:
    """A language. code: BCP 47. name: what its speakers call it. locale: how it writes numbers, dates and money."""

    code: str
    name: str
    locale: Locale

    @property
    def direction(self) -> str:
        """`ltr` or `rtl`, as HTML has it."""
        return self.locale.text_direction


FALLBACK: Final = Language("en", "English", Locale("en", "GB"))
LANGUAGES: Final[Mapping[str, Language]] = {
    language.code: language
    for language in (
        FALLBACK,
        Language("fr", "Français", Locale("fr")),
        Language("de", "Deutsch", Locale("de")),
        Language("he", "עברית", Locale("he")),
    )
}

_present: ContextVar[Language] = ContextVar("ossature_language", default=FALLBACK)


def language() -> Language:
    """The language of who reads what is being said now."""
    return _present.get()


@contextmanager
def speaking(chosen: Language) -> Iterator[None]:
    """Say everything within the block, and in the tasks that begin there, in this language."""
    before = _present.set(chosen)
    try:
        yield
    finally:
        _present.reset(before)


def choose(*wishes: str, accept: str = "") -> Language:
    """The first wish (BCP 47) that we speak, else the best of an `Accept-Language` header (RFC 9110, 12.5.4), else English."""
    known = negotiate_locale([*filter(None, wishes), *_ranked(accept)], list(LANGUAGES), sep="-")
    return LANGUAGES[known] if known else FALLBACK


def _ranked(accept: str) -> list[str]:
    """The languages of the header, the dearest first; those with the weight 0 are not wanted."""
    weighed = []
    for part in accept.split(","):
        tag, _, weight = part.partition(";")
        try:
            quality = float(weight.strip().removeprefix("q=") or 1)
        except ValueError:
            continue
        if tag.strip() and quality > 0:
            weighed.append((tag.strip(), quality))
    return [tag for tag, _ in sorted(weighed, key=lambda pair: -pair[1])]
