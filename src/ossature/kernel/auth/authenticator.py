"""Who asks: credentials turned into identities, remembered for a short while, forgotten at once when told."""

import asyncio
import hmac
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from prometheus_client import Counter
from starlette.types import Scope

from ossature.kernel import background, clock
from ossature.kernel.auth.addresses import AddressRules
from ossature.kernel.auth.gate import Gate
from ossature.kernel.auth.keys import domain as keys
from ossature.kernel.auth.keys import store as key_store
from ossature.kernel.auth.keys.domain import Key
from ossature.kernel.auth.policies import MAKER
from ossature.kernel.auth.sessions import domain as sessions
from ossature.kernel.auth.sessions import store as session_store
from ossature.kernel.auth.sessions.domain import ACT_ANYWHERE, Session
from ossature.kernel.auth.tokens.signer import Claims
from ossature.kernel.auth.users import store as user_store
from ossature.kernel.context import SYSTEM_TENANT, Actor
from ossature.kernel.db.transaction import DatabaseBusy, Db
from ossature.kernel.errors import PermissionDenied, Unauthenticated
from ossature.kernel.http.ports import Identity
from ossature.kernel.observe.api import METRICS_PATHS
from ossature.kernel.tenants import store as tenant_store
from ossature.kernel.tenants.domain import TenantDetails, TenantIsSuspended, contains
from ossature.kernel.tenants.registry import FORGET

log = structlog.get_logger()

ASKED = Counter("auth_credentials_total", "Credentials that were not in the cache.", ["kind", "outcome"])

_READ_LIMIT_S = 5.0
_READS_METRICS = frozenset({"read:metrics"})
_SEEN_EVERY = timedelta(seconds=60)


class CredentialRefused(Unauthenticated):
    """The key, token or session is unknown, expired or revoked."""

    title = "Credential refused"

    def __init__(self, detail: str | None = None, /, **facts: Any) -> None:
        super().__init__(
            detail, headers={"WWW-Authenticate": 'Bearer realm="ossature", error="invalid_token"'}, **facts
        )


class AddressNotAllowed(PermissionDenied):
    """The credential is good, but may not be used from this address."""

    title = "Address refused"


@dataclass(frozen=True, slots=True)
class Proof:
    """An identity, until when it holds without asking again, and whose change ends it sooner."""

    identity: Identity
    until: datetime
    about: Mapping[str, UUID]
    key_id: UUID | None


class GateAuthenticator:
    """The `Authenticator` of the edge. One per process; `flushing()` must be open while it serves."""

    def __init__(self, gate: Gate, addresses: AddressRules | None = None) -> None:
        self._gate = gate
        self.addresses = addresses or AddressRules(allow=(), deny=())
        """Whose credentials are looked up no more for a while."""
        self._known: dict[tuple[bytes, str], Proof] = {}
        self._used: dict[UUID, datetime] = {}
        self._epoch = 0
        self._trust = timedelta(seconds=gate.settings.cache_s)
        self._most = gate.settings.cache_entries
        gate.registry.signals.subscribe(FORGET, self.forget, lost=self.forget_all)

    def lookup(self, credential: bytes, ip: str) -> Identity | None:
        """The identity from the cache of this process, or None."""
        proof = self._known.get((credential, ip))
        if proof is None:
            return None
        now = clock.now()
        if proof.until <= now:
            del self._known[credential, ip]
            return None
        if proof.key_id is not None:
            self._used[proof.key_id] = now
        return proof.identity

    async def authenticate(self, scope: Scope, credential: bytes, ip: str) -> Identity:
        """The identity, from the store. Raises: CredentialRefused, AddressNotAllowed, TenantIsSuspended."""
        if scope.get("path") in METRICS_PATHS and self._is_scraper(credential):
            # Nothing is looked up: what is wrong with a database is read in the metrics.
            scraper = Actor(kind="system", id=None, name="metrics", permissions=_READS_METRICS, ip=ip)
            return Identity(SYSTEM_TENANT, scraper, "metrics")
        self.addresses.require_patience(ip)
        text = credential.decode("latin-1")
        kind, secret = _kind_of(text)
        epoch = self._epoch
        try:
            async with asyncio.timeout(_READ_LIMIT_S):
                proof = await self._proof(kind, secret, ip)
        except TimeoutError as error:
            raise DatabaseBusy from error
        except (Unauthenticated, PermissionDenied):
            ASKED.labels(kind, "refused").inc()
            self.addresses.note_unknown(ip)
            raise
        ASKED.labels(kind, "accepted").inc()
        # What was told to forget meanwhile may be just what was read before: then it is not remembered.
        if epoch == self._epoch and self._trust:
            self._remember(credential, ip, proof)
        if proof.key_id is not None:
            self._used[proof.key_id] = clock.now()
        return proof.identity

    async def identity_of(self, db: Db, key: Key, ip: str) -> Identity:
        """Who asks with an API key whose signature was verified.

        Raises: CredentialRefused for a key that ended, AddressNotAllowed, TenantIsSuspended.
        """
        proof = await self._key_proof(db, key, ip, key.ends_at(self._gate.settings.key_overlap_s))
        self._used[key.id] = clock.now()
        return proof.identity

    def forget(self, about: Mapping[str, Any]) -> None:
        """Drop what is remembered of `{kind: id}`: a key, session, user or tenant."""
        self._epoch += 1
        gone = {(kind, str(thing)) for kind, thing in about.items()}
        self._known = {
            credential: proof
            for credential, proof in self._known.items()
            if not any((kind.removeprefix("home_"), str(thing)) in gone for kind, thing in proof.about.items())
        }

    def forget_all(self) -> None:
        """Drop everything: some news may have been missed."""
        self._epoch += 1
        self._known = {}

    @asynccontextmanager
    async def flushing(self) -> AsyncIterator[None]:
        """While open, what was last used when is written down every now and then, and once at the end."""
        task = background.start(self._flush_for_ever, "auth.flush")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            with suppress(DatabaseBusy):
                await self.flush()

    async def flush(self) -> None:
        """Write down when keys were last used. What a killed process did not write yet is lost: it is a courtesy."""
        used, self._used = self._used, {}
        if not used:
            return
        try:
            async with self._gate.database.begin() as db:
                await key_store.note_used(db, used)
        except DatabaseBusy:
            self._used = {**used, **self._used}
            raise

    def _is_scraper(self, credential: bytes) -> bool:
        token = self._gate.settings.metrics_token.get_secret_value()
        return bool(token) and hmac.compare_digest(credential, f"Bearer {token}".encode())

    async def _flush_for_ever(self) -> None:
        while True:
            await asyncio.sleep(self._gate.settings.last_used_flush_s)
            try:
                await self.flush()
            except DatabaseBusy:
                log.warning("auth.last_used_not_written")

    def _remember(self, credential: bytes, ip: str, proof: Proof) -> None:
        while len(self._known) >= self._most:
            del self._known[next(iter(self._known))]
        self._known[credential, ip] = proof

    async def _proof(self, kind: str, secret: str, ip: str) -> Proof:
        if kind == "token":
            claims = (await self._gate.ready_to_read(secret)).read(secret)
            async with self._gate.database.begin() as db:
                return await self._by_token(db, claims, ip)
        async with self._gate.database.begin() as db:
            return await (self._by_key if kind == "key" else self._by_cookie)(db, secret, ip)

    async def _by_key(self, db: Db, secret: str, ip: str) -> Proof:
        now = clock.now()
        found = await key_store.key_by_digest(db, keys.digest(secret), now) if keys.well_formed(secret) else None
        if found is None:
            raise CredentialRefused
        key, is_previous = found
        ends_at = key.previous_until if is_previous else key.ends_at(self._gate.settings.key_overlap_s)
        return await self._key_proof(db, key, ip, ends_at)

    async def _key_proof(self, db: Db, key: Key, ip: str, ends_at: datetime | None) -> Proof:
        now = clock.now()
        if key.revoked_at is not None or any(end is not None and end <= now for end in (ends_at, key.expires_at)):
            raise CredentialRefused
        if key.ip_allow and not contains(key.ip_allow, ip):
            raise AddressNotAllowed
        tenant = await self._tenant(db, key.tenant_id, ip)
        actor = Actor(
            kind="key",
            id=key.id,
            name=key.name,
            permissions=self._gate.roles.effective(key.roles, key.scopes),
            roles=key.roles,
            key_id=key.id,
            project_id=key.project_id,
            bound={} if key.created_by is None else {MAKER: str(key.created_by)},
            ip=ip,
        )
        until = min(end for end in (now + self._trust, ends_at, key.expires_at) if end is not None)
        identity = Identity(tenant.brief, actor, f"key:{key.id}", signed_only=key.signed_only)
        return Proof(identity, until, {"key": key.id, "tenant": tenant.id}, key.id)

    async def _by_token(self, db: Db, claims: Claims, ip: str) -> Proof:
        session = await session_store.session(db, claims.tenant_id, claims.session_id)
        proof = await self._session_proof(db, session, ip)
        return Proof(proof.identity, min(proof.until, claims.expires_at), proof.about, None)

    async def _by_cookie(self, db: Db, token: str, ip: str) -> Proof:
        session = await session_store.session_by_token(db, sessions.digest(token))
        now = clock.now()
        idle = timedelta(seconds=self._gate.settings.session_idle_s)
        if session is not None and session.seen_at + idle <= now:
            raise CredentialRefused
        proof = await self._session_proof(db, session, ip)
        not_after = now - min(_SEEN_EVERY, idle / 4)
        if session is not None and session.seen_at < not_after:  # most requests only read
            await session_store.note_seen(db, session.id, now=now, not_after=not_after)
        return proof

    async def _session_proof(self, db: Db, session: Session | None, ip: str) -> Proof:
        now = clock.now()
        if session is None or session.revoked_at is not None or session.expires_at <= now:
            raise CredentialRefused
        if session.key_id is not None:
            key = await key_store.key(db, session.home_id, session.key_id)
            if key is None:
                raise CredentialRefused
            ends_at = key.ends_at(self._gate.settings.key_overlap_s)
            proof = await self._key_proof(db, key, ip, ends_at)
        else:
            proof = await self._user_proof(db, session, ip)
        until = min(proof.until, session.expires_at)
        about = {**proof.about, "session": session.id}
        identity = proof.identity
        if session.home_tenant_id is not None:
            identity = await self._elsewhere(db, session, identity)
            about |= {"home_tenant": session.home_tenant_id, "tenant": session.tenant_id}
        if session.project_id is not None:
            identity = replace(identity, actor=replace(identity.actor, project_id=session.project_id))
        return Proof(identity, until, about, proof.key_id)

    async def _elsewhere(self, db: Db, session: Session, identity: Identity) -> Identity:
        """Somebody who acts for a tenant that is not theirs, with what they may do at home."""
        if not identity.actor.may(ACT_ANYWHERE):
            raise CredentialRefused
        tenant = await self._tenant(db, session.tenant_id, identity.actor.ip)
        return replace(identity, tenant=tenant.brief)

    async def _user_proof(self, db: Db, session: Session, ip: str) -> Proof:
        user = await user_store.user(db, session.user_id) if session.user_id is not None else None
        member = await tenant_store.member(db, session.home_id, user.id) if user is not None else None
        if user is None or member is None or user.deactivated_at is not None:
            raise CredentialRefused
        tenant = await self._tenant(db, session.home_id, ip)
        actor = Actor(
            kind="user",
            id=user.id,
            name=user.name,
            permissions=self._gate.roles.permissions(member.roles),
            roles=member.roles,
            bound=member.bound,
            ip=ip,
            language=user.language or "",
        )
        about = {"user": user.id, "tenant": tenant.id}
        return Proof(Identity(tenant.brief, actor, f"user:{user.id}"), clock.now() + self._trust, about, None)

    async def _tenant(self, db: Db, tenant_id: UUID, ip: str) -> TenantDetails:
        tenant = await tenant_store.tenant(db, tenant_id)
        if tenant is None:
            raise CredentialRefused
        if tenant.suspended_at is not None:
            raise TenantIsSuspended
        if contains(tenant.ip_deny, ip) or (tenant.ip_allow and not contains(tenant.ip_allow, ip)):
            raise AddressNotAllowed
        return tenant


def _kind_of(credential: str) -> tuple[str, str]:
    """What kind of credential the edge handed over, and its secret. Raises: CredentialRefused."""
    if credential.startswith("session="):
        return "cookie", credential.removeprefix("session=")
    scheme, _, rest = credential.partition(" ")
    secret = rest.strip() if scheme.casefold() == "bearer" else credential
    if secret.startswith(keys.PREFIX):
        return "key", secret
    if secret is not credential and secret.count(".") == 2:
        return "token", secret
    raise CredentialRefused
