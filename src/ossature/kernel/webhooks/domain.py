"""Webhooks: endpoints, filters, signatures (https://www.standardwebhooks.com), and when to try again."""

import base64
import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from standardwebhooks import Webhook

from ossature.kernel.errors import Conflict, FieldError, InvalidInput, NotFound, Problem, Unauthenticated
from ossature.kernel.retry import Retry, Verdict

RETRIES_S: Final = (5, 30, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 72_000)
"""Waits between attempts; together a little under three days."""

RETRY: Final = Retry(
    "webhooks",
    attempts=len(RETRIES_S) + 1,
    waits_s=RETRIES_S,
    jitter="tenth",
    longest_asked_s=86_400.0,
)

SUSTAINED: Final = timedelta(days=2)
"""An endpoint that has accepted nothing for this long when a message is given up is disabled."""

TEST_EVENT: Final = "webhook.test"
GONE: Final = 410

_PATTERN = re.compile(r"[a-z0-9_*]+(\.[a-z0-9_*]+)*")
SECRET_PREFIX = "whsec_"  # noqa: S105 - the prefix that all secrets of this standard have
_SECRET_BYTES = 32
_TOLERANCE = timedelta(minutes=5)


class EndpointNotFound(NotFound):
    """The tenant has no webhook endpoint with this id."""

    title = "No such webhook endpoint"


class DeliveryNotFound(NotFound):
    """The endpoint has no delivery with this id."""

    title = "No such webhook delivery"


class TooManyEndpoints(Conflict):
    """The tenant has as many webhook endpoints as it may have; remove one first."""

    title = "Too many webhook endpoints"


class EndpointDisabled(Conflict):
    """The endpoint is disabled; enable it before anything is sent to it."""

    title = "Webhook endpoint disabled"


class SignatureInvalid(Unauthenticated):
    """A webhook that came in is not signed by the one who should have sent it, or is too old."""

    title = "Webhook signature invalid"


class DeliveryFailed(Problem):
    """A webhook was not accepted; it is tried again after `retry_after_s`."""

    title = "Webhook delivery failed"


class DeliveryState(StrEnum):
    """Where a delivery is. failed: given up after all attempts; cancelled: its endpoint went away or was disabled."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class WebhookDisabled:
    """An endpoint no longer gets anything: it failed for too long, or said that it is gone."""

    endpoint_id: UUID
    url: str
    why: str
    failing_since: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where a customer wants to hear of facts.

    secrets: the newest first; each signs. Empty where nobody asked for them: they are read for signing only.
    """

    id: UUID
    tenant_id: UUID | None
    url: str
    events: tuple[str, ...]
    secrets: tuple[str, ...] = ()
    description: str = ""
    enabled: bool = True
    disabled_why: str | None = None
    failing_since: datetime | None = None
    created_at: datetime | None = None
    of_settings: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One message to one endpoint. replayed_after: how many attempts there were before it was last replayed."""

    id: UUID
    tenant_id: UUID
    endpoint_id: UUID
    event: str
    body: str
    state: DeliveryState
    attempts: int
    replayed_after: int
    created_at: datetime
    last_status: int | None = None
    last_error: str | None = None
    done_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try. status: None when no answer came; then `error` says why. answer: the beginning of the body, masked."""

    number: int
    at: datetime
    duration_ms: float
    status: int | None
    error: str | None
    answer: str
    retry_after_s: float | None = None

    @property
    def accepted(self) -> bool:
        """Whether the receiver took the message."""
        return self.status is not None and 200 <= self.status < 300


def new_secret() -> str:
    """A secret to be shown once."""
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def wants(events: Sequence[str], wire: str) -> bool:
    """Whether one of the patterns names a fact: `trip.confirmed`, `trip.*`, `*.failed`, `*`."""
    return any(
        pattern == wire or ("*" in pattern and re.fullmatch(re.escape(pattern).replace(r"\*", ".*"), wire) is not None)
        for pattern in events
    )


def check_events(events: Sequence[str], known: frozenset[str]) -> tuple[str, ...]:
    """The patterns without repeats. Raises: InvalidInput for one that is malformed or names no fact of this house."""
    faults = []
    for place, pattern in enumerate(events):
        if not _PATTERN.fullmatch(pattern):
            faults.append(FieldError(f"/events/{place}", "Write names such as trip.confirmed or trip.*", "pattern"))
        elif pattern != TEST_EVENT and not any(wants((pattern,), wire) for wire in known):
            faults.append(FieldError(f"/events/{place}", f"No event here is called {pattern!r}.", "unknown"))
    if not events:
        faults.append(FieldError("/events", "Name at least one event, or *.", "too_short"))
    if faults:
        raise InvalidInput(errors=faults)
    return tuple(dict.fromkeys(events))


def message(*, event: str, at: datetime, tenant_id: UUID, data: Mapping[str, Any]) -> str:
    """The body of a message."""
    document = {"type": event, "timestamp": at.isoformat(), "tenant_id": str(tenant_id), "data": data}
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False)


def message_id(delivery_id: UUID) -> str:
    """What a receiver recognises a repeated message by; the same in all attempts and replays."""
    return f"msg_{delivery_id.hex}"


def signed(body: str, *, msg_id: str, at: datetime, keys: Sequence[str]) -> dict[str, str]:
    """The headers of a message, with one signature per secret, so that receivers can change theirs at leisure."""
    return {
        "webhook-id": msg_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(Webhook(_key(secret)).sign(msg_id, at, body) for secret in keys),
    }


def verify(body: bytes, headers: Mapping[str, str], *, keys: Sequence[str], now: datetime) -> str:
    """The id of a message that came in and is genuine; remember it, since a genuine one may come twice.

    headers: by lower-case name. Raises: SignatureInvalid.
    """
    msg_id, stamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    given = [part.partition(",")[2] for part in headers.get("webhook-signature", "").split() if part.startswith("v1,")]
    if not msg_id or not given or not (stamp.isascii() and stamp.isdigit()):
        raise SignatureInvalid("The headers webhook-id, webhook-timestamp and webhook-signature are needed.")
    if abs(now.timestamp() - int(stamp[:12])) > _TOLERANCE.total_seconds():
        raise SignatureInvalid("The message is too old, or from the future.")
    for secret in keys:
        digest = hmac.digest(_key(secret), f"{msg_id}.{stamp}.".encode() + body, hashlib.sha256)
        expected = base64.b64encode(digest)
        if any(hmac.compare_digest(expected, one.encode()) for one in given):
            return msg_id
    raise SignatureInvalid("No signature fits.")


def retry_in_s(attempt: Attempt, *, tries: int) -> float | None:
    """How long to wait after a failed attempt, the `tries`-th; None after the last."""
    return RETRY.next_s(tries, Verdict(asked_s=min(attempt.retry_after_s or 0.0, RETRY.longest_asked_s)))


def signs(secret: str) -> bool:
    """Whether a secret has a form that messages can be signed with."""
    try:
        return bool(_key(secret))
    except ValueError:
        return False


def _key(secret: str) -> bytes:
    """The bytes of a secret: base64 after `whsec_`, else the text itself."""
    if secret.startswith(SECRET_PREFIX):
        return base64.b64decode(secret.removeprefix(SECRET_PREFIX) + "==")
    return secret.encode()
