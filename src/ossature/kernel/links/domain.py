"""Signed links: what one opens, for how long, how often; and the form of its token."""

import hashlib
import hmac
import re
import secrets
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from ossature.kernel.errors import InvalidInput, NotFound

PREFIX = "osl_"
TOKEN_PATTERN = r"^osl_[A-Za-z0-9_-]{54}$"  # noqa: S105 - the form of tokens, not one of them
_RANDOM_BYTES = 24
_RANDOM_CHARACTERS = 32
_SIGNATURE_BYTES = 16
_FORM = re.compile(TOKEN_PATTERN)


@dataclass(frozen=True, slots=True)
class Link:
    """A way in for whoever holds its token.

    scope: the one thing that it opens, `room.thing`. subject: whose, mostly an id. uses_left: None for as often as one
    likes until it expires. used_at: when it was used last.
    """

    id: UUID
    tenant_id: UUID
    scope: str
    subject: str
    created_at: datetime
    expires_at: datetime
    uses_left: int | None
    used_at: datetime | None
    revoked_at: datetime | None

    def open_at(self, now: datetime) -> bool:
        """Whether it still opens anything."""
        return self.revoked_at is None and self.expires_at > now and (self.uses_left is None or self.uses_left > 0)


class LinkRefused(InvalidInput):
    """The link is too old, has been used, was revoked, or was not made here for this; which is not said.

    Whoever sent it can send another.
    """

    title = "Link refused"


class UnknownLink(NotFound):
    """No link of this tenant has this id."""

    title = "No such link"


def new_token(secret: bytes, scope: str) -> str:
    """A token that was never given out: 192 random bits, and a signature that binds them to a scope and to this house.

    The signature lets nonsense and tokens of other scopes be refused without a query.
    """
    body = secrets.token_urlsafe(_RANDOM_BYTES)
    return f"{PREFIX}{body}{_signature(secret, scope, body)}"


def made_here(secret: bytes, scope: str, token: str) -> bool:
    """Whether a token was made by this house for this scope."""
    if not _FORM.fullmatch(token):
        return False
    body, signature = token[len(PREFIX) :][:_RANDOM_CHARACTERS], token[len(PREFIX) + _RANDOM_CHARACTERS :]
    return hmac.compare_digest(_signature(secret, scope, body), signature)


def digest(token: str) -> str:
    """What is stored of a token. A plain hash will do: nobody guesses 192 random bits."""
    return hashlib.sha256(token.encode()).hexdigest()


def _signature(secret: bytes, scope: str, body: str) -> str:
    said = b"ossature.link\0" + scope.encode() + b"\0" + body.encode()
    return urlsafe_b64encode(hmac.digest(secret, said, "sha256")[:_SIGNATURE_BYTES]).decode().rstrip("=")
