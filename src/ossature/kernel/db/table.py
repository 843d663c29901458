"""The base of every table in the house.

Tables are declared as classes for their typed columns and used as Core tables: `select(Row).where(Row.id == x)` on
`ctx.db`. There is no session, no lazy loading and no identity map; rows never leave the store that reads them.
"""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, MetaData
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from ossature.kernel import clock
from ossature.kernel.db.types import TYPES

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


OUTLIVES_TENANT = "outlives_tenant"
"""A table says with `{"info": {OUTLIVES_TENANT: why}}` that its rows stay when their tenant is deleted."""

SECRET = "secret"  # noqa: S105 - the name of a mark
"""A column says with `info={SECRET: True}` that it proves or opens something: no export shows it."""


class Table(DeclarativeBase):
    """A table. Its name begins with the name of the room that owns it: `jobs_job`, `hub_key_policy`."""

    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map = TYPES


class TenantOwned:
    """Mixin of a table whose every row belongs to one tenant.

    PostgreSQL guards such a table with row-level security (see the migrations): a query that forgot the tenant
    sees nothing.
    """

    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenants_tenant.id", ondelete="CASCADE"), index=True)
    created_at: Mapped[datetime] = mapped_column(default=clock.now)
