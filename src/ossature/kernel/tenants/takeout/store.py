"""Every row of a tenant, whichever room it belongs to: read for an export, removed for good."""

from collections.abc import AsyncIterator, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Column, Row, delete, literal, select, tuple_
from sqlalchemy import Table as CoreTable

from ossature.kernel.db.table import OUTLIVES_TENANT, Table
from ossature.kernel.db.transaction import Db
from ossature.kernel.tenants.rls import tenant_column

_BATCH = 500


def tables() -> list[CoreTable]:
    """Every table with rows of tenants, in an order in which a row never points to a later table."""
    return [table for table in Table.metadata.sorted_tables if tenant_column(table) is not None]


def reason_to_keep(table: CoreTable) -> str | None:
    """Why the rows of a table stay when their tenant is deleted; None where they go."""
    reason: str | None = table.info.get(OUTLIVES_TENANT)
    return reason


async def rows(db: Db, table: CoreTable, tenant_id: UUID) -> AsyncIterator[Sequence[Row[Any]]]:
    """The tenant's rows of a table in the order of their keys, some hundreds at a time."""
    keys = list(table.primary_key.columns)
    own = select(table).where(_tenant(table) == tenant_id).order_by(*keys).limit(_BATCH)
    statement = own
    while batch := await db.all(statement):
        yield batch
        if len(batch) < _BATCH:
            return
        last = batch[-1]._mapping  # noqa: SLF001 - SQLAlchemy's own name for a row by its columns
        after = tuple_(*(literal(last[key], key.type) for key in keys))
        statement = own.where(tuple_(*keys) > after)


async def remove(db: Db, table: CoreTable, tenant_id: UUID) -> int:
    """Remove some of the tenant's rows of a table; how many, zero when none is left."""
    keys = tuple(table.primary_key.columns)
    some = select(*keys).where(_tenant(table) == tenant_id).limit(_BATCH)
    return await db.execute(delete(table).where(tuple_(*keys).in_(some)))


def _tenant(table: CoreTable) -> Column[Any]:
    column: Column[Any] = table.columns[tenant_column(table) or ""]
    return column
