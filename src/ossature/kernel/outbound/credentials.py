"""On whose account a provider is asked: the secrets that the engine places, and their state."""

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol
from uuid import UUID

import structlog
from pydantic import SecretStr

from ossature.kernel.outbound.manifest import Manifest
from ossature.kernel.outbound.provider import Account, ErrorKind

log = structlog.get_logger()

_INVALID_AFTER = 2
_INVALID_S = 300.0


@dataclass(frozen=True, slots=True)
class Credential:
    """One account at one provider.

    id: tells credentials of a provider apart in windows, breakers and logs; no secret. secrets: by the field names of
    `Auth.place`; empty for keyless use. values: the account's fields that are no secret.
    """

    id: str = "keyless"
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    values: Mapping[str, str] = field(default_factory=dict)
    owner: Literal["platform", "tenant", "public"] = "platform"

    def account(self, contact: str) -> Account:
        """What a codec may know of it."""
        return Account(self.values, has_key=bool(self.secrets), contact=contact)


class Credentials(Protocol):
    """Who knows the credentials. One implementation reads settings; a service may keep those of tenants."""

    async def for_(self, manifest: Manifest, tenant_id: UUID, /) -> Sequence[Credential]:
        """What may be used for a tenant, best first; empty when the provider cannot be used without one."""

    def missing(self, manifest: Manifest, /) -> tuple[str, ...]:
        """Names of the settings that would make the provider usable; never values."""

    def report(self, manifest: Manifest, credential: Credential, kind: ErrorKind | None, /) -> None:
        """How an attempt with a credential ended: None is well."""


def fingerprint(secrets: Mapping[str, str]) -> str:
    """Eight characters that tell keys apart and give nothing of them away."""
    joined = "\0".join(f"{name}={secrets[name]}" for name in sorted(secrets))
    return hashlib.sha256(joined.encode()).hexdigest()[:8]


class PlatformCredentials:
    """The credentials of the house itself, from settings: `groq` for a key, `twilio_sid` for another field.

    A key that is refused twice in a row is not used for five minutes.
    """

    def __init__(self, keys: Mapping[str, SecretStr], *, variable_prefix: str) -> None:
        """Keys by lower-case name. variable_prefix: what their environment variables begin with."""
        self._keys = {name: value.get_secret_value() for name, value in keys.items() if value.get_secret_value()}
        self._prefix = variable_prefix
        self._found: dict[str, tuple[Manifest, Sequence[Credential]]] = {}
        self._refusals: dict[str, int] = {}
        self._invalid_until: dict[str, float] = {}

    async def for_(self, manifest: Manifest, tenant_id: UUID, /) -> Sequence[Credential]:
        """The house's credential, the public one of the provider's documents, or keyless use where that is allowed."""
        del tenant_id
        known, found = self._found.get(manifest.id, (None, ()))
        if known is not manifest:
            found = self._of(manifest)
            self._found[manifest.id] = (manifest, found)
        if not self._invalid_until:
            return found
        now = time.monotonic()
        return [each for each in found if self._invalid_until.get(f"{manifest.id}/{each.id}", 0.0) <= now]

    def _of(self, manifest: Manifest) -> Sequence[Credential]:
        """What the settings say; they do not change while we run."""
        values = {each.name: self._keys.get(f"{manifest.id}_{each.name}", "") for each in manifest.account}
        if any(each.required and not values[each.name] for each in manifest.account):
            return ()
        set_values = {name: value for name, value in values.items() if value}
        secrets = {name: self._keys.get(_key(manifest.id, name), "") for name in manifest.auth.fields}
        found: list[Credential] = []
        if secrets and all(secrets.values()):
            found.append(Credential(fingerprint(secrets), secrets, set_values))
        elif manifest.auth.demo:
            found.append(Credential("public", manifest.auth.demo, set_values, "public"))
        if not found and manifest.auth.need != "required":
            found.append(Credential(values=set_values))
        return found

    def missing(self, manifest: Manifest, /) -> tuple[str, ...]:
        """Names of the environment variables that would make the provider usable."""
        wanted = [_key(manifest.id, name) for name in manifest.auth.fields if manifest.auth.need == "required"]
        wanted += [f"{manifest.id}_{each.name}" for each in manifest.account if each.required]
        return tuple(f"{self._prefix}{name.upper()}" for name in wanted if name not in self._keys)

    def report(self, manifest: Manifest, credential: Credential, kind: ErrorKind | None, /) -> None:
        """Count refusals of a key."""
        name = f"{manifest.id}/{credential.id}"
        if kind is not ErrorKind.AUTH:
            if kind is None:
                self._refusals.pop(name, None)
            return
        self._refusals[name] = self._refusals.get(name, 0) + 1
        if self._refusals[name] >= _INVALID_AFTER and credential.secrets:
            self._invalid_until[name] = time.monotonic() + _INVALID_S
            log.error("outbound.credential_invalid", provider=manifest.id, credential=credential.id)


def _key(provider_id: str, name: str) -> str:
    return provider_id if name == "key" else f"{provider_id}_{name}"
