"""Problems as responses: RFC 9457 for our own refusals, for those of the framework, and for what nobody expected."""

import re
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from math import ceil
from typing import Any

import orjson
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.exceptions import HTTPException

from ossature.kernel.errors import (
    Conflict,
    ContentTooLarge,
    FieldError,
    InvalidInput,
    MethodNotAllowed,
    NotFound,
    PermissionDenied,
    Problem,
    TooManyRequests,
    Unauthenticated,
    Unavailable,
)

CONTENT_TYPE = b"application/problem+json"
Headers = list[tuple[bytes, bytes]]

_BY_STATUS: Mapping[int, type[Problem]] = {
    problem.status: problem
    for problem in (
        Unauthenticated, PermissionDenied, NotFound, MethodNotAllowed, Conflict, ContentTooLarge, InvalidInput,
        TooManyRequests, Unavailable,
    )
}  # fmt: skip


# C0 and C1 without tab and line ends. U+0000 cannot even be stored by every database.
CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")

_PHRASES = {known.value: known.phrase for known in HTTPStatus}


class BadRequest(Problem):
    """The request cannot be read as HTTP or JSON at all."""

    status = 400
    title = "Bad request"


class TookTooLong(Unavailable):
    """The route did not finish within its own time limit; what it had begun to write is undone."""

    title = "Took too long"


def as_problem(error: BaseException) -> Problem:
    """What an exception means to the caller. What is not known here is our fault and says nothing about itself."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, RequestValidationError):
        return InvalidInput(errors=[_field_error(one) for one in error.errors()])
    if isinstance(error, HTTPException):
        # FastAPI wraps what reading the body raised, also our own refusal to read more of it.
        if isinstance(error.__cause__, Problem):
            return error.__cause__
        return from_status(error.status_code, str(error.detail), error.headers)
    return Problem()


def from_status(status: int, detail: str | None = None, headers: Mapping[str, str] | None = None) -> Problem:
    """The problem that a bare status code means."""
    kind = _BY_STATUS.get(status)
    phrase = _PHRASES.get(status)
    text = None if detail == phrase else detail
    if kind is not None:
        return kind(text, headers=headers)
    problem = (BadRequest if 400 <= status < 500 else Problem)(text, headers=headers)
    if status != problem.status:
        problem.facts["status"] = status
        problem.facts["title"] = phrase or problem.title
    return problem


def from_validation(error: ValidationError, place: str = "") -> InvalidInput:
    """The refusal of an input that was checked by hand with pydantic; `place` is put before each pointer."""
    return InvalidInput(errors=[_field_error({**one, "loc": ("body", *one["loc"])}, place) for one in error.errors()])


def status_of(problem: Problem) -> int:
    """The status that goes out."""
    return int(problem.facts.get("status", problem.status))  # type: ignore[call-overload, no-any-return] # an int, set above


def render(
    problem: Problem, *, public_url: str, instance: str, request_id: str, trace_id: str
) -> tuple[Headers, bytes]:
    """Headers and body of a problem's response."""
    document: dict[str, Any] = {"type": f"{public_url}/problems/{problem.slug}", **problem.to_dict()}
    del document["slug"]
    document["instance"] = instance
    document["request_id"] = request_id
    if trace_id:
        document["trace_id"] = trace_id
    body = orjson.dumps(document, default=str, option=orjson.OPT_UTC_Z)
    headers: Headers = [(b"content-type", CONTENT_TYPE), (b"content-length", b"%d" % len(body))]
    headers.extend((name.lower().encode(), value.encode()) for name, value in problem.headers.items())
    if problem.retry_after_s is not None:
        headers.append((b"retry-after", b"%d" % max(ceil(problem.retry_after_s), 1)))
    if problem.status == Unauthenticated.status and "www-authenticate" not in map(str.lower, problem.headers):
        headers.append((b"www-authenticate", b"Bearer"))
    return headers, body


def _field_error(error: Mapping[str, Any], place: str = "") -> FieldError:
    where = list(error["loc"])
    origin = str(where.pop(0)) if where else "body"
    pointer = place + "".join(f"/{_escaped(part)}" for part in where)
    return FieldError(
        pointer=pointer or "/" if origin == "body" else f"{origin}{pointer}",
        message=str(error["msg"]).removeprefix("Value error, "),
        code=str(error["type"]),
    )


def _escaped(part: object) -> str:
    """A name inside a JSON pointer. Source: RFC 6901, 3."""
    return str(part).replace("~", "~0").replace("/", "~1")


def unknown_names(place: str, names: Iterable[str], allowed: Sequence[str]) -> InvalidInput:
    """The refusal of parameters that a route does not have, naming those that it has."""
    known = ", ".join(allowed) or "none"
    return InvalidInput(
        errors=[
            FieldError(f"{place}/{name[:60]}", f"There is no {name[:60]!r} here; allowed: {known}.", "extra_forbidden")
            for name in names
        ]
    )


def control_characters(place: str) -> InvalidInput:
    """The refusal of text with characters that stand for no letter."""
    return InvalidInput(errors=[FieldError(place, "Control characters are not allowed.", "control_characters")])
