"""Big things sealed piece by piece: what comes in need not fit into memory, and what comes out is in its order and whole.

After the envelope (see `ring`) follow pieces of 1 MiB under one data key, each with its tag. The nonce of a piece is its
number (11 bytes) and whether it is the last (1 byte), so that none can be left out, moved, doubled or taken from another
stream, and the end cannot be cut off. Source: Hoang, Reyhanitabar, Rogaway, Vizar, "Online Authenticated-Encryption and its
Nonce-Reuse Misuse-Resistance" (2015), the construction STREAM.
"""

from collections.abc import Iterator
from typing import BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ossature.kernel.crypto.ring import ENVELOPE_BYTES, STREAM, KeyRing, SealBroken

PIECE_BYTES = 1024 * 1024
_TAG_BYTES = 16
_NUMBER_BYTES = 11


def seal_stream(ring: KeyRing, source: BinaryIO, target: BinaryIO, *, about: str) -> int:
    """Seal all that `source` still gives into `target`; how many bytes were written."""
    data_key, envelope = ring.envelope(STREAM, about)
    cipher = AESGCM(data_key)
    written = len(envelope)
    target.write(envelope)
    for number, piece, last in _pieces(source, PIECE_BYTES):
        sealed = cipher.encrypt(_nonce(number, last=last), piece, None)
        target.write(sealed)
        written += len(sealed)
    return written


def open_stream(ring: KeyRing, source: BinaryIO, target: BinaryIO, *, about: str) -> int:
    """Open a sealed stream into `target`; how many bytes were written.

    Every piece is proven before it is written; that it is whole is known at the end only. Throw away what was written when
    this raises. Raises: NotSealed, UnknownKey, SealBroken.
    """
    cipher = AESGCM(ring.data_key(STREAM, _read(source, ENVELOPE_BYTES), about))
    written = 0
    for number, piece, last in _pieces(source, PIECE_BYTES + _TAG_BYTES):
        try:
            plain = cipher.decrypt(_nonce(number, last=last), piece, None)
        except InvalidTag:
            raise SealBroken(f"{about} was altered or cut, in its piece {number} or after it.") from None
        target.write(plain)
        written += len(plain)
    return written


def _pieces(source: BinaryIO, size: int) -> Iterator[tuple[int, bytes, bool]]:
    """Number, contents, and whether nothing follows. Of nothing there is one piece, an empty one."""
    number, piece = 0, _read(source, size)
    while True:
        following = _read(source, size)
        yield number, piece, not following
        if not following:
            return
        number, piece = number + 1, following


def _read(source: BinaryIO, size: int) -> bytes:
    """So many bytes, fewer only at the end: a pipe gives what it has just now."""
    parts = []
    while size > 0 and (part := source.read(size)):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _nonce(number: int, *, last: bool) -> bytes:
    return number.to_bytes(_NUMBER_BYTES, "big") + bytes([last])
