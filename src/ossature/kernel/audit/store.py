"""The table of the audit trail and every statement about it."""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Index, Row, Select, insert, select
from sqlalchemy.orm import Mapped, mapped_column

from ossature.kernel.audit.domain import CHAIN, Entry
from ossature.kernel.db import chain
from ossature.kernel.db.appendonly import APPEND_ONLY
from ossature.kernel.db.chain import Chained, ChainLink
from ossature.kernel.db.listing import Filter, Found, Listable, ListQuery, Order
from ossature.kernel.db.table import OUTLIVES_TENANT, Table
from ossature.kernel.db.transaction import Db

_BATCH = 1000


class AuditRow(Chained, Table):
    """One entry. The columns repeat what the body says, for queries; `verify` compares them.

    There is no foreign key to the tenant: the trail of a tenant outlives it.
    """

    __tablename__ = "audit_entry"
    __table_args__ = (
        Index("ix_audit_entry_tenant_at", "tenant_id", "at", "seq"),
        Index("ix_audit_entry_tenant_action", "tenant_id", "action", "seq"),
        Index("ix_audit_entry_tenant_what", "tenant_id", "what", "seq"),
        Index("ix_audit_entry_tenant_actor", "tenant_id", "actor_id", "seq"),
        {"info": {**APPEND_ONLY, OUTLIVES_TENANT: "who did what stays provable, the deletion of the tenant included"}},
    )

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    at: Mapped[datetime] = mapped_column(primary_key=True)
    actor_kind: Mapped[str]
    actor_id: Mapped[UUID | None]
    actor: Mapped[str]
    action: Mapped[str]
    what: Mapped[str]
    result: Mapped[str]
    ip: Mapped[str]
    request_id: Mapped[str]


ENTRIES = Listable(
    key=AuditRow.seq,
    filters={
        "seq": AuditRow.seq,
        "at": AuditRow.at,
        "actor_kind": AuditRow.actor_kind,
        "actor_id": AuditRow.actor_id,
        "action": AuditRow.action,
        "what": AuditRow.what,
        "result": AuditRow.result,
        "ip": AuditRow.ip,
        "request_id": AuditRow.request_id,
    },
    default="-seq",
    sorts={"seq": AuditRow.seq, "at": AuditRow.at},
)


async def append(db: Db, tenant_id: UUID, contents: Sequence[Mapping[str, Any]]) -> None:
    """Add entries to a tenant's chain, in their order."""
    links = await chain.append(db, tenant_id, CHAIN, contents)
    rows = [
        {
            **{name: said[name] for name in _REPEATED},
            "at": datetime.fromisoformat(said["at"]),
            "actor_id": None if said["actor_id"] is None else UUID(said["actor_id"]),
            "tenant_id": tenant_id,
            "seq": link.seq,
            "body": link.body,
            "previous": link.previous,
            "hash": link.hash,
        }
        for link, said in zip(links, contents, strict=True)
    ]
    await db.execute(_INSERT, rows)


_INSERT = insert(AuditRow.__table__)  # type: ignore[arg-type] # a Table, which the mapped class only calls a FromClause
_REPEATED = ("actor_kind", "actor", "action", "what", "result", "ip", "request_id")


async def list_entries(db: Db, tenant_id: UUID, query: ListQuery) -> Found[Entry]:
    """One page of a tenant's entries."""
    return await ENTRIES.fetch(db, _of(tenant_id), query, _entry)


async def read_entry(db: Db, tenant_id: UUID, seq: int) -> Entry | None:
    """The entry with this number."""
    row = await db.first(_of(tenant_id).where(AuditRow.seq == seq))
    return None if row is None else _entry(row)


async def batches(db: Db, tenant_id: UUID, filters: Sequence[Filter] = ()) -> AsyncIterator[Sequence[Entry]]:
    """All entries that pass the filters, oldest first, some hundreds at a time: for exports."""
    after: tuple[Any, ...] | None = None
    while True:
        query = ListQuery(limit=_BATCH, filters=tuple(filters), sort=(Order("seq"),), after=after)
        found = await ENTRIES.fetch(db, _of(tenant_id), query, _entry)
        yield found.items
        if found.next is None:
            return
        after = found.next


async def links(db: Db, tenant_id: UUID, *, after: int = 0) -> AsyncIterator[ChainLink]:
    """The rows of a tenant's chain as they lie in the database, from behind a number on."""
    while True:
        statement = _of(tenant_id).where(AuditRow.seq > after).order_by(AuditRow.seq).limit(_BATCH)
        rows = await db.all(statement)
        for row in rows:
            yield _link(row)
        if len(rows) < _BATCH:
            return
        after = rows[-1].seq


def _of(tenant_id: UUID) -> Select[Any]:
    return select(AuditRow.__table__).where(AuditRow.tenant_id == tenant_id)


def _link(row: Row[Any]) -> ChainLink:
    columns = {name: getattr(row, name) for name in _REPEATED}
    columns["at"] = row.at.isoformat()
    columns["actor_id"] = None if row.actor_id is None else str(row.actor_id)
    return ChainLink(row.seq, row.body, row.previous, row.hash, columns)


def _entry(row: Row[Any]) -> Entry:
    facts = dict(json.loads(row.body)["facts"])
    return Entry(
        seq=row.seq,
        at=row.at,
        actor_kind=row.actor_kind,
        actor_id=row.actor_id,
        actor=row.actor,
        action=row.action,
        what=row.what,
        result=row.result,
        ip=row.ip,
        request_id=row.request_id,
        before=facts.pop("before", None),
        after=facts.pop("after", None),
        facts=facts,
        hash=row.hash.hex(),
    )
