"""Files of bookings and what is wrong with them: every statement about them."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any
from uuid import UUID

from sqlalchemy import Row, delete, insert, select, update

from ossature.kernel.db.listing import Found, Listable, ListQuery
from ossature.kernel.db.transaction import Db
from ossature.services.dispatch.domain.batches import Import, ImportState, RowFault
from ossature.services.dispatch.store.portions import held
from ossature.services.dispatch.store.tables import ImportFaultRow, ImportRow

IMPORTS = Listable(key=ImportRow.id, filters={}, sorts={"created_at": ImportRow.created_at}, default="-created_at")
FAULTS = Listable(
    key=ImportFaultRow.position,
    filters={},
    sorts={"position": ImportFaultRow.position},
    default="position",
)


async def add_import(db: Db, tenant_id: UUID, made: Import) -> None:
    """Add a file that came."""
    await db.execute(insert(ImportRow).values(tenant_id=tenant_id, **{**asdict(made), "state": made.state.value}))


async def get_import(db: Db, tenant_id: UUID, import_id: UUID, *, hold: bool = False) -> Import | None:
    """A file. hold: until the transaction ends."""
    mine = (ImportRow.tenant_id == tenant_id, ImportRow.id == import_id)
    found = await db.first(held(select(ImportRow.__table__).where(*mine), hold=hold))
    return None if found is None else _import(found)


async def list_imports(db: Db, tenant_id: UUID, query: ListQuery) -> Found[Import]:
    """One page of the files."""
    return await IMPORTS.fetch(db, select(ImportRow.__table__).where(ImportRow.tenant_id == tenant_id), query, _import)


async def change_import(db: Db, tenant_id: UUID, import_id: UUID, **values: Any) -> None:
    """Set columns of a file."""
    mine = (ImportRow.tenant_id == tenant_id, ImportRow.id == import_id)
    await db.execute(update(ImportRow).where(*mine).values(**values))


async def lose_import(db: Db, tenant_id: UUID, job_id: UUID, *, reason: str) -> None:
    """The file that a job has not looked through has failed."""
    waits = (
        ImportRow.tenant_id == tenant_id,
        ImportRow.job_id == job_id,
        ImportRow.state == ImportState.UPLOADED.value,
    )
    await db.execute(update(ImportRow).where(*waits).values(state=ImportState.FAILED.value, reason=reason))


async def set_faults(db: Db, tenant_id: UUID, import_id: UUID, found: Sequence[RowFault]) -> None:
    """Write down what is wrong with a file, in place of what was."""
    mine = (ImportFaultRow.tenant_id == tenant_id, ImportFaultRow.import_id == import_id)
    await db.execute(delete(ImportFaultRow).where(*mine))
    if found:
        await db.execute(
            insert(ImportFaultRow), [{"tenant_id": tenant_id, "import_id": import_id, **asdict(one)} for one in found]
        )


async def list_faults(db: Db, tenant_id: UUID, import_id: UUID, query: ListQuery) -> Found[RowFault]:
    """One page of what is wrong with a file, by row."""
    row = ImportFaultRow
    statement = select(row.__table__).where(row.tenant_id == tenant_id, row.import_id == import_id)
    return await FAULTS.fetch(db, statement, query, _fault)


async def faults(db: Db, tenant_id: UUID, import_id: UUID) -> list[RowFault]:
    """Everything that is wrong with a file, by row."""
    row = ImportFaultRow
    statement = select(row.__table__).where(row.tenant_id == tenant_id, row.import_id == import_id)
    return [_fault(one) for one in await db.all(statement.order_by(row.position))]


def _import(row: Row[Any]) -> Import:
    names = [name for name in Import.__dataclass_fields__ if name != "state"]
    return Import(**{name: getattr(row, name) for name in names}, state=ImportState(row.state))


def _fault(row: Row[Any]) -> RowFault:
    return RowFault(**{name: getattr(row, name) for name in RowFault.__dataclass_fields__})
