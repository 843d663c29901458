"""What a signed request owes besides its signature: a body with the digest that was signed. Source: RFC 9530."""

import hashlib
import hmac
from collections.abc import Mapping
from typing import Any, Final

import http_sf
from starlette.types import Message, Receive

from ossature.kernel.errors import Unauthenticated
from ossature.kernel.http.problems import BadRequest

ALGORITHMS: Final = {"sha-256": hashlib.sha256, "sha-512": hashlib.sha512}
WANTED: Final = {"Want-Content-Digest": "sha-256=10, sha-512=9"}


class SignatureRequired(Unauthenticated):
    """This key, or this route, is for signed requests only. The guide "Sign requests" says how to sign one."""

    title = "Signature required"


class BodyNotSigned(Unauthenticated):
    """The request has a body that its signature does not cover: sign `content-digest` too."""

    title = "Body not signed"


class DigestUnusable(BadRequest):
    """`Content-Digest` cannot be read, or has neither `sha-256` nor `sha-512`."""

    title = "Digest unusable"


class DigestDiffers(BadRequest):
    """The body is not the one that `Content-Digest` was made of."""

    title = "Digest differs"


def digests(field: bytes) -> dict[str, bytes]:
    """The digests of a Content-Digest field that are known here, by algorithm. Raises: DigestUnusable."""
    twice: list[str] = []
    try:
        members: Any = http_sf.parse(field, tltype="dictionary", on_duplicate_key=lambda name, _: twice.append(name))
    except (http_sf.StructuredFieldError, ValueError) as error:
        raise DigestUnusable(headers=WANTED) from error
    found = {}
    for name, (value, _) in members.items():
        algorithm = ALGORITHMS.get(name)
        if algorithm is not None:
            if not isinstance(value, bytes) or len(value) != algorithm().digest_size:
                raise DigestUnusable(headers=WANTED)
            found[name] = value
    if twice or not found:
        raise DigestUnusable(headers=WANTED)
    return found


class BodyCheck:
    """Hashes a body while it is read, and refuses its last part when it is another than the signed one.

    expected: digests by algorithm; empty when none was signed, so that there must be no body. Whoever acts on a part of
    a body before its end acts on what is not proved yet.
    """

    def __init__(self, expected: Mapping[str, bytes]) -> None:
        self._expected = expected
        self._made = {name: ALGORITHMS[name]() for name in expected}

    def reading(self, receive: Receive) -> Receive:
        """The same `receive`, checked. It raises: BodyNotSigned, DigestDiffers."""

        async def checked() -> Message:
            message = await receive()
            if message["type"] == "http.request":
                self._take(message.get("body", b""), last=not message.get("more_body", False))
            return message

        return checked

    def _take(self, part: bytes, *, last: bool) -> None:
        if part and not self._expected:
            raise BodyNotSigned(headers=WANTED)
        for digest in self._made.values():
            digest.update(part)
        if last and not all(
            hmac.compare_digest(self._made[name].digest(), value) for name, value in self._expected.items()
        ):
            raise DigestDiffers
