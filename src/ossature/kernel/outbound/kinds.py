"""What follows from each error kind: retry, next provider, breaker, charge, and what the caller is told."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ossature.kernel.errors import (
    InvalidInput,
    NotFound,
    PermissionDenied,
    Problem,
    TooManyRequests,
    Unavailable,
    UpstreamFailed,
    UpstreamTimedOut,
)
from ossature.kernel.outbound.provider import ErrorKind, Refusal, Reply
from ossature.kernel.retry import Verdict

LONGEST_RATE_WAIT_S = 2.0


class OperationUnknown(NotFound):
    """No operation has that name; `near` has the most alike."""

    title = "Operation unknown"


class ProviderUnavailable(Unavailable):
    """No provider could be asked: none is set up, or all of them are failing. `missing` names settings, never values."""

    title = "Provider unavailable"


class QuotaExhausted(TooManyRequests):
    """What may be asked of every provider of this operation is used up; `retry_after_s` says when that ends."""

    title = "Quota exhausted"


class ConsumerQuotaExhausted(TooManyRequests):
    """What the caller itself may ask is used up; `window` says of what."""

    title = "Consumer quota exhausted"


class ProviderRateLimited(TooManyRequests):
    """The provider asks for a pause."""

    title = "Provider rate limited"


class UpstreamRefusedInput(InvalidInput):
    """The provider did not accept the question; asking another would not help."""

    title = "Upstream refused input"


class NoMatch(NotFound):
    """The provider knows nothing that fits the question."""

    title = "No match"


class ContentRefused(InvalidInput):
    """The provider refuses to treat this content."""

    title = "Content refused"


class ContextLengthExceeded(Problem):
    """The text is longer than any allowed model reads."""

    status = 400
    title = "Context length exceeded"


class ProviderFailed(UpstreamFailed):
    """The provider failed, and so did those that could stand in for it."""

    title = "Provider failed"


class ProviderAnswerUnreadable(UpstreamFailed):
    """The provider answered in a form that is not understood."""

    title = "Provider answer unreadable"


class ProviderTimeout(UpstreamTimedOut):
    """The provider did not answer in time."""

    title = "Provider timeout"


class OutcomeUnknown(UpstreamTimedOut):
    """An order may or may not have had its effect. It was not repeated; look before ordering again."""

    title = "Outcome unknown"


class PolicyRefused(PermissionDenied):
    """Every provider of this operation is excluded by a licence or by a rule about data."""

    title = "Policy refused"


@dataclass(frozen=True, slots=True)
class Rule:
    """What the engine does about one kind.

    retries: how often the same provider is asked again. falls_back: whether the next one is asked. counts: for the
    breaker. charged: whether the upstream is taken to have counted the attempt.
    """

    problem: type[Problem]
    retries: int = 0
    falls_back: bool = False
    counts: bool = False
    charged: bool = False


RULES: Mapping[ErrorKind, Rule] = {
    ErrorKind.AUTH: Rule(ProviderUnavailable, falls_back=True),
    ErrorKind.QUOTA: Rule(QuotaExhausted, falls_back=True, charged=True),
    ErrorKind.RATE: Rule(ProviderRateLimited, retries=1, falls_back=True, charged=True),
    ErrorKind.BAD_REQUEST: Rule(UpstreamRefusedInput, charged=True),
    ErrorKind.NOT_FOUND: Rule(NoMatch, charged=True),
    ErrorKind.CONTENT_POLICY: Rule(ContentRefused, charged=True),
    ErrorKind.CONTEXT_LENGTH: Rule(ContextLengthExceeded),
    ErrorKind.UPSTREAM_5XX: Rule(ProviderFailed, retries=1, falls_back=True, counts=True, charged=True),
    ErrorKind.CONNECT: Rule(ProviderUnavailable, retries=1, falls_back=True, counts=True),
    ErrorKind.TIMEOUT_BEFORE_SEND: Rule(ProviderTimeout, retries=1, falls_back=True, counts=True),
    ErrorKind.TIMEOUT_AFTER_SEND: Rule(ProviderTimeout, retries=1, falls_back=True, counts=True, charged=True),
    ErrorKind.DECODE: Rule(ProviderAnswerUnreadable, falls_back=True, counts=True, charged=True),
    ErrorKind.TRUNCATED: Rule(ProviderFailed, falls_back=True, counts=True, charged=True),
    ErrorKind.POLICY: Rule(PolicyRefused, falls_back=True),
    ErrorKind.CANCELLED: Rule(Unavailable, charged=True),
}


def again_after(error: Refusal) -> Verdict | None:
    """Whether the same provider may be asked again after this, where doing so is harmless: a rate says when itself."""
    most = RULES[error.kind].retries
    if not most or (error.kind is ErrorKind.RATE and error.retry_after_s is None):
        return None
    if error.kind is ErrorKind.RATE:
        return Verdict(asked_s=error.retry_after_s or 0.0, exactly=True, most=most)
    return Verdict(most=most)


NEVER_SENT = frozenset({ErrorKind.CONNECT, ErrorKind.TIMEOUT_BEFORE_SEND})

_BY_STATUS: Mapping[int, ErrorKind] = {
    401: ErrorKind.AUTH,
    402: ErrorKind.QUOTA,
    403: ErrorKind.AUTH,
    404: ErrorKind.NOT_FOUND,
    408: ErrorKind.UPSTREAM_5XX,
    410: ErrorKind.UPSTREAM_5XX,
    425: ErrorKind.RATE,
    429: ErrorKind.RATE,
    456: ErrorKind.QUOTA,
}


def kind_of_status(reply: Reply) -> ErrorKind | None:
    """What a status means where the provider's file does not know better; None is a good one."""
    if reply.ok:
        return None
    if reply.status in _BY_STATUS:
        return _BY_STATUS[reply.status]
    if 400 <= reply.status < 500:
        return ErrorKind.BAD_REQUEST
    return ErrorKind.UPSTREAM_5XX


def problem_of(
    kind: ErrorKind,
    *,
    detail: str,
    retry_after_s: float | None,
    attempts: Sequence[Mapping[str, Any]],
    **facts: Any,
) -> Problem:
    """What the caller is told when this kind was the last."""
    return RULES[kind].problem(detail or None, retry_after_s=retry_after_s, attempts=list(attempts), **facts)
