"""What a record must be before it is sent to N2F: a fault is found in the plan, field by field, and not in the night."""

import re
from collections.abc import Mapping
from typing import Any

from ossature.services.sync.domain.filters import is_null
from ossature.services.sync.domain.mapping import RowRefused, masked

MOST_LETTERS = 255
"""How long a text may be is not known; longer than this is no name of anything."""

_MAIL = re.compile(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+")
_PATTERNS: Mapping[str, tuple[re.Pattern[str], str]] = {
    "mail": (_MAIL, "is not an e-mail address"),
    "managerMail": (_MAIL, "is not an e-mail address"),
    "culture": (re.compile(r"[a-z]{2}(-[A-Za-z]{2})?"), "is not a language such as fr"),
    "currencyIsoCode": (re.compile(r"[A-Z]{3}"), "is not a currency of ISO 4217"),
}
_NEEDED = ("firstname", "lastname", "company")


def check_user(record: Mapping[str, Any]) -> None:
    """Nothing, for a user. Raises: RowRefused with the first field that is wrong."""
    for name in _NEEDED:
        if name in record and is_null(record[name]):
            raise RowRefused(name, "invalid", "it is needed, and empty")
    for name, (pattern, fault) in _PATTERNS.items():
        value = record.get(name)
        # Without a mail there is no key, which is found elsewhere.
        if not is_null(value) and not pattern.fullmatch(str(value)):
            raise RowRefused(name, "invalid", f"{masked(value)} {fault}")
    _check_lengths(record)


def check_value(record: Mapping[str, Any]) -> None:
    """Nothing, for a value of an axis. Raises: RowRefused with the first field that is wrong."""
    if "names" in record and not record["names"]:
        raise RowRefused("names", "invalid", "it is needed, and empty")
    since, until = record.get("validityDateFrom"), record.get("validityDateTo")
    if since and until and str(until) < str(since):
        raise RowRefused("validityDateTo", "invalid", f"{until} lies before {since}")
    _check_lengths(record)
    for text in (record.get("names") or {}).values():
        _check_lengths({"names": text})


def _check_lengths(record: Mapping[str, Any]) -> None:
    for name, value in record.items():
        if isinstance(value, str) and len(value) > MOST_LETTERS:
            raise RowRefused(name, "invalid", f"{masked(value)} is longer than {MOST_LETTERS} characters")
