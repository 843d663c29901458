"""Access tokens: JSON Web Tokens signed with Ed25519, and the key set that lets others check them.

A signing key is derived from its name and the secret of the installation, so the database holds nothing that could
sign. Keys are replaced regularly; a retired one stays in the key set until the last token that it signed has expired.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

from ossature.kernel import clock
from ossature.kernel.errors import Unauthenticated

ALGORITHM = "Ed25519"  # RFC 9864; its older name, EdDSA, leaves the curve open
AUDIENCE = "ossature"
_LEEWAY = timedelta(seconds=5)  # between the clocks of our own machines


class TokenRefused(Unauthenticated):
    """The access token is damaged, expired, or was not made here."""

    title = "Token refused"


@dataclass(frozen=True, slots=True)
class Claims:
    """What an access token says."""

    user_id: UUID
    tenant_id: UUID
    session_id: UUID
    expires_at: datetime


class TokenSigner:
    """Signs and reads access tokens with the keys that it was told of."""

    def __init__(self, secret: bytes, *, issuer: str, life_s: float) -> None:
        self._secret = secret
        self._issuer = issuer
        self._life = timedelta(seconds=life_s)
        self._keys: dict[str, OKPKey] = {}
        self._current = ""

    def use(self, kids: Iterable[str]) -> None:
        """Know these signing keys and no others; the first one signs."""
        names = list(kids)
        self._keys = {kid: self._keys.get(kid) or self._derived(kid) for kid in names}
        self._current = names[0] if names else ""

    @property
    def current(self) -> str:
        """The name of the key that signs; empty as long as none is known."""
        return self._current

    def knows(self, kid: str) -> bool:
        """Whether a signing key is known."""
        return kid in self._keys

    def sign(self, user_id: UUID, tenant_id: UUID, session_id: UUID) -> str:
        """An access token."""
        now = clock.now()
        claims = {
            "iss": self._issuer,
            "aud": AUDIENCE,
            "sub": str(user_id),
            "tid": str(tenant_id),
            "sid": str(session_id),
            "jti": clock.new_id().hex,
            "iat": int(now.timestamp()),
            "exp": int((now + self._life).timestamp()),
        }
        header = {"alg": ALGORITHM, "kid": self._current, "typ": "at+jwt"}
        return jwt.encode(header, claims, self._keys[self._current], algorithms=[ALGORITHM])

    def read(self, token: str) -> Claims:
        """What a token says, if it is ours and still holds. Raises: TokenRefused."""
        try:
            decoded = jwt.decode(token, self._key_of, algorithms=[ALGORITHM])
            said = decoded.claims
            expires_at = datetime.fromtimestamp(int(said["exp"]), UTC)
            if said["iss"] != self._issuer or said["aud"] != AUDIENCE or decoded.header.get("typ") != "at+jwt":
                raise TokenRefused
            claims = Claims(UUID(said["sub"]), UUID(said["tid"]), UUID(said["sid"]), expires_at)
        except (JoseError, KeyError, ValueError, TypeError) as error:
            raise TokenRefused from error
        if clock.now() > expires_at + _LEEWAY:
            raise TokenRefused
        return claims

    def key_set(self) -> dict[str, list[dict[str, Any]]]:
        """The public keys as a JWK set. Source: RFC 7517, 5; RFC 8037."""
        public: list[dict[str, Any]] = [
            {**key.as_dict(private=False), "kid": kid, "use": "sig", "alg": ALGORITHM}
            for kid, key in self._keys.items()
        ]
        return {"keys": public}

    def _derived(self, kid: str) -> OKPKey:
        options = {"info": b"ossature.jwt." + kid.encode()}
        return OKPKey.derive_key(self._secret, "Ed25519", {"kid": kid}, kdf_options=options)

    def _key_of(self, recipient: Any) -> OKPKey:  # noqa: ANN401 - joserfc's guest protocol
        kid = recipient.headers().get("kid")
        if not isinstance(kid, str) or kid not in self._keys:
            raise TokenRefused
        return self._keys[kid]


def kid_of(token: str) -> str:
    """The name of the key that a token says it was signed with; empty for what is no token."""
    try:
        said: object = jws.extract_compact(token.encode()).headers()
    except (JoseError, ValueError):
        return ""
    return str(said.get("kid", "")) if isinstance(said, dict) else ""
