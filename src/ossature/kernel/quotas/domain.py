"""How much: windows of rate limits, budgets, usage; values, rules and refusals."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Literal
from uuid import UUID
from zoneinfo import ZoneInfo

from ossature.kernel.errors import Conflict, Misconfigured, NotFound, Unavailable
from ossature.kernel.service import Rate

MINUTE, HOUR, DAY = 60, 3600, 86_400

RATES: Mapping[str, Rate] = {
    rate.name: rate
    for rate in (
        Rate("default", [(1200, MINUTE), (30_000, HOUR)]),
        Rate("read", [(3000, MINUTE)]),
        Rate("write", [(600, MINUTE)]),
        Rate("bulk", [(60, MINUTE), (600, HOUR)]),
        Rate("heavy", [(30, HOUR)]),
        Rate("login", [(5, MINUTE), (60, HOUR)]),
        Rate("refresh", [(30, MINUTE)]),
        Rate("reset", [(10, HOUR)]),
        Rate("signup", [(10, HOUR)]),
        Rate("password", [(5, MINUTE), (20, HOUR)]),
        Rate("keys", [(30, MINUTE), (120, HOUR)]),
        Rate("users", [(60, MINUTE), (600, HOUR)]),
        Rate("members", [(60, MINUTE), (600, HOUR)]),
        Rate("tenants", [(30, MINUTE), (200, HOUR)]),
        Rate("export", [(10, HOUR)]),
        Rate("erase", [(10, HOUR)]),
        Rate("upload", [(60, MINUTE), (600, HOUR)]),
        Rate("webhook_test", [(10, MINUTE), (60, HOUR)]),
        Rate("webhook_replay", [(30, MINUTE), (300, HOUR)]),
        Rate("audit_verify", [(6, MINUTE), (60, HOUR)]),
        Rate("billing", [(30, MINUTE), (200, HOUR)]),
        Rate("profile", [(6, HOUR)]),
        Rate("backup", [(6, HOUR)]),
        Rate("dispatch_run", [(30, HOUR)]),
        Rate("train", [(6, HOUR)]),
        Rate("live", [(60, MINUTE)]),
        Rate("batch", [(60, MINUTE)]),
    )
}
"""The house's classes of rate limits, per caller. What a service declares under the same name wins."""

SENSITIVE = frozenset(RATES) - {"default", "read", "write", "bulk", "live"}
"""Classes with limits of their own, for routes that are worth an attack or dear to run."""


class MeterFull(Unavailable):
    """So much usage waits to be written that no more can be accepted; the database is away or too slow."""

    title = "Usage cannot be written"
    retry_after_s = 2.0


class UnknownBudget(NotFound):
    """No budget of this tenant has this id."""

    title = "No such budget"


class BudgetTaken(Conflict):
    """There is a budget for this subject, unit and period already; change that one."""

    title = "Budget exists"


Period = Literal["hour", "day", "week", "month"]
SubjectKind = Literal["tenant", "project", "key"]


@dataclass(frozen=True, slots=True)
class UsageEvent:
    """Something that was used, once, for good.

    id: made by who metered it; the same id is written once. unit: `request`, `unit`, `money`, or one that a service names
    (`trip`, `solver_second`, `byte`). amount: of that unit; money in `currency`. what: the operation, `hub.weather.current`.
    cost: what it cost us, in `currency`.
    """

    id: UUID
    tenant_id: UUID
    at: datetime
    what: str
    unit: str = "request"
    amount: Decimal = Decimal(1)
    cost: Decimal = Decimal(0)
    currency: str = "USD"
    project_id: UUID | None = None
    key_id: UUID | None = None
    user_id: UUID | None = None
    request_id: str = ""
    facts: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class UsageSum:
    """Usage of one group in one span. group: values of what was grouped by, in that order."""

    group: tuple[str, ...]
    events: int
    amount: Decimal
    cost: Decimal


@dataclass(frozen=True, slots=True)
class Budget:
    """A cap on what a tenant, a project or a key may use in a period of the tenant's time zone.

    subject_id: of the tenant, the project or the key. limit: of `unit`. warn_at: the fraction of it at which the tenant
    is told. hard: refuse beyond the limit, or only tell. told_at, told: when the tenant was last told, and of what.
    """

    id: UUID
    tenant_id: UUID
    subject: SubjectKind
    subject_id: UUID
    unit: str
    limit: Decimal
    period: Period
    warn_at: float
    hard: bool
    created_at: datetime
    updated_at: datetime
    told_at: datetime | None
    told: str | None


@dataclass(frozen=True, slots=True)
class QuotaLow:
    """A budget is used up to the fraction at which its owner wants to be told."""

    budget_id: UUID
    subject: str
    unit: str
    used: str
    limit: str


@dataclass(frozen=True, slots=True)
class QuotaExhausted:
    """A budget is used up."""

    budget_id: UUID
    subject: str
    unit: str
    used: str
    limit: str


@dataclass(frozen=True, slots=True)
class BudgetExceeded:
    """A budget of money is used up. used, limit: in the currency of the tenant's usage."""

    budget_id: UUID
    subject: str
    unit: str
    used: str
    limit: str


def period_start(now: datetime, period: Period, zone: str) -> datetime:
    """When the present hour, local day, week (Monday) or month of a zone began, in UTC."""
    if period == "hour":
        return now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    local = now.astimezone(ZoneInfo(zone)).replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    if period == "week":
        local -= timedelta(days=local.weekday())
    elif period == "month":
        local = local.replace(day=1)
    return local.astimezone(UTC)


def parse_windows(text: str) -> tuple[tuple[int, int], ...]:
    """`5/60 20/3600` as (count, seconds). Raises: ValueError, saying what the form is."""
    windows = []
    for part in text.replace(",", " ").split():
        count, _, seconds = part.partition("/")
        if not (count.isdigit() and seconds.isdigit() and int(count) > 0 and 0 < int(seconds) <= 31 * DAY):
            msg = f"{part[:40]!r} is no window"
            raise ValueError(msg)
        windows.append((int(count), int(seconds)))
    if not windows:
        msg = "no window is given"
        raise ValueError(msg)
    return tuple(windows)


def rates(declared: Iterable[Rate], overrides: Mapping[str, str]) -> Mapping[str, Rate]:
    """Every class of rate limits: the operator's word over the services' over the house's.

    Raises: Misconfigured when two services declare one class differently.
    """
    book: dict[str, Rate] = {}
    for rate in declared:
        if rate.name in book and tuple(book[rate.name].windows) != tuple(rate.windows):
            msg = f"rate limits {rate.name!r} are declared twice, and differ"
            raise Misconfigured(msg)
        book[rate.name] = rate
    operator = {name: Rate(name, parse_windows(text)) for name, text in overrides.items()}
    return {**RATES, **book, **operator}
