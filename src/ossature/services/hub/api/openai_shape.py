"""Refusals as official OpenAI clients read them. https://platform.openai.com/docs/guides/error-codes"""

from collections.abc import Sequence

import orjson

from ossature.kernel.errors import (
    ContentTooLarge,
    InvalidInput,
    NotFound,
    PermissionDenied,
    Problem,
    TooManyRequests,
    Unauthenticated,
)
from ossature.kernel.outbound.kinds import (
    ContentRefused,
    ContextLengthExceeded,
    NoMatch,
    QuotaExhausted,
    UpstreamRefusedInput,
    problem_of,
)
from ossature.kernel.outbound.provider import Refusal
from ossature.services.hub.domain.chat import ModelNotFound

Headers = list[tuple[bytes, bytes]]

_BAD_REQUEST = 400
_SERVER_ERROR = 500
# The first that fits: what an OpenAI client is told as `type` and as `code`.
_WORDS: Sequence[tuple[type[Problem], str, str | None]] = (
    (Unauthenticated, "authentication_error", "invalid_api_key"),
    (PermissionDenied, "permission_error", None),
    (QuotaExhausted, "insufficient_quota", "insufficient_quota"),
    (TooManyRequests, "rate_limit_error", "rate_limit_exceeded"),
    (ContentRefused, "invalid_request_error", "content_policy_violation"),
    (UpstreamRefusedInput, "invalid_request_error", "invalid_value"),
    (InvalidInput, "invalid_request_error", None),
    (ModelNotFound, "invalid_request_error", "model_not_found"),
    (NoMatch, "invalid_request_error", "model_not_found"),
    (NotFound, "invalid_request_error", None),
    (ContentTooLarge, "invalid_request_error", None),
    (ContextLengthExceeded, "invalid_request_error", "context_length_exceeded"),
    (Problem, "server_error", None),
)


def status_of(problem: Problem) -> int:
    """The status that an OpenAI client knows: input that is not understood is 400 there."""
    return _BAD_REQUEST if isinstance(problem, InvalidInput) else problem.status


def error_of(problem: Problem, *, public_url: str, request_id: str) -> bytes:
    """The error document. `problem_type` is the address of the problem's reference page."""
    kind, code = next((kind, code) for each, kind, code in _WORDS if isinstance(problem, each))
    error = {
        "message": problem.detail or problem.title,
        "type": kind,
        "param": problem.facts.get("param"),
        "code": problem.facts.get("code") or code,
        "problem_type": f"{public_url}/problems/{problem.slug}",
        "request_id": request_id,
    }
    for name in ("missing", "near", "attempts", "candidates"):
        if problem.facts.get(name):
            error[name] = problem.facts[name]
    return orjson.dumps({"error": error}, default=str)


def headers_of(problem: Problem, body: bytes) -> Headers:
    """Headers of a refusal. The official clients try again by themselves unless they are told not to."""
    headers: Headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    if problem.retry_after_s is not None:
        headers.append((b"retry-after", b"%d" % max(1, round(problem.retry_after_s))))
    attempted = bool(problem.facts.get("attempts"))
    if attempted or problem.status >= _SERVER_ERROR:
        headers.append((b"x-should-retry", b"false"))
    return headers


def refuse(problem: Problem, /, *, public_url: str, request_id: str) -> tuple[int, Headers, bytes]:
    """Status, headers and body of a refusal."""
    body = error_of(problem, public_url=public_url, request_id=request_id)
    headers = [*headers_of(problem, body), (b"x-ossature-request-id", request_id.encode())]
    if isinstance(problem, Unauthenticated):
        headers.append((b"www-authenticate", b"Bearer"))
    return status_of(problem), headers, body


def event_of(error: Refusal | Problem, *, public_url: str, request_id: str) -> bytes:
    """An error in the middle of a stream, as its last event."""
    problem = error
    if isinstance(problem, Refusal):
        problem = problem_of(problem.kind, detail=problem.detail, retry_after_s=problem.retry_after_s, attempts=())
    return b"data: " + error_of(problem, public_url=public_url, request_id=request_id) + b"\n\n"
