"""The table of signing keys and every query on it."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import String, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Mapped, mapped_column

from ossature.kernel import clock
from ossature.kernel.db.table import Table
from ossature.kernel.db.transaction import Db


class SigningKeyRow(Table):
    """The name of a key that signs tokens. The key itself follows from it and the secret of the installation."""

    __tablename__ = "auth_signing_key"

    kid: Mapped[str] = mapped_column(String(32), primary_key=True)
    created_at: Mapped[datetime] = mapped_column(default=clock.now)
    retired_at: Mapped[datetime | None]


# By what was retired and not by age alone: a clock that was set back makes the newer key the older one.
_FIRST_WHO_SIGNS = (SigningKeyRow.retired_at.is_not(None), SigningKeyRow.created_at.desc(), SigningKeyRow.kid)


async def signing_keys(db: Db) -> Sequence[tuple[str, datetime, datetime | None]]:
    """Names of the signing keys with their making and retirement: the one that signs, then the newest first."""
    statement = select(SigningKeyRow.kid, SigningKeyRow.created_at, SigningKeyRow.retired_at)
    rows = await db.all(statement.order_by(*_FIRST_WHO_SIGNS))
    return [(row.kid, row.created_at, row.retired_at) for row in rows]


async def add_signing_key(db: Db, kid: str, now: datetime) -> None:
    """Insert the name of a signing key, if it is not there yet, and retire the others."""
    dialect = postgresql if db.dialect == "postgresql" else sqlite
    new = dialect.insert(SigningKeyRow).values(kid=kid, created_at=now)
    if await db.execute(new.on_conflict_do_nothing()) > 0:
        others = update(SigningKeyRow).where(SigningKeyRow.kid != kid, SigningKeyRow.retired_at.is_(None))
        await db.execute(others.values(retired_at=now))


async def delete_signing_keys_retired_before(db: Db, moment: datetime) -> int:
    """Drop signing keys that no living token was signed with; how many."""
    return await db.execute(delete(SigningKeyRow).where(SigningKeyRow.retired_at < moment))
