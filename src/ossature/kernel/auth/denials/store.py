"""The table of addresses that fail as abuse does, and every query on it. They belong to no tenant."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, String, case, delete, or_, select, update
from sqlalchemy.orm import Mapped, mapped_column

from ossature.kernel.auth.denials.domain import DeniedAddress
from ossature.kernel.db.table import Table
from ossature.kernel.db.transaction import Db
from ossature.kernel.db.upsert import upsert


class AddressRow(Table):
    """An address (of IPv6 its /64) that failed of late. denied_until: it is refused everything until then."""

    __tablename__ = "auth_address"

    address: Mapped[str] = mapped_column(String(64), primary_key=True)
    failures: Mapped[int]
    since: Mapped[datetime]
    denied_at: Mapped[datetime | None]
    denied_until: Mapped[datetime | None] = mapped_column(index=True)


async def add_failures(db: Db, address: str, failures: int, *, now: datetime, begun_after: datetime) -> int:
    """Add to what an address failed since its window began; the sum. A window that began before `begun_after` is over."""
    new = upsert(db, AddressRow).values(address=address, failures=failures, since=now)
    goes_on = AddressRow.since > begun_after
    counted = new.on_conflict_do_update(
        index_elements=[AddressRow.address],
        set_={
            "failures": case((goes_on, AddressRow.failures + failures), else_=failures),
            "since": case((goes_on, AddressRow.since), else_=now),
        },
    )
    return int(await db.scalar(counted.returning(AddressRow.failures)))


async def deny(db: Db, address: str, *, now: datetime, until: datetime) -> bool:
    """Refuse an address; False when it is refused already. Of several who do it at once, one gets True."""
    free = update(AddressRow).where(
        AddressRow.address == address, or_(AddressRow.denied_until.is_(None), AddressRow.denied_until <= now)
    )
    return await db.execute(free.values(denied_at=now, denied_until=until)) > 0


async def denied(db: Db, now: datetime, *, most: int) -> Sequence[DeniedAddress]:
    """The addresses that are refused now, those that are so for the longest time to come first."""
    statement = select(*AddressRow.__table__.columns).where(AddressRow.denied_until > now)
    rows = await db.all(statement.order_by(AddressRow.denied_until.desc(), AddressRow.address).limit(most))
    return [_denied(row) for row in rows]


async def lift(db: Db, address: str, now: datetime) -> bool:
    """Let an address in again, its failures forgotten; False when it is not refused."""
    return await db.execute(delete(AddressRow).where(AddressRow.address == address, AddressRow.denied_until > now)) > 0


async def forget(db: Db, *, now: datetime, begun_before: datetime) -> int:
    """Drop addresses that are not refused and have not failed of late; how many."""
    over = or_(AddressRow.denied_until.is_(None), AddressRow.denied_until <= now)
    return await db.execute(delete(AddressRow).where(AddressRow.since < begun_before, over))


def _denied(row: Row[Any]) -> DeniedAddress:
    return DeniedAddress(row.address, row.failures, row.denied_at, row.denied_until)
