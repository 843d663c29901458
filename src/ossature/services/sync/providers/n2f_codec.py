"""N2F's words and ours: calls out of records, records out of replies. Pure; `n2f_account.py` sends them.

Source: what working clients of https://www.n2f.com/services/api/v2/ say; its manual is for customers only. Where they
say nothing, nothing is assumed: bodies of good answers to writes are not needed, and unknown fields are not read.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any, Final

from ossature.kernel.outbound.decode import quoted
from ossature.kernel.outbound.operation import Operation
from ossature.kernel.outbound.provider import Call, Codec, ErrorKind, Evidence, Manifest, Privacy, Refusal, Reply
from ossature.services.sync.domain.canonical import parse_day, parse_instant

BASE_URL: Final = "https://www.n2f.com/services/api/v2"
PAGE_ROWS: Final = 200
PROJECTS: Final = "projects"
"""The one axis that has the same id in every company."""

LABEL_CULTURE: Final = "fr"
"""Roles and profiles are written by their French label, whatever the language in which they are given back."""

USER_FIELDS: Final = frozenset(
    {
        "mail", "firstname", "lastname", "employeeNumber", "company", "role", "profile", "managerMail",
        "canCreateVehicle", "personnalCarHaveToBeApproved", "removeHomeWorkDistance", "gotProPayment", "canRaiseLimits",
        "culture", "currencyIsoCode", "jobTitle", "accountingAuxiliaryAccount", "structure", "authMode",
        "defaultCostCenter", "ssoLogin", "accountingAuxiliaryNotReimbursableAccount", "canDefineHisAnalytics",
    }
)  # fmt: skip
VALUE_FIELDS: Final = frozenset({"company", "code", "names", "validityDateFrom", "validityDateTo"})
LABELS: Final = {"role": "roles", "profile": "userprofiles"}
"""Fields of a user that hold a label, and the set that it is of."""

Row = Mapping[str, Any]
Labels = Mapping[str, Mapping[str, str]]
"""Set -> a label in any language, folded -> the label that is written."""

READ: Final = Operation(id="n2f.read", query=Call, result=list, kind="read", group="n2f")
WRITE: Final = Operation(id="n2f.write", query=Call, result=None, kind="write", group="n2f")
AUTHENTICATE: Final = Operation(id="n2f.authenticate", query=Call, result=str, group="n2f")
OPERATIONS: Final = (READ, WRITE, AUTHENTICATE)

MANIFEST: Final = Manifest(
    id="n2f",
    title="N2F expense reports",
    base_url=BASE_URL,
    docs="https://www.n2f.com/",
    evidence=Evidence(how="docs", on=date(2026, 1, 1)),
    privacy=Privacy(leaves=("names, mail addresses and settings of users",)),
    quirks=(
        "The token comes from a call of its own, with seven digits of a second in its end.",
        "Lists come in pages of 200 without a total and without a stated order.",
        "An id of a company is base64 with its padding.",
        "A custom axis has another id in every company.",
        "There is no read of one record, no change of a part, no batch.",
        "personnalCarHaveToBeApproved is spelled so.",
    ),
)


def authenticate(client_id: str, client_secret: str) -> Call:
    """Asks for a token."""
    body = {"client_id": client_id, "client_secret": client_secret}
    return Call("POST", "/auth", json=body, units={"writes": 1}, no_auth=True, idempotent=True)


def token_of(reply: Reply) -> tuple[str, datetime]:
    """A token and the instant of its end. Raises: ValueError, KeyError, TypeError."""
    said = reply.json()["response"]
    until = parse_instant(said["validity"])
    if until is None or not isinstance(said["token"], str) or not said["token"]:
        raise ValueError("a token has a text and an end")
    return said["token"], until


def page(path: str, start: int) -> Call:
    """Asks for a page of a list."""
    return Call("GET", path, query={"start": start, "limit": PAGE_ROWS}, units={"reads": 1})


def whole(path: str) -> Call:
    """Asks for a list that has no pages."""
    return Call("GET", path, units={"reads": 1})


def rows_of(reply: Reply) -> list[Row]:
    """The records of a page; none where it says nothing of data. Raises: ValueError, KeyError, TypeError."""
    found = reply.json()["response"]
    if isinstance(found, dict):
        found = found.get("data") or []
    if not isinstance(found, list) or not all(isinstance(row, dict) for row in found):
        raise ValueError("a list has records")
    return found


def written(reply: Reply) -> None:
    """Nothing, for a good answer to a write. Raises: ValueError for one that is cut off, or that tells of an error."""
    said = reply.json() if reply.body else {}
    if isinstance(said, dict) and said.get("error"):
        raise ValueError("a good status with an error in the body")


def refusal(reply: Reply) -> ErrorKind | Refusal | None:
    """What a status means here, where it is not what it means elsewhere."""
    if reply.status == 503 and reply.header("retry-after"):
        return ErrorKind.RATE
    if 400 <= reply.status < 500 and reply.status not in {401, 403, 404, 408, 425, 429}:
        # What is wrong with a record stands in the body; it may name a person, so it is cut short.
        return Refusal(ErrorKind.BAD_REQUEST, f"Status {reply.status}: {_first_words(reply)}")
    return None


CODEC: Final[Codec[Call, Any]] = Codec(
    encode=lambda call, _account: call, decode=lambda _call, reply: reply, refusal=refusal
)


def _refusal_of_token(reply: Reply) -> ErrorKind | Refusal | None:
    """A request for a token that is not understood is one with a client that is not known."""
    return ErrorKind.AUTH if reply.status == 400 else refusal(reply)


TOKEN_CODEC: Final[Codec[Call, Any]] = replace(CODEC, refusal=_refusal_of_token)


def users_path() -> str:
    """Where users are."""
    return "/users"


def values_path(company: str, axis: str) -> str:
    """Where the values of an axis of a company are. Raises: ValueError."""
    return f"/companies/{quoted(company)}/axes/{quoted(axis)}"


def axes_path(company: str) -> str:
    """Where the custom axes of a company are. Raises: ValueError."""
    return f"/companies/{quoted(company)}/axes"


def put_user(after: Row, carried: Row) -> Call:
    """Creates or changes a user, whole. carried: what N2F has of it and the pipeline does not make."""
    return Call("POST", users_path(), json={**carried, **after}, units={"writes": 1})


def delete_user(mail: str) -> Call:
    """Removes a user. Raises: ValueError."""
    return Call("DELETE", f"{users_path()}/{quoted(mail)}", units={"writes": 1})


def put_value(axis: str, after: Row, carried: Row) -> Call:
    """Creates or changes a value of an axis, whole; texts of other languages that it has stay. Raises: ValueError."""
    record = {**carried, **after}
    names = {**_texts(carried.get("names")), **_texts(after.get("names"))}
    body: dict[str, Any] = {"code": record["code"]}
    if "names" in record:
        body["names"] = [{"culture": culture, "value": text} for culture, text in names.items()]
    for name in ("validityDateFrom", "validityDateTo"):
        if name in record:
            body[name] = _midnight(record[name])
    return Call("POST", values_path(str(after["company"]), axis), json=body, units={"writes": 1})


def delete_value(axis: str, before: Row) -> Call:
    """Removes a value of an axis. Raises: ValueError."""
    path = f"{values_path(str(before['company']), axis)}/{quoted(before['code'])}"
    return Call("DELETE", path, units={"writes": 1})


def user(row: Row, labels: Labels) -> dict[str, Any]:
    """A user as pipelines compare it: roles and profiles by the label that is written."""
    record = {name: row[name] for name in USER_FIELDS if name in row}
    for field, of in LABELS.items():
        said = record.get(field)
        if isinstance(said, str):
            record[field] = labels.get(of, {}).get(folded(said), said)
    return record


def value(row: Row, company: str) -> dict[str, Any]:
    """A value of an axis as pipelines compare it: names as texts by culture, with the company that it is of."""
    record = {name: row[name] for name in VALUE_FIELDS if name in row}
    names = row.get("names")
    return {**record, "company": company, "names": _texts(names) if isinstance(names, list) else names}


def label_rows(rows: Iterable[Row]) -> list[dict[str, str]]:
    """Roles or profiles for look-ups: one row for each label in each language, with the label that is written."""
    found = []
    for row in rows:
        texts = _texts(row.get("names"))
        wanted = texts.get(LABEL_CULTURE) or next(iter(texts.values()), "")
        found += [{"uuid": str(row.get("uuid", "")), "label": text, "written": wanted} for text in texts.values()]
    return found


def axis_id(rows: Sequence[Row], name: str) -> str | None:
    """The id of the custom axis of that French name; None when a company has none."""
    for row in rows:
        if folded(_texts(row.get("names")).get(LABEL_CULTURE, "")) == folded(name):
            return str(row["uuid"])
    return None


def folded(text: str) -> str:
    """A label or a name in the form in which it is compared."""
    return text.strip().casefold()


def token_margin(life: timedelta) -> timedelta:
    """How long before its end a token is not used any more."""
    return min(timedelta(seconds=60), life / 4)


def _texts(names: object) -> dict[str, str]:
    """Texts by culture, out of N2F's list or of ours; nothing out of anything else."""
    if isinstance(names, Mapping):
        return {str(culture): str(text) for culture, text in names.items()}
    if not isinstance(names, list) or not all(isinstance(each, dict) for each in names):
        return {}
    return {str(each["culture"]): str(each.get("value", "")) for each in names if each.get("culture")}


def _midnight(text: object) -> str | None:
    """A day as N2F writes it. Raises: ValueError."""
    if text is None:
        return None
    found = parse_day(text)
    if found is None:
        msg = f"{text!r} is not a day"
        raise ValueError(msg)
    return f"{found.isoformat()}T00:00:00Z"


def _first_words(reply: Reply) -> str:
    try:
        said = reply.json()
    except ValueError:
        return reply.body[:120].decode("utf-8", "replace") if b"<" not in reply.body[:20] else "no reason given"
    error = said.get("error", said) if isinstance(said, dict) else said
    message = error.get("message", error) if isinstance(error, dict) else error
    return str(message)[:200] or "no reason given"
