"""Sessions: signed-in presence of a user (or of a key, in the console), and the secrets that prove it."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from ossature.kernel.errors import Unauthenticated

Kind = Literal["console", "token"]

COOKIE = "osc_"
"""How the secret in the cookie of a console session begins."""

ACT_ANYWHERE = "act:tenants"
"""The permission to act for tenants that one is no member of."""


@dataclass(frozen=True, slots=True)
class Session:
    """A presence that began with a sign-in. kind: a cookie of the console, or a pair of tokens.

    project_id: what is used counts for this project. home_tenant_id: where the right to be here comes from, for somebody
    who acts for a tenant that is not theirs.
    """

    id: UUID
    tenant_id: UUID
    user_id: UUID | None
    key_id: UUID | None
    kind: Kind
    created_at: datetime
    seen_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    project_id: UUID | None = None
    home_tenant_id: UUID | None = None

    @property
    def home_id(self) -> UUID:
        """The tenant whose member or key this is."""
        return self.home_tenant_id or self.tenant_id


@dataclass(frozen=True, slots=True)
class RefreshReused:
    """A refresh token was used twice: somebody copied it. The session has ended."""

    session_id: UUID
    user_id: UUID


class RefreshRefused(Unauthenticated):
    """The refresh token is unknown, used up, expired, or its session has ended; sign in again."""

    title = "Refresh refused"


def new_token(prefix: str) -> str:
    """A token of 256 random bits."""
    return f"{prefix}{secrets.token_urlsafe(32)}"


def digest(token: str) -> str:
    """What is stored of a token."""
    return hashlib.sha256(token.encode()).hexdigest()
