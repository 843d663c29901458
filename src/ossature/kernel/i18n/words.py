"""Sentences in the language of their reader: `Words` for the table of a room, `translate` for one that stands elsewhere.

The English text is the key of the translations. A house test reads both forms from the sources and fails for a sentence
that one of the languages does not have.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from babel.numbers import format_decimal

from ossature.kernel.i18n.catalogue import catalogue
from ossature.kernel.i18n.language import Language, language

_ISOLATE, _END = "\N{FIRST STRONG ISOLATE}", "\N{POP DIRECTIONAL ISOLATE}"


@dataclass(frozen=True, slots=True)
class Message:
    """A sentence that takes more than its English text to be translated.

    plural: what is said of every number but one; the fact `count` decides, by the rules of each language.
    context: which meaning of an ambiguous word it is, for the translators.
    """

    english: str
    plural: str = ""
    context: str = ""


@dataclass(frozen=True, slots=True)
class Words:
    """The sentences of one room, in English. room: whose they are, such as `console.jobs`."""

    room: str
    english: Mapping[str, str | Message]

    def __call__(self, key: str, /, **facts: object) -> str:
        """A sentence with its facts filled in: `words("left", count=3)`. Raises: KeyError for a key that is not there."""
        return translate(self.english[key], **facts)


def translate(message: str | Message, /, **facts: object) -> str:
    """A sentence in the reader's language. Numbers are written as there; a plural needs the number `count`.

    Raises: KeyError for a fact that the sentence needs and nobody gave.
    """
    asked = message if isinstance(message, Message) else Message(message)
    if not asked.english:
        return ""  # a catalogue keeps its head under the empty text
    reader = language()
    found = catalogue(reader.code)
    if asked.plural:
        many = facts["count"]
        if not isinstance(many, int):
            raise TypeError(f"count must be a whole number to choose between {asked.english!r} and its plural")
        text = (
            found.npgettext(asked.context, asked.english, asked.plural, many)
            if asked.context
            else found.ngettext(asked.english, asked.plural, many)
        )
    else:
        text = found.pgettext(asked.context, asked.english) if asked.context else found.gettext(asked.english)
    return text.format(**{name: _told(fact, reader) for name, fact in facts.items()})


def _told(fact: object, reader: Language) -> str:
    """A fact as it stands in a sentence. What is written from left to right stays whole within one from right to left."""
    if isinstance(fact, int | float | Decimal) and not isinstance(fact, bool):
        return format_decimal(fact, locale=reader.locale)
    text = str(fact)
    return f"{_ISOLATE}{text}{_END}" if text and reader.direction == "rtl" else text
