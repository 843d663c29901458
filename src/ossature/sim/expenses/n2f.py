"""N2F, an expense service: https://www.n2f.com/services/api/v2/. A token by a call of its own, lists of 200, one record a write.

Its manual is for customers; what is simulated is what working clients of it say. Where they say nothing there is a knob
(`n2f_knobs.py`), turned by `POST /_sim/n2f/knobs`. Valid accounts are `sim-n2f` and `sim-n2f-LABEL` with the secret
`sim-secret`; one whose label ends in `-fast` has two hundred times the quota.
"""

import math
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import wraps
from typing import Any

import orjson

from ossature.sim.expenses.n2f_books import Books, CallLine, Record
from ossature.sim.expenses.n2f_words import paged, read_user, read_value, said_user, said_value
from ossature.sim.provider import Handler, Provider, Route, is_valid_key
from ossature.sim.wire import InputError, Reason, Refusal, Reply, Request, json_reply, retry_after, text_reply, whole

_MOST_ROWS = 200
_SECRET = "sim-secret"  # noqa: S105 - of nothing
_WORDS = {401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 409: "Conflict", 429: "Too Many Requests"}

Effect = tuple[Reply, str]


class _No(Exception):  # noqa: N818 - a refusal, not an error of ours
    def __init__(self, status: int, message: str = "", *, after_s: float | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.after_s = status, message, after_s


def _error(status: int, message: str, how: str = "json", *, after_s: float | None = None) -> Reply:
    headers = retry_after(None if after_s is None else math.ceil(after_s))
    said = message or _WORDS.get(status, "Error")
    match how:
        case "text":
            return text_reply(said, status=status, headers=headers)
        case "html":
            page = f"<html><body><h1>{status}</h1><p>{said}</p></body></html>"
            return text_reply(page, status=status, content_type="text/html", headers=headers)
        case "empty":
            return Reply(status=status, headers=headers)
    return json_reply({"error": {"status": status, "message": said}}, status=status, headers=headers)


def _served(kind: str, work: Callable[[Books, Request], Effect], *, template: str, free: bool = False) -> Handler:
    """A handler that asks for the token (unless it is free), counts, refuses what overlaps, and notes what was done."""

    @wraps(work)
    def answer(request: Request) -> Reply:
        books: Books = request.state
        client, effect = "", ""
        try:
            client = _named(request) if free else _client(books, request)
            wait_s = books.full(client, kind, request.now)
            if wait_s is not None:
                raise _over_quota(books, wait_s)
            _refuse_beside(books, request)
            reply, effect = work(books, request)
        except InputError as wrong:
            reply = _error(400, wrong.message, books.knobs.error_body)
        except _No as no:
            reply = _error(no.status, no.message, books.knobs.error_body, after_s=no.after_s)
        books.note(CallLine(request.now, client, kind, request.method, template, reply.status, effect))
        return reply

    return answer


def _over_quota(books: Books, wait_s: float) -> _No:
    how = books.knobs.over_quota
    return _No(503 if how == "503" else 429, after_s=None if how == "429_bare" else wait_s)


def _refuse_beside(books: Books, request: Request) -> None:
    if request.beside:
        books.counts["overlaps"] += 1
        if books.knobs.overlap != "serialise":
            raise _No(int(books.knobs.overlap), "Another request is under way.")


def _client(books: Books, request: Request) -> str:
    token = (request.header(b"authorization") or "").removeprefix("Bearer ")
    client, until = books.tokens.get(token, ("", request.now))
    if not client:
        raise _No(401, "No valid token.")
    if request.now >= until:
        raise _No(int(books.knobs.expired), "The token has expired.")
    return client


def _named(request: Request) -> str:
    body = _body(request)
    return str(body.get("client_id", ""))[:100] if isinstance(body, dict) else ""


def _body(request: Request) -> Any:  # noqa: ANN401 - JSON
    try:
        return orjson.loads(request.body)
    except orjson.JSONDecodeError:
        raise InputError("The body is not JSON.") from None


def _authenticate(books: Books, request: Request) -> Effect:
    body = _body(request)
    client, secret = (body.get("client_id"), body.get("client_secret")) if isinstance(body, dict) else ("", "")
    if not isinstance(client, str) or not is_valid_key("n2f", client) or secret != _SECRET:
        raise _No(401, "Unknown client.")
    until = request.now + timedelta(seconds=books.knobs.token_life_s)
    books.tokens_n += 1
    token = f"sim-token-{books.tokens_n}-{client}"
    books.tokens[token] = (client, until)
    return json_reply({"response": {"token": token, "validity": _seven_digits(until)}}), ""


def _seven_digits(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.%f") + "0Z"


def _page(books: Books, request: Request, records: list[Record], key: str) -> Effect:
    query = request.query()
    start = whole(query, "start", otherwise=0, least=0, most=999_999_999)
    limit = whole(query, "limit", otherwise=_MOST_ROWS, least=1, most=_MOST_ROWS)
    return json_reply({"response": paged(records, books, key=key, start=start, limit=limit)}), ""


def _roles(books: Books, _request: Request) -> Effect:
    return json_reply({"response": books.roles}), ""


def _profiles(books: Books, _request: Request) -> Effect:
    return json_reply({"response": books.profiles}), ""


def _companies(books: Books, request: Request) -> Effect:
    return _page(books, request, list(books.companies), "code")


def _axes(books: Books, request: Request) -> Effect:
    return _page(books, request, books.axes(_company(books, request)), "uuid")


def _users(books: Books, request: Request) -> Effect:
    return _page(books, request, [said_user(each, books) for each in books.seen(books.users, request.now)], "mail")


def _values(books: Books, request: Request) -> Effect:
    entries = books.values.get(_axis(books, request), {})
    return _page(books, request, [said_value(each, books) for each in books.seen(entries, request.now)], "code")


def _put_user(books: Books, request: Request) -> Effect:
    user = read_user(_body(request), books)
    key = user["mail"].lower()
    _refuse_rejected(books, key)
    there = books.users.get(key)
    before = there.value if there is not None else None
    if before is None:
        missing = next((name for name in ("firstname", "lastname", "company") if not user.get(name)), None)
        if missing:
            raise InputError(f"{missing}: is needed")
    elif books.knobs.omitted == "keep":
        user = {**before, **user, "mail": before["mail"]}
    effect = books.put(books.users, key, user, request.now)
    if effect == "created":
        books.mails.append(user["mail"])
    return json_reply({"response": {"mail": user["mail"]}}, status=201 if effect == "created" else 200), effect


def _put_value(books: Books, request: Request) -> Effect:
    axis = _axis(books, request)
    value = read_value(_body(request), books)
    _refuse_rejected(books, value["code"])
    effect = books.put(books.values.setdefault(axis, {}), value["code"], value, request.now)
    return json_reply({"response": {"code": value["code"]}}, status=201 if effect == "created" else 200), effect


def _delete_user(books: Books, request: Request) -> Effect:
    return _deleted(books, request, books.users, request.args["mail"].lower())


def _delete_value(books: Books, request: Request) -> Effect:
    axis, _, code = request.args["rest"].partition("/")
    entries = books.values.get(_axis(books, request, axis), {})
    if code in books.knobs.used and books.knobs.delete_used != "200":
        if books.knobs.delete_used == "409":
            raise _No(409, "The value is in use.")
        archived = entries[code].value if code in entries else None
        if archived is not None:
            today = f"{request.now:%Y-%m-%d}T00:00:00Z"
            return json_reply({}), books.put(entries, code, {**archived, "validityDateTo": today}, request.now)
    return _deleted(books, request, entries, code)


def _deleted(books: Books, request: Request, entries: dict[str, Any], key: str) -> Effect:
    if key not in entries or entries[key].value is None:
        if books.knobs.delete_unknown == "404":
            raise _No(404)
        return json_reply({}), "none"
    return json_reply({}), books.put(entries, key, None, request.now)


def _refuse_rejected(books: Books, key: str) -> None:
    if books.knobs.reject and re.search(books.knobs.reject, key):
        raise InputError("This record is not accepted.")


def _company(books: Books, request: Request) -> str:
    company = request.args["company"]
    if company not in {each["uuid"] for each in books.companies}:
        raise _No(404, "There is no such company.")
    return company


def _axis(books: Books, request: Request, axis: str | None = None) -> str:
    """What the values of an axis are kept under. Raises: _No."""
    company = _company(books, request)
    axis = request.args["axis"] if axis is None else axis
    if axis != "projects" and axis not in {each["uuid"] for each in books.axes(company)}:
        raise _No(404, "There is no such axis.")
    return f"{company}/{axis}"


def _refuse(refusal: Refusal) -> Reply:
    status = 403 if refusal.reason is Reason.NO_CONTACT else refusal.status
    return _error(status, "", after_s=refusal.retry_after_s)


def _route(method: str, path: str, kind: str, work: Callable[[Books, Request], Effect], *, vital: str) -> Route:
    template = path.replace("{rest:path}", "{axis}/{code}").replace(":path", "")
    handler = _served(kind, work, template=template, free=path == "/auth")
    return Route(method, path, f"n2f.{'authenticate' if path == '/auth' else kind}", handler, vital=vital)


_VALUES = "/companies/{company}/axes/{axis}"

PROVIDER = Provider(
    id="n2f",
    routes=(
        _route("POST", "/auth", "write", _authenticate, vital="response.token"),
        _route("GET", "/roles", "read", _roles, vital="response.*.uuid"),
        _route("GET", "/userprofiles", "read", _profiles, vital="response.*.uuid"),
        _route("GET", "/companies", "read", _companies, vital="response.data.*.uuid"),
        _route("GET", "/companies/{company}/axes", "read", _axes, vital="response.data.*.uuid"),
        _route("GET", "/users", "read", _users, vital="response.data.*.mail"),
        _route("POST", "/users", "write", _put_user, vital="response.mail"),
        _route("DELETE", "/users/{mail:path}", "write", _delete_user, vital="response"),
        _route("GET", _VALUES, "read", _values, vital="response.data.*.code"),
        _route("POST", _VALUES, "write", _put_value, vital="response.code"),
        _route("DELETE", "/companies/{company}/axes/{rest:path}", "write", _delete_value, vital="response"),
    ),
    refuse=_refuse,
    error_in_200=lambda: json_reply({"error": {"status": 500, "message": "Internal error"}}),
    new_state=Books,
)
