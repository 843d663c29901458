"""The laws of the compare rules: twice is once, they never raise, and equal bytes mean equal values."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ossature.services.sync.domain.canonical import RULES, Unreadable, canonicaliser, encode, key_of

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    TEXT,
    st.dates(),
    st.datetimes(timezones=st.just(UTC)),
    st.decimals(allow_nan=True),
    st.sampled_from(
        ["vrai", " OUI ", "31/12/2026", "2026-01-31T00:00:00Z", "2026-01-31T00:00:00.8185075Z", "1,5", "ẞ", ""]
    ),
    st.lists(TEXT, max_size=4),
    st.dictionaries(TEXT, TEXT, max_size=4),
)
OPTIONS: dict[str, dict[str, Any]] = {
    "day": {"formats": ["%d/%m/%Y"], "never": "2099-12-31"},
    "names": {"cultures": ["fr", "nl"]},
}


@pytest.mark.parametrize("rule", sorted(RULES))
@given(value=VALUES)
def test_a_rule_is_total_and_applied_twice_is_applied_once(rule: str, value: object) -> None:
    canon = canonicaliser([rule], OPTIONS.get(rule, {}))

    once = canon(value)

    assert encode(canon(once)) == encode(once)


@given(value=TEXT, chain=st.permutations(["trim", "ci", "null_as_empty"]))
def test_the_rules_of_texts_combine_in_any_order(value: str, chain: list[str]) -> None:
    canon = canonicaliser(chain, {})

    assert encode(canon(canon(value))) == encode(canon(value))


@pytest.mark.parametrize(
    ("rule", "one", "other"),
    [
        ("trim", " a ", "a"),
        ("ci", "É ", "e\u0301"),
        ("null_as_empty", "  ", None),
        ("bool", "vrai", True),
        ("bool", "Off", False),
        ("number", "1.0004", Decimal("1.000")),
        ("day", "2026-01-31T00:00:00Z", date(2026, 1, 31)),
        ("day", "2026-01-31T00:00:00", "31/01/2026"),
        ("day", "2099-12-31", None),
        ("instant", "2025-08-20T09:54:35.8185075Z", datetime(2025, 8, 20, 9, 54, 35, tzinfo=UTC)),
        ("set", ["b", "a", "b"], ["a", "b"]),
        ("names", {"nl": "x", "fr": "y", "en": "z"}, {"fr": "y", "nl": "x"}),
        ("ignore", "a", "b"),
    ],
)
def test_two_ways_to_say_one_value_are_equal(rule: str, one: object, other: object) -> None:
    canon = canonicaliser([rule], OPTIONS.get(rule, {}))

    assert encode(canon(one)) == encode(canon(other))


@pytest.mark.parametrize(
    ("rule", "one", "other"),
    [
        ("exact", 1, True),
        ("exact", 1, 1.0),
        ("exact", None, ""),
        ("bool", "maybe", False),
        ("number", "1.0006", "1.000"),
        ("day", "2026-02-31", None),
        ("names", {"fr": "x"}, {"fr": "X"}),
    ],
)
def test_what_is_not_the_same_stays_different(rule: str, one: object, other: object) -> None:
    canon = canonicaliser([rule], OPTIONS.get(rule, {}))

    assert encode(canon(one)) != encode(canon(other))


@pytest.mark.parametrize("tz", ["America/New_York", "Asia/Tokyo"])
def test_a_day_without_a_zone_is_the_same_as_text_and_as_a_value(tz: str) -> None:
    canon = canonicaliser(["day"], {"tz": tz})

    assert canon(datetime(2024, 3, 1)) == canon("2024-03-01T00:00:00") == "2024-03-01"  # noqa: DTZ001 - what is tried


def test_a_word_that_is_neither_yes_nor_no_is_unreadable() -> None:
    assert canonicaliser(["bool"], {})("maybe") == Unreadable("maybe")


@pytest.mark.parametrize("value", [None, "", "  ", float("nan"), 1.5, True])
def test_a_key_is_never_made_of_nothing(value: object) -> None:
    assert key_of([value], fold=[True]) is None


def test_two_spellings_of_a_key_are_one_key() -> None:
    assert key_of(["Rene\u0301@Example.org "], fold=[True]) == key_of(["ren\u00e9@example.org"], fold=[True])


def test_the_parts_of_a_key_cannot_run_into_each_other() -> None:
    assert key_of(["a", "bc"], fold=[False, False]) != key_of(["ab", "c"], fold=[False, False])
    assert key_of(["a\x1fb", "c"], fold=[False, False]) is None
