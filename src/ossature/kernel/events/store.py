"""Tables of facts and signals, and every statement about them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Index, delete, func, insert, or_, select, text, update
from sqlalchemy.orm import Mapped, mapped_column

from ossature.kernel import clock
from ossature.kernel.db.retention import outlived
from ossature.kernel.db.table import Table, TenantOwned
from ossature.kernel.db.transaction import Db
from ossature.kernel.db.types import BigId
from ossature.kernel.db.upsert import upsert


class OutboxRow(TenantOwned, Table):
    """A fact, as it was written down by the transaction that made it true."""

    __tablename__ = "events_outbox"
    __table_args__ = (
        Index("ix_events_outbox_tenant_position", "tenant_id", "position"),
        {"sqlite_autoincrement": True},
    )

    position: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    wire: Mapped[str]
    version: Mapped[int]
    key: Mapped[str | None]
    payload: Mapped[dict[str, Any]]
    request_id: Mapped[str]
    trace: Mapped[str]


class DeliveryRow(TenantOwned, Table):
    """One listener's turn on one fact; `handled_at` is empty until its effects are committed."""

    __tablename__ = "events_delivery"
    __table_args__ = (
        Index(
            "ix_events_delivery_waiting",
            "listener",
            "position",
            postgresql_where=text("handled_at IS NULL"),
            sqlite_where=text("handled_at IS NULL"),
        ),
    )

    position: Mapped[int] = mapped_column(ForeignKey("events_outbox.position", ondelete="CASCADE"), primary_key=True)
    listener: Mapped[str] = mapped_column(primary_key=True)
    handled_at: Mapped[datetime | None]


class SignalRow(Table):
    """A signal on its way to the other processes of this machine (SQLite only)."""

    __tablename__ = "events_signal"
    __table_args__ = {"sqlite_autoincrement": True}  # noqa: RUF012 - SQLAlchemy's own convention

    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    at: Mapped[datetime] = mapped_column(default=clock.now, index=True)
    text: Mapped[str]


SIGNALS_AFTER = "SELECT id, text FROM events_signal WHERE id > ? ORDER BY id"
LAST_SIGNAL = "SELECT coalesce(max(id), 0) FROM events_signal"


class LiveHeadRow(TenantOwned, Table):
    """The number of a tenant's newest live frame."""

    __tablename__ = "events_live_head"

    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenants_tenant.id", ondelete="CASCADE"), primary_key=True)
    seq: Mapped[int]


class LiveFrameRow(TenantOwned, Table):
    """A live frame, kept as long as a client may resume."""

    __tablename__ = "events_live_frame"
    __table_args__ = (Index("ix_events_live_frame_created_at", "created_at"),)

    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenants_tenant.id", ondelete="CASCADE"), primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    topic: Mapped[str]
    type: Mapped[str]
    data: Mapped[dict[str, Any]]
    coalesce: Mapped[str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFact:
    """A fact as it lies in the outbox. payload: JSON values; `at`: when its transaction wrote it."""

    position: int
    tenant_id: UUID
    at: datetime
    wire: str
    version: int
    key: str | None
    payload: Mapping[str, Any]
    request_id: str
    trace: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveFrame:
    """One frame for the live channels of a tenant. seq grows by one per tenant; `data` is a JSON object.

    coalesce: frames of one topic with the same value may replace each other.
    """

    tenant_id: UUID
    seq: int
    at: datetime
    topic: str
    type: str
    data: Mapping[str, Any]
    coalesce: str | None = None


@dataclass(frozen=True, slots=True)
class Lag:
    """How far a listener is behind: facts that wait, and since when the oldest does."""

    listener: str
    waiting: int
    oldest_at: datetime | None


_FACT = (
    OutboxRow.position, OutboxRow.tenant_id, OutboxRow.created_at, OutboxRow.wire, OutboxRow.version, OutboxRow.key,
    OutboxRow.payload, OutboxRow.request_id, OutboxRow.trace,
)  # fmt: skip


async def add_facts(db: Db, tenant_id: UUID, facts: Sequence[StoredFact]) -> list[int]:
    """Write facts down; their positions, which grow in their order. The positions that `facts` carry are ignored."""
    rows = [
        {
            "tenant_id": tenant_id,
            "created_at": fact.at,
            "wire": fact.wire,
            "version": fact.version,
            "key": fact.key,
            "payload": dict(fact.payload),
            "request_id": fact.request_id,
            "trace": fact.trace,
        }
        for fact in facts
    ]
    statement = insert(OutboxRow).returning(OutboxRow.position, sort_by_parameter_order=True)
    return [row.position for row in await db.all(statement, rows)]


async def add_deliveries(db: Db, tenant_id: UUID, due: Sequence[tuple[int, str]]) -> None:
    """Note the facts (their positions) that listeners (their names) have yet to handle."""
    now = clock.now()
    rows = [
        {"tenant_id": tenant_id, "position": position, "listener": name, "created_at": now, "handled_at": None}
        for position, name in due
    ]
    await db.execute(insert(DeliveryRow), rows)


async def facts_after(
    db: Db, tenant_id: UUID | None, position: int, *, wires: Sequence[str], limit: int
) -> list[StoredFact]:
    """Facts behind a position, oldest first; of all tenants when `tenant_id` is None."""
    statement = select(*_FACT).where(OutboxRow.position > position, OutboxRow.wire.in_(wires))
    if tenant_id is not None:
        statement = statement.where(OutboxRow.tenant_id == tenant_id)
    return [_fact(row) for row in await db.all(statement.order_by(OutboxRow.position).limit(limit))]


async def read_fact(db: Db, tenant_id: UUID, position: int) -> StoredFact | None:
    """The tenant's fact at a position."""
    row = await db.first(select(*_FACT).where(OutboxRow.tenant_id == tenant_id, OutboxRow.position == position))
    return None if row is None else _fact(row)


async def handled(db: Db, tenant_id: UUID, position: int, listener: str) -> bool:
    """Whether the listener has handled the fact."""
    statement = select(DeliveryRow.handled_at).where(
        DeliveryRow.tenant_id == tenant_id, DeliveryRow.position == position, DeliveryRow.listener == listener
    )
    return await db.scalar(statement) is not None


async def mark_handled(db: Db, tenant_id: UUID, position: int, listener: str) -> None:
    """Note, together with the listener's effects, that it is done."""
    statement = update(DeliveryRow).values(handled_at=clock.now())
    await db.execute(
        statement.where(
            DeliveryRow.tenant_id == tenant_id, DeliveryRow.position == position, DeliveryRow.listener == listener
        )
    )


async def reopen(db: Db, listener: str, facts: Sequence[StoredFact]) -> None:
    """Make facts count as not handled, also for a listener that did not exist when they happened."""
    positions = [fact.position for fact in facts]
    await db.execute(delete(DeliveryRow).where(DeliveryRow.position.in_(positions), DeliveryRow.listener == listener))
    rows = [
        {"tenant_id": f.tenant_id, "position": f.position, "listener": listener, "created_at": f.at, "handled_at": None}
        for f in facts
    ]
    await db.execute(insert(DeliveryRow), rows)


async def handled_among(db: Db, positions: Sequence[int], listener: str) -> set[int]:
    """Those of the positions that the listener has handled."""
    statement = select(DeliveryRow.position).where(
        DeliveryRow.position.in_(positions), DeliveryRow.listener == listener, DeliveryRow.handled_at.is_not(None)
    )
    return {row.position for row in await db.all(statement)}


async def lags(db: Db) -> list[Lag]:
    """Every listener that has facts waiting, across all tenants."""
    statement = (
        select(DeliveryRow.listener, func.count().label("waiting"), func.min(DeliveryRow.created_at).label("oldest_at"))
        .where(DeliveryRow.handled_at.is_(None))
        .group_by(DeliveryRow.listener)
    )
    return [Lag(row.listener, row.waiting, row.oldest_at) for row in await db.all(statement)]


async def purge(db: Db, now: datetime, *, keep_days: int, limit: int = 1000) -> int:
    """Forget facts that are delivered to everybody, after the retention of their tenant or so many days; how many."""
    over = await outlived(db, OutboxRow.tenant_id, OutboxRow.created_at, now=now, keep_days=keep_days)
    waiting = select(DeliveryRow.position).where(DeliveryRow.handled_at.is_(None))
    old = (
        select(OutboxRow.position)
        .where(over, OutboxRow.position.not_in(waiting))
        .order_by(OutboxRow.position)
        .limit(limit)
    )
    return await db.execute(delete(OutboxRow).where(OutboxRow.position.in_(old)))


async def add_signals(db: Db, texts: Sequence[str]) -> None:
    """Write signals down in their order."""
    now = clock.now()
    await db.execute(insert(SignalRow), [{"at": now, "text": text} for text in texts])


async def forget_signals(db: Db, before: datetime) -> None:
    """Drop signals that everybody has read."""
    await db.execute(delete(SignalRow).where(SignalRow.at < before))


async def add_frame(db: Db, frame: LiveFrame) -> int:
    """Number a frame and keep it; its number. The tenant's other publishers wait until the transaction ends."""
    seq: int = await db.scalar(
        upsert(db, LiveHeadRow)
        .values(tenant_id=frame.tenant_id, seq=1, created_at=frame.at)
        .on_conflict_do_update(index_elements=[LiveHeadRow.tenant_id], set_={"seq": LiveHeadRow.seq + 1})
        .returning(LiveHeadRow.seq)
    )
    await db.execute(
        insert(LiveFrameRow).values(
            tenant_id=frame.tenant_id,
            seq=seq,
            created_at=frame.at,
            topic=frame.topic,
            type=frame.type,
            data=dict(frame.data),
            coalesce=frame.coalesce,
        )
    )
    return seq


async def last_frame(db: Db, tenant_id: UUID) -> int:
    """The number of the tenant's newest frame; 0 before the first."""
    return await db.scalar(select(LiveHeadRow.seq).where(LiveHeadRow.tenant_id == tenant_id)) or 0


async def frames_after(db: Db, tenant_id: UUID, seq: int, *, limit: int) -> list[LiveFrame]:
    """The tenant's frames behind a number, oldest first."""
    statement = select(LiveFrameRow.__table__).where(LiveFrameRow.tenant_id == tenant_id, LiveFrameRow.seq > seq)
    return [
        LiveFrame(
            tenant_id=row.tenant_id,
            seq=row.seq,
            at=row.created_at,
            topic=row.topic,
            type=row.type,
            data=row.data,
            coalesce=row.coalesce,
        )
        for row in await db.all(statement.order_by(LiveFrameRow.seq).limit(limit))
    ]


async def forget_frames(db: Db, tenant_id: UUID, *, before: datetime, up_to: int) -> None:
    """Drop the tenant's frames that are too old or too many."""
    await db.execute(
        delete(LiveFrameRow).where(
            LiveFrameRow.tenant_id == tenant_id, or_(LiveFrameRow.created_at < before, LiveFrameRow.seq <= up_to)
        )
    )


def _fact(row: Any) -> StoredFact:  # noqa: ANN401 - a row of `_FACT`
    return StoredFact(
        position=row.position,
        tenant_id=row.tenant_id,
        at=row.created_at,
        wire=row.wire,
        version=row.version,
        key=row.key,
        payload=row.payload,
        request_id=row.request_id,
        trace=row.trace,
    )
