"""Whether a reply is a good one: what the provider's file says first, then the status."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from ossature.kernel import clock
from ossature.kernel.outbound.kinds import kind_of_status
from ossature.kernel.outbound.provider import Codec, ErrorKind, Refusal, Reply

UNREADABLE = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, StopIteration)
"""What a decoder raises when the answer does not have the shape that it knows."""

_LONGEST_RETRY_AFTER_S = 31 * 86_400.0


def judged(codec: Codec[Any, Any], reply: Reply) -> None:
    """Nothing, for a good reply. Raises: Refusal."""
    by_status = kind_of_status(reply)
    refusal: ErrorKind | Refusal | None = None
    if codec.refusal is not None:
        try:
            refusal = codec.refusal(reply)
        except UNREADABLE:
            # An error page instead of the provider's error format: the status still says what it is.
            refusal = by_status or ErrorKind.DECODE
    refusal = refusal or by_status
    if refusal is None:
        return
    if not isinstance(refusal, Refusal):
        refusal = Refusal(refusal, f"Status {reply.status}.")
    if refusal.retry_after_s is None:
        refusal.retry_after_s = retry_after_s(reply)
    raise refusal


def retry_after_s(reply: Reply) -> float | None:
    """Seconds of a Retry-After header, in either form; None without one. Source: RFC 9110, 10.2.3."""
    said = reply.headers.get("retry-after", "").strip()
    if not said:
        return None
    try:
        seconds = float(said)
    except ValueError:
        try:
            at = parsedate_to_datetime(said)
        except ValueError:
            return None
        seconds = ((at if at.tzinfo else at.replace(tzinfo=UTC)) - clock.now()).total_seconds()
    return min(_LONGEST_RETRY_AFTER_S, max(0.0, seconds)) if seconds == seconds else None  # noqa: PLR0124 - not NaN


def max_age_s(reply: Reply, *, now: datetime) -> float | None:
    """How long the upstream says that its answer is good; None when it says nothing."""
    control = {
        name.strip(): value.strip()
        for name, _, value in (
            part.partition("=") for part in reply.headers.get("cache-control", "").lower().split(",")
        )
    }
    if "no-store" in control:
        return 0.0
    for name in ("s-maxage", "max-age"):
        said = control.get(name, "")
        if said.isascii() and said.isdigit():
            return float(said)
    expires = reply.headers.get("expires")
    if not expires:
        return None
    try:
        at = parsedate_to_datetime(expires)
    except ValueError:
        return None
    return max(0.0, ((at if at.tzinfo else at.replace(tzinfo=UTC)) - now).total_seconds())
