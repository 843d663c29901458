"""The tables of usage and budgets, and every query on them."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, cast
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Index,
    Row,
    String,
    UniqueConstraint,
    delete,
    func,
    insert,
    select,
    update,
)
from sqlalchemy import cast as sqlalchemy_cast
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, mapped_column

from ossature.kernel import clock
from ossature.kernel.db.appendonly import APPEND_ONLY
from ossature.kernel.db.listing import Found, Listable, ListQuery
from ossature.kernel.db.table import OUTLIVES_TENANT, Table, TenantOwned
from ossature.kernel.db.transaction import Db
from ossature.kernel.quotas.domain import Budget, BudgetTaken, Period, SubjectKind, UsageEvent, UsageSum

_MICRO, _NANO = Decimal(10) ** 6, Decimal(10) ** 9
BUCKETS = {
    "hour": ("%Y-%m-%dT%H", 'YYYY-MM-DD"T"HH24'),
    "day": ("%Y-%m-%d", "YYYY-MM-DD"),
    "month": ("%Y-%m", "YYYY-MM"),
}
"""Spans that usage is summed over, in UTC: how SQLite and PostgreSQL write them."""


class UsageRow(Table):
    """Something that was used. Whole numbers, so that sums are exact on both databases.

    There is no foreign key to the tenant: what was used is accounted for also after the tenant is gone.
    """

    __tablename__ = "quotas_usage_event"
    __table_args__ = (
        Index("ix_quotas_usage_event_tenant_at", "tenant_id", "at", "id"),
        Index("ix_quotas_usage_event_tenant_project_at", "tenant_id", "project_id", "at"),
        Index("ix_quotas_usage_event_tenant_key_at", "tenant_id", "key_id", "at"),
        {"info": {**APPEND_ONLY, OUTLIVES_TENANT: "what was used is the ground of invoices, which the law has kept"}},
    )

    at: Mapped[datetime] = mapped_column(primary_key=True)
    id: Mapped[UUID] = mapped_column(primary_key=True)
    tenant_id: Mapped[UUID]
    what: Mapped[str]
    unit: Mapped[str]
    amount_micro: Mapped[int] = mapped_column(BigInteger)
    cost_nano: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str] = mapped_column(String(3))
    project_id: Mapped[UUID | None]
    key_id: Mapped[UUID | None]
    user_id: Mapped[UUID | None]
    request_id: Mapped[str]
    facts: Mapped[dict[str, Any]]


class BudgetRow(TenantOwned, Table):
    """A cap on what a tenant, a project or a key may use."""

    __tablename__ = "quotas_budget"
    __table_args__ = (
        UniqueConstraint("tenant_id", "subject", "subject_id", "unit", "period"),
        Index("ix_quotas_budget_tenant_created_at", "tenant_id", "created_at", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=clock.new_id)
    subject: Mapped[str]
    subject_id: Mapped[UUID]
    unit: Mapped[str]
    limit_micro: Mapped[int] = mapped_column(BigInteger)
    period: Mapped[str]
    warn_at: Mapped[float]
    hard: Mapped[bool]
    told_at: Mapped[datetime | None]
    told: Mapped[str | None]
    updated_at: Mapped[datetime] = mapped_column(default=clock.now, onupdate=clock.now)


EVENTS = Listable(
    key=UsageRow.id,
    filters={
        "at": UsageRow.at,
        "what": UsageRow.what,
        "unit": UsageRow.unit,
        "project_id": UsageRow.project_id,
        "key_id": UsageRow.key_id,
        "user_id": UsageRow.user_id,
    },
    sorts={"at": UsageRow.at},
    default="-at",
    limit_max=1000,
)
BUDGETS = Listable(
    key=BudgetRow.id,
    filters={"subject": BudgetRow.subject, "unit": BudgetRow.unit, "period": BudgetRow.period},
    sorts={"created_at": BudgetRow.created_at},
    default="created_at",
)
GROUPS: Mapping[str, Any] = {
    "what": UsageRow.what,
    "unit": UsageRow.unit,
    "project": UsageRow.project_id,
    "key": UsageRow.key_id,
    "user": UsageRow.user_id,
    "currency": UsageRow.currency,
}
"""What usage can be grouped by, beside the buckets of time."""


async def add_usage(db: Db, events: Sequence[UsageEvent]) -> None:
    """Append events, of any tenants."""
    await db.execute(insert(UsageRow), [_row(event) for event in events])


async def known_usage(db: Db, events: Sequence[UsageEvent]) -> frozenset[UUID]:
    """Which of these events are written already."""
    first, last = min(event.at for event in events), max(event.at for event in events)
    statement = select(UsageRow.id).where(
        UsageRow.at >= first, UsageRow.at <= last, UsageRow.id.in_([event.id for event in events])
    )
    return frozenset(row.id for row in await db.all(statement))


async def usage_events(db: Db, tenant_id: UUID, query: ListQuery) -> Found[UsageEvent]:
    """What the tenant used, event by event."""
    statement = select(*UsageRow.__table__.columns).where(UsageRow.tenant_id == tenant_id)
    return await EVENTS.fetch(db, statement, query, _event)


async def sum_usage(
    db: Db,
    tenant_id: UUID,
    *,
    since: datetime,
    until: datetime,
    group_by: Sequence[str] = (),
    bucket: str | None = None,
    where: Mapping[str, Any] | None = None,
) -> Sequence[UsageSum]:
    """What the tenant used from `since` up to, and not including, `until`.

    group_by: names of GROUPS. bucket: a name of BUCKETS, which then is the first part of each group. where: GROUPS' names
    with the value that they must have.
    """
    keys: list[ColumnElement[Any]] = [_bucket(db, bucket)] if bucket else []
    keys += [GROUPS[name] for name in group_by]
    labelled = [sqlalchemy_cast(key, String).label(f"g{place}") for place, key in enumerate(keys)]
    statement = (
        select(
            *labelled,
            func.count().label("events"),
            func.sum(UsageRow.amount_micro).label("amount_micro"),
            func.sum(UsageRow.cost_nano).label("cost_nano"),
        )
        .where(UsageRow.tenant_id == tenant_id, UsageRow.at >= since, UsageRow.at < until)
        .group_by(*labelled)
        .order_by(*labelled)
    )
    for name, value in (where or {}).items():
        statement = statement.where(GROUPS[name] == value)
    rows = await db.all(statement)
    names = [*([bucket] if bucket else []), *group_by]
    return [
        UsageSum(
            group=tuple(_group_value(name, row[place]) for place, name in enumerate(names)),
            events=row.events,
            amount=Decimal(row.amount_micro or 0) / _MICRO,
            cost=Decimal(row.cost_nano or 0) / _NANO,
        )
        for row in rows
        if row.events
    ]


async def add_budget(db: Db, tenant_id: UUID, values: Mapping[str, Any]) -> Budget:
    """Insert a budget. Raises: BudgetTaken."""
    new = insert(BudgetRow).values(_limited(values) | {"tenant_id": tenant_id})
    try:
        return _budget(await db.one(new.returning(*BudgetRow.__table__.columns)))
    except IntegrityError as error:
        raise BudgetTaken from error


async def budget(db: Db, tenant_id: UUID, budget_id: UUID) -> Budget | None:
    """A budget of the tenant."""
    statement = select(*BudgetRow.__table__.columns)
    row = await db.first(statement.where(BudgetRow.tenant_id == tenant_id, BudgetRow.id == budget_id))
    return _budget(row) if row else None


async def budgets(db: Db, tenant_id: UUID, query: ListQuery) -> Found[Budget]:
    """Budgets of the tenant."""
    statement = select(*BudgetRow.__table__.columns).where(BudgetRow.tenant_id == tenant_id)
    return await BUDGETS.fetch(db, statement, query, _budget)


async def budgets_of(db: Db, tenant_id: UUID, subjects: Iterable[UUID]) -> Sequence[Budget]:
    """The budgets that hold for these subjects of the tenant (its own id, a project's, a key's)."""
    statement = select(*BudgetRow.__table__.columns)
    wanted = statement.where(BudgetRow.tenant_id == tenant_id, BudgetRow.subject_id.in_(list(subjects)))
    return [_budget(row) for row in await db.all(wanted.order_by(BudgetRow.id))]


async def hard_budgets(db: Db, tenant_id: UUID) -> Sequence[Budget]:
    """The budgets of a tenant beyond which it is refused."""
    statement = select(*BudgetRow.__table__.columns)
    wanted = statement.where(BudgetRow.tenant_id == tenant_id, BudgetRow.hard.is_(True))
    return [_budget(row) for row in await db.all(wanted.order_by(BudgetRow.id))]


async def every_budget(db: Db, *, after: UUID | None, limit: int = 500) -> Sequence[Budget]:
    """Budgets across tenants, in the order of their ids: for the job that tells who comes near to one."""
    statement = select(*BudgetRow.__table__.columns)
    if after is not None:
        statement = statement.where(BudgetRow.id > after)
    return [_budget(row) for row in await db.all(statement.order_by(BudgetRow.id).limit(limit))]


async def change_budget(db: Db, tenant_id: UUID, budget_id: UUID, values: Mapping[str, Any]) -> Budget | None:
    """Set columns of a budget; its new state, or None when there is none."""
    changed = update(BudgetRow).where(BudgetRow.tenant_id == tenant_id, BudgetRow.id == budget_id)
    rows = await db.all(changed.values(_limited(values)).returning(*BudgetRow.__table__.columns))
    return _budget(rows[0]) if rows else None


async def delete_budget(db: Db, tenant_id: UUID, budget_id: UUID) -> bool:
    """Delete a budget; whether it was there."""
    gone = delete(BudgetRow).where(BudgetRow.tenant_id == tenant_id, BudgetRow.id == budget_id)
    return await db.execute(gone) > 0


def _bucket(db: Db, bucket: str) -> ColumnElement[Any]:
    sqlite_form, postgres_form = BUCKETS[bucket]
    if db.dialect == "sqlite":
        return func.strftime(sqlite_form, UsageRow.at)
    return func.to_char(func.timezone("UTC", UsageRow.at), postgres_form)


def _group_value(name: str, value: str | None) -> str:
    """A part of a group as text; SQLite keeps ids without hyphens."""
    if value and name in {"project", "key", "user"}:
        return str(UUID(value))
    return value or ""


def _limited(values: Mapping[str, Any]) -> dict[str, Any]:
    columns = dict(values)
    if "limit" in columns:
        columns["limit_micro"] = int(columns.pop("limit") * _MICRO)
    return columns


def _row(event: UsageEvent) -> dict[str, Any]:
    return {
        "at": event.at,
        "id": event.id,
        "tenant_id": event.tenant_id,
        "what": event.what,
        "unit": event.unit,
        "amount_micro": int(event.amount * _MICRO),
        "cost_nano": int(event.cost * _NANO),
        "currency": event.currency,
        "project_id": event.project_id,
        "key_id": event.key_id,
        "user_id": event.user_id,
        "request_id": event.request_id,
        "facts": dict(event.facts),
    }


def _event(row: Row[Any]) -> UsageEvent:
    return UsageEvent(
        id=row.id,
        tenant_id=row.tenant_id,
        at=row.at,
        what=row.what,
        unit=row.unit,
        amount=Decimal(row.amount_micro) / _MICRO,
        cost=Decimal(row.cost_nano) / _NANO,
        currency=row.currency,
        project_id=row.project_id,
        key_id=row.key_id,
        user_id=row.user_id,
        request_id=row.request_id,
        facts=row.facts,
    )


def _budget(row: Row[Any]) -> Budget:
    return Budget(
        id=row.id,
        tenant_id=row.tenant_id,
        subject=cast("SubjectKind", row.subject),
        subject_id=row.subject_id,
        unit=row.unit,
        limit=Decimal(row.limit_micro) / _MICRO,
        period=cast("Period", row.period),
        warn_at=row.warn_at,
        hard=row.hard,
        created_at=row.created_at,
        updated_at=row.updated_at,
        told_at=row.told_at,
        told=row.told,
    )
