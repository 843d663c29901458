"""Exchange rates against the euro, drifting slowly from day to day; every simulated provider quotes these."""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from math import pi, sin
from random import Random
from types import MappingProxyType
from zoneinfo import ZoneInfo

# Units of the currency for one euro: round figures, near enough to life to look right on a screen.
EURO_REFERENCE: Mapping[str, float] = MappingProxyType({
    "AUD": 1.77, "BGN": 1.9558, "BRL": 6.3, "CAD": 1.61, "CHF": 0.935, "CNY": 8.3, "CZK": 24.4, "DKK": 7.46,
    "GBP": 0.87, "HKD": 9.1, "HUF": 390.0, "IDR": 19300.0, "ILS": 3.9, "INR": 103.0, "ISK": 143.0, "JPY": 177.0,
    "KRW": 1670.0, "MXN": 21.5, "MYR": 4.9, "NOK": 11.7, "NZD": 2.03, "PHP": 68.0, "PLN": 4.25, "RON": 5.08,
    "SEK": 11.0, "SGD": 1.51, "THB": 37.8, "TRY": 48.5, "USD": 1.16, "ZAR": 20.2,
})  # fmt: skip
ELSEWHERE: Mapping[str, float] = MappingProxyType({
    "AED": 4.26, "ARS": 1650.0, "BDT": 141.0, "BHD": 0.437, "CLP": 1100.0, "COP": 4500.0, "DZD": 151.0, "EGP": 55.0,
    "GEL": 3.15, "JOD": 0.823, "KES": 150.0, "KWD": 0.356, "KZT": 620.0, "LKR": 351.0, "MAD": 10.6, "NGN": 1700.0,
    "PEN": 4.0, "PKR": 327.0, "QAR": 4.22, "RSD": 117.2, "SAR": 4.35, "TND": 3.4, "TWD": 35.5, "UAH": 48.5,
    "UYU": 46.5, "VND": 30500.0, "XAF": 655.957, "XOF": 655.957,
})  # fmt: skip
NAMES: Mapping[str, str] = MappingProxyType({
    "AUD": "Australian Dollar", "BGN": "Bulgarian Lev", "BRL": "Brazilian Real", "CAD": "Canadian Dollar",
    "CHF": "Swiss Franc", "CNY": "Chinese Renminbi Yuan", "CZK": "Czech Koruna", "DKK": "Danish Krone", "EUR": "Euro",
    "GBP": "British Pound", "HKD": "Hong Kong Dollar", "HUF": "Hungarian Forint", "IDR": "Indonesian Rupiah",
    "ILS": "Israeli New Sheqel", "INR": "Indian Rupee", "ISK": "Icelandic Króna", "JPY": "Japanese Yen",
    "KRW": "South Korean Won", "MXN": "Mexican Peso", "MYR": "Malaysian Ringgit", "NOK": "Norwegian Krone",
    "NZD": "New Zealand Dollar", "PHP": "Philippine Peso", "PLN": "Polish Złoty", "RON": "Romanian Leu",
    "SEK": "Swedish Krona", "SGD": "Singapore Dollar", "THB": "Thai Baht", "TRY": "Turkish Lira",
    "USD": "United States Dollar", "ZAR": "South African Rand",
})  # fmt: skip

_PEGGED = frozenset({"BGN", "XAF", "XOF"})
_FIRST_DAY = date(1999, 1, 4)
_SATURDAY = 5
_PUBLISHED_HOUR = 16


class Rates:
    """The exchange rates of one seed."""

    def __init__(self, seed: int) -> None:
        dice = Random(f"rates:{seed}")  # noqa: S311 - a reproducible world, not a secret
        self._drift = {
            code: (
                dice.uniform(60.0, 400.0),
                dice.uniform(0.0, 2 * pi),
                dice.uniform(9.0, 40.0),
                dice.uniform(0.0, 2 * pi),
            )
            for code in sorted({**EURO_REFERENCE, **ELSEWHERE})
        }

    def per_euro(self, code: str, on: date) -> float:
        """Return how much of the currency one euro buys that day. Raises: KeyError for an unknown code."""
        if code == "EUR":
            return 1.0
        reference = EURO_REFERENCE[code] if code in EURO_REFERENCE else ELSEWHERE[code]
        if code in _PEGGED:
            return reference
        slow_days, slow_phase, fast_days, fast_phase = self._drift[code]
        day = (on - _FIRST_DAY).days
        drift = 0.03 * sin(2 * pi * day / slow_days + slow_phase) + 0.006 * sin(2 * pi * day / fast_days + fast_phase)
        return reference * (1.0 + drift)


def working_day(on: date) -> date:
    """Return that day, or the Friday before when it is a week-end."""
    return on - timedelta(days=max(0, on.weekday() - _SATURDAY + 1))


def significant(value: float, digits: int) -> float:
    """Return the value rounded to that many significant digits, as reference rates are published."""
    return float(f"{value:.{digits}g}")


def published_on(now: datetime) -> date:
    """Return the day of the newest reference rates: published on working days about 16:00 in Frankfurt."""
    local = now.astimezone(ZoneInfo("Europe/Berlin"))
    return working_day(local.date() if local.hour >= _PUBLISHED_HOUR else local.date() - timedelta(days=1))
