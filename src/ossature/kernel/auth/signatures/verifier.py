"""Telling who asks by a signature: the `Signatures` of the edge."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, urlsplit
from uuid import UUID

from prometheus_client import Counter
from starlette.types import Scope

from ossature.kernel import clock
from ossature.kernel.auth.authenticator import GateAuthenticator
from ossature.kernel.auth.gate import Gate
from ossature.kernel.auth.keys import store as key_store
from ossature.kernel.auth.signatures import domain, store
from ossature.kernel.auth.signatures.domain import (
    Algorithm,
    Asked,
    Signature,
    SignatureRefused,
    SignatureReplayed,
    SigningKey,
)
from ossature.kernel.db.transaction import DatabaseBusy, Db
from ossature.kernel.errors import Problem
from ossature.kernel.http.ports import Identity, Signed
from ossature.kernel.http.signed import digests

VERIFIED = Counter("auth_signatures_total", "Signatures of requests, by what became of them.", ["outcome"])

_TIME_LIMIT_S = 5.0


class SignatureVerifier:
    """Verifies signatures. One per process; what must be shared by all of them, the used nonces, is in the database."""

    def __init__(self, gate: Gate, authenticator: GateAuthenticator, *, public_url: str) -> None:
        self._gate = gate
        self._authenticator = authenticator
        self._age_s = gate.settings.signature_age_s
        self._skew_s = gate.settings.signature_skew_s
        public = urlsplit(public_url)
        self._public = (public.scheme, public.netloc.lower().encode())

    async def verify(self, scope: Scope, identity: Identity | None, ip: str) -> Signed | None:
        """Who signed a request; None when no signature of it is meant for us.

        identity: who another credential of the request proved; it must be the same API key.
        Raises: SignatureMalformed, SignatureIncomplete, SignatureOutOfTime, SignatureRefused, SignatureReplayed;
        DigestUnusable; RateLimited; CredentialRefused, AddressNotAllowed, TenantIsSuspended, once the signature was found good.
        """
        try:
            signed = await self._verify(scope, identity, ip)
        except Problem as problem:
            VERIFIED.labels(problem.slug).inc()
            if isinstance(problem, SignatureRefused):
                self._authenticator.addresses.note_unknown(ip)
            raise
        if signed is not None:
            VERIFIED.labels("accepted").inc()
        return signed

    async def _verify(self, scope: Scope, identity: Identity | None, ip: str) -> Signed | None:
        asked = self._asked(scope)
        signature = domain.read(asked)
        if signature is None:
            return None
        now = clock.now()
        domain.check(signature, asked, now_s=now.timestamp(), age_s=self._age_s, skew_s=self._skew_s)
        field = asked.field("content-digest")
        expected = digests(field) if field is not None else {}
        signed = domain.base(signature, asked)

        self._authenticator.addresses.require_patience(ip)

        async def prove(db: Db) -> Identity:
            return await self._proved(db, signature, signed, ip=ip, also=identity)

        try:
            async with asyncio.timeout(_TIME_LIMIT_S):
                proved = await self._gate.database.transact(prove)
        except TimeoutError as error:
            raise DatabaseBusy from error
        return Signed(proved, expected)

    async def _proved(self, db: Db, signature: Signature, signed: bytes, *, ip: str, also: Identity | None) -> Identity:
        key = await self._known(db, signature.stated["keyid"])
        if key is None or not self._fits(key, signature, signed):
            if key is None:
                domain.fits_nobody(signed, signature.value)
            raise SignatureRefused
        api_key = await key_store.key(db, key.tenant_id, key.key_id)
        if api_key is None or (also is not None and also.actor.key_id != api_key.id):
            raise SignatureRefused
        identity = await self._authenticator.identity_of(db, api_key, ip)
        until = datetime.fromtimestamp(signature.stated["created"], UTC) + timedelta(seconds=self._age_s + self._skew_s)
        if not await store.use_nonce(db, key, signature.stated["nonce"], now=clock.now(), until=until):
            raise SignatureReplayed
        return identity

    async def _known(self, db: Db, keyid: str) -> SigningKey | None:
        try:
            key = await store.signing_key_by_id(db, UUID(keyid))
        except ValueError:
            return None
        return key if key is not None and key.revoked_at is None else None

    def _fits(self, key: SigningKey, signature: Signature, signed: bytes) -> bool:
        if signature.stated.get("alg", key.algorithm) != key.algorithm:
            return False
        shared = key.algorithm is Algorithm.HMAC_SHA256
        material = domain.shared_secret(self._gate.secret, key.id) if shared else key.public_key
        return domain.fits(key.algorithm, material, signed, signature.value)

    def _asked(self, scope: Scope) -> Asked:
        fields: dict[str, list[bytes]] = {}
        for name, value in scope["headers"]:
            fields.setdefault(name.decode("latin-1"), []).append(value)
        path = scope.get("ossature.raw_path") or scope.get("raw_path") or quote(scope["path"]).encode()
        query = scope.get("query_string", b"")
        target = path + b"?" + query if query else path
        return Asked(
            method=scope.get("method", "GET"),
            scheme=self._scheme(scope, fields),
            target=target.decode("latin-1"),
            fields=fields,
        )

    def _scheme(self, scope: Scope, fields: Mapping[str, list[bytes]]) -> Any:  # noqa: ANN401 - the server says a string
        """What the signer saw: that of the public address, where TLS ends in front of us."""
        scheme, host = self._public
        if [value.lower() for value in fields.get("host", ())] == [host]:
            return scheme
        return {"ws": "http", "wss": "https"}.get(scope["scheme"], scope["scheme"])
