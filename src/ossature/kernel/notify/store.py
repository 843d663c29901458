"""Tables of notifications and every statement about them."""

from collections.abc import Mapping
from datetime import datetime, time, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Index, Row, and_, delete, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, mapped_column

from ossature.kernel import clock
from ossature.kernel.db.listing import Found, Listable, ListQuery
from ossature.kernel.db.retention import outlived
from ossature.kernel.db.sealed import SealedText
from ossature.kernel.db.table import SECRET, Table, TenantOwned
from ossature.kernel.db.transaction import Db
from ossature.kernel.db.upsert import upsert
from ossature.kernel.notify.domain import (
    Channel,
    InboxMessage,
    LinkOutlived,
    Mail,
    Preferences,
    QuietHours,
    Wording,
)


class InboxRow(TenantOwned, Table):
    """A message in somebody's inbox."""

    __tablename__ = "notify_inbox"
    __table_args__ = (
        Index("ix_notify_inbox_person", "tenant_id", "person_id", "created_at", "id"),
        Index("ix_notify_inbox_created_at", "created_at"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=clock.new_id)
    person_id: Mapped[UUID]
    notice: Mapped[str]
    title: Mapped[str]
    body: Mapped[str]
    link: Mapped[str]
    read_at: Mapped[datetime | None]


class MailRow(TenantOwned, Table):
    """A mail, waiting or done."""

    __tablename__ = "notify_mail"
    __table_args__ = (Index("ix_notify_mail_created_at", "created_at"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=clock.new_id)
    person_id: Mapped[UUID | None] = mapped_column(index=True)
    notice: Mapped[str]
    address: Mapped[str]
    subject: Mapped[str]
    body: Mapped[str] = mapped_column(info={SECRET: True})
    optional: Mapped[bool]
    state: Mapped[str]
    why: Mapped[str | None]
    done_at: Mapped[datetime | None]


# A link to reset a password is in it while it waits. Before there was a key ring it was kept as it is.
BODY = SealedText(MailRow.body, row=MailRow.id, earlier=lambda _secret, _row, stored: stored)


class PreferenceRow(TenantOwned, Table):
    """Something that a person does not want from a tenant."""

    __tablename__ = "notify_preference"

    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenants_tenant.id", ondelete="CASCADE"), primary_key=True)
    person_id: Mapped[UUID] = mapped_column(primary_key=True)
    notice: Mapped[str] = mapped_column(primary_key=True)
    channel: Mapped[str] = mapped_column(primary_key=True)


class QuietRow(TenantOwned, Table):
    """When a person wants no mail from a tenant."""

    __tablename__ = "notify_quiet"

    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenants_tenant.id", ondelete="CASCADE"), primary_key=True)
    person_id: Mapped[UUID] = mapped_column(primary_key=True)
    start: Mapped[str]
    end: Mapped[str]
    zone: Mapped[str]


class WordingRow(TenantOwned, Table):
    """A tenant's own words for a notice."""

    __tablename__ = "notify_wording"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=clock.new_id)
    notice: Mapped[str]
    language: Mapped[str]
    subject: Mapped[str]
    body: Mapped[str]


Index("uq_notify_wording", WordingRow.tenant_id, WordingRow.notice, WordingRow.language, unique=True)

# Twelve attempts and the quiet hours of a person take two days at most.
_TRIED_FOR = timedelta(days=7)

INBOX = Listable(
    key=InboxRow.id,
    filters={"notice": InboxRow.notice, "created_at": InboxRow.created_at},
    sorts={"created_at": InboxRow.created_at},
    default="-created_at",
)


async def add_to_inbox(db: Db, tenant_id: UUID, message: InboxMessage) -> None:
    """Put a message into an inbox."""
    await db.execute(
        insert(InboxRow).values(
            id=message.id,
            tenant_id=tenant_id,
            person_id=message.person_id,
            notice=message.notice,
            title=message.title,
            body=message.body,
            link=message.link,
            created_at=message.created_at,
        )
    )


async def list_inbox(db: Db, tenant_id: UUID, person_id: UUID, query: ListQuery) -> Found[InboxMessage]:
    """One page of somebody's inbox."""
    statement = select(InboxRow.__table__).where(InboxRow.tenant_id == tenant_id, InboxRow.person_id == person_id)
    return await INBOX.fetch(db, statement, query, _message)


async def count_unread(db: Db, tenant_id: UUID, person_id: UUID) -> int:
    """How many messages somebody has not read."""
    statement = select(func.count()).where(
        InboxRow.tenant_id == tenant_id, InboxRow.person_id == person_id, InboxRow.read_at.is_(None)
    )
    return int(await db.scalar(statement))


async def mark_read(db: Db, tenant_id: UUID, person_id: UUID, message_id: UUID | None) -> int:
    """Note that a message (None: all of them) was read; how many were there, read before or not."""
    statement = update(InboxRow).where(InboxRow.tenant_id == tenant_id, InboxRow.person_id == person_id)
    if message_id is not None:
        statement = statement.where(InboxRow.id == message_id)
    return await db.execute(statement.values(read_at=func.coalesce(InboxRow.read_at, clock.now())))


async def add_mail(db: Db, tenant_id: UUID, mail: Mail) -> None:
    """Add a mail that is to be sent."""
    await db.execute(
        insert(MailRow).values(
            id=mail.id,
            tenant_id=tenant_id,
            person_id=mail.person_id,
            notice=mail.notice,
            address=mail.address,
            subject=mail.subject,
            body=BODY.seal(db.ring, mail.id, mail.body),
            optional=mail.optional,
            state=mail.state,
            created_at=mail.created_at,
        )
    )


async def read_mail(db: Db, tenant_id: UUID, mail_id: UUID) -> Mail | None:
    """The tenant's mail."""
    row = await db.first(select(MailRow.__table__).where(MailRow.tenant_id == tenant_id, MailRow.id == mail_id))
    if row is None:
        return None
    return Mail(
        id=row.id,
        tenant_id=row.tenant_id,
        person_id=row.person_id,
        notice=row.notice,
        address=row.address,
        subject=row.subject,
        body=BODY.open(db.ring, row.id, row.body) if row.body else "",
        optional=row.optional,
        state=row.state,
        created_at=row.created_at,
    )


async def end_mail(db: Db, tenant_id: UUID, mail_id: UUID, state: str, why: str | None = None) -> None:
    """Note that a mail is sent or refused. Its words are forgotten: a link to reset a password is in them."""
    values = {"state": state, "why": why, "done_at": clock.now(), "body": ""}
    await db.execute(update(MailRow).where(MailRow.tenant_id == tenant_id, MailRow.id == mail_id).values(**values))


async def preferences(db: Db, tenant_id: UUID, person_id: UUID) -> Preferences:
    """What a person chose."""
    statement = select(PreferenceRow.notice, PreferenceRow.channel).where(
        PreferenceRow.tenant_id == tenant_id, PreferenceRow.person_id == person_id
    )
    off = frozenset((row.notice, Channel(row.channel)) for row in await db.all(statement))
    quiet = await db.first(
        select(QuietRow.__table__).where(QuietRow.tenant_id == tenant_id, QuietRow.person_id == person_id)
    )
    if quiet is None:
        return Preferences(off)
    return Preferences(off, QuietHours(time.fromisoformat(quiet.start), time.fromisoformat(quiet.end), quiet.zone))


async def set_preferences(db: Db, tenant_id: UUID, person_id: UUID, chosen: Preferences) -> None:
    """Put a person's choice in the place of the one before. Of two that come together, the second one holds."""
    for table in (PreferenceRow, QuietRow):
        await db.execute(delete(table).where(table.tenant_id == tenant_id, table.person_id == person_id))
    mine = {"tenant_id": tenant_id, "person_id": person_id, "created_at": clock.now()}
    rows = [{**mine, "notice": notice, "channel": channel.value} for notice, channel in sorted(chosen.off)]
    if rows:
        await db.execute(upsert(db, PreferenceRow).on_conflict_do_nothing(), rows)
    if chosen.quiet is not None:
        hours = {
            "start": chosen.quiet.start.isoformat(),
            "end": chosen.quiet.end.isoformat(),
            "zone": chosen.quiet.zone,
        }
        quiet = upsert(db, QuietRow).values(**mine, **hours)
        await db.execute(
            quiet.on_conflict_do_update(index_elements=[QuietRow.tenant_id, QuietRow.person_id], set_=hours)
        )


async def opt_out(db: Db, tenant_id: UUID, person_id: UUID, notice: str, channel: Channel) -> None:
    """Add to what a person does not want. Raises: LinkOutlived when the tenant is gone."""
    values = {"tenant_id": tenant_id, "person_id": person_id, "notice": notice, "channel": channel.value}
    try:
        await db.execute(upsert(db, PreferenceRow).values(created_at=clock.now(), **values).on_conflict_do_nothing())
    except IntegrityError as error:
        raise LinkOutlived from error


async def wordings(db: Db, tenant_id: UUID, notice: str) -> Mapping[str, Wording]:
    """The tenant's own words for a notice, by language."""
    statement = select(WordingRow.__table__).where(WordingRow.tenant_id == tenant_id, WordingRow.notice == notice)
    return {row.language: Wording(row.subject, row.body) for row in await db.all(statement)}


async def set_wording(db: Db, tenant_id: UUID, notice: str, language: str, wording: Wording | None) -> None:
    """Give a tenant words of its own for a notice; None takes them back."""
    if wording is None:
        of_notice = (WordingRow.tenant_id == tenant_id, WordingRow.notice == notice, WordingRow.language == language)
        await db.execute(delete(WordingRow).where(*of_notice))
        return
    key = {"tenant_id": tenant_id, "notice": notice, "language": language}
    words = {"subject": wording.subject, "body": wording.body}
    new = upsert(db, WordingRow).values(id=clock.new_id(), created_at=clock.now(), **key, **words)
    await db.execute(
        new.on_conflict_do_update(index_elements=[WordingRow.__table__.c[name] for name in key], set_=words)
    )


async def purge(db: Db, now: datetime, *, inbox_keep_days: int, mail_keep_days: int) -> int:
    """Forget old messages of all tenants, each after its own retention if it has one; how many.

    A mail that still waits stays a week longer: after that nobody tries to send it any more, and its words go too.
    """
    inbox = await outlived(db, InboxRow.tenant_id, InboxRow.created_at, now=now, keep_days=inbox_keep_days)
    mail = await outlived(db, MailRow.tenant_id, MailRow.created_at, now=now, keep_days=mail_keep_days)
    given_up = await outlived(db, MailRow.tenant_id, MailRow.created_at, now=now - _TRIED_FOR, keep_days=mail_keep_days)
    gone = await db.execute(delete(InboxRow).where(inbox))
    return gone + await db.execute(delete(MailRow).where(or_(and_(mail, MailRow.state != "waiting"), given_up)))


def _message(row: Row[Any]) -> InboxMessage:
    return InboxMessage(
        id=row.id,
        person_id=row.person_id,
        notice=row.notice,
        title=row.title,
        body=row.body,
        link=row.link,
        created_at=row.created_at,
        read_at=row.read_at,
    )
