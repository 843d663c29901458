"""Small conversions for decoders: an upstream's way of writing a value -> ours.

Each gives None for what is unknown (null, empty, "N/A") and raises ValueError or TypeError for what is not understood;
the engine makes error kind `decode` of those. Nothing here ever makes up a value.
"""

import html
import math
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree as ET
from zoneinfo import ZoneInfo

import nh3

_UNKNOWN = frozenset({"", "n/a", "na", "none", "null", "-", "--", "unknown", "nan"})
_COMPASS = ("N", "NNE", "NE", "ENE", "E", "ESE", "SE", "SSE", "S", "SSW", "SW", "WSW", "W", "WNW", "NW", "NNW")
_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m(?!s))?(?:([\d.]+)s)?(?:([\d.]+)ms)?")
_XML_DECLARATIONS = re.compile(rb"<!(?:DOCTYPE|ENTITY)", re.IGNORECASE)
_MOST_EXPONENT = 300
_THOUSANDS = re.compile(r"[+-]?\d{1,3}(?:,\d{3})+(?:\.\d+)?")
_BLANKS = re.compile(r"\s+")


def is_unknown(value: object) -> bool:
    """Whether a value says that there is none."""
    return value is None or (isinstance(value, str) and value.strip().lower() in _UNKNOWN)


def number(value: object) -> float | None:
    """A finite number, also when it was sent as text (`"1,234.5"`)."""
    exact = decimal(value)
    return None if exact is None else float(exact)  # `decimal` lets nothing through that no float can hold


def integer(value: object) -> int | None:
    """A whole number; 3.0 is one, 3.5 is not."""
    exact = decimal(value)
    if exact is None:
        return None
    if exact != exact.to_integral_value():
        msg = f"{value!r} is not whole"
        raise ValueError(msg)
    return int(exact)


def decimal(value: object) -> Decimal | None:
    """An exact number, for money. A float is taken as it would be printed."""
    if is_unknown(value):
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float, str, Decimal)):
        msg = f"{value!r} is not a number"
        raise TypeError(msg)
    try:
        exact = Decimal(_ungrouped(value) if isinstance(value, str) else str(value))
    except InvalidOperation as error:
        msg = f"{value!r} is not a number"
        raise ValueError(msg) from error
    if not exact.is_finite():
        if isinstance(value, float) and math.isnan(value):
            return None
        msg = f"{value!r} is not finite"
        raise ValueError(msg)
    if abs(exact.adjusted()) > _MOST_EXPONENT and exact:
        msg = f"{str(value)[:40]!r} is beyond all measure"  # and a million digits, written out
        raise ValueError(msg)
    return exact


def _ungrouped(written: str) -> str:
    """Without the commas between thousands; a comma elsewhere is left, and refused: it may mean a decimal point."""
    written = written.strip()
    return written.replace(",", "") if _THOUSANDS.fullmatch(written) else written


def money(value: object) -> str | None:
    """An amount as decimal text without an exponent, as it goes over the wire."""
    exact = decimal(value)
    return None if exact is None else format(exact, "f")


def percent(value: object) -> float | None:
    """Percents (`12.5`, `"12.5%"`) as a fraction (`0.125`)."""
    exact = decimal(value.strip().removesuffix("%") if isinstance(value, str) else value)
    return None if exact is None else float(exact / 100)


def text(value: object) -> str | None:
    """Text without blanks around it; a number becomes text."""
    if is_unknown(value):
        return None
    if isinstance(value, bool) or not isinstance(value, (str, int, float, Decimal)):
        msg = f"{value!r} is not text"
        raise TypeError(msg)
    return str(value).strip()


def required(value: object) -> str:
    """Text that must be there. Raises: ValueError."""
    found = text(value)
    if found is None:
        msg = "a text that must be there is missing"
        raise ValueError(msg)
    return found


def plain(value: object) -> str | None:
    """The text of a piece of HTML: no tags, entities resolved, blanks folded."""
    found = text(value)
    if found is None:
        return None
    stripped = html.unescape(nh3.clean(found.replace("<br", " <br").replace("</p", " </p"), tags=set()))
    return _BLANKS.sub(" ", stripped).strip() or None


def utc(value: object, *, zone: str = "UTC", offset_s: int = 0) -> datetime | None:
    """An ISO 8601 instant (also `20260921T181500Z`) as aware UTC.

    zone, offset_s: where a text without an offset was local; Open-Meteo, for one, sends no zone.
    """
    if is_unknown(value):
        return None
    if not isinstance(value, str):
        msg = f"{value!r} is not an ISO 8601 text"
        raise TypeError(msg)
    instant = datetime.fromisoformat(value.strip())
    if instant.tzinfo is None:
        instant = instant.replace(tzinfo=ZoneInfo(zone)) - timedelta(seconds=offset_s)
    return instant.astimezone(UTC)


def epoch(value: object, *, unit: str = "s") -> datetime | None:
    """Seconds (or `unit="ms"` milliseconds) since 1970 as aware UTC."""
    seconds = number(value)
    if seconds is None:
        return None
    try:
        return datetime.fromtimestamp(seconds / 1000 if unit == "ms" else seconds, UTC)
    except (OverflowError, OSError) as error:
        msg = f"{value!r} is no instant"
        raise ValueError(msg) from error


def day(value: object) -> date | None:
    """A calendar day, from `2026-11-21` or from the front of an instant."""
    found = text(value)
    return None if found is None else date.fromisoformat(found[:10])


def duration_s(value: object) -> float | None:
    """Seconds of a span such as `2m59.56s`, `7.66s`, `120ms`, `1h`; a bare number is seconds."""
    found = text(value)
    if found is None:
        return None
    matched = _DURATION.fullmatch(found.lower())
    if matched is None or not any(matched.groups()):
        return number(found)
    days, hours, minutes, seconds, millis = (float(part or 0) for part in matched.groups())
    return days * 86400 + hours * 3600 + minutes * 60 + seconds + millis / 1000


def items(value: object) -> list[Any]:
    """A list; null is the empty one. Raises: TypeError for anything else."""
    if value is None:
        return []
    if not isinstance(value, list):
        msg = f"a list was expected, not {type(value).__name__}"
        raise TypeError(msg)
    return value


def fields(value: object) -> Mapping[str, Any]:
    """An object; null is the empty one. Raises: TypeError for anything else."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        msg = f"an object was expected, not {type(value).__name__}"
        raise TypeError(msg)
    return value


def xml(body: bytes) -> ET.Element:
    """The root of an XML document that declares no entities. Raises: ValueError."""
    # In UTF-16 each letter has a NUL beside it; no other encoding that the parser reads hides an ASCII letter.
    if _XML_DECLARATIONS.search(body.replace(b"\0", b"")):
        msg = "an XML document with a DOCTYPE is not read"
        raise ValueError(msg)
    try:
        return ET.fromstring(body)  # noqa: S314 - entities and external references cannot be declared
    except ET.ParseError as error:
        raise ValueError(str(error)) from error


def compass(value: object) -> float | None:
    """Degrees of a wind direction in letters: `NNE` is 22.5."""
    found = text(value)
    return None if found is None else _COMPASS.index(found.upper()) * 22.5


def celsius(value: object, *, unit: str) -> float | None:
    """A temperature in `unit` F or K (or C) as degrees Celsius."""
    found = number(value)
    if found is None:
        return None
    match unit.upper():
        case "F":
            return round((found - 32) / 1.8, 2)
        case "K":
            return round(found - 273.15, 2)
        case "C":
            return found
    msg = f"{unit!r} is no unit of temperature"
    raise ValueError(msg)


def metres_per_second(value: object, *, unit: str) -> float | None:
    """A speed in `unit` km/h, mph, knots (or m/s) as metres per second."""
    found = number(value)
    return None if found is None else round(found * _SPEEDS[unit], 3)


_SPEEDS = {"km/h": 1 / 3.6, "mph": 0.44704, "knots": 0.514444, "m/s": 1.0}


def quoted(segment: object) -> str:
    """Text from outside as one segment of a path: nothing in it can leave the segment."""
    found = str(segment)
    if found in {".", ".."}:
        msg = f"{found!r} is no path segment"
        raise ValueError(msg)
    return quote(found, safe="")
