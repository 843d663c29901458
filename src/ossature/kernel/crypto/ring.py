"""The key ring: what is sealed with it can be opened by this installation only, and only as what it was sealed for.

Every value has a data key of its own, which seals nothing else; a key of the ring seals that data key (an envelope). The
first key of the ring is the active one and seals; the others, legacy keys, still open what they sealed once. The name of
the key stands at the head of what is sealed, so that a ring may turn while old values lie about.

A sealed value is, in bytes: mark (3), id of the key (6), nonce (12), data key under that key with its tag (48), then the
value under the data key with its tag (16 more than the value). All of it is AES-256-GCM. What the value is `about` is part
of what both tags prove but is not stored: whoever opens it has to say the same again.
Source: NIST SP 800-38D. A key of the ring seals at most 2**32 data keys (8.3), which is why it is replaced.
"""

import hmac
import os
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ossature.kernel import clock
from ossature.kernel.errors import Misconfigured, Problem

KEY_BYTES = 32
ID_BYTES = 6
VALUE = urlsafe_b64decode("osk1")
"""The mark of a sealed value. In base64 it reads `osk1`, and the id that follows takes the next eight letters."""
STREAM = urlsafe_b64decode("oss1")
"""The mark of a sealed stream, see `kernel.crypto.stream`."""
_MARK_BYTES = 3
_TIME_BYTES = 4
_NONCE_BYTES = 12
_TAG_BYTES = 16
_HEAD_BYTES = _MARK_BYTES + ID_BYTES
ENVELOPE_BYTES = _HEAD_BYTES + _NONCE_BYTES + KEY_BYTES + _TAG_BYTES
_ONLY_NONCE = bytes(_NONCE_BYTES)  # a data key seals one value, so its one nonce may be any


class CannotOpen(Problem):
    """Something that was sealed cannot be opened here."""

    title = "Cannot be opened"


class NotSealed(CannotOpen):
    """What should be sealed is not: it has no mark, or was cut off before its contents."""

    title = "Not sealed"


class UnknownKey(CannotOpen):
    """It was sealed with a key that is not on the ring of this installation; `key` names it. Bring that key back."""

    title = "Unknown key of the ring"
    slug = "unknown-ring-key"


class SealBroken(CannotOpen):
    """It was altered, was cut, or was sealed for another place than the one where it is read."""

    title = "Seal broken"


@dataclass(frozen=True)
class Key:
    """A key of the ring. secret: 32 random bytes, of which what is used is derived.

    id: 12 hexadecimal digits, of which the first eight are the Unix time at which it was made, in seconds.
    """

    id: str
    secret: bytes = field(repr=False)

    @classmethod
    def new(cls, besides: Collection[str] = ()) -> "Key":
        """A key that nobody has had before. besides: ids that are taken."""
        made = int(clock.unix_s()).to_bytes(_TIME_BYTES, "big")
        key_id = ""
        while not key_id or key_id in besides:
            key_id = (made + os.urandom(ID_BYTES - _TIME_BYTES)).hex()
        return cls(key_id, os.urandom(KEY_BYTES))

    @property
    def created_at(self) -> datetime:
        """When it was made."""
        return datetime.fromtimestamp(int(self.id[: 2 * _TIME_BYTES], 16), UTC)

    @cached_property
    def cipher(self) -> AESGCM:
        """What seals data keys."""
        return AESGCM(self._derived(b"ossature.crypto.envelope"))

    @cached_property
    def index(self) -> bytes:
        """The key of blind indexes."""
        return self._derived(b"ossature.crypto.index")

    def _derived(self, purpose: bytes) -> bytes:
        return HKDF(SHA256(), length=KEY_BYTES, salt=None, info=purpose).derive(self.secret)


class Keys(Protocol):
    """Where the keys of a ring come from."""

    @property
    def turns(self) -> bool:
        """Whether this place takes a new key; if not, an operator has to put it there."""

    def read(self) -> Sequence[Key] | None:
        """The keys, the active one first; None when they are those that were read before. Raises: Misconfigured."""

    def rotate(self, active: str) -> None:
        """Put a new key first, unless another than `active` is there already. Raises: Misconfigured."""


class FixedKeys:
    """Keys that were handed over, the active one first."""

    turns = False

    def __init__(self, *keys: Key) -> None:
        self._keys = keys

    def read(self) -> Sequence[Key] | None:
        """The keys."""
        return self._keys

    def rotate(self, active: str) -> None:
        """Raises: Misconfigured: nobody but the operator can put a key there."""
        raise Misconfigured(
            f"The key ring stands in OSSATURE_CRYPTO_KEYS, which only you can change: put a new key before {active}."
        )


class KeyRing:
    """Seals and opens with the keys of an installation. It reads them at the first use, and again when they changed."""

    def __init__(self, source: Keys) -> None:
        self._source = source
        self._keys: dict[str, Key] = {}  # replaced as a whole, so that threads may share the ring

    @property
    def keys(self) -> tuple[Key, ...]:
        """All keys, the active one first. Raises: Misconfigured when they cannot be read."""
        found = self._source.read()
        if found is not None:
            # What was known still opens until the process ends, should somebody have replaced the file by another ring.
            keys = {key.id: key for key in found}
            self._keys = keys | {key.id: key for key in self._keys.values() if key.id not in keys}
        return tuple(self._keys.values())

    @property
    def active(self) -> Key:
        """The key that seals from now on."""
        return self.keys[0]

    @property
    def turns(self) -> bool:
        """Whether the ring can be given a new key from here."""
        return self._source.turns

    def rotate(self) -> Key:
        """Seal with a new key from now on; those before still open. Of several who rotate at once, one does.

        Raises: Misconfigured when only an operator can put a key there.
        """
        self._source.rotate(self.active.id)
        return self.active

    def seal(self, plain: bytes, *, about: str) -> bytes:
        """The value, sealed for one place: `webhooks_endpoint/secret/ID`. It is 85 bytes longer than the value."""
        data_key, envelope = self.envelope(VALUE, about)
        return envelope + AESGCM(data_key).encrypt(_ONLY_NONCE, plain, about.encode())

    def open(self, sealed: bytes, *, about: str) -> bytes:
        """The value again. Raises: NotSealed, UnknownKey, SealBroken."""
        data_key = self.data_key(VALUE, sealed[:ENVELOPE_BYTES], about)
        try:
            return AESGCM(data_key).decrypt(_ONLY_NONCE, sealed[ENVELOPE_BYTES:], about.encode())
        except InvalidTag:
            raise _broken(about) from None

    def envelope(self, mark: bytes, about: str) -> tuple[bytes, bytes]:
        """A new data key, and the head under which the ring gives it out again."""
        key, data_key, nonce = self.active, os.urandom(KEY_BYTES), os.urandom(_NONCE_BYTES)
        head = mark + bytes.fromhex(key.id)
        return data_key, head + nonce + key.cipher.encrypt(nonce, data_key, head + about.encode())

    def data_key(self, mark: bytes, envelope: bytes, about: str) -> bytes:
        """The data key of an envelope. Raises: NotSealed, UnknownKey, SealBroken."""
        if len(envelope) < ENVELOPE_BYTES or not envelope.startswith(mark):
            raise NotSealed(f"What was read as {about} is not sealed.")
        key = self._key(self.key_id_of(envelope))
        head, nonce = envelope[:_HEAD_BYTES], envelope[_HEAD_BYTES : _HEAD_BYTES + _NONCE_BYTES]
        try:
            return key.cipher.decrypt(nonce, envelope[_HEAD_BYTES + _NONCE_BYTES :], head + about.encode())
        except InvalidTag:
            raise _broken(about) from None

    @staticmethod
    def key_id_of(sealed: bytes) -> str:
        """The id of the key that this was sealed with; its beginning will do. Raises: NotSealed."""
        if len(sealed) < _HEAD_BYTES or sealed[:_MARK_BYTES] not in {VALUE, STREAM}:
            raise NotSealed
        return sealed[_MARK_BYTES:_HEAD_BYTES].hex()

    def blind(self, value: bytes, *, about: str) -> bytes:
        """32 bytes by which equal values of one column are found without reading them, made with the active key."""
        return _blind(self.active, value, about)

    def blinds(self, value: bytes, *, about: str) -> list[bytes]:
        """What `blind` gives for each key of the ring: search for any of them, as rows turn to a new key one by one."""
        return [_blind(key, value, about) for key in self.keys]

    def _key(self, key_id: str) -> Key:
        key = self._keys.get(key_id)
        if key is None:  # another process may have turned the ring
            key = next((one for one in self.keys if one.id == key_id), None)
        if key is None:
            raise UnknownKey(f"It was sealed with the key {key_id}, which is not on the ring.", key=key_id)
        return key


def head_of(key: Key) -> bytes:
    """How every value begins that was sealed with a key: 9 bytes, 12 letters in base64."""
    return VALUE + bytes.fromhex(key.id)


def to_text(sealed: bytes) -> str:
    """A sealed value for a column of text."""
    return urlsafe_b64encode(sealed).decode().rstrip("=")


def of_text(text: str) -> bytes:
    """What `to_text` was given. Raises: NotSealed."""
    try:
        return urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (NotBase64, ValueError):
        raise NotSealed from None


def _blind(key: Key, value: bytes, about: str) -> bytes:
    return hmac.digest(key.index, about.encode() + b"\0" + value, "sha256")


def _broken(about: str) -> SealBroken:
    return SealBroken(f"It was altered, or was sealed for another place than {about}.")
