"""Sentences, numbers and choices of a language."""

from datetime import UTC, datetime, timedelta

import pytest

from ossature.kernel.console import say
from ossature.kernel.i18n.catalogue import catalogue
from ossature.kernel.i18n.language import FALLBACK, LANGUAGES, choose, language, speaking
from ossature.kernel.i18n.words import Message, Words, translate

NOON = datetime(2026, 3, 1, 12, 0, 9, tzinfo=UTC)
DE, HE, FR = LANGUAGES["de"], LANGUAGES["he"], LANGUAGES["fr"]


@pytest.mark.parametrize(
    ("wishes", "accept", "code"),
    [
        (("he", "fr"), "de", "he"),
        (("", "fr"), "de", "fr"),
        (("", ""), "de-CH, de;q=0.9, en;q=0.8", "de"),
        (("", ""), "nl, en;q=0.4, fr;q=0.9", "fr"),
        (("", ""), "nl, fr;q=0", "en"),
        (("tlh",), "", "en"),
        (("",), "de;q=nonsense, he", "he"),
    ],
)
def test_the_account_comes_before_the_browser_and_english_last(wishes: tuple[str, ...], accept: str, code: str) -> None:
    assert choose(*wishes, accept=accept).code == code


def test_a_sentence_is_said_in_the_language_of_the_block_and_in_english_after_it() -> None:
    words = Words("a.room", {"trail": "Audit trail"})

    with speaking(DE):
        assert words("trail") == "Audit-Protokoll"
        with speaking(FR):
            assert words("trail") == "Journal d\N{RIGHT SINGLE QUOTATION MARK}audit"
        assert language() is DE
    assert words("trail") == "Audit trail"


def test_a_number_chooses_between_one_and_many_and_is_written_as_there() -> None:
    look = Message("One part needs a look.", plural="{count} parts need a look.")

    assert translate(look, count=1) == "One part needs a look."
    assert translate(look, count=12_345) == "12,345 parts need a look."
    with speaking(DE):
        assert translate(look, count=12_345) == "12.345 Teile brauchen Aufmerksamkeit."
    with pytest.raises(TypeError):
        translate(look, count="many")


def test_one_english_word_has_two_translations_where_it_means_two_things() -> None:
    with speaking(FR):
        assert translate(Message("From", context="network address")) == "Depuis"
        assert translate(Message("From", context="place of a setting")) == "Origine"


def test_what_others_wrote_stays_whole_within_a_sentence_from_right_to_left() -> None:
    with speaking(HE):
        said = translate("{name} is revoked", name="nightly import (2)")

    assert said == "\N{FIRST STRONG ISOLATE}nightly import (2)\N{POP DIRECTIONAL ISOLATE} בוטל"
    assert HE.direction == "rtl"
    assert FALLBACK.direction == "ltr"


def test_a_sentence_without_a_translation_is_said_in_english_and_nothing_stays_nothing() -> None:
    with speaking(HE):
        assert translate("Nobody translated this.") == "Nobody translated this."
        assert translate("") == ""
    assert catalogue("he") is catalogue("he")


def test_numbers_spans_instants_and_money_are_written_as_the_language_does() -> None:
    with speaking(DE):
        assert say.count(12_345) == "12.345"
        assert say.instant(NOON, "Europe/Zurich") == "01.03.2026, 13:00:09"
        assert say.ago(NOON - timedelta(minutes=4), NOON) == "vor 4 Min."
        assert say.span(7500) == "2 Std., 5 Min."
    with speaking(FR):
        assert say.money(1234.5, "EUR") == "1\N{NARROW NO-BREAK SPACE}234,50\N{NO-BREAK SPACE}€"
        assert say.share(0.123, 1) == "12,3\N{NO-BREAK SPACE}%"
    with speaking(HE):
        assert say.instant(NOON, "Asia/Jerusalem") == "1 במרץ 2026, 14:00:09"
