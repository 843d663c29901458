"""What an entry of the audit trail is, and what of it may be kept in clear."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from ossature.kernel.errors import InvalidInput, NotFound
from ossature.kernel.observe.masking import Masker

CHAIN: Final = "audit"
RESULTS: Final = ("ok", "denied", "failed")

_MOST_INT = 2**53 - 1
_MOST_BYTES = 64_000


class AuditEntryNotFound(NotFound):
    """The trail has no entry with this number."""

    title = "No such audit entry"


class AuditEntryTooLarge(InvalidInput):
    """What was to be recorded is larger than an audit entry may be: record names and differences, not documents."""

    title = "Audit entry too large"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """Something that somebody did. `seq` counts from 1 per tenant without gaps.

    what: the object, such as `key:0199...`. before, after: its state, masked. result: ok, denied or failed.
    """

    seq: int
    at: datetime
    actor_kind: str
    actor_id: UUID | None
    actor: str
    action: str
    what: str
    result: str
    ip: str
    request_id: str
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None
    facts: Mapping[str, Any]
    hash: str


def masked(value: Any) -> Any:  # noqa: ANN401 - any value that a caller wants to have recorded
    """A JSON value without secrets, e-mail addresses, phone numbers and IBANs, in a form that RFC 8785 can write."""
    return _plain(_MASKER.value(_readable(value)))


_MASKER = Masker()


def content(  # noqa: PLR0913 - the parts of an entry
    *,
    at: datetime,
    actor_kind: str,
    actor_id: UUID | None,
    actor: str,
    action: str,
    what: str,
    result: str,
    ip: str,
    request_id: str,
    facts: Mapping[str, Any],
) -> dict[str, Any]:
    """The content of a chain row for an entry. facts: `before` and `after` and anything else, masked here.

    Raises: AuditEntryTooLarge; ValueError for a result that is none.
    """
    if result not in RESULTS:
        raise ValueError(f"an audit result is one of {RESULTS}, not {result!r}")
    made = {
        "at": at.isoformat(),
        "actor_kind": actor_kind,
        "actor_id": None if actor_id is None else str(actor_id),
        "actor": masked(actor),
        "action": action,
        "what": masked(what),
        "result": result,
        "ip": ip,
        "request_id": request_id,
        "facts": masked(facts),
    }
    if len(json.dumps(made)) > _MOST_BYTES:
        raise AuditEntryTooLarge(f"{action}: at most {_MOST_BYTES} bytes")
    return made


def _readable(value: Any) -> Any:  # noqa: ANN401 - see `masked`
    """Types that have one obvious text are written as that, so that masking sees what a reader would see."""
    if isinstance(value, (UUID, Decimal)):
        return str(value)
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(key): _readable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        items = sorted(value, key=str) if isinstance(value, (set, frozenset)) else value
        return [_readable(item) for item in items]
    return value


def _plain(value: Any) -> Any:  # noqa: ANN401 - see `masked`
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, str):
        # A lone surrogate has no UTF-8, and PostgreSQL stores no NUL.
        return value.encode("utf-8", "replace").decode().replace("\x00", "\N{REPLACEMENT CHARACTER}")
    if (isinstance(value, int) and abs(value) > _MOST_INT) or (isinstance(value, float) and not math.isfinite(value)):
        return str(value)
    return value
