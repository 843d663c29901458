"""Users: who they are, how failed sign-ins slow down; facts and refusals."""

import hashlib
import unicodedata
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from ossature.kernel.errors import Conflict, NotFound, PermissionDenied, TooManyRequests, Unauthenticated


@dataclass(frozen=True, slots=True)
class User:
    """A person with an account. tenant_id: the tenant that administers the account; membership says where it counts.

    language: that they want to read (BCP 47); None leaves it to their browser. email_verified_at: when they showed that
    mail to their address reaches them.
    """

    id: UUID
    tenant_id: UUID
    email: str
    name: str
    created_at: datetime
    deactivated_at: datetime | None
    last_login_at: datetime | None
    language: str | None = None
    email_verified_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class UserDeactivated:
    """A user may no longer sign in; all of their sessions have ended."""

    user_id: UUID


class SignInRefused(Unauthenticated):
    """The e-mail address and password do not belong together, or the account may not be used; which is not said."""

    title = "Sign-in refused"


class SignInPaused(TooManyRequests):
    """Too many sign-ins failed for this account from here; `retry_after_s` says when the next may be tried."""

    title = "Sign-in paused"


class EmailNotVerified(PermissionDenied):
    """The password is right, but nobody has shown yet that mail to this address arrives. A mail with a link was sent."""

    title = "E-mail address not verified"


class UnknownUser(NotFound):
    """No user of this tenant has this id."""

    title = "No such user"


class EmailTaken(Conflict):
    """There is an account with this e-mail address that another tenant administers."""

    title = "E-mail address taken"


class NotYourAccount(NotFound):
    """The account is administered by another tenant; only its membership here can be changed."""

    title = "Not administered here"


@dataclass(frozen=True, slots=True)
class Pause:
    """How failed sign-ins slow down. After `free` failures each next one doubles a pause of `first_s`, up to `most_s`."""

    free: int
    first_s: float
    most_s: float

    def after(self, failures: int) -> timedelta:
        """The pause after so many failures in a row."""
        if failures < self.free:
            return timedelta(0)
        return timedelta(seconds=min(self.first_s * 2.0 ** min(failures - self.free, 30), self.most_s))


def normal_email(email: str) -> str:
    """The form in which addresses are compared: NFC, no case, no space around."""
    return unicodedata.normalize("NFC", email).strip().casefold()


def subject(*parts: str) -> str:
    """The name under which failures are counted: a digest, so that the table names nobody."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
