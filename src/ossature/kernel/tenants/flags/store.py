"""The tables of flags and experiments, and every query on them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from sqlalchemy import Float, ForeignKey, Index, Row, UniqueConstraint, and_, delete, func, insert, select, update
from sqlalchemy import cast as sql_cast
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, mapped_column

from ossature.kernel import clock
from ossature.kernel.db.listing import Found, Listable, ListQuery
from ossature.kernel.db.table import Table, TenantOwned
from ossature.kernel.db.transaction import Db
from ossature.kernel.db.upsert import upsert
from ossature.kernel.tenants.flags.domain import By, Exposure, Flag, FlagTaken, Rule


class FlagRow(TenantOwned, Table):
    """A flag of a tenant, or of the house for everybody. A killed flag of the file has a row that says so."""

    __tablename__ = "tenants_flag"
    __table_args__ = (
        UniqueConstraint("tenant_id", "name"),
        Index("ix_tenants_flag_tenant_created_at", "tenant_id", "created_at", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=clock.new_id)
    name: Mapped[str]
    title: Mapped[str] = mapped_column(default="")
    variants: Mapped[dict[str, Any]]
    off: Mapped[str]
    shares: Mapped[dict[str, Any]]
    rules: Mapped[list[Any]] = mapped_column(default=list)
    by: Mapped[str] = mapped_column(default="user")
    goal: Mapped[str | None]
    round: Mapped[int] = mapped_column(default=1)
    killed_at: Mapped[datetime | None]
    killed_why: Mapped[str | None]
    updated_at: Mapped[datetime] = mapped_column(default=clock.now)


class ExposureRow(TenantOwned, Table):
    """Somebody in a tenant was shown a variant for the first time in a round. `owner_id` is whose flag it is."""

    __tablename__ = "tenants_flag_exposure"
    __table_args__ = (
        Index("ix_tenants_flag_exposure_flag", "owner_id", "flag", "round"),
        Index("ix_tenants_flag_exposure_at", "at"),
    )

    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenants_tenant.id", ondelete="CASCADE"), primary_key=True)
    owner_id: Mapped[UUID] = mapped_column(primary_key=True)
    flag: Mapped[str] = mapped_column(primary_key=True)
    round: Mapped[int] = mapped_column(primary_key=True)
    subject: Mapped[str] = mapped_column(primary_key=True)
    variant: Mapped[str]
    at: Mapped[datetime]


class OutcomeRow(TenantOwned, Table):
    """Somebody reached a goal that an experiment counts. amount: what it brought."""

    __tablename__ = "tenants_flag_outcome"
    __table_args__ = (
        Index("ix_tenants_flag_outcome_goal", "tenant_id", "goal", "subject", "at"),
        Index("ix_tenants_flag_outcome_at", "at"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=clock.new_id)
    goal: Mapped[str]
    subject: Mapped[str]
    amount: Mapped[float] = mapped_column(Float)
    at: Mapped[datetime]


FLAGS = Listable(
    key=FlagRow.id,
    filters={"name": FlagRow.name, "created_at": FlagRow.created_at},
    sorts={"created_at": FlagRow.created_at, "name": FlagRow.name},
    default="created_at",
)


async def flags(db: Db, owner_id: UUID, query: ListQuery) -> Found[Flag]:
    """Flags of a tenant, or of the house."""
    statement = select(*FlagRow.__table__.columns).where(FlagRow.tenant_id == owner_id)
    return await FLAGS.fetch(db, statement, query, _flag)


async def every(db: Db, owner_id: UUID | None = None) -> Mapping[UUID, Mapping[str, Flag]]:
    """All flags by owner and name; of one owner only if it is given."""
    statement = select(*FlagRow.__table__.columns)
    if owner_id is not None:
        statement = statement.where(FlagRow.tenant_id == owner_id)
    found: dict[UUID, dict[str, Flag]] = {}
    for row in await db.all(statement.order_by(FlagRow.tenant_id, FlagRow.name)):
        found.setdefault(row.tenant_id, {})[row.name] = _flag(row)
    return found


async def flag(db: Db, owner_id: UUID, name: str) -> Flag | None:
    """A flag by its name."""
    statement = select(*FlagRow.__table__.columns)
    row = await db.first(statement.where(FlagRow.tenant_id == owner_id, FlagRow.name == name))
    return _flag(row) if row else None


async def count(db: Db, owner_id: UUID) -> int:
    """How many flags there are."""
    return int(await db.scalar(select(func.count()).where(FlagRow.tenant_id == owner_id)))


async def add_flag(db: Db, owner_id: UUID, flag: Flag) -> Flag:
    """Insert a flag. Raises: FlagTaken."""
    values = {"tenant_id": owner_id, "name": flag.name, **_values(flag)}
    try:
        row = await db.one(insert(FlagRow).values(values).returning(*FlagRow.__table__.columns))
    except IntegrityError as error:
        raise FlagTaken(flag=flag.name) from error
    return _flag(row)


async def put_flag(db: Db, owner_id: UUID, flag: Flag) -> Flag | None:
    """A flag in place of the one of its name; None when there is none."""
    changed = update(FlagRow).where(FlagRow.tenant_id == owner_id, FlagRow.name == flag.name)
    rows = await db.all(changed.values(**_values(flag)).returning(*FlagRow.__table__.columns))
    return _flag(rows[0]) if rows else None


async def kill(db: Db, owner_id: UUID, flag: Flag, killed: tuple[datetime, str] | None) -> Flag:
    """A flag that is killed, or no longer; one of the file gets its row here."""
    at, why = killed or (None, None)
    new = upsert(db, FlagRow).values(
        id=clock.new_id(), tenant_id=owner_id, name=flag.name, created_at=clock.now(), killed_at=at, killed_why=why,
        **_values(flag),
    )  # fmt: skip
    put = new.on_conflict_do_update(
        index_elements=[FlagRow.tenant_id, FlagRow.name],
        set_={"killed_at": at, "killed_why": why, "updated_at": clock.now()},
    )
    return _flag(await db.one(put.returning(*FlagRow.__table__.columns)))


async def delete_flag(db: Db, owner_id: UUID, name: str) -> bool:
    """Delete a flag; whether it was there. What was counted for it goes when its time is over."""
    return await db.execute(delete(FlagRow).where(FlagRow.tenant_id == owner_id, FlagRow.name == name)) > 0


async def add_exposures(db: Db, exposures: Sequence[Exposure]) -> None:
    """Keep who was shown what; the first one of a round counts."""
    values = [{**asdict(one), "created_at": one.at} for one in exposures]
    await db.execute(upsert(db, ExposureRow).values(values).on_conflict_do_nothing())


async def add_outcomes(
    db: Db, tenant_id: UUID, goal: str, subjects: Iterable[str], *, amount: float, at: datetime
) -> None:
    """Keep that a goal was reached."""
    values = {"tenant_id": tenant_id, "goal": goal, "amount": amount, "at": at, "created_at": at}
    rows = [{**values, "id": clock.new_id(), "subject": subject} for subject in subjects]
    await db.execute(insert(OutcomeRow).values(rows))


async def counts(db: Db, owner_id: UUID, flag: Flag) -> Mapping[str, tuple[int, int, float]]:
    """By variant: how many were shown it in this round, how many of them then reached the goal, and what that brought."""
    reached = (
        select(
            ExposureRow.variant,
            ExposureRow.tenant_id,
            ExposureRow.subject,
            func.count(OutcomeRow.id).label("times"),
            func.coalesce(func.sum(OutcomeRow.amount), 0.0).label("total"),
        )
        .outerjoin(
            OutcomeRow,
            and_(
                OutcomeRow.tenant_id == ExposureRow.tenant_id,
                OutcomeRow.goal == flag.goal,
                OutcomeRow.subject == ExposureRow.subject,
                OutcomeRow.at >= ExposureRow.at,
            ),
        )
        .where(
            ExposureRow.owner_id == owner_id,
            ExposureRow.flag == flag.name,
            ExposureRow.round == flag.round,
        )
        .group_by(ExposureRow.variant, ExposureRow.tenant_id, ExposureRow.subject)
        .subquery()
    )
    got = func.count().filter(reached.c.times > 0)
    total = sql_cast(func.coalesce(func.sum(reached.c.total), 0.0), Float)
    statement = select(reached.c.variant, func.count().label("shown"), got.label("got"), total.label("total"))
    rows = await db.all(statement.group_by(reached.c.variant))
    return {row.variant: (row.shown, row.got, float(row.total)) for row in rows}


async def purge(db: Db, before: datetime) -> int:
    """Forget who was shown what, and what they reached, before a moment; how many rows."""
    shown = await db.execute(delete(ExposureRow).where(ExposureRow.at < before))
    return shown + await db.execute(delete(OutcomeRow).where(OutcomeRow.at < before))


def _values(flag: Flag) -> dict[str, Any]:
    return {
        "title": flag.title,
        "variants": dict(flag.variants),
        "off": flag.off,
        "shares": dict(flag.shares),
        "rules": [
            {
                "shares": dict(rule.shares),
                **{name: sorted(getattr(rule, name)) for name in ("tenants", "plans", "users", "roles")},
            }
            for rule in flag.rules
        ],
        "by": flag.by,
        "goal": flag.goal,
        "round": flag.round,
        "updated_at": clock.now(),
    }


def _flag(row: Row[Any]) -> Flag:
    return Flag(
        name=row.name,
        title=row.title,
        variants=dict(sorted(row.variants.items())),
        off=row.off,
        shares=dict(sorted(row.shares.items())),
        rules=tuple(
            Rule(
                shares=dict(sorted(rule["shares"].items())),
                tenants=frozenset(rule["tenants"]),
                plans=frozenset(rule["plans"]),
                users=frozenset(rule["users"]),
                roles=frozenset(rule["roles"]),
            )
            for rule in row.rules
        ),
        by=cast("By", row.by),
        goal=row.goal,
        round=row.round,
        killed_at=row.killed_at,
        killed_why=row.killed_why,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
