"""Compare rules: two values of a field are equal when their canonical forms are.

A rule is a function `c` with three laws (tests/services/sync/test_compare_rules.py): `c(c(x)) == c(x)`, it never raises, and
it gives the same in every process. What a rule cannot read becomes `Unreadable`, which equals nothing readable.
"""

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation, localcontext
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

Canon = Callable[[Any], Any]

TRUE_WORDS = frozenset({"1", "true", "yes", "y", "on", "vrai", "oui"})
FALSE_WORDS = frozenset({"0", "false", "no", "n", "off", "faux", "non"})
_DIGITS = 60


class Unreadable(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """The canonical form of what a rule cannot read. text: what was there."""

    text: str


encode = msgspec.msgpack.Encoder(order="deterministic").encode
"""The bytes of a canonical value: equal bytes mean equal values; `1`, `1.0` and `true` are three values."""


def exact(value: Any) -> Any:  # noqa: ANN401 - any field
    """The typed value itself; a day and an instant as text, no number that is not one."""
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):  # noqa: PLR0124 - NaN
        return Unreadable(str(value))
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return Unreadable(str(value))
    if isinstance(value, datetime):
        return instant(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return str(value)
    return value


def trim(value: Any) -> Any:  # noqa: ANN401
    """Without white space around it."""
    value = exact(value)
    return value.strip() if isinstance(value, str) else value


def ci(value: Any) -> Any:  # noqa: ANN401
    """Composed, without white space around it, in one case."""
    value = exact(value)
    return _folded(value) if isinstance(value, str) else value


@lru_cache(maxsize=65_536)
def _folded(text: str) -> str:
    # Folding can break a composition and free a blank; one more turn settles it.
    for _ in range(4):
        folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold()).strip()
        if folded == text:
            break
        text = folded
    return text


def null_as_empty(value: Any) -> Any:  # noqa: ANN401
    """Blank text and no value are one value."""
    return None if isinstance(value, str) and not value.strip() else exact(value)


def boolean(value: Any) -> Any:  # noqa: ANN401
    """Yes or no from the words of both; every other word is unreadable, not false."""
    if value is None or isinstance(value, (bool, Unreadable)):
        return value
    word = str(value).strip().casefold()
    if word in TRUE_WORDS:
        return True
    return False if word in FALSE_WORDS else Unreadable(str(value))


def number(value: Any, *, scale: int = 3) -> Any:  # noqa: ANN401
    """A decimal of `scale` digits, rounded half to even, as text: a tolerance would not be transitive."""
    if value is None or isinstance(value, Unreadable):
        return value
    if isinstance(value, bool):
        return Unreadable(str(value))
    try:
        with localcontext() as context:
            context.prec = _DIGITS
            rounded = Decimal(str(value).strip()).quantize(Decimal(1).scaleb(-scale), rounding=ROUND_HALF_EVEN)
    except InvalidOperation:
        return Unreadable(str(value))
    if not rounded.is_finite():
        return Unreadable(str(value))
    return str(rounded or abs(rounded))


def instant(value: Any) -> Any:  # noqa: ANN401
    """A UTC second as `YYYY-MM-DDTHH:MM:SSZ`; text without a zone is UTC, fractions of any length are cut off."""
    if value is None or isinstance(value, Unreadable):
        return value
    found = parse_instant(value)
    return Unreadable(str(value)) if found is None else found.strftime("%Y-%m-%dT%H:%M:%SZ").rjust(20, "0")


def day(value: Any, *, tz: str = "UTC", formats: Sequence[str] = (), never: str | None = None) -> Any:  # noqa: ANN401
    """A day as `YYYY-MM-DD`. tz: the zone in which an instant falls on a day. never: the day that means none."""
    if value is None or isinstance(value, Unreadable):
        return value
    found = parse_day(value, tz=tz, formats=formats)
    if found is None:
        return Unreadable(str(value))
    text = found.isoformat()
    return None if text == never else text


def a_set(value: Any) -> Any:  # noqa: ANN401
    """A list without order and repetition."""
    if value is None or isinstance(value, Unreadable):
        return value
    if not isinstance(value, (list, tuple, set, frozenset)):
        return Unreadable(str(value))
    return sorted({str(part) for part in value})


def names(value: Any, *, cultures: Sequence[str] = ()) -> Any:  # noqa: ANN401
    """Texts by culture, of the listed cultures only (all when none is), without order."""
    if value is None or isinstance(value, Unreadable):
        return value
    if not isinstance(value, Mapping):
        return Unreadable(str(value))
    wanted = set(cultures) or {str(culture) for culture in value}
    return {str(culture): text for culture, text in sorted(value.items(), key=str) if str(culture) in wanted}


def parse_instant(value: Any) -> datetime | None:  # noqa: ANN401
    """An aware UTC instant out of text or a value, or None."""
    if isinstance(value, datetime):
        found = value
    elif isinstance(value, str):
        found_or_none = _instant_of(value.strip())
        if found_or_none is None:
            return None
        found = found_or_none
    else:
        return None
    try:
        return (found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)).replace(microsecond=0)
    except OverflowError:
        return None


@lru_cache(maxsize=8_192)
def _instant_of(text: str) -> datetime | None:
    head, dot, tail = text.partition(".")
    if dot:  # seven digits of a fraction are more than Python reads
        digits = len(tail) - len(tail.lstrip("0123456789"))
        text = head + tail[digits:]
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def parse_day(value: Any, *, tz: str = "UTC", formats: Sequence[str] = ()) -> date | None:  # noqa: ANN401
    """A day out of text or a value, or None. formats: as `strptime` knows them, tried before ISO 8601."""
    if isinstance(value, datetime):
        # Without a zone it is a day already, as the same text is.
        return value.date() if value.tzinfo is None else _local(value, tz)
    if isinstance(value, date):
        return value
    if not isinstance(value, str):
        return None
    text = value.strip()
    for pattern in formats:
        try:
            return datetime.strptime(text, pattern).date()  # noqa: DTZ007 - a day has no zone
        except ValueError:
            continue
    return _day_of(text, tz)


@lru_cache(maxsize=8_192)
def _day_of(text: str, tz: str) -> date | None:
    try:
        if len(text) == len("2026-01-31"):
            return date.fromisoformat(text)
    except ValueError:
        return None
    found = _instant_of(text)
    if found is None:
        return None
    return found.date() if found.tzinfo is None else _local(found, tz)


def is_zone(name: str) -> bool:
    """Whether a time zone has that name."""
    try:
        ZoneInfo(name)
    except (LookupError, ValueError, OSError):
        return False
    return True


def _local(found: datetime, tz: str) -> date | None:
    try:
        return found.astimezone(ZoneInfo(tz)).date()
    except OverflowError:
        return None


def day_before(text: str) -> str:
    """The day before an ISO day."""
    return (date.fromisoformat(text) - timedelta(days=1)).isoformat()


def nothing(_value: Any) -> None:  # noqa: ANN401
    """Of a field that is never a reason to write."""


RULES: Mapping[str, Callable[..., Any]] = {
    "exact": exact,
    "trim": trim,
    "ci": ci,
    "null_as_empty": null_as_empty,
    "bool": boolean,
    "number": number,
    "day": day,
    "instant": instant,
    "set": a_set,
    "names": names,
    "initial_only": nothing,
    "ignore": nothing,
}
EAGER = frozenset({"bool", "number", "day", "instant", "set", "names", "initial_only", "ignore"})
"""Rules under which the two sides differ in their bytes as a rule and not as an exception."""

OPTIONS: Mapping[str, frozenset[str]] = {
    "number": frozenset({"scale"}),
    "day": frozenset({"tz", "formats", "never"}),
    "names": frozenset({"cultures"}),
}


def canonicaliser(rules: Sequence[str], options: Mapping[str, Any]) -> Canon:
    """One function of several rules, each applied to what the one before it gave.

    rules: names out of `RULES`. options: those of `OPTIONS`, each goes to the rules that have it.
    """
    steps = [_bound(RULES[rule], {k: v for k, v in options.items() if k in OPTIONS.get(rule, ())}) for rule in rules]
    if len(steps) == 1:
        return steps[0]

    def every(value: Any) -> Any:  # noqa: ANN401
        for step in steps:
            value = step(value)
        return value

    return every


def _bound(rule: Callable[..., Any], options: Mapping[str, Any]) -> Canon:
    if not options:
        return rule
    return lambda value: rule(value, **options)


def key_of(values: Sequence[Any], *, fold: Sequence[bool]) -> str | None:
    """The canonical key of a record, or None when a part is missing: composed, trimmed, in one case where `fold` says so.

    Parts are joined by a character that no part may hold.
    """
    parts = []
    for value, folds in zip(values, fold, strict=True):
        text = key_part(value, folds=folds)
        if text is None:
            return None
        parts.append(text)
    return KEY_JOINT.join(parts)


KEY_JOINT = "\x1f"


def key_part(value: Any, *, folds: bool) -> str | None:  # noqa: ANN401
    """One part of a key, or None when it is missing or no part of one."""
    if value is None or isinstance(value, (float, bool, Unreadable)):
        return None
    text = _folded(str(value)) if folds else unicodedata.normalize("NFC", str(value)).strip()
    return None if not text or KEY_JOINT in text else text
