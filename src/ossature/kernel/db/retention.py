"""How long rows are kept: as long as their tenant wants, else as long as the house keeps such rows."""

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Integer, Uuid, and_, column, or_, select, table
from sqlalchemy.orm import InstrumentedAttribute

from ossature.kernel.db.transaction import Db

_TENANT = table("tenants_tenant", column("id", Uuid()), column("retention_days", Integer()))


async def outlived(
    db: Db,
    tenant_id: InstrumentedAttribute[object],
    at: InstrumentedAttribute[datetime],
    *,
    now: datetime,
    keep_days: float,
) -> ColumnElement[bool]:
    """The condition that a row's time is over. keep_days: for tenants that chose no retention of their own.

    tenant_id, at: columns of the rows. `db`: a view across tenants.
    """
    own = await db.all(select(_TENANT.c.retention_days).where(_TENANT.c.retention_days.is_not(None)).distinct())
    chosen = [row.retention_days for row in own]
    house = at < now - timedelta(days=keep_days)
    if not chosen:
        return house
    return or_(
        and_(house, tenant_id.in_(select(_TENANT.c.id).where(_TENANT.c.retention_days.is_(None)))),
        *(
            and_(
                at < now - timedelta(days=days),
                tenant_id.in_(select(_TENANT.c.id).where(_TENANT.c.retention_days == days)),
            )
            for days in chosen
        ),
    )
