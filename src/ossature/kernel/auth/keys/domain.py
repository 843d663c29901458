"""API keys: their form, what they say of their owner, when they hold; facts and refusals."""

import hashlib
import secrets
import zlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from ossature.kernel.errors import Conflict, InvalidInput, NotFound

PREFIX = "oss_"
ALERT_DAYS = (30, 7, 1)
_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SECRET_CHARACTERS = 43  # 62 ** 43 > 2 ** 256
_CHECK_CHARACTERS = 6
_LENGTH = len(PREFIX) + _SECRET_CHARACTERS + _CHECK_CHARACTERS


@dataclass(frozen=True, slots=True)
class Key:
    """An API key as the house knows it: never its secret.

    hint: its first and last characters, to recognise it by. scopes: permission patterns that narrow its roles; empty
    leaves all. ip_allow: CIDR blocks; empty lets every address in. previous_until: until when the secret before the last
    rotation holds. rotate_due_at: when it must be rotated; the secret dies an overlap later. signed_only: its requests must
    be signed (`auth.signatures`).
    """

    id: UUID
    tenant_id: UUID
    name: str
    hint: str
    roles: frozenset[str]
    scopes: frozenset[str]
    ip_allow: tuple[str, ...]
    project_id: UUID | None
    created_by: UUID | None
    created_at: datetime
    expires_at: datetime | None
    previous_until: datetime | None
    rotate_every_days: int | None
    rotate_due_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None
    alerted_days: int | None
    signed_only: bool = False

    def ends_at(self, overlap_s: float) -> datetime | None:
        """When its present secret stops to hold: at its expiry, or an overlap after a rotation that nobody made."""
        ends = [self.expires_at] if self.expires_at else []
        if self.rotate_due_at:
            ends.append(self.rotate_due_at + timedelta(seconds=overlap_s))
        return min(ends, default=None)


@dataclass(frozen=True, slots=True)
class KeyRevoked:
    """A key is no longer accepted, anywhere."""

    key_id: UUID
    name: str


@dataclass(frozen=True, slots=True)
class KeyExpiring:
    """A key will expire within so many days."""

    key_id: UUID
    name: str
    days: int
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class KeyRotationDue:
    """A key that is to be rotated regularly is due; its present secret is accepted until `accepted_until`."""

    key_id: UUID
    name: str
    accepted_until: datetime


class UnknownKey(NotFound):
    """No key of this tenant has this id."""

    title = "No such key"


class KeyIsRevoked(Conflict):
    """The key was revoked; that cannot be undone. Make a new one."""

    title = "Key revoked"


class ExpiryPassed(InvalidInput):
    """A new key must expire in the future."""

    title = "Expiry passed"


def new_secret() -> str:
    """A secret that was never given out: `oss_`, 256 random bits, and six characters that show a slip of the pen.

    The fixed form lets scanners of code repositories find leaked keys, and lets us refuse nonsense without a query.
    """
    body = "".join(secrets.choice(_ALPHABET) for _ in range(_SECRET_CHARACTERS))
    return f"{PREFIX}{body}{_check(body)}"


def well_formed(secret: str) -> bool:
    """Whether a text can be a key's secret at all."""
    if len(secret) != _LENGTH or not secret.startswith(PREFIX) or not secret.isascii():
        return False
    body = secret[len(PREFIX) : -_CHECK_CHARACTERS]
    return secret[-_CHECK_CHARACTERS:] == _check(body)


def digest(secret: str) -> str:
    """What is stored of a secret. A plain hash will do: nobody guesses 256 random bits."""
    return hashlib.sha256(secret.encode()).hexdigest()


def hint(secret: str) -> str:
    """Enough of a secret to recognise it, too little to use it."""
    return f"{secret[: len(PREFIX) + 4]}...{secret[-4:]}"


def alert_for(ends_at: datetime, now: datetime, alerted_days: int | None) -> int | None:
    """The alert that is due: 30, 7 or 1 days before the end, the nearest that was not sent yet; else None."""
    left = ends_at - now
    if left <= timedelta(0):
        return None
    due = [days for days in ALERT_DAYS if left <= timedelta(days=days)]
    nearest = min(due, default=None)
    return nearest if nearest is not None and (alerted_days is None or nearest < alerted_days) else None


def _check(body: str) -> str:
    number = zlib.crc32(body.encode())
    characters = []
    for _ in range(_CHECK_CHARACTERS):
        number, digit = divmod(number, len(_ALPHABET))
        characters.append(_ALPHABET[digit])
    return "".join(characters)
