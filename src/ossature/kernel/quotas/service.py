"""What the room of quotas brings to the house."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from ossature.kernel.db.engine import Database
from ossature.kernel.db.redis import RedisSettings
from ossature.kernel.outbound.engine import Consumers
from ossature.kernel.outbound.ledger.values import Ledger
from ossature.kernel.quotas import api, jobs
from ossature.kernel.quotas.consumers import BudgetConsumers
from ossature.kernel.quotas.domain import BudgetExceeded, QuotaExhausted, QuotaLow
from ossature.kernel.quotas.limiter import EdgeLimiter
from ossature.kernel.quotas.meter import Meter
from ossature.kernel.quotas.plans.book import Plans
from ossature.kernel.quotas.plans.store import PlanRow
from ossature.kernel.quotas.rates import RateBook
from ossature.kernel.quotas.settings import QuotaSettings
from ossature.kernel.quotas.store import BudgetRow, UsageRow
from ossature.kernel.quotas.units import Units
from ossature.kernel.service import Alert, Fact, Service
from ossature.kernel.tenants.domain import PlanBook
from ossature.kernel.tenants.registry import Registry

if TYPE_CHECKING:
    from ossature.kernel.house import House


def _meter(house: "House") -> Meter:
    return Meter(house.database, house.settings[QuotaSettings])


def _rates(house: "House") -> RateBook:
    return RateBook(house.services, house.settings[QuotaSettings])


def _limiter(house: "House") -> EdgeLimiter:
    settings, main = house.settings[QuotaSettings], house.settings.main
    shared = None
    if house.redis is not None:
        from ossature.kernel.quotas.shared import SharedWindows  # noqa: PLC0415 - the extra [redis] is there

        prefix = house.settings[RedisSettings].prefix
        shared = SharedWindows(house.redis, prefix=prefix, time_limit_s=settings.shared_time_limit_s)
    return EdgeLimiter(settings, house.port(RateBook), processes=main.workers * main.hosts, shared=shared)


def _consumers(house: "House") -> BudgetConsumers:
    database: Database = house.database
    return BudgetConsumers(database, house.port(Plans))


def _plans(house: "House") -> Plans:
    return Plans(house.port(Registry), house.settings[QuotaSettings], house.port(RateBook))


def _units(house: "House") -> Units:
    ledger = house.port(Ledger)  # type: ignore[type-abstract] # a promise is asked for by its Protocol
    return Units(house.port(BudgetConsumers), ledger, house.port(Meter))


@asynccontextmanager
async def _open(house: "House") -> AsyncIterator[None]:
    async with house.port(Plans).following(), house.port(Meter).writing():
        yield


service = Service(
    name="quotas",
    title="Rate limits, usage and budgets",
    settings=(QuotaSettings,),
    router=api.router,
    tables=(UsageRow, BudgetRow, PlanRow),
    jobs=jobs.JOBS,
    facts=(
        Fact(type=QuotaLow, wire="quota.low", key="budget_id"),
        Fact(type=QuotaExhausted, wire="quota.exhausted", key="budget_id"),
        Fact(type=BudgetExceeded, wire="budget.exceeded", key="budget_id"),
    ),
    offers={
        Meter: _meter,
        RateBook: _rates,
        EdgeLimiter: _limiter,
        BudgetConsumers: _consumers,
        Consumers: lambda house: house.port(BudgetConsumers),
        Plans: _plans,
        PlanBook: lambda house: house.port(Plans),
        Units: _units,
    },
    needs=(Registry,),
    permissions=frozenset({"read:limits", "read:usage", "read:budgets", "write:budgets"}),
    lifespan=_open,
    alerts=(
        Alert(
            "UsageNotWritten",
            "sum(increase(quotas_usage_unwritable_total[1h])) > 0",
            0,
            "critical",
            "{{ $value | humanize }} usage events could not be written; they stand in the log only",
            "usage-not-written",
        ),
        Alert(
            "UsageWaits",
            "sum by (job, instance) (quotas_usage_waiting) > 10000",
            300,
            "warning",
            "{{ $value }} usage events of {{ $labels.instance }} wait to be written; a kill loses them",
            "usage-not-written",
        ),
        Alert(
            "RateLimitsApart",
            "sum by (job, instance) (increase(quotas_rate_alone_total[5m])) > 0",
            300,
            "warning",
            "Redis is away: {{ $labels.instance }} counts rate limits by itself",
            "redis-away",
        ),
    ),
)
