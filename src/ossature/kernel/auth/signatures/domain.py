"""Signed requests: what a signature must say and cover, what exactly was signed, and whether it was.

Source: RFC 9421 (HTTP Message Signatures), sections in brackets below. A signature of ours covers the method, the whole
address and, where there is a body, `content-digest`; it says when it was made, a nonce that was never used before, and
the signing key. Signatures with a `tag` other than `ossature` are for others and are left alone.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, cast
from urllib.parse import parse_qsl, quote
from uuid import UUID

import http_sf
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from ossature.kernel.errors import Conflict, FieldError, InvalidInput, NotFound, Problem, Unauthenticated

TAG: Final = "ossature"
FIELD_MOST: Final = 8192
_LABELS_MOST = 8
_COMPONENTS_MOST = 50
_NONCE: Final = re.compile(r"[!-~]{16,128}")
_PARAMETERS: Final = {"created": int, "expires": int, "keyid": str, "nonce": str, "alg": str, "tag": str}
_FIELD_NAME: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9a-z]+")
_DERIVED: Final = frozenset(
    {"@method", "@target-uri", "@authority", "@scheme", "@request-target", "@path", "@query", "@query-param"}
)
_KEY_BYTES = 32
_PORTS = {"http": ":80", "https": ":443"}


class Algorithm(StrEnum):
    """How requests are signed. Source: the HTTP Signature Algorithms registry [3.3]."""

    HMAC_SHA256 = "hmac-sha256"
    ED25519 = "ed25519"


class SignatureMalformed(Problem):
    """`Signature-Input` or `Signature` cannot be read, names something that the request does not have, or is ambiguous."""

    status = 400
    title = "Signature malformed"


class SignatureIncomplete(Unauthenticated):
    """The signature leaves out something that it must cover or say; `missing` names it."""

    title = "Signature incomplete"


class SignatureOutOfTime(Unauthenticated):
    """The signature was made too long ago, or in the future, or has expired: look at the clock, and sign again."""

    title = "Signature out of time"


class SignatureRefused(Unauthenticated):
    """The signature does not fit the request and a signing key that is in use."""

    title = "Signature refused"


class SignatureReplayed(Unauthenticated):
    """A request with this nonce was taken before. Every request has a nonce of its own, one that is sent again too."""

    title = "Signature replayed"


class UnknownSigningKey(NotFound):
    """The tenant has no signing key with this id."""

    title = "No such signing key"


class SigningKeyIsRevoked(Conflict):
    """The signing key was revoked; that cannot be undone. Make a new one."""

    title = "Signing key revoked"


class TooManySigningKeys(Conflict):
    """An API key has as many signing keys in use as it may have; revoke one first."""

    title = "Too many signing keys"


@dataclass(frozen=True, slots=True)
class SigningKey:
    """What requests of an API key are signed with. public_key: 32 bytes of Ed25519; empty where a secret is shared."""

    id: UUID
    tenant_id: UUID
    key_id: UUID
    name: str
    algorithm: Algorithm
    public_key: bytes
    created_by: UUID | None
    created_at: datetime
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request as its signer saw it. target: path and query as they were sent. fields: raw lines by lower-case name."""

    method: str
    scheme: str
    target: str
    fields: Mapping[str, Sequence[bytes]]

    def field(self, name: str) -> bytes | None:
        """A field's value: its lines without the space around them, joined [2.1]; None when it is not there."""
        lines = self.fields.get(name)
        return None if lines is None else b", ".join(line.strip(b" \t") for line in lines)


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """One signature of a request, read and not verified. components: names with their parameters. stated: what it says."""

    components: tuple[tuple[str, Mapping[str, Any]], ...]
    stated: Mapping[str, Any]
    value: bytes

    @property
    def covered(self) -> frozenset[str]:
        """The names of what it covers."""
        return frozenset(name for name, _ in self.components)


def read(asked: Asked) -> Signature | None:
    """The signature that is meant for us; None when there is none. Raises: SignatureMalformed."""
    inputs = _dictionary(asked, "signature-input")
    values = _dictionary(asked, "signature")
    ours = [label for label, (_, stated) in inputs.items() if stated.get("tag", TAG) == TAG]
    if not ours:
        return None
    if len(ours) > 1:
        raise SignatureMalformed("Of several signatures only one may be for us; give the others a tag of their own.")
    components, stated = inputs[ours[0]]
    value = values.get(ours[0], (None, {}))[0]
    if not isinstance(value, bytes):
        raise SignatureMalformed("Signature has no bytes under the label of Signature-Input.")
    return Signature(components=_components(components), stated=_stated(stated), value=value)


def _dictionary(asked: Asked, name: str) -> Mapping[str, tuple[Any, Mapping[str, Any]]]:
    field = asked.field(name)
    if field is None:
        raise SignatureMalformed("Signature-Input and Signature belong together.")
    if len(field) > FIELD_MOST:
        raise SignatureMalformed(f"A signature field has at most {FIELD_MOST} bytes.")
    twice: list[str] = []
    try:
        found: Any = http_sf.parse(field, tltype="dictionary", on_duplicate_key=lambda key, _: twice.append(key))
    except (http_sf.StructuredFieldError, ValueError) as error:
        raise SignatureMalformed(f"{name} is no dictionary of structured fields.") from error
    if twice or not 0 < len(found) <= _LABELS_MOST:
        raise SignatureMalformed(f"{name} has 1 to {_LABELS_MOST} labels, and nothing twice.")
    return cast("Mapping[str, tuple[Any, Mapping[str, Any]]]", found)


def _components(given: object) -> tuple[tuple[str, Mapping[str, Any]], ...]:
    if not isinstance(given, list) or len(given) > _COMPONENTS_MOST:
        raise SignatureMalformed(f"A signature covers a list of at most {_COMPONENTS_MOST} components.")
    found = []
    for name, parameters in given:
        plain = isinstance(name, str) and (name in _DERIVED or _FIELD_NAME.fullmatch(name) is not None)
        if not plain or set(parameters) != ({"name"} if name == "@query-param" else set()):
            raise SignatureMalformed("Components are lower-case fields, or parts of the request that RFC 9421 names.")
        found.append((name, parameters))
    identities = {(name, tuple(parameters.items())) for name, parameters in found}
    if len(identities) != len(found):
        raise SignatureMalformed("A component is covered twice.")
    return tuple(found)


def _stated(given: Mapping[str, Any]) -> Mapping[str, Any]:
    for name, value in given.items():
        if name not in _PARAMETERS or type(value) is not _PARAMETERS[name]:
            raise SignatureMalformed(f"Parameters of a signature are {', '.join(_PARAMETERS)}.")
    return given


def check(signature: Signature, asked: Asked, *, now_s: float, age_s: float, skew_s: float) -> None:
    """Refuse a signature that says or covers too little, or is not of now, whoever made it.

    now_s: Unix time. age_s: how long ago it may have been made. skew_s: how far the clock of the signer may be ahead.
    Raises: SignatureIncomplete, SignatureOutOfTime.
    """
    covered, stated = signature.covered, signature.stated
    missing = [name for name in ("created", "keyid", "nonce") if name not in stated]
    if "@method" not in covered:
        missing.append("@method")
    if "@target-uri" not in covered:
        if not covered & {"@authority", "host"}:
            missing.append("@authority")
        if "@request-target" not in covered:
            missing += [name for name in ("@path",) if name not in covered]
            missing += [name for name in ("@query",) if name not in covered and "?" in asked.target]
    if "content-digest" in asked.fields and "content-digest" not in covered:
        missing.append("content-digest")
    if missing:
        raise SignatureIncomplete(missing=missing)
    if not _NONCE.fullmatch(stated["nonce"]):
        raise SignatureMalformed("A nonce has 16 to 128 printable characters, without spaces.")
    ends = stated.get("expires")
    if not now_s - age_s <= stated["created"] <= now_s + skew_s or (ends is not None and ends <= now_s):
        raise SignatureOutOfTime(age_most_s=age_s, skew_most_s=skew_s)


def base(signature: Signature, asked: Asked) -> bytes:
    """What was signed [2.5]. Raises: SignatureMalformed for what the request does not have."""
    lines = []
    pairs = _pairs(asked) if "@query-param" in signature.covered else ()
    for name, parameters in signature.components:
        value = _parameter(parameters["name"], pairs) if name == "@query-param" else _value(name, asked)
        if not value.isascii() or not value.replace("\t", " ").isprintable():
            raise SignatureMalformed(f"{name} has characters that cannot be signed.")
        lines.append(f"{http_sf.ser((name, dict(parameters)))}: {value}")
    covered: Any = ([(name, dict(parameters)) for name, parameters in signature.components], dict(signature.stated))
    lines.append(f'"@signature-params": {http_sf.ser([covered])}')
    return "\n".join(lines).encode("ascii")


def _value(name: str, asked: Asked) -> str:
    path, mark, query = asked.target.partition("?")
    if not name.startswith("@"):
        field = asked.field(name)
        if field is None:
            raise SignatureMalformed(f"The request has no field {name!r}, which its signature covers.")
        return field.decode("latin-1")
    authority = _authority(asked)
    derived = {
        "@method": asked.method,
        "@target-uri": f"{asked.scheme}://{authority}{asked.target}",
        "@authority": authority,
        "@scheme": asked.scheme,
        "@request-target": asked.target,
        "@path": path or "/",
        "@query": f"?{query}" if mark else "?",
    }
    return derived[name]


def _authority(asked: Asked) -> str:
    """The host as it is asked for, in lower case, without the port that is meant anyway [2.2.3]."""
    host = (asked.field("host") or b"").decode("latin-1").lower()
    return host.removesuffix(_PORTS.get(asked.scheme, ":80"))


def _pairs(asked: Asked) -> Sequence[tuple[str, str]]:
    """The parameters of the query, encoded anew [2.2.8]."""
    query = asked.target.partition("?")[2]
    return [(_encoded(name), _encoded(value)) for name, value in parse_qsl(query, keep_blank_values=True)]


def _parameter(wanted: str, pairs: Sequence[tuple[str, str]]) -> str:
    values = [value for name, value in pairs if name == wanted]
    if len(values) != 1:
        raise SignatureMalformed("A parameter of the query that is signed by itself comes exactly once.")
    return values[0]


def _encoded(text: str) -> str:
    return quote(text, safe="*").replace("~", "%7E")


def fits(algorithm: Algorithm, material: bytes, signed: bytes, value: bytes) -> bool:
    """Whether a signature was made of these bytes. material: the shared secret, or the public key. [3.3.3, 3.3.6]"""
    if algorithm is Algorithm.HMAC_SHA256:
        return hmac.compare_digest(hmac.digest(material, signed, hashlib.sha256), value)
    try:
        Ed25519PublicKey.from_public_bytes(material).verify(value, signed)
    except InvalidSignature:
        return False
    return True


# A signature of a key that nobody knows is verified all the same, so that it is refused neither sooner nor otherwise.
_NOBODYS: Final = {
    Algorithm.HMAC_SHA256: bytes(_KEY_BYTES),
    Algorithm.ED25519: bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"),
}


def fits_nobody(signed: bytes, value: bytes) -> bool:
    """False, after as much work as with a key that is known."""
    algorithm = Algorithm.HMAC_SHA256 if len(value) == _KEY_BYTES else Algorithm.ED25519
    fits(algorithm, _NOBODYS[algorithm], signed, value)
    return False


def shared_secret(installation_secret: bytes, signing_key_id: UUID) -> bytes:
    """The secret of a signing key, 32 bytes. It follows from the key's id, so the database holds nothing that could sign."""
    info = b"ossature.auth.signature." + signing_key_id.bytes
    return HKDF(SHA256(), length=_KEY_BYTES, salt=None, info=info).derive(installation_secret)


def shown_secret(secret: bytes) -> str:
    """A secret as it is shown once: base64; sign with the bytes."""
    return base64.b64encode(secret).decode()


def read_public_key(text: str) -> bytes:
    """The 32 bytes of an Ed25519 public key that is given as PEM or as base64. Raises: InvalidInput."""
    try:
        if text.lstrip().startswith("-----BEGIN"):
            key = load_pem_public_key(text.encode())
            found = key.public_bytes_raw() if isinstance(key, Ed25519PublicKey) else b""
        else:
            found = base64.b64decode(text, validate=True)
            Ed25519PublicKey.from_public_bytes(found)
    except ValueError:
        found = b""
    if len(found) != _KEY_BYTES:
        fault = FieldError("/public_key", "Give an Ed25519 public key, as PEM or as base64 of 32 bytes.", "public_key")
        raise InvalidInput(errors=[fault])
    return found
