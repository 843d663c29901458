"""The tables of authenticator apps and recovery codes, and every query on them. All of them work across tenants."""

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, String, delete, func, insert, select, update
from sqlalchemy.orm import Mapped, mapped_column

from ossature.kernel import clock
from ossature.kernel.auth.factors.domain import Totp, opened_before
from ossature.kernel.db.sealed import SealedBytes
from ossature.kernel.db.table import SECRET, Table, TenantOwned
from ossature.kernel.db.transaction import Db
from ossature.kernel.db.upsert import upsert


class TotpRow(TenantOwned, Table):
    """The authenticator app of a user. last_step: the time step of the newest code that was taken."""

    __tablename__ = "auth_totp"

    user_id: Mapped[UUID] = mapped_column(ForeignKey("auth_user.id", ondelete="CASCADE"), primary_key=True)
    sealed: Mapped[bytes] = mapped_column(info={SECRET: True})
    confirmed_at: Mapped[datetime | None]
    last_step: Mapped[int] = mapped_column(BigInteger)


APP_SECRET = SealedBytes(TotpRow.sealed, row=TotpRow.user_id, earlier=opened_before)


class RecoveryRow(TenantOwned, Table):
    """A recovery code; each may be used once."""

    __tablename__ = "auth_recovery"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True, info={SECRET: True})
    user_id: Mapped[UUID] = mapped_column(ForeignKey("auth_user.id", ondelete="CASCADE"), index=True)
    used_at: Mapped[datetime | None]


async def totp(db: Db, user_id: UUID) -> Totp | None:
    """The authenticator app of a user, confirmed or not."""
    statement = select(TotpRow.user_id, TotpRow.sealed, TotpRow.confirmed_at).where(TotpRow.user_id == user_id)
    row = await db.first(statement)
    return Totp(row.user_id, row.sealed, row.confirmed_at) if row else None


async def put_totp(db: Db, tenant_id: UUID, user_id: UUID, secret: str) -> bool:
    """Note an app that waits to be confirmed, in the place of another that does; False when one is confirmed already."""
    sealed = APP_SECRET.seal(db.ring, user_id, secret)
    new = upsert(db, TotpRow).values(
        tenant_id=tenant_id, user_id=user_id, sealed=sealed, last_step=0, created_at=clock.now()
    )
    waiting = new.on_conflict_do_update(
        index_elements=[TotpRow.user_id], set_={"sealed": sealed, "last_step": 0}, where=TotpRow.confirmed_at.is_(None)
    )
    return await db.execute(waiting) > 0


async def confirm_totp(db: Db, user_id: UUID, sealed: bytes, *, step: int, now: datetime) -> bool:
    """Take an app into use, if it is still this one that waits; whether that was so. Of two who try at once, one does it."""
    waiting = update(TotpRow).where(
        TotpRow.user_id == user_id, TotpRow.sealed == sealed, TotpRow.confirmed_at.is_(None)
    )
    return await db.execute(waiting.values(confirmed_at=now, last_step=step)) > 0


async def take_step(db: Db, user_id: UUID, step: int) -> bool:
    """Use the code of a time step up, with all before it; whether it was unused. Of two who send it at once, one does."""
    newer = update(TotpRow).where(TotpRow.user_id == user_id, TotpRow.last_step < step)
    return await db.execute(newer.values(last_step=step)) > 0


async def put_recovery_codes(db: Db, tenant_id: UUID, user_id: UUID, digests: Iterable[str]) -> None:
    """Put new recovery codes in the place of those before."""
    await db.execute(delete(RecoveryRow).where(RecoveryRow.user_id == user_id))
    now = clock.now()
    rows = [{"tenant_id": tenant_id, "user_id": user_id, "digest": one, "created_at": now} for one in digests]
    await db.execute(insert(RecoveryRow), rows)


async def use_recovery_code(db: Db, digest: str, now: datetime) -> bool:
    """Use a recovery code up; whether there was such a one, unused. Of two who send it at once, one does."""
    unused = update(RecoveryRow).where(RecoveryRow.digest == digest, RecoveryRow.used_at.is_(None))
    return await db.execute(unused.values(used_at=now)) > 0


async def recovery_codes_left(db: Db, user_id: UUID) -> int:
    """How many recovery codes of a user are unused."""
    statement = select(func.count()).where(RecoveryRow.user_id == user_id, RecoveryRow.used_at.is_(None))
    return int(await db.scalar(statement))


async def remove_factors(db: Db, user_id: UUID) -> bool:
    """Drop the app and the codes of a user; whether there was a confirmed app."""
    await db.execute(delete(RecoveryRow).where(RecoveryRow.user_id == user_id))
    await db.execute(delete(TotpRow).where(TotpRow.user_id == user_id, TotpRow.confirmed_at.is_(None)))
    return await db.execute(delete(TotpRow).where(TotpRow.user_id == user_id)) > 0
