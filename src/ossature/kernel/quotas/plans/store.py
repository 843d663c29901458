"""The table of plans, and every query on it."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, cast

from sqlalchemy import Row, delete, select
from sqlalchemy.orm import Mapped, mapped_column

from ossature.kernel import clock
from ossature.kernel.db.table import Table
from ossature.kernel.db.transaction import Db
from ossature.kernel.db.upsert import upsert
from ossature.kernel.quotas.domain import Period, SubjectKind
from ossature.kernel.quotas.plan import Cap, Plan
from ossature.kernel.service import Rate


class PlanRow(Table):
    """A plan of the installation, for whichever tenants are on it."""

    __tablename__ = "quotas_plan"

    name: Mapped[str] = mapped_column(primary_key=True)
    title: Mapped[str]
    rates: Mapped[dict[str, Any]]
    caps: Mapped[list[Any]]
    created_at: Mapped[datetime] = mapped_column(default=clock.now)
    updated_at: Mapped[datetime] = mapped_column(default=clock.now)


async def plans(db: Db) -> Mapping[str, Plan]:
    """Every plan that was made by the API, by name."""
    rows = await db.all(select(*PlanRow.__table__.columns).order_by(PlanRow.name))
    return {row.name: _plan(row) for row in rows}


async def put_plan(db: Db, plan: Plan) -> None:
    """Keep a plan, in place of the one of that name."""
    values = {
        "title": plan.title,
        "rates": {name: [list(window) for window in rate.windows] for name, rate in plan.rates.items()},
        "caps": [
            {
                "subject": cap.subject,
                "unit": cap.unit,
                "limit": f"{cap.limit:f}",
                "period": cap.period,
                "distinct": cap.distinct,
            }
            for cap in plan.caps
        ],
        "updated_at": clock.now(),
    }
    new = upsert(db, PlanRow).values(name=plan.name, **values)
    await db.execute(new.on_conflict_do_update(index_elements=[PlanRow.name], set_=values))


async def delete_plan(db: Db, name: str) -> bool:
    """Delete a plan; whether it was there."""
    return await db.execute(delete(PlanRow).where(PlanRow.name == name)) > 0


def _plan(row: Row[Any]) -> Plan:
    return Plan(
        name=row.name,
        title=row.title,
        rates={name: Rate(name, tuple((count, s) for count, s in windows)) for name, windows in row.rates.items()},
        caps=tuple(
            Cap(
                subject=cast("SubjectKind", cap["subject"]),
                unit=cap["unit"],
                limit=Decimal(cap["limit"]),
                period=cast("Period", cap["period"]),
                distinct=cap["distinct"],
            )
            for cap in row.caps
        ),
    )
