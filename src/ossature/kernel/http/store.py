"""The table of requests that carry an Idempotency-Key. Neither the key nor the answer can be read out of it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, ForeignKey, LargeBinary, SmallInteger, String, delete, select, update
from sqlalchemy.orm import Mapped, mapped_column

from ossature.kernel import clock
from ossature.kernel.db.table import Table, TenantOwned
from ossature.kernel.db.transaction import Db
from ossature.kernel.db.upsert import upsert


class IdempotencyRow(TenantOwned, Table):
    """A request that was begun under a key. claim_id: who may answer it. status: null until it is answered.

    key_digest, answer: see `kernel.http.sealing`. has_effects: something was committed on the way to the answer.
    """

    __tablename__ = "http_idempotency"

    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenants_tenant.id", ondelete="CASCADE"), primary_key=True)
    subject: Mapped[str] = mapped_column(String(120), primary_key=True)
    key_digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    fingerprint: Mapped[str] = mapped_column(String(64))
    claim_id: Mapped[UUID]
    claimed_until: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    has_effects: Mapped[bool]
    status: Mapped[int | None] = mapped_column(SmallInteger)
    answer: Mapped[bytes | None] = mapped_column(LargeBinary)


@dataclass(frozen=True, slots=True)
class Begun:
    """What is known of a key. status and answer: None while nobody has answered."""

    fingerprint: str
    claimed_until: datetime
    has_effects: bool
    status: int | None
    answer: bytes | None


def _key(tenant_id: UUID, subject: str, digest: str) -> tuple[ColumnElement[bool], ...]:
    row = IdempotencyRow
    return row.tenant_id == tenant_id, row.subject == subject, row.key_digest == digest


async def begin(db: Db, tenant_id: UUID, values: dict[str, object]) -> bool:
    """Claim a key that nobody used, or whose days are over; whether that succeeded."""
    now = clock.now()
    where = _key(tenant_id, str(values["subject"]), str(values["key_digest"]))
    await db.execute(delete(IdempotencyRow).where(*where, IdempotencyRow.expires_at <= now))
    row = {**values, "tenant_id": tenant_id, "has_effects": False, "created_at": now}
    return await db.execute(upsert(db, IdempotencyRow).values(row).on_conflict_do_nothing()) == 1


async def begun(db: Db, tenant_id: UUID, subject: str, digest: str) -> Begun | None:
    """What is known of a key."""
    row: Any = await db.first(
        select(
            IdempotencyRow.fingerprint,
            IdempotencyRow.claimed_until,
            IdempotencyRow.has_effects,
            IdempotencyRow.status,
            IdempotencyRow.answer,
        ).where(*_key(tenant_id, subject, digest))
    )
    return None if row is None else Begun(*row)


async def take_over(db: Db, tenant_id: UUID, subject: str, digest: str, *, claim_id: UUID, lease_s: float) -> bool:
    """Claim a key whose claimant neither answered in time nor had any effect; whether that succeeded."""
    now = clock.now()
    changed = await db.execute(
        update(IdempotencyRow)
        .where(*_key(tenant_id, subject, digest), IdempotencyRow.status.is_(None))
        .where(IdempotencyRow.claimed_until <= now, IdempotencyRow.has_effects.is_(False))
        .values(claim_id=claim_id, claimed_until=now + timedelta(seconds=lease_s))
    )
    return changed == 1


async def note_effects(db: Db, tenant_id: UUID, subject: str, digest: str, *, claim_id: UUID, lease_s: float) -> bool:
    """Say, in the transaction that has them, that a claim which is still ours has effects; whether it was ours."""
    changed = await db.execute(
        update(IdempotencyRow)
        .where(*_key(tenant_id, subject, digest), IdempotencyRow.claim_id == claim_id, IdempotencyRow.status.is_(None))
        .values(has_effects=True, claimed_until=clock.now() + timedelta(seconds=lease_s))
    )
    return changed == 1


async def answer(
    db: Db, tenant_id: UUID, subject: str, digest: str, *, claim_id: UUID, status: int, sealed: bytes
) -> bool:
    """Store the answer of a claim that is still ours; whether it was."""
    changed = await db.execute(
        update(IdempotencyRow)
        .where(*_key(tenant_id, subject, digest), IdempotencyRow.claim_id == claim_id, IdempotencyRow.status.is_(None))
        .values(status=status, answer=sealed)
    )
    return changed == 1


async def release(db: Db, tenant_id: UUID, subject: str, digest: str, *, claim_id: UUID) -> None:
    """Forget a claim that came to nothing, so that the request may be sent again; one with effects only ends."""
    mine = (
        *_key(tenant_id, subject, digest),
        IdempotencyRow.claim_id == claim_id,
        IdempotencyRow.status.is_(None),
    )
    if await db.execute(delete(IdempotencyRow).where(*mine, IdempotencyRow.has_effects.is_(False))) == 0:
        await db.execute(update(IdempotencyRow).where(*mine).values(claimed_until=clock.now()))


async def purge(db: Db, now: datetime) -> int:
    """Delete answers whose time is over; how many."""
    return await db.execute(delete(IdempotencyRow).where(IdempotencyRow.expires_at <= now))
