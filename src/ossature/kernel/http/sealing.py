"""What the table of idempotent requests holds instead of keys and answers, which may show a secret that is shown once.

From the caller's Idempotency-Key and the secret of the installation follow, by HKDF, what a row is found by, what its
fingerprint is made with, and what its answer is encrypted with. The table holds none of the two, so that a copy of the
database alone gives back neither a key nor an answer. Source: RFC 5869; NIST SP 800-38D (AES-GCM).
"""

import hmac
import secrets
from collections.abc import Iterable
from uuid import UUID

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from starlette.responses import Response

from ossature.kernel.errors import Problem

_PURPOSE = b"ossature.http.idempotency"
_PART_BYTES = 32
_NONCE_BYTES = 12
_KEPT_HEADERS = frozenset({"content-type", "location", "etag"})


class AnswerDamaged(Problem):
    """The stored answer to this Idempotency-Key cannot be read: it was altered. Nothing was done again."""

    title = "Answer damaged"


class Seal:
    """The secrets of one Idempotency-Key of one caller."""

    def __init__(self, secret: bytes, *, tenant_id: UUID, subject: str, key: str) -> None:
        about = b"\0".join((_PURPOSE, tenant_id.bytes, subject.encode()))
        stretched = HKDF(SHA256(), length=3 * _PART_BYTES, salt=secret, info=about).derive(key.encode())
        self.digest = stretched[:_PART_BYTES].hex()
        self._fingerprint_key = stretched[_PART_BYTES : 2 * _PART_BYTES]
        self._cipher = AESGCM(stretched[2 * _PART_BYTES :])

    def fingerprint(self, parts: Iterable[bytes]) -> str:
        """What a request must agree in to be the same request; it says nothing about the request."""
        whole = b"".join(b"%d:%b" % (len(part), part) for part in parts)
        return hmac.digest(self._fingerprint_key, whole, "sha256").hex()

    def close(self, response: Response, body: bytes) -> bytes:
        """An answer, encrypted together with the headers that are kept of it. The status is bound to it."""
        headers = {name: value for name, value in response.headers.items() if name in _KEPT_HEADERS}
        nonce = secrets.token_bytes(_NONCE_BYTES)
        plain = orjson.dumps(headers) + b"\n" + body
        return nonce + self._cipher.encrypt(nonce, plain, b"%d" % response.status_code)

    def open(self, sealed: bytes, status: int) -> Response:
        """The answer again. Raises: AnswerDamaged."""
        try:
            plain = self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], b"%d" % status)
        except InvalidTag as error:
            raise AnswerDamaged from error
        headers, _, body = plain.partition(b"\n")
        return Response(body, status_code=status, headers=orjson.loads(headers))
