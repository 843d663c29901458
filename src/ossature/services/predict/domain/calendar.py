"""On which days models are fitted again."""

import re
from datetime import date, timedelta
from typing import Final

from ossature.kernel.errors import InvalidInput

WARM_UP_FITS: Final = 2


class RefitUnknown(InvalidInput):
    """Models are fitted again `yearly`, `monthly` or every so many days, such as `30d`."""

    title = "Refit unknown"


def fit_days(first: date, last: date, refit: str) -> list[date]:
    """The days of all fits of a replay, oldest first: `first` itself, and those that `refit` adds until `last`.

    Before it come two yearly fits more: what they say is out of sample, and teaches the collective its weights.
    Raises: RefitUnknown.
    """
    before = [day for day in _yearly(first - timedelta(days=366 * (WARM_UP_FITS + 1)), first) if day < first]
    if refit == "yearly":
        due = _yearly(first, last)
    elif refit == "monthly":
        due = [date(year, month, 1) for year in range(first.year, last.year + 1) for month in range(1, 13)]
    elif (found := re.fullmatch(r"([1-9]\d{0,3})d", refit)) is not None:
        step = timedelta(days=int(found[1]))
        due = [first + step * n for n in range(1 + (last - first) // step)]
    else:
        raise RefitUnknown(f"{refit!r}: write yearly, monthly or a number of days such as 30d")
    return [*before[-WARM_UP_FITS:], first, *(day for day in due if first < day <= last)]


def _yearly(first: date, last: date) -> list[date]:
    return [date(year, 7, 1) for year in range(first.year, last.year + 1) if first <= date(year, 7, 1) <= last]
