"""How the house says no: one class per refusal, one shape on the wire (RFC 9457).

    Problem                     500
    ├── InvalidInput            422  the request is malformed
    ├── Unauthenticated         401
    ├── PermissionDenied        403
    ├── NotFound                404  also for what another tenant owns
    ├── MethodNotAllowed        405
    ├── Conflict                409  against the present state
    ├── ContentTooLarge         413
    ├── TooManyRequests         429
    ├── Misconfigured           500  an operator must act
    ├── UpstreamFailed          502
    ├── Unavailable             503
    └── UpstreamTimedOut        504

No web framework is known here: `kernel.http` turns a problem into a response, the CLI into text and an exit code.
A subclass's docstring is its reference page; its name, in kebab case, is the last part of its `type` URL.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

_WORD_START = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing that is wrong with one part of the input.

    pointer: JSON pointer into the body (`/stops/0/latitude`), or `query/NAME`, `path/NAME`, `header/NAME`.
    code: stable and machine-readable, such as `missing` or `less_than_equal`.
    """

    pointer: str
    message: str
    code: str


class Problem(Exception):  # noqa: N818 - the word is RFC 9457's own
    """Something went wrong that the caller is told about."""

    status: ClassVar[int] = 500
    title: ClassVar[str] = "Internal error"
    slug: ClassVar[str] = "problem"
    retry_after_s: float | None = None

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        if "slug" not in cls.__dict__:
            cls.slug = _WORD_START.sub("-", cls.__name__).lower()

    def __init__(
        self,
        detail: str | None = None,
        /,
        *,
        errors: Sequence[FieldError] = (),
        retry_after_s: float | None = None,
        headers: Mapping[str, str] | None = None,
        **facts: object,
    ) -> None:
        """Make a problem about this one occasion.

        detail: a sentence for a person; no secret and no personal datum belongs in it.
        facts: extension members of the problem document, JSON values.
        """
        super().__init__(detail or self.title)
        self.detail = detail
        self.errors = tuple(errors)
        self.headers = dict(headers or {})
        self.facts = facts
        if retry_after_s is not None:
            self.retry_after_s = retry_after_s

    def to_dict(self) -> dict[str, object]:
        """The problem document without `type`, `instance` and ids, which the edge that speaks adds."""
        document: dict[str, object] = {"slug": self.slug, "title": self.title, "status": self.status}
        if self.detail:
            document["detail"] = self.detail
        if self.errors:
            document["errors"] = [{"pointer": e.pointer, "message": e.message, "code": e.code} for e in self.errors]
        if self.retry_after_s is not None:
            document["retry_after_s"] = self.retry_after_s
        return document | self.facts


class InvalidInput(Problem):
    """The request does not have the shape that this operation reads; `errors` says where and why."""

    status = 422
    title = "Invalid input"


class Unauthenticated(Problem):
    """No credential came with the request, or none that is valid now."""

    status = 401
    title = "Not authenticated"


class PermissionDenied(Problem):
    """Who asks is known, and may not do this."""

    status = 403
    title = "Permission denied"


class NotFound(Problem):
    """Nothing is here under that name, or nothing that the caller may know of."""

    status = 404
    title = "Not found"


class MethodNotAllowed(Problem):
    """The address exists, the method does not; `Allow` names those that do."""

    status = 405
    title = "Method not allowed"


class Conflict(Problem):
    """The request is well formed but contradicts the present state."""

    status = 409
    title = "Conflict"


class ContentTooLarge(Problem):
    """The body is larger than this route reads."""

    status = 413
    title = "Content too large"


class TooManyRequests(Problem):
    """A rate limit or a quota is used up; `retry_after_s` says when it opens again."""

    status = 429
    title = "Too many requests"


class Misconfigured(Problem):
    """A setting is missing or wrong; only an operator can mend it."""

    status = 500
    title = "Misconfigured"


class UpstreamFailed(Problem):
    """Another system, on which this answer depends, gave none that can be used."""

    status = 502
    title = "Upstream failed"


class Unavailable(Problem):
    """This cannot be answered just now; trying later may help."""

    status = 503
    title = "Unavailable"


class UpstreamTimedOut(Problem):
    """Another system did not answer within the time limit."""

    status = 504
    title = "Upstream timed out"


def catalogue() -> Iterator[type[Problem]]:
    """Every problem class that is defined in what has been imported, parents first."""
    pending = [Problem]
    while pending:
        problem = pending.pop(0)
        yield problem
        pending.extend(sorted(problem.__subclasses__(), key=lambda c: c.__name__))
