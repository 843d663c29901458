"""What the room of identity brings to the house."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ossature.kernel.auth import api
from ossature.kernel.auth.addresses import AddressRules
from ossature.kernel.auth.authenticator import GateAuthenticator
from ossature.kernel.auth.countries import Countries
from ossature.kernel.auth.denials import jobs as denial_jobs
from ossature.kernel.auth.denials.store import AddressRow
from ossature.kernel.auth.denials.watch import Watch
from ossature.kernel.auth.factors.store import APP_SECRET, RecoveryRow, TotpRow
from ossature.kernel.auth.gate import Gate
from ossature.kernel.auth.keys import jobs as key_jobs
from ossature.kernel.auth.keys.domain import KeyExpiring, KeyRevoked, KeyRotationDue
from ossature.kernel.auth.keys.store import KeyRow
from ossature.kernel.auth.sessions.domain import ACT_ANYWHERE, RefreshReused
from ossature.kernel.auth.sessions.store import RefreshRow, SessionRow
from ossature.kernel.auth.settings import AuthSettings
from ossature.kernel.auth.signatures import jobs as signature_jobs
from ossature.kernel.auth.signatures.store import NonceRow, SignatureKeyRow
from ossature.kernel.auth.signatures.verifier import SignatureVerifier
from ossature.kernel.auth.signin import jobs as signin_jobs
from ossature.kernel.auth.tokens.store import SigningKeyRow
from ossature.kernel.auth.users import letters, mailed
from ossature.kernel.auth.users.domain import UserDeactivated
from ossature.kernel.auth.users.invitations import INVITED, Invitations
from ossature.kernel.auth.users.store import ThrottleRow, UserRow
from ossature.kernel.links.usecases import Links
from ossature.kernel.service import Alert, Fact, Objective, Personal, Service, objectives
from ossature.kernel.tenants.domain import Doorkeeper, RoleBook
from ossature.kernel.tenants.registry import Registry

if TYPE_CHECKING:
    from ossature.kernel.house import House


def _gate(house: "House") -> Gate:
    return Gate(house.port(Registry), config=house.settings, services=house.services)


def _signatures(house: "House") -> SignatureVerifier:
    public_url = house.settings.main.public_url
    return SignatureVerifier(house.port(Gate), house.port(GateAuthenticator), public_url=public_url)


def _watch(house: "House") -> Watch:
    return Watch(house.settings[AuthSettings], house.signals, house.occasion)


def _addresses(house: "House") -> AddressRules:
    settings = house.settings[AuthSettings]
    return AddressRules(
        allow=settings.ip_allow,
        deny=settings.ip_deny,
        places=settings.ip_places,
        countries=Countries(Path(settings.country_file)) if settings.country_file else None,
        country_allow=settings.country_allow,
        country_deny=settings.country_deny,
        watch=house.port(Watch),
    )


@asynccontextmanager
async def _open(house: "House") -> AsyncIterator[None]:
    gate = house.port(Gate)
    try:
        async with house.port(GateAuthenticator).flushing(), house.port(Watch).open():
            yield
    finally:
        gate.close()


service = Service(
    name="auth",
    title="Identity: keys, users, sessions and roles",
    settings=(AuthSettings,),
    router=api.router,
    sealed=(APP_SECRET,),
    tables=(
        KeyRow,
        UserRow,
        ThrottleRow,
        SessionRow,
        RefreshRow,
        SigningKeyRow,
        TotpRow,
        RecoveryRow,
        SignatureKeyRow,
        NonceRow,
        AddressRow,
    ),
    jobs=(*key_jobs.JOBS, *signin_jobs.JOBS, *mailed.JOBS, *signature_jobs.JOBS, *denial_jobs.JOBS),
    facts=(
        Fact(type=KeyRevoked, wire="key.revoked", key="key_id"),
        Fact(type=KeyExpiring, wire="key.expiring", key="key_id"),
        Fact(type=KeyRotationDue, wire="key.rotation_due", key="key_id"),
        Fact(type=UserDeactivated, wire="user.deactivated", key="user_id"),
        Fact(type=RefreshReused, wire="session.stolen", key="session_id"),
    ),
    offers={
        Gate: _gate,
        GateAuthenticator: lambda house: GateAuthenticator(house.port(Gate), house.port(AddressRules)),
        RoleBook: lambda house: house.port(Gate).roles,
        Doorkeeper: lambda house: Invitations(house.port(Gate)),
        AddressRules: _addresses,
        Watch: _watch,
        SignatureVerifier: _signatures,
    },
    needs=(Registry, Links),
    notices=(INVITED, *letters.NOTICES),
    personal=(
        Personal("auth_user.email", "pseudonymise", person="id"),
        Personal("auth_user.name", "pseudonymise", person="id"),
        Personal("auth_user.password_hash", "null", person="id"),
        Personal("auth_session.user_id", "delete_row"),
        Personal("auth_totp.sealed", "delete_row"),
        Personal("auth_recovery.digest", "delete_row"),
    ),
    permissions=frozenset({"read:keys", "write:keys", "read:users", "write:users", "read:roles", ACT_ANYWHERE}),
    lifespan=_open,
    slos=(
        Objective("POST /v1/auth/login", p95_ms=500, error_rate=0.02, availability=0.995),
        *objectives("POST /v1/auth/refresh", "GET /v1/auth/me", p95_ms=200, availability=0.995),
    ),
    alerts=(
        Alert(
            "CredentialsGuessed",
            "sum(rate(auth_address_failures_total[5m])) > 5",
            300,
            "warning",
            "{{ $value | humanize }} requests a second fail as those of somebody who guesses do",
            "credentials-guessed",
        ),
    ),
)
