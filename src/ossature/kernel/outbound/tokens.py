"""OAuth 2 client credentials: secrets buy a token, which is kept until shortly before it expires. Source: RFC 6749, 4.4."""

import asyncio
import time
from urllib.parse import urlsplit

from ossature.kernel.outbound.credentials import Credential
from ossature.kernel.outbound.http import Http
from ossature.kernel.outbound.kinds import kind_of_status
from ossature.kernel.outbound.manifest import Manifest
from ossature.kernel.outbound.placing import Surroundings, place
from ossature.kernel.outbound.provider import Call, ErrorKind, Refusal

_MARGIN_S = 60.0
_DEFAULT_LIFE_S = 300.0
_LONGEST_LIFE_S = 86_400.0


class Tokens:
    """The tokens of a process, one per provider and credential."""

    def __init__(self, http: Http, around: Surroundings) -> None:
        self._http = http
        self._around = around
        self._kept: dict[tuple[str, str], tuple[str, float]] = {}
        self._locks: dict[tuple[str, str], asyncio.Lock] = {}

    async def of(self, manifest: Manifest, credential: Credential) -> str:
        """A token that is good for another while. Raises: Refusal, of kind `auth` when the secrets are not accepted."""
        key = (manifest.id, credential.id)
        async with self._locks.setdefault(key, asyncio.Lock()):
            token, good_until = self._kept.get(key, ("", 0.0))
            if time.monotonic() < good_until:
                return token
            token, life_s = await self._bought(manifest, credential)
            self._kept[key] = (token, time.monotonic() + max(0.0, life_s - min(_MARGIN_S, life_s / 4)))
            return token

    def forget(self, manifest: Manifest, credential: Credential, *, token: str) -> None:
        """Do not use a token again: it was refused. One that was bought since then stays."""
        key = (manifest.id, credential.id)
        if self._kept.get(key, ("", 0.0))[0] == token:
            del self._kept[key]

    async def _bought(self, manifest: Manifest, credential: Credential) -> tuple[str, float]:
        auth = manifest.auth
        form = {"grant_type": "client_credentials", **credential.secrets}
        if auth.scope:
            form["scope"] = auth.scope
        call = Call("POST", auth.token_url or urlsplit(manifest.base_url).path, form=form, no_auth=True)
        reply = await self._http.send(place(call, manifest, credential, self._around))
        kind = kind_of_status(reply)
        if kind is not None:
            raise Refusal(ErrorKind.AUTH if kind is ErrorKind.BAD_REQUEST else kind, "No token was given.")
        try:
            found = reply.json()
            token = str(found["access_token"])
            life_s = min(_LONGEST_LIFE_S, float(found.get("expires_in") or _DEFAULT_LIFE_S))
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise Refusal(ErrorKind.DECODE, "The token's answer was not understood.") from error
        return token, life_s
