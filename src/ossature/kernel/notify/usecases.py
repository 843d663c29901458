"""Telling people: one verb for the services, a few for those who are told."""

import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Final
from uuid import UUID

import structlog

from ossature.kernel import clock
from ossature.kernel.context import Ctx
from ossature.kernel.errors import InvalidInput, Misconfigured
from ossature.kernel.notify import store
from ossature.kernel.notify.domain import (
    Channel,
    InboxMessage,
    Mail,
    NoInbox,
    Notice,
    NoticeNotFound,
    Notified,
    Preferences,
    Recipient,
    Wording,
    check_wording,
    composed,
    fill,
    worded,
)
from ossature.kernel.notify.settings import NotifySettings
from ossature.kernel.outbound.smtp import Mailer, MailRefused
from ossature.kernel.service import Backoff, Job

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Post:
    """What telling people needs from the installation; made by the house, found through `ctx.port(Post)`.

    notices: every kind, by name. secret: of the installation; signs the links of opting out, of which there are none
    when it is empty.
    """

    mailer: Mailer
    notices: Mapping[str, Notice]
    secret: bytes

    @classmethod
    def of(cls, mailer: Mailer, notices: Iterable[Notice], secret: bytes) -> "Post":
        """Raises: Misconfigured when two notices have one name."""
        by_name: dict[str, Notice] = {}
        for notice in notices:
            if notice.name in by_name:
                raise Misconfigured(f"Two notices are called {notice.name!r}.")
            by_name[notice.name] = notice
        return cls(mailer, by_name, secret)


async def notify(
    ctx: Ctx, notice: Notice, to: Recipient, facts: Mapping[str, object] | None = None, *, link: str = ""
) -> frozenset[Channel]:
    """Tell somebody, on the ways that he chose; these ways. All of it leaves with the caller's commit.

    facts: fill the placeholders. Raises: KeyError for a fact that the wording needs and nobody gave.
    """
    chosen = Preferences()
    if to.person_id is not None:
        chosen = await store.preferences(ctx.db, ctx.tenant.id, to.person_id)
    own = await store.wordings(ctx.db, ctx.tenant.id, notice.name)
    words = fill(worded({**notice.wordings, **own}, to.language), facts or {})
    used = set()
    for channel in sorted(chosen.channels(notice)):
        if channel is Channel.INBOX and to.person_id is not None:
            await _into_inbox(ctx, notice, to.person_id, words, link)
        elif channel is Channel.MAIL and to.address:
            await _by_mail(ctx, notice, to, words, chosen)
        elif channel is Channel.WEBHOOK:
            await ctx.publish(Notified(notice.name, to.person_id, words.subject, words.body, link))
        else:
            continue
        used.add(channel)
    return frozenset(used)


async def mark_read(ctx: Ctx, message_id: UUID) -> None:
    """Note that a message was read. Raises: NoticeNotFound, NoInbox."""
    if not await store.mark_read(ctx.db, ctx.tenant.id, person_of(ctx), message_id):
        raise NoticeNotFound


async def mark_all_read(ctx: Ctx) -> None:
    """Note that everything was read. Raises: NoInbox."""
    await store.mark_read(ctx.db, ctx.tenant.id, person_of(ctx), None)


async def choose(ctx: Ctx, chosen: Preferences) -> None:
    """Keep what the caller wants to be told and when. Raises: NoInbox."""
    await store.set_preferences(ctx.db, ctx.tenant.id, person_of(ctx), chosen)


async def set_wording(ctx: Ctx, notice_name: str, language: str, wording: Wording | None) -> None:
    """Give the tenant words of its own for a notice; None takes them back. Raises: NoticeNotFound, WordingInvalid."""
    notice = ctx.port(Post).notices.get(notice_name)
    if notice is None:
        raise NoticeNotFound
    if wording is not None:
        check_wording(wording, notice.fields)
    await store.set_wording(ctx.db, ctx.tenant.id, notice_name, language, wording)
    await ctx.audit("notice.reworded", f"notice:{notice_name}", language=language, removed=wording is None)


async def opt_out(ctx: Ctx, token: str) -> str:
    """The notice that somebody no longer gets by mail, by the link that was in it. `ctx` is anybody's.

    Raises: InvalidInput for a token that is not ours.
    """
    tenant_id, person_id, notice = read_token(ctx, token)
    await store.opt_out(ctx.db, tenant_id, person_id, notice, Channel.MAIL)
    return notice


def person_of(ctx: Ctx) -> UUID:
    """Whose inbox the caller's is. Raises: NoInbox."""
    if ctx.actor.id is None:
        raise NoInbox
    return ctx.actor.id


async def send_mail(ctx: Ctx, mail: str) -> str:
    """Send one mail; its state. Raises: MailNotSent, to be tried again."""
    found = await store.read_mail(ctx.db, ctx.tenant.id, UUID(mail))
    if found is None or found.state != "waiting":
        return "nothing to send"
    await ctx.db.commit()  # a slow mail server must not hold a connection
    state, why = "sent", None
    try:
        sender = ctx.settings[NotifySettings].sender
        await ctx.port(Post).mailer.send(
            composed(found, sender=sender, at=ctx.now, headers=_opt_out_headers(ctx, found))
        )
    except (MailRefused, InvalidInput) as error:
        state, why = "refused", str(error)
        log.warning("notify.mail_refused", notice=found.notice, why=why)
    async with ctx.db.step():
        await store.end_mail(ctx.db, ctx.tenant.id, found.id, state, why)
    return state


SEND_MAIL: Final = Job(
    name="notify.send_mail",
    run=send_mail,
    queue="mail",
    attempts=12,
    backoff=Backoff(first_s=10.0, most_s=3600.0),
    time_limit_s=150.0,
)


def token_for(ctx: Ctx, tenant_id: UUID, person_id: UUID, notice: str) -> str:
    """What an opt-out link carries: who, which notice, and a signature."""
    said = f"{tenant_id.hex}.{person_id.hex}.{notice}"
    return f"{said}.{_signature(ctx, said)}"


def read_token(ctx: Ctx, token: str) -> tuple[UUID, UUID, str]:
    """Tenant, person and notice of an opt-out link. Raises: InvalidInput."""
    said, _, signature = token.rpartition(".")
    if not ctx.port(Post).secret or not hmac.compare_digest(_signature(ctx, said).encode(), signature.encode()):
        raise InvalidInput("This link was not made here.")
    tenant, person, notice = said.split(".", 2)
    return UUID(hex=tenant), UUID(hex=person), notice


async def _into_inbox(ctx: Ctx, notice: Notice, person_id: UUID, words: Wording, link: str) -> None:
    message = InboxMessage(
        id=clock.new_id(),
        person_id=person_id,
        notice=notice.name,
        title=words.subject,
        body=words.body,
        link=link,
        created_at=ctx.now,
    )
    await store.add_to_inbox(ctx.db, ctx.tenant.id, message)


async def _by_mail(ctx: Ctx, notice: Notice, to: Recipient, words: Wording, chosen: Preferences) -> None:
    mail = Mail(
        id=clock.new_id(),
        tenant_id=ctx.tenant.id,
        person_id=to.person_id,
        optional=not notice.mandatory,
        notice=notice.name,
        address=to.address,
        subject=words.subject,
        body=words.body,
        state="waiting",
        created_at=ctx.now,
    )
    await store.add_mail(ctx.db, ctx.tenant.id, mail)
    waits = None if notice.mandatory or chosen.quiet is None else chosen.quiet.ends_at(ctx.now)
    options = {} if waits is None else {"at": waits}
    await ctx.enqueue(SEND_MAIL, {"mail": str(mail.id)}, **options)


def _opt_out_headers(ctx: Ctx, mail: Mail) -> list[tuple[str, str]]:
    """One-click unsubscription. Source: RFC 8058."""
    if mail.person_id is None or not mail.optional or not ctx.port(Post).secret:
        return []
    token = token_for(ctx, mail.tenant_id, mail.person_id, mail.notice)
    url = f"{ctx.settings.main.public_url.rstrip('/')}/v1/inbox/opt-out/{token}"
    return [("List-Unsubscribe", f"<{url}>"), ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click")]


def _signature(ctx: Ctx, said: str) -> str:
    return hmac.digest(b"opt-out:" + ctx.port(Post).secret, said.encode(), sha256).hex()[:32]
