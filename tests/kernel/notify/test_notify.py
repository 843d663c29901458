"""Telling people: in their language, on the ways they chose, when they may be disturbed, and by real SMTP."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from ossature.kernel import clock
from ossature.kernel.config import Config
from ossature.kernel.context import SYSTEM_TENANT_ID, Actor, Ctx
from ossature.kernel.db.engine import Database
from ossature.kernel.db.listing import ListQuery
from ossature.kernel.db.transaction import Db
from ossature.kernel.errors import InvalidInput
from ossature.kernel.events.catalogue import Catalogue
from ossature.kernel.events.outbox import Outbox
from ossature.kernel.events.store import facts_after
from ossature.kernel.jobs.claims import Claim
from ossature.kernel.jobs.queue import Jobs
from ossature.kernel.jobs.worker import Worker
from ossature.kernel.notify import store, usecases
from ossature.kernel.notify.domain import (
    Channel,
    InboxMessage,
    LinkOutlived,
    NoInbox,
    Notice,
    NoticeNotFound,
    Preferences,
    QuietHours,
    Recipient,
    Wording,
    WordingInvalid,
)
from ossature.kernel.notify.service import service
from ossature.kernel.notify.settings import NotifySettings
from ossature.kernel.outbound.smtp import Mailer, MailNotSent, MailRefused, SinkMailer, SmtpMailer, SmtpSettings
from ossature.kernel.tenants import store as tenants
from ossature.kernel.tenants.domain import NewTenant
from ossature.kernel.testing.context import SmallHouse

HOUSE = SYSTEM_TENANT_ID
ANNE = Recipient(person_id=UUID(int=7), address="anne@example.org", language="de-CH", zone="Europe/Zurich")
BACKUP = Notice(
    name="backup.failed",
    wordings={"en": Wording("Backup $name failed", "At $at."), "de": Wording("Sicherung $name misslungen", "Um $at.")},
    fields=frozenset({"name", "at"}),
    channels=frozenset(Channel),
)
RESET = Notice(
    name="auth.reset", wordings={"en": Wording("Reset", "Here: $link")}, fields=frozenset({"link"}), mandatory=True,
    channels=frozenset({Channel.MAIL}),
)  # fmt: skip
FACTS = {"name": "night", "at": "03:00"}


class At:
    """A clock that stands still."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def advance(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


class Office:
    def __init__(self, database: Database, mailer: Mailer) -> None:
        self.database = database
        settings = Config([NotifySettings(sender="House <house@example.org>")])
        self.jobs = Jobs(database, {job.name: job for job in service.jobs})
        self.outbox = Outbox(self.jobs, Catalogue.of([service]))
        post = usecases.Post.of(mailer, [BACKUP, RESET], b"s" * 32)
        self.house = SmallHouse(settings=settings, jobs=self.jobs, outbox=self.outbox, ports={usecases.Post: post})

    async def do(self, use_case: Any, *arguments: Any, **options: Any) -> Any:
        anne = Actor(kind="user", id=ANNE.person_id, name="anne")
        async with self.database.begin() as db:
            return await use_case(self.house.ctx(db, actor=anne), *arguments, **options)

    async def inbox(self) -> list[InboxMessage]:
        async with self.database.begin() as db:
            return list((await store.list_inbox(db, HOUSE, UUID(int=7), ListQuery())).items)

    async def make_ctx(self, claim: Claim, db: Db) -> Ctx:
        del claim
        return self.house.ctx(db)

    async def work(self) -> None:
        await Worker(self.jobs, self.make_ctx, ("mail",)).run_due()


def sent(folder: Path) -> list[EmailMessage]:
    return [message_from_bytes(path.read_bytes(), policy=policy.default) for path in sorted(folder.glob("*.eml"))]


@pytest.fixture
def office(database: Database, tmp_path: Path) -> Office:
    return Office(database, SinkMailer(tmp_path))


async def test_a_notice_goes_all_ways_in_the_language_of_the_person(office: Office, tmp_path: Path) -> None:
    used = await office.do(usecases.notify, BACKUP, ANNE, FACTS, link="/backups")
    await office.work()
    assert used == frozenset(Channel)
    (mail,) = sent(tmp_path)
    assert mail["Subject"] == "Sicherung night misslungen"
    assert mail["To"] == "anne@example.org"
    assert mail.get_content().strip() == "Um 03:00."
    (message,) = await office.inbox()
    assert (message.title, message.link, message.read_at) == ("Sicherung night misslungen", "/backups", None)
    async with office.database.begin() as db:
        (fact,) = await facts_after(db, HOUSE, 0, wires=["notification.created"], limit=5)
    assert fact.payload["title"] == "Sicherung night misslungen"


async def test_nothing_is_told_of_what_was_undone(office: Office, tmp_path: Path) -> None:
    db = office.database.system()
    await usecases.notify(office.house.ctx(db), BACKUP, ANNE, FACTS)
    await db.rollback()
    await db.close()
    await office.work()
    assert sent(tmp_path) == []
    assert await office.inbox() == []


async def test_who_opted_out_is_left_alone_except_for_what_is_mandatory(office: Office, tmp_path: Path) -> None:
    await office.do(usecases.choose, Preferences(frozenset({("*", Channel.MAIL), ("backup.failed", Channel.INBOX)})))
    assert await office.do(usecases.notify, BACKUP, ANNE, FACTS) == {Channel.WEBHOOK}
    assert await office.do(usecases.notify, RESET, ANNE, {"link": "x"}) == {Channel.MAIL}
    await office.work()
    assert [mail["Subject"] for mail in sent(tmp_path)] == ["Reset"]


async def test_the_link_in_a_mail_opts_out_of_its_notice(office: Office, tmp_path: Path) -> None:
    await office.do(usecases.notify, BACKUP, ANNE, FACTS)
    await office.do(usecases.notify, RESET, ANNE, {"link": "x"})
    await office.work()
    backup = next(mail for mail in sent(tmp_path) if mail["Subject"] != "Reset")
    reset = next(mail for mail in sent(tmp_path) if mail["Subject"] == "Reset")
    assert reset["List-Unsubscribe"] is None
    assert backup["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    token = backup["List-Unsubscribe"].strip("<>").rpartition("/")[2]
    for _ in range(2):
        assert await office.do(usecases.opt_out, token) == "backup.failed"
    with pytest.raises(InvalidInput):
        await office.do(usecases.opt_out, token.replace("backup", "backuq"))
    assert Channel.MAIL not in await office.do(usecases.notify, BACKUP, ANNE, FACTS)


async def test_mail_waits_until_the_quiet_hours_are_over(office: Office, tmp_path: Path) -> None:
    quiet = QuietHours(time(22), time(7), "Europe/Zurich")
    with clock.using(At(datetime(2026, 7, 1, 21, 30, tzinfo=UTC))) as now:
        await office.do(usecases.choose, Preferences(quiet=quiet))
        await office.do(usecases.notify, BACKUP, ANNE, FACTS)
        await office.do(usecases.notify, RESET, ANNE, {"link": "x"})
        await office.work()
        assert [mail["Subject"] for mail in sent(tmp_path)] == ["Reset"]
        assert len(await office.inbox()) == 1
        now.advance(7.6 * 3600)
        await office.work()
        assert len(sent(tmp_path)) == 2


@pytest.mark.parametrize(
    ("at", "ends"),
    [
        ("2026-07-01T19:59:00Z", None),
        ("2026-07-01T20:00:00Z", "2026-07-02T05:00:00Z"),
        ("2026-07-02T04:59:00Z", "2026-07-02T05:00:00Z"),
        ("2026-07-02T05:00:00Z", None),
        ("2026-10-24T21:00:00Z", "2026-10-25T06:00:00Z"),  # the night in which summer time ends
    ],
)
def test_quiet_hours_are_the_persons_own(at: str, ends: str | None) -> None:
    quiet = QuietHours(time(22), time(7), "Europe/Zurich")
    assert quiet.ends_at(datetime.fromisoformat(at)) == (None if ends is None else datetime.fromisoformat(ends))


async def test_a_tenant_has_words_of_its_own(office: Office, tmp_path: Path) -> None:
    await office.do(usecases.set_wording, "backup.failed", "de", Wording("Achtung: $name", "$at"))
    await office.do(usecases.notify, BACKUP, ANNE, FACTS)
    await office.work()
    assert sent(tmp_path)[0]["Subject"] == "Achtung: night"
    await office.do(usecases.set_wording, "backup.failed", "de", None)
    await office.do(usecases.notify, BACKUP, ANNE, FACTS)
    assert (await office.inbox())[0].title == "Sicherung night misslungen"


@pytest.mark.parametrize("words", [Wording("$secret", "x"), Wording("x", "$"), Wording("x", "${name")])
async def test_words_that_cannot_be_filled_are_refused(office: Office, words: Wording) -> None:
    with pytest.raises(WordingInvalid):
        await office.do(usecases.set_wording, "backup.failed", "de", words)
    with pytest.raises(NoticeNotFound):
        await office.do(usecases.set_wording, "no.such", "de", Wording("x", "y"))


@pytest.mark.parametrize("end", ["\r\n", "\x0b", "\x0c", "\x1d", "\x85", "\u2028", "\u2029"])
async def test_a_fact_cannot_add_a_line_to_the_head_of_a_mail(office: Office, tmp_path: Path, end: str) -> None:
    await office.do(usecases.notify, BACKUP, ANNE, {"name": f"x{end}Bcc: eve@example.org", "at": "now"})
    await office.work()
    (mail,) = sent(tmp_path)
    assert mail["Bcc"] is None
    assert mail["Subject"] == "Sicherung x Bcc: eve@example.org misslungen"


@pytest.mark.parametrize("address", ["not an address", "@example.org", "anne@"])
async def test_an_address_that_is_none_is_refused_and_not_tried_again(
    office: Office, tmp_path: Path, address: str
) -> None:
    await office.do(usecases.notify, RESET, Recipient(address=address), {"link": "x"})
    await office.work()
    assert sent(tmp_path) == []
    async with office.database.begin() as db:
        (row,) = await db.all(store.MailRow.__table__.select())
    assert (row.state, row.body) == ("refused", "")


async def test_reading_is_noted_once_and_for_the_owner_only(office: Office) -> None:
    await office.do(usecases.notify, BACKUP, ANNE, FACTS)
    (message,) = await office.inbox()
    await office.do(usecases.mark_read, message.id)
    (read,) = await office.inbox()
    assert read.read_at is not None
    await office.do(usecases.mark_all_read)
    assert (await office.inbox())[0].read_at == read.read_at
    with pytest.raises(NoticeNotFound):
        await office.do(usecases.mark_read, UUID(int=1))
    async with office.database.begin() as db:
        assert await store.count_unread(db, HOUSE, UUID(int=7)) == 0
        with pytest.raises(NoInbox):
            await usecases.mark_all_read(office.house.ctx(db))


@dataclass
class Server:
    """A mail server of a few lines: keeps what it takes, and answers RCPT as `replies` say."""

    replies: list[str] = field(default_factory=list)
    taken: list[bytes] = field(default_factory=list)
    port: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        def say(text: str) -> None:
            writer.write(text.encode() + b"\r\n")

        say("220 here")
        while line := (await reader.readline()).decode().strip():
            verb = line.partition(" ")[0].upper()
            if verb == "DATA":
                say("354 go on")
                self.taken.append(await reader.readuntil(b"\r\n.\r\n"))
                say("250 taken")
            elif verb == "RCPT" and self.replies:
                say(self.replies.pop(0))
            elif verb == "QUIT":
                say("221 bye")
                break
            else:
                say("250 ok")
        writer.close()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    opened = Server()
    listening = await asyncio.start_server(opened.serve, "127.0.0.1", 0)
    opened.port = listening.sockets[0].getsockname()[1]
    yield opened
    listening.close()


def smtp(port: int) -> SmtpMailer:
    return SmtpMailer(SmtpSettings(host="127.0.0.1", port=port, security="none", time_limit_s=2))


async def test_mail_is_sent_by_smtp(database: Database, server: Server) -> None:
    office = Office(database, smtp(server.port))
    await office.do(usecases.notify, RESET, ANNE, {"link": "https://example.org/r"})
    await office.work()
    message = message_from_bytes(server.taken[0], policy=policy.default)
    assert (message["To"], message["From"]) == ("anne@example.org", "House <house@example.org>")
    assert "https://example.org/r" in message.get_content()


async def test_a_server_that_is_busy_gets_the_same_mail_later(database: Database, server: Server) -> None:
    server.replies = ["451 try later"]
    office = Office(database, smtp(server.port))
    with clock.using(At(datetime.now(UTC))) as now:
        await office.do(usecases.notify, RESET, ANNE, {"link": "x"})
        await office.work()
        assert server.taken == []
        now.advance(60)
        await office.work()
    assert len(server.taken) == 1


async def test_what_the_server_will_never_take_is_given_up(server: Server) -> None:
    message = EmailMessage()
    message["From"], message["To"] = "a@example.org", "b@example.org"
    server.replies = ["550 no such user"]
    with pytest.raises(MailRefused, match="550: no such user"):
        await smtp(server.port).send(message)


async def test_a_server_that_is_away_is_said_so() -> None:
    message = EmailMessage()
    message["From"], message["To"] = "a@example.org", "b@example.org"
    with pytest.raises(MailNotSent):
        await smtp(1).send(message)


def test_a_password_must_not_travel_in_clear() -> None:
    settings = SmtpSettings(host="mail.example.org", security="none", user="u")
    assert [finding.setting for finding in settings.findings(Config([settings]))] == ["OSSATURE_SMTP_SECURITY"]


async def another_tenant(office: Office) -> UUID:
    async with office.database.begin() as db:
        return (await tenants.add_tenant(db, NewTenant("other", "Other"))).id


async def test_who_is_a_member_of_two_tenants_chooses_for_each_of_them(office: Office) -> None:
    other, quiet = await another_tenant(office), QuietHours(time(22), time(7), "Europe/Zurich")
    here = Preferences(frozenset({("backup.failed", Channel.MAIL)}), quiet)
    there = Preferences(here.off, QuietHours(time(20), time(9), "UTC"))
    async with office.database.begin() as db:
        await store.set_preferences(db, HOUSE, UUID(int=7), here)
        await store.set_preferences(db, other, UUID(int=7), there)
        assert await store.preferences(db, HOUSE, UUID(int=7)) == here
        assert await store.preferences(db, other, UUID(int=7)) == there


async def test_of_two_choices_that_come_together_none_fails(office: Office) -> None:
    quiet = QuietHours(time(22), time(7), "Europe/Zurich")
    chosen = Preferences(frozenset({("backup.failed", Channel.MAIL)}), quiet)
    await asyncio.gather(*(office.do(usecases.choose, chosen) for _ in range(4)))
    words = Wording("Achtung: $name", "$at")
    await asyncio.gather(*(office.do(usecases.set_wording, "backup.failed", "de", words) for _ in range(4)))
    async with office.database.begin() as db:
        assert await store.preferences(db, HOUSE, UUID(int=7)) == chosen
        assert await store.wordings(db, HOUSE, "backup.failed") == {"de": words}


async def test_the_link_of_a_tenant_that_is_gone_is_refused(office: Office) -> None:
    async with office.database.begin() as db:
        token = usecases.token_for(office.house.ctx(db), uuid4(), UUID(int=7), "backup.failed")
    with pytest.raises(LinkOutlived):
        await office.do(usecases.opt_out, token)


async def test_mail_that_nobody_tries_to_send_any_more_is_forgotten_too(office: Office) -> None:
    await office.do(usecases.notify, RESET, ANNE, {"link": "a secret"})
    left = []
    for days in (31, 38):
        async with office.database.begin() as db:
            await store.purge(db, clock.now() + timedelta(days=days), inbox_keep_days=180, mail_keep_days=30)
            left.append(len(await db.all(store.MailRow.__table__.select())))
    assert left == [1, 0]
