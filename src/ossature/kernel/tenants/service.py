"""What the room of tenants brings to the house."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from ossature.kernel.service import Fact, Personal, Service
from ossature.kernel.tenants import api
from ossature.kernel.tenants.domain import (
    Doorkeeper,
    PlanBook,
    RoleBook,
    TenantDeleted,
    TenantResumed,
    TenantSuspended,
)
from ossature.kernel.tenants.flags.book import FlagBook
from ossature.kernel.tenants.flags.demo import fill_demo
from ossature.kernel.tenants.flags.features import Features
from ossature.kernel.tenants.flags.jobs import PURGE
from ossature.kernel.tenants.flags.settings import FlagSettings
from ossature.kernel.tenants.flags.store import ExposureRow, FlagRow, OutcomeRow
from ossature.kernel.tenants.registry import Registry
from ossature.kernel.tenants.settings import TenantSettings
from ossature.kernel.tenants.store import MemberRow, ProjectRow, TenantRow
from ossature.kernel.tenants.takeout.usecases import DELETE, EXPORT

if TYPE_CHECKING:
    from ossature.kernel.house import House


def _registry(house: "House") -> Registry:
    return Registry(house.database, signals=house.signals, outbox=house.outbox)


def _book(house: "House") -> FlagBook:
    return FlagBook(house.port(Registry), house.settings[FlagSettings])


@asynccontextmanager
async def _open(house: "House") -> AsyncIterator[None]:
    async with house.port(FlagBook).following(), house.port(Features).counting():
        yield


service = Service(
    name="tenants",
    title="Tenants, projects, members and flags",
    router=api.router,
    prefix="/v1",
    settings=(TenantSettings, FlagSettings),
    tables=(TenantRow, ProjectRow, MemberRow, FlagRow, ExposureRow, OutcomeRow),
    jobs=(EXPORT, DELETE, PURGE),
    facts=(
        Fact(type=TenantSuspended, wire="tenant.suspended", key="tenant_id"),
        Fact(type=TenantResumed, wire="tenant.resumed", key="tenant_id"),
        Fact(type=TenantDeleted, wire="tenant.deleted", key="tenant_id"),
    ),
    offers={
        Registry: _registry,
        FlagBook: _book,
        Features: lambda house: Features(house.port(FlagBook)),
    },
    needs=(RoleBook, PlanBook, Doorkeeper),
    personal=(
        Personal("tenants_member.bound", "delete_row"),
        Personal("tenants_flag_exposure.subject", "delete_row", person="subject"),
        Personal("tenants_flag_outcome.subject", "delete_row", person="subject"),
    ),
    permissions=frozenset(
        {
            "read:tenant",
            "write:tenant",
            "export:tenant",
            "read:tenants",
            "write:tenants",
            "read:projects",
            "write:projects",
            "read:members",
            "write:members",
            "read:flags",
            "write:flags",
        }
    ),
    lifespan=_open,
    demo=fill_demo,
)
