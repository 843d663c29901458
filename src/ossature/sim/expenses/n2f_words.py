"""How the simulated N2F reads what is written to it, and how it says what it holds."""

import random
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from ossature.sim.expenses.n2f_books import ZONE, Books, Record
from ossature.sim.wire import InputError

_MOST_LETTERS = 255
_MAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_DATE = re.compile(r"\d{4}-\d\d-\d\dT00:00:00Z")
_CULTURE, _CURRENCY = re.compile(r"[a-z]{2}(-[A-Z]{2})?"), re.compile(r"[A-Z]{3}")
_BOOLEANS = frozenset(
    {
        "canCreateVehicle", "personnalCarHaveToBeApproved", "removeHomeWorkDistance", "gotProPayment", "canRaiseLimits",
        "canDefineHisAnalytics",
    }
)  # fmt: skip
_TEXTS = frozenset(
    {
        "mail", "firstname", "lastname", "employeeNumber", "company", "role", "profile", "managerMail", "culture",
        "currencyIsoCode", "jobTitle", "accountingAuxiliaryAccount", "structure", "authMode", "defaultCostCenter",
        "ssoLogin", "accountingAuxiliaryNotReimbursableAccount",
    }
)  # fmt: skip
_WRITE_ONLY = frozenset(
    {"defaultCostCenter", "ssoLogin", "accountingAuxiliaryNotReimbursableAccount", "canDefineHisAnalytics"}
)
_MINIMAL = frozenset({"mail", "firstname", "lastname", "company", "role", "profile"})
_AUTH_MODES = frozenset({"Sso", "Integrated"})
_VALUE = frozenset({"code", "names", "validityDateFrom", "validityDateTo"})


def read_user(body: object, books: Books) -> Record:
    """A user as it is stored: labels as ids. Raises: InputError with the field and what is wrong with it."""
    if not isinstance(body, dict):
        raise InputError("A user is a JSON object.")
    _check_types(body)
    if not _MAIL.fullmatch(body.get("mail") or ""):
        raise InputError("mail: not an e-mail address")
    for name, pattern in (("culture", _CULTURE), ("currencyIsoCode", _CURRENCY)):
        if body.get(name) and not pattern.fullmatch(body[name]):
            raise InputError(f"{name}: unknown")
    if body.get("authMode") and body["authMode"] not in _AUTH_MODES:
        raise InputError("authMode: unknown")
    if body.get("company") is not None and body["company"] not in {each["uuid"] for each in books.companies}:
        raise InputError("company: unknown")
    read = dict(body)
    for name, known in (("role", books.roles), ("profile", books.profiles)):
        if body.get(name) is not None:
            read[name] = _label_id(name, body[name], known)
    manager = body.get("managerMail")
    if manager and books.knobs.unknown_manager == "400" and manager.lower() not in books.users:
        raise InputError("managerMail: nobody has this address")
    return {name: normalised(value, books) for name, value in read.items()}


def _check_types(user: Mapping[str, Any]) -> None:
    for name, value in user.items():
        if name not in _BOOLEANS | _TEXTS:
            raise InputError(f"{name}: unknown field")
        if value is not None and not isinstance(value, bool if name in _BOOLEANS else str):
            raise InputError(f"{name}: wrong type")
        if isinstance(value, str) and len(value) > _MOST_LETTERS:
            raise InputError(f"{name}: more than {_MOST_LETTERS} characters")


def read_value(body: object, books: Books) -> Record:
    """A value of an axis as it is stored. Raises: InputError."""
    if not isinstance(body, dict):
        raise InputError("A value is a JSON object.")
    if set(body) - _VALUE:
        raise InputError(f"{min(set(body) - _VALUE)}: unknown field")
    code, names = body.get("code"), body.get("names")
    if not isinstance(code, str) or not 0 < len(code) <= _MOST_LETTERS:
        raise InputError("code: a text is needed")
    if not isinstance(names, list) or not names or not all(_is_name(each) for each in names):
        raise InputError("names: a list of {culture, value} is needed")
    for name in ("validityDateFrom", "validityDateTo"):
        if body.get(name) is not None and not (isinstance(body[name], str) and _DATE.fullmatch(body[name])):
            raise InputError(f"{name}: not a date such as 2026-01-31T00:00:00Z")
    return {**body, "names": [{**each, "value": normalised(each["value"], books)} for each in names]}


def normalised(value: Any, books: Books) -> Any:  # noqa: ANN401 - any field
    """A text as it is stored."""
    if not isinstance(value, str):
        return value
    match books.knobs.normalise:
        case "trim":
            return value.strip()
        case "upper":
            return value if "@" in value or "=" in value else value.upper()
        case "truncate":
            return value if "@" in value or "-" in value else value[: books.knobs.truncate_to]
    return value


def said_user(user: Record, books: Books) -> Record:
    """A user as it is given back."""
    knobs = books.knobs
    given = dict(user)
    if knobs.echo == "minimal":
        given = {name: value for name, value in given.items() if name in _MINIMAL}
    elif knobs.echo == "without_write_only":
        given = {name: value for name, value in given.items() if name not in _WRITE_ONLY}
    for name, known in (("role", books.roles), ("profile", books.profiles)):
        if given.get(name):
            given[name] = _label(given[name], known, knobs.label_language)
    if knobs.mail_case != "kept":
        given["mail"] = given["mail"].lower() if knobs.mail_case == "lower" else given["mail"].title()
    return _with_blanks(given, knobs.blank_echo)


def said_value(value: Record, books: Books) -> Record:
    """A value of an axis as it is given back."""
    knobs = books.knobs
    names = list(value["names"])
    match knobs.names_order:
        case "reversed":
            names.reverse()
        case "alphabetical":
            names.sort(key=lambda each: str(each["culture"]))
        case "extra_culture":
            names = [*names, {"culture": "de", "value": names[0]["value"]}]
    given = {**value, "names": names}
    for name in ("validityDateFrom", "validityDateTo"):
        if given.get(name):
            given[name] = _said_date(given[name], knobs.date_echo)
    return _with_blanks(given, knobs.blank_echo)


def paged(records: Iterable[Record], books: Books, *, key: str, start: int, limit: int) -> Record:
    """One page of a list, as it stands in `response`."""
    knobs = books.knobs
    found = list(records)
    if knobs.page_order == "alphabetical":
        found.sort(key=lambda each: str(each[key]))
    elif knobs.page_order == "random":
        random.Random(books.reads_n).shuffle(found)  # noqa: S311 - reproducible mischief
    books.reads_n += 1
    if knobs.page_shift and books.reads_n // knobs.page_shift % 2:
        found = found[1:]
    if knobs.page_order == "first_again":
        start = 0
    page = found[start : start + limit]
    return {} if not page and knobs.page_end == "absent" else {"data": page}


def _label_id(name: str, label: str, known: Iterable[Record]) -> str:
    for each in known:
        if label == each["uuid"] or label.casefold() in {text["value"].casefold() for text in each["names"]}:
            return str(each["uuid"])
    raise InputError(f"{name}: unknown")


def _label(identity: str, known: Iterable[Record], language: str) -> str:
    for each in known:
        if each["uuid"] == identity:
            return str(next(text["value"] for text in each["names"] if text["culture"] == language))
    return identity


def _is_name(each: object) -> bool:
    return (
        isinstance(each, Mapping)
        and set(each) == {"culture", "value"}
        and isinstance(each["value"], str)
        and isinstance(each["culture"], str)
        and _CULTURE.fullmatch(each["culture"]) is not None
    )


def _said_date(text: str, how: str) -> str:
    match how:
        case "none":
            return text.removesuffix("Z")
        case "7_digits":
            return text.replace("Z", ".0000000Z")
        case "offset":
            return datetime.fromisoformat(text).astimezone(ZONE).isoformat()
    return text


def _with_blanks(given: Record, how: str) -> Record:
    blank = {name for name, value in given.items() if value is None or value == ""}
    if how == "missing":
        return {name: value for name, value in given.items() if name not in blank}
    # No text is one thing, no date is another: only texts can be empty.
    empty: Any = "" if how == "empty" else None
    return {
        name: (None if name.startswith("validity") else empty) if name in blank else value
        for name, value in given.items()
    }
