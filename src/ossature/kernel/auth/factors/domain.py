"""The second factor: codes of an authenticator app (TOTP, RFC 6238), and codes on paper for when the app is lost."""

import base64
import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from io import BytesIO
from uuid import UUID

import pyotp
import segno
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pyotp.exceptions import OTPVerificationError

from ossature.kernel.errors import Conflict, Unauthenticated

CODE_PATTERN = r"^[0-9A-Za-z -]{6,30}$"
RECOVERY_CODES = 10
_DIGITS = 6
_WINDOW = 1  # a code of the step before or after is taken too: clocks differ, and people type slowly
_RECOVERY_BYTES = 10
_NONCE_BYTES = 12


@dataclass(frozen=True, slots=True)
class Totp:
    """The authenticator app of a user. confirmed_at: None until they have shown a code of it. sealed: its secret."""

    user_id: UUID
    sealed: bytes
    confirmed_at: datetime | None


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What an authenticator app takes up: the secret, as an address (`otpauth://`), and as a picture of that (SVG)."""

    secret: str
    uri: str
    qr_svg: str


class SecondFactorNeeded(Unauthenticated):
    """The password is right. Send it again together with `code`: that of the authenticator app, or a recovery code."""

    title = "Second factor needed"


class SecondFactorRefused(Unauthenticated):
    """The code is wrong, too old, or has been used; each is good once."""

    title = "Second factor refused"


class SecondFactorIsOn(Conflict):
    """This account has a second factor already; take it away first."""

    title = "Second factor is on"


class SecondFactorIsOff(Conflict):
    """This account has no second factor, or none that waits to be confirmed."""

    title = "Second factor is off"


def new_enrolment(email: str, issuer: str) -> Enrolment:
    """A secret that was never given out."""
    secret = pyotp.random_base32()
    uri = pyotp.TOTP(secret).provisioning_uri(name=email, issuer_name=issuer)
    picture = BytesIO()
    segno.make(uri, error="m").save(picture, kind="svg", scale=5, border=4, light="#fff", xmldecl=False)
    return Enrolment(secret, uri, picture.getvalue().decode().strip())


def step_of(secret: str, code: str, now: datetime) -> int | None:
    """The time step whose code this is; None when it is that of no step near now."""
    try:
        return pyotp.TOTP(secret).verify_and_get_timecode(plain(code), for_time=now, valid_window=_WINDOW)
    except OTPVerificationError:
        return None


def is_of_app(code: str) -> bool:
    """Whether a code has the form of those that an app shows."""
    typed = plain(code)
    return len(typed) == _DIGITS and typed.isascii() and typed.isdigit()


def plain(code: str) -> str:
    """A code as it was meant: people add spaces and hyphens, and do not mind the case."""
    return code.replace(" ", "").replace("-", "").lower()


def new_recovery_code() -> str:
    """80 random bits to be written down: `abcd-efgh-2345-6777`."""
    letters = base64.b32encode(secrets.token_bytes(_RECOVERY_BYTES)).decode().lower()
    return "-".join(letters[at : at + 4] for at in range(0, len(letters), 4))


def recovery_digest(user_id: UUID, code: str) -> str:
    """What is stored of a recovery code. A plain hash will do: nobody guesses 80 random bits."""
    return hashlib.sha256(user_id.bytes + plain(code).encode()).hexdigest()


def opened_before(secret: bytes, user_id: UUID, sealed: bytes) -> str | None:
    """The secret of an app as it was sealed before there was a key ring; None for what was not sealed like that.

    secret: of the installation, from which the key followed.
    """
    nonce, rest = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
    try:
        return _cipher_before(secret).decrypt(nonce, rest, user_id.bytes).decode()
    except (InvalidTag, ValueError):
        return None


@lru_cache(maxsize=2)
def _cipher_before(secret: bytes) -> AESGCM:
    return AESGCM(HKDF(SHA256(), length=32, salt=None, info=b"ossature.auth.totp").derive(secret))
