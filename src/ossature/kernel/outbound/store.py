"""What processes tell each other about providers: one row per destination."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Float, String, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Mapped, mapped_column

from ossature.kernel.db.table import Table
from ossature.kernel.db.transaction import Db
from ossature.kernel.outbound.breaker import BreakerKey

# Commits become visible later than the instant that they carry; rows of the last moments are read again.
_OVERLAP = timedelta(seconds=5)


class ProviderStateRow(Table):
    """The breaker and the health of one destination, as the process that saw it change last knows it."""

    __tablename__ = "outbound_provider_state"

    provider: Mapped[str] = mapped_column(String(100), primary_key=True)
    operation: Mapped[str] = mapped_column(String(100), primary_key=True)
    credential: Mapped[str] = mapped_column(String(40), primary_key=True)
    breaker: Mapped[str] = mapped_column(String(10))
    open_until: Mapped[datetime | None]
    ewma_ms: Mapped[float | None] = mapped_column(Float)
    p95_ms: Mapped[float | None] = mapped_column(Float)
    success: Mapped[float] = mapped_column(Float)
    last_error_kind: Mapped[str] = mapped_column(String(40))
    updated_at: Mapped[datetime] = mapped_column(index=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What is known of one destination. breaker: `open` (until `open_until`) or `closed`."""

    key: BreakerKey
    breaker: str
    open_until: datetime | None
    ewma_ms: float | None
    p95_ms: float | None
    success: float
    last_error_kind: str
    updated_at: datetime


async def save(db: Db, states: Sequence[State]) -> None:
    """Write states, newer over older."""
    rows = [
        {
            "provider": state.key.provider,
            "operation": state.key.group,
            "credential": state.key.credential,
            "breaker": state.breaker,
            "open_until": state.open_until,
            "ewma_ms": state.ewma_ms,
            "p95_ms": state.p95_ms,
            "success": state.success,
            "last_error_kind": state.last_error_kind[:40],
            "updated_at": state.updated_at,
        }
        for state in sorted(states, key=lambda each: (each.key.provider, each.key.group, each.key.credential))
    ]
    insert: Any = sqlite.insert if db.dialect == "sqlite" else postgresql.insert
    statement = insert(ProviderStateRow).values(rows)
    names = [column.name for column in ProviderStateRow.__table__.columns if not column.primary_key]
    await db.execute(
        statement.on_conflict_do_update(
            index_elements=["provider", "operation", "credential"],
            set_={name: statement.excluded[name] for name in names},
            where=ProviderStateRow.updated_at <= statement.excluded.updated_at,
        )
    )


async def changed_since(db: Db, since: datetime) -> list[State]:
    """States written since an instant, and a little before."""
    row = ProviderStateRow
    columns = (
        row.provider,
        row.operation,
        row.credential,
        row.breaker,
        row.open_until,
        row.ewma_ms,
        row.p95_ms,
        row.success,
        row.last_error_kind,
        row.updated_at,
    )
    found = await db.all(select(*columns).where(row.updated_at >= since - _OVERLAP).order_by(row.updated_at))
    return [
        State(
            key=BreakerKey(each.provider, each.operation, each.credential),
            breaker=each.breaker,
            open_until=each.open_until,
            ewma_ms=each.ewma_ms,
            p95_ms=each.p95_ms,
            success=each.success,
            last_error_kind=each.last_error_kind,
            updated_at=each.updated_at,
        )
        for each in found
    ]
