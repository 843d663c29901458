import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from pwdlib.hashers.argon2 import Argon2Hasher
from pydantic import SecretStr
from sqlalchemy import text

from ossature.kernel import clock
from ossature.kernel.auth.authenticator import GateAuthenticator
from ossature.kernel.auth.bootstrap import ensure_first_admin
from ossature.kernel.auth.gate import Gate
from ossature.kernel.auth.passwords import Passwords
from ossature.kernel.auth.service import service as auth
from ossature.kernel.auth.settings import AuthSettings
from ossature.kernel.auth.users.invitations import Invitations
from ossature.kernel.config import Config, MainSettings
from ossature.kernel.context import Ctx, Tenant
from ossature.kernel.db.engine import Database
from ossature.kernel.events.catalogue import Catalogue
from ossature.kernel.events.outbox import Outbox
from ossature.kernel.events.signals import Signals
from ossature.kernel.http.ports import Identity
from ossature.kernel.quotas.plans.book import Plans
from ossature.kernel.quotas.rates import RateBook
from ossature.kernel.quotas.service import service as quotas
from ossature.kernel.quotas.settings import QuotaSettings
from ossature.kernel.service import Role, Service
from ossature.kernel.tenants.domain import Doorkeeper, PlanBook, RoleBook
from ossature.kernel.tenants.registry import Registry
from ossature.kernel.tenants.service import service as tenants
from ossature.kernel.testing.context import SmallHouse

SHOP = Service(
    name="shop",
    permissions=frozenset({"read:orders", "write:orders"}),
    roles=(Role("clerk", frozenset({"write:orders"})),),
)
SERVICES = (tenants, auth, quotas, SHOP)


class Stopwatch:
    """A clock that moves when told."""

    def __init__(self) -> None:
        self.at = clock.now()

    def now(self) -> Any:
        return self.at

    async def sleep(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)

    def forward(self, **how_far: float) -> None:
        self.at += timedelta(**how_far)


class NoJobs:
    """Nobody listens to facts here."""

    async def enqueue(self, *_: Any, **__: Any) -> UUID:
        raise AssertionError


@dataclass
class World:
    """A database, the gate before it, and who is the first administrator."""

    database: Database
    gate: Gate
    authenticator: GateAuthenticator
    house: SmallHouse
    time: Stopwatch
    tenant: Tenant
    secret: str
    admin: Identity = field(init=False)

    async def who(self, secret: str, ip: str = "192.0.2.7") -> Identity:
        credential = secret.encode()
        return self.authenticator.lookup(credential, ip) or await self.authenticator.authenticate({}, credential, ip)

    @asynccontextmanager
    async def acting(self, identity: Identity | None = None) -> AsyncIterator[Ctx]:
        """A request of somebody (the first administrator), committed when the block ends well."""
        identity = identity or self.admin
        async with self.database.begin(identity.tenant.id) as db:
            yield self.house.ctx(db, tenant=identity.tenant, actor=identity.actor)

    def another_gate(self, signals: Signals | None = None) -> Gate:
        """The gate of another process of the same house."""
        return a_gate(self.database, self.house.settings, signals)

    async def facts(self) -> list[tuple[str, Mapping[str, Any]]]:
        statement = text("SELECT wire, payload FROM events_outbox ORDER BY position")
        async with self.database.begin() as db:
            rows = await db.all(statement)
        return [(r.wire, json.loads(r.payload) if isinstance(r.payload, str) else r.payload) for r in rows]


@pytest.fixture
def time() -> AsyncIterator[Stopwatch]:
    with clock.using(Stopwatch()) as watch:
        yield watch


def a_gate(database: Database, config: Config, signals: Signals | None = None) -> Gate:
    outbox = Outbox(NoJobs(), Catalogue.of(SERVICES))
    registry = Registry(database, signals=signals or Signals(), outbox=outbox)
    cheap = Passwords(hasher=Argon2Hasher(time_cost=1, memory_cost=64, parallelism=1))
    return Gate(registry, config=config, services=SERVICES, passwords=cheap)


@pytest.fixture
async def world(database: Database, time: Stopwatch, tmp_path: Path) -> AsyncIterator[World]:
    settings = MainSettings(var_dir=tmp_path, secret_key=SecretStr("0123456789abcdef" * 3))
    config = Config([settings, AuthSettings()])
    gate = a_gate(database, config)
    first = await ensure_first_admin(database)
    assert first is not None
    outbox = Outbox(NoJobs(), Catalogue.of(SERVICES))
    book = RateBook(SERVICES, QuotaSettings())
    plans = Plans(gate.registry, QuotaSettings(), book)
    ports = {
        Gate: gate,
        Registry: gate.registry,
        RoleBook: gate.roles,
        RateBook: book,
        Plans: plans,
        PlanBook: plans,
        Doorkeeper: Invitations(gate),
    }
    house = SmallHouse(settings=config, outbox=outbox, ports=ports)
    made = World(database, gate, GateAuthenticator(gate), house, time, first.tenant, first.secret)
    made.admin = await made.who(first.secret)
    yield made
    gate.close()
