"""The tables of users and of failed sign-ins, and every query on them."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, String, case, delete, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, mapped_column

from ossature.kernel import clock
from ossature.kernel.auth.users.domain import EmailTaken, User
from ossature.kernel.db.listing import Found, Listable, ListQuery
from ossature.kernel.db.table import SECRET, Table, TenantOwned
from ossature.kernel.db.transaction import Db
from ossature.kernel.tenants.rls import member_of_current


class UserRow(TenantOwned, Table):
    """A user. Those who are members of a tenant are visible to it, whichever tenant administers the account."""

    __tablename__ = "auth_user"
    __table_args__ = (
        {
            "info": {
                "rls_also_visible": member_of_current("auth_user.id"),
            }
        },
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=clock.new_id)
    email: Mapped[str] = mapped_column(unique=True)
    email_verified_at: Mapped[datetime | None]
    name: Mapped[str]
    password_hash: Mapped[str | None] = mapped_column(info={SECRET: True})
    password_changed_at: Mapped[datetime | None]
    deactivated_at: Mapped[datetime | None]
    last_login_at: Mapped[datetime | None]
    language: Mapped[str | None] = mapped_column(String(20))


class ThrottleRow(Table):
    """Failed sign-ins in a row, of a subject that is only known by its digest."""

    __tablename__ = "auth_throttle"

    subject: Mapped[str] = mapped_column(String(64), primary_key=True)
    failures: Mapped[int]
    paused_until: Mapped[datetime | None]
    updated_at: Mapped[datetime] = mapped_column(index=True)


_COLUMNS = (
    UserRow.id, UserRow.tenant_id, UserRow.email, UserRow.name, UserRow.created_at, UserRow.deactivated_at,
    UserRow.last_login_at, UserRow.language, UserRow.email_verified_at,
)  # fmt: skip

USERS = Listable(
    key=UserRow.id,
    filters={"email": UserRow.email, "created_at": UserRow.created_at},
    sorts={"created_at": UserRow.created_at, "email": UserRow.email},
    default="created_at",
)


async def add_user(db: Db, tenant_id: UUID, *, email: str, name: str, password_hash: str | None) -> User:
    """Insert a user whom the tenant administers. Raises: EmailTaken."""
    new = insert(UserRow).values(
        tenant_id=tenant_id,
        email=email,
        name=name,
        password_hash=password_hash,
        password_changed_at=clock.now() if password_hash else None,
    )
    try:
        return _user(await db.one(new.returning(*_COLUMNS)))
    except IntegrityError as error:
        raise EmailTaken from error


async def user(db: Db, user_id: UUID) -> User | None:
    """A user by id, whichever tenant they belong to: the caller looks at the membership."""
    row = await db.first(select(*_COLUMNS).where(UserRow.id == user_id))
    return _user(row) if row else None


async def users(db: Db, ids: Iterable[UUID], query: ListQuery) -> Found[User]:
    """Those of these users that a query wants."""
    return await USERS.fetch(db, select(*UserRow.__table__.columns).where(UserRow.id.in_(list(ids))), query, _user)


async def user_by_email(db: Db, email: str) -> tuple[User, str | None] | None:
    """A user and the hash of their password, across tenants: only for sign-in. email: in its normal form."""
    row = await db.first(select(*_COLUMNS, UserRow.password_hash).where(UserRow.email == email))
    return (_user(row), row.password_hash) if row else None


async def password_hash(db: Db, user_id: UUID) -> str | None:
    """The hash of a user's password; None when they have none."""
    found: str | None = await db.scalar(select(UserRow.password_hash).where(UserRow.id == user_id))
    return found


async def change_user(db: Db, user_id: UUID, values: Mapping[str, Any]) -> User | None:
    """Set columns of a user; the new state, or None when there is no such user."""
    rows = await db.all(update(UserRow).where(UserRow.id == user_id).values(dict(values)).returning(*_COLUMNS))
    return _user(rows[0]) if rows else None


async def set_first_password(db: Db, user_id: UUID, password_hash: str) -> bool:
    """Give a password to a user who has none; whether that was so. Of two who try at once, one does it."""
    first = update(UserRow).where(
        UserRow.id == user_id, UserRow.password_hash.is_(None), UserRow.deactivated_at.is_(None)
    )
    now = clock.now()  # the link came by mail
    values = {"password_hash": password_hash, "password_changed_at": now, "email_verified_at": now}
    return await db.execute(first.values(values)) > 0


async def charge_failure(
    db: Db, subject: str, *, now: datetime, forget_before: datetime
) -> tuple[int, datetime | None]:
    """Count a failed sign-in: how many there were in a row since `forget_before`, and until when the subject pauses.

    The count comes first and holds the row until the transaction ends, so that guesses that arrive together queue here.
    """
    dialect = postgresql if db.dialect == "postgresql" else sqlite
    new = dialect.insert(ThrottleRow).values(subject=subject, failures=1, updated_at=now)
    counted = case((ThrottleRow.updated_at < forget_before, 1), else_=ThrottleRow.failures + 1)
    upsert = new.on_conflict_do_update(
        index_elements=[ThrottleRow.subject], set_={"failures": counted, "updated_at": now}
    )
    row = await db.one(upsert.returning(ThrottleRow.failures, ThrottleRow.paused_until))
    return row.failures, row.paused_until


async def pause(db: Db, subject: str, until: datetime) -> None:
    """Let no sign-in of a subject be tried before a moment."""
    await db.execute(update(ThrottleRow).where(ThrottleRow.subject == subject).values(paused_until=until))


async def take_failure_back(db: Db, subject: str) -> None:
    """Count one less: it was no failure."""
    charged = update(ThrottleRow).where(ThrottleRow.subject == subject, ThrottleRow.failures > 0)
    await db.execute(charged.values(failures=ThrottleRow.failures - 1, paused_until=None))


async def forget_failures(db: Db, subjects: Sequence[str]) -> None:
    """Count from zero again."""
    await db.execute(delete(ThrottleRow).where(ThrottleRow.subject.in_(subjects)))


async def forget_failures_before(db: Db, moment: datetime) -> int:
    """Drop what nobody added to since a moment; how many."""
    return await db.execute(delete(ThrottleRow).where(ThrottleRow.updated_at < moment))


def _user(row: Row[Any]) -> User:
    return User(
        id=row.id,
        tenant_id=row.tenant_id,
        email=row.email,
        name=row.name,
        created_at=row.created_at,
        deactivated_at=row.deactivated_at,
        last_login_at=row.last_login_at,
        language=row.language,
        email_verified_at=row.email_verified_at,
    )
