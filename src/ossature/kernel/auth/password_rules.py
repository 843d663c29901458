"""What a password must be."""

import unicodedata

from ossature.kernel.errors import FieldError, InvalidInput

PASSWORD_LENGTH_MAX = 256
_COMMON = frozenset(
    {
        "123456789012", "1234567890123", "abcdefghijkl", "administrator", "changemechangeme", "correcthorsebatterystaple",
        "football1234", "iloveyou1234", "letmeinletmein", "password1234", "passwordpassword", "qwertyuiop12",
        "qwertyuiopas", "qwertyuiop123", "welcome12345", "welcomewelcome",
    }
)  # fmt: skip


class WeakPassword(InvalidInput):
    """The password is too short, too long, too plain or too common."""

    title = "Weak password"


def normal_password(password: str) -> str:
    """The form in which a password is hashed: NFKC, so that it does not depend on the keyboard. Source: RFC 8265."""
    return unicodedata.normalize("NFKC", password)


def check_password(password: str, *, email: str, name: str, length_min: int) -> None:
    """Raises: WeakPassword, with every reason. Length counts, composition does not. Source: NIST SP 800-63B, 3.1.1."""
    plain = normal_password(password).casefold()
    reasons = []
    if len(plain) < length_min:
        reasons.append((f"Use {length_min} characters or more.", "too_short"))
    if len(password) > PASSWORD_LENGTH_MAX:
        reasons.append((f"Use at most {PASSWORD_LENGTH_MAX} characters.", "too_long"))
    if len(set(plain)) < 5:
        reasons.append(("Use more different characters.", "too_regular"))
    if plain in _COMMON or plain.rstrip("!.?0123456789") in {"password", "welcome", "ossature", "administrator"}:
        reasons.append(("This password is on every list of guesses.", "common"))
    own = [part for part in (*email.casefold().split("@"), *name.casefold().split()) if len(part) > 3]
    if any(part in plain and len(plain) - len(part) < length_min for part in own):
        reasons.append(("Do not build it from your name or address.", "personal"))
    if reasons:
        raise WeakPassword(errors=[FieldError("/password", message, code) for message, code in reasons])
