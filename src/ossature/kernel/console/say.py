"""Numbers, spans, instants and amounts as the reader's language writes them (CLDR, by Babel)."""

from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Literal
from zoneinfo import ZoneInfo

from babel.dates import format_date, format_datetime, format_time, format_timedelta
from babel.lists import format_list
from babel.numbers import format_compact_decimal, format_currency, format_decimal, format_percent
from babel.units import format_unit

from ossature.kernel.i18n.language import language
from ossature.kernel.i18n.words import Words

NOTHING = "\N{EN DASH}"
_STEPS = ((86_400.0, "day"), (3_600.0, "hour"), (60.0, "minute"))
_MANY = 1e6
_FEW = 100.0
_KILOMETRE = 1000.0

WORDS = Words("console.say", {"now": "just now", "ms": "{number} ms"})


def count(number: float) -> str:
    """`12,345`, or `1.2M` where digits no longer help."""
    locale = language().locale
    if abs(number) >= _MANY:
        return format_compact_decimal(number, fraction_digits=1, locale=locale)
    return format_decimal(round(number), locale=locale)


def decimal(number: float, digits: int) -> str:
    """A number with so many digits behind the point."""
    pattern = "#,##0" + ("." + "0" * digits if digits else "")
    return format_decimal(number, format=pattern, locale=language().locale)


def share(part: float, digits: int = 0) -> str:
    """A part of a whole, 0..1: `12 %`."""
    text = format_percent(part, locale=language().locale)
    if not digits:
        return text
    whole = format_decimal(round(part * 100), locale=language().locale)
    return text.replace(whole, decimal(part * 100, digits))


def span(seconds: float | None) -> str:
    """`850 ms`, `4.2 secs`, `3 mins`, `2 hrs 5 mins`, `6 days`."""
    if seconds is None:
        return NOTHING
    if seconds < 1:
        return _unit(round(seconds * 1000), "millisecond")
    if seconds < 10 and seconds % 1:
        return _unit(round(seconds, 1), "second")
    for length, name in _STEPS:
        if seconds >= length:
            whole, rest = divmod(seconds, length)
            minutes = int(rest // 60) if name == "hour" else 0
            said = [_unit(int(whole), name), *([_unit(minutes, "minute")] if minutes else [])]
            return format_list(said, style="unit-narrow", locale=language().locale)
    return _unit(round(seconds), "second")


def distance(metres: float | None) -> str:
    """`850 m`, `4.2 km`, `363 km`."""
    if metres is None:
        return NOTHING
    if metres < _KILOMETRE:
        return _unit(round(metres), "meter")
    kilometres = metres / _KILOMETRE
    return _unit(round(kilometres, 1) if kilometres < _FEW and kilometres % 1 else round(kilometres), "kilometer")


def _unit(number: float, name: str) -> str:
    return format_unit(number, name, length="short", locale=language().locale)


def milliseconds(value: float | None) -> str:
    """`3.4`, `120`, `4,200`: milliseconds without the unit."""
    if value is None:
        return NOTHING
    return decimal(value, 1) if value < _FEW else count(value)


def latency(value: float | None) -> str:
    """`3.4 ms`: milliseconds with the unit."""
    return NOTHING if value is None else WORDS("ms", number=milliseconds(value))


def ago(moment: datetime | None, now: datetime) -> str:
    """`just now`, `4 mins ago`, `in 2 hrs`."""
    if moment is None:
        return NOTHING
    away = moment - now
    if abs(away) < timedelta(seconds=2):
        return WORDS("now")
    return format_timedelta(away, add_direction=True, format="short", threshold=1, locale=language().locale)


def instant(moment: datetime | None, zone: str, *, length: Literal["short", "medium"] = "medium") -> str:
    """`1 Mar 2026, 14:05:09` in a zone."""
    if moment is None:
        return NOTHING
    return format_datetime(moment, length, tzinfo=ZoneInfo(zone), locale=language().locale)


def day(moment: date) -> str:
    """`1 Mar 2026`."""
    return format_date(moment, "medium", locale=language().locale)


def clock_time(moment: datetime, zone: str) -> str:
    """`14:05` in a zone."""
    return format_time(moment, "short", tzinfo=ZoneInfo(zone), locale=language().locale)


def money(amount: Decimal | float, currency: str = "USD") -> str:
    """`US$0.0042`: two digits, or as many as it takes to see a small amount. currency: ISO 4217."""
    value = Decimal(str(amount))
    small = value != 0 and abs(value) < 1
    return format_currency(
        round(value, 4) if small else value,
        currency,
        locale=language().locale,
        decimal_quantization=not small,
    )
