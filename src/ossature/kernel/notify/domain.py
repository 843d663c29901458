"""Notices: what is told to whom, in which words, on which ways, and when it must not disturb."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from email.errors import HeaderParseError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import parseaddr
from enum import StrEnum
from string import Template
from uuid import UUID
from zoneinfo import ZoneInfo

from ossature.kernel.errors import FieldError, InvalidInput, NotFound, PermissionDenied
from ossature.kernel.i18n.language import FALLBACK

FALLBACK_LANGUAGE = FALLBACK.code
_SUBJECT_MOST = 200
# All that Python's mail library takes for the end of a line.
_BREAKS = re.compile("[\r\n\x0b\x0c\x1c-\x1e\x85\u2028\u2029]+")


class Channel(StrEnum):
    """A way to tell somebody."""

    MAIL = "mail"
    INBOX = "inbox"
    WEBHOOK = "webhook"


class NoticeNotFound(NotFound):
    """The inbox has no message with this id."""

    title = "No such message"


class NoInbox(PermissionDenied):
    """An inbox belongs to a person or a key; the caller is neither."""

    title = "No inbox"


class LinkOutlived(InvalidInput):
    """Whom this link belongs to is no longer here; there is nothing left to opt out of."""

    title = "Link outlived"


class WordingInvalid(InvalidInput):
    """A template does not fit: it is malformed, or has a placeholder that this notice does not fill."""

    title = "Template invalid"


@dataclass(frozen=True, slots=True)
class Wording:
    """The words of a notice in one language, with `$name` placeholders; `$$` is a dollar sign."""

    subject: str
    body: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """A kind of notice, declared by the service that sends it.

    name: `room.noun`, such as `auth.password_reset`. wordings: by language; English is there always. channels: used
    unless the person chose otherwise. mandatory: neither opt-out nor quiet hours apply (security, contracts).
    fields: the placeholders that every wording may use.
    """

    name: str
    wordings: Mapping[str, Wording]
    channels: frozenset[Channel] = frozenset({Channel.INBOX, Channel.MAIL})
    mandatory: bool = False
    fields: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if FALLBACK_LANGUAGE not in self.wordings:
            raise ValueError(f"{self.name} has no wording in {FALLBACK_LANGUAGE}")
        for wording in self.wordings.values():
            check_wording(wording, self.fields)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipient:
    """Who is told. person_id: None for somebody who is only an address. zone: of his day. language: BCP 47."""

    person_id: UUID | None = None
    address: str = ""
    language: str = FALLBACK_LANGUAGE
    zone: str = "UTC"


@dataclass(frozen=True, slots=True)
class QuietHours:
    """When mail waits, in the person's own zone; `start` may be later than `end`, over midnight."""

    start: time
    end: time
    zone: str

    def ends_at(self, now: datetime) -> datetime | None:
        """When mail may be sent, if that is not now."""
        local = now.astimezone(ZoneInfo(self.zone))
        at = local.time().replace(tzinfo=None)
        over_midnight = self.start > self.end
        quiet = (at >= self.start or at < self.end) if over_midnight else self.start <= at < self.end
        if not quiet:
            return None
        day = local.date() + timedelta(days=1) if over_midnight and at >= self.start else local.date()
        return datetime.combine(day, self.end, ZoneInfo(self.zone)).astimezone(UTC)


@dataclass(frozen=True, slots=True)
class Preferences:
    """What a person chose. off: (notice, channel) that he does not want; the notice `*` means all of them."""

    off: frozenset[tuple[str, Channel]] = frozenset()
    quiet: QuietHours | None = None

    def channels(self, notice: Notice) -> frozenset[Channel]:
        """On which ways this person gets a notice."""
        if notice.mandatory:
            return notice.channels
        return frozenset(
            channel
            for channel in notice.channels
            if (notice.name, channel) not in self.off and ("*", channel) not in self.off
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class InboxMessage:
    """A notice in somebody's inbox."""

    id: UUID
    person_id: UUID
    notice: str
    title: str
    body: str
    link: str
    created_at: datetime
    read_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """A mail on its way. state: waiting, sent or refused. optional: the person may opt out of it."""

    id: UUID
    tenant_id: UUID
    person_id: UUID | None
    notice: str
    address: str
    subject: str
    body: str
    optional: bool
    state: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Notified:
    """Somebody was told something, for tenants that want to tell it on ways of their own."""

    notice: str
    person_id: UUID | None
    title: str
    body: str
    link: str = ""


def worded(wordings: Mapping[str, Wording], language: str) -> Wording:
    """The wording in a language, in its base language (`de` for `de-CH`), else in English."""
    base = language.partition("-")[0]
    return wordings.get(language) or wordings.get(base) or wordings[FALLBACK_LANGUAGE]


def check_wording(wording: Wording, fields: frozenset[str]) -> None:
    """Raises: WordingInvalid for a placeholder that is not filled, or none that can be."""
    faults = []
    for part in ("subject", "body"):
        template = Template(getattr(wording, part))
        if not template.is_valid():
            faults.append(
                FieldError(f"/{part}", "Write $name for a placeholder and $$ for a dollar sign.", "malformed")
            )
        elif unknown := sorted(set(template.get_identifiers()) - fields):
            allowed = ", ".join(sorted(fields)) or "none"
            faults.append(FieldError(f"/{part}", f"There is no {unknown[0]!r} here; allowed: {allowed}.", "unknown"))
    if faults:
        raise WordingInvalid(errors=faults)


def fill(wording: Wording, facts: Mapping[str, object]) -> Wording:
    """The words with their facts. A fact never begins a line of a mail's head. Raises: KeyError for a missing fact."""
    told = {name: str(value) for name, value in facts.items()}
    subject = _BREAKS.sub(" ", Template(wording.subject).substitute(told))[:_SUBJECT_MOST]
    return Wording(subject, Template(wording.body).substitute(told))


def composed(mail: Mail, *, sender: str, at: datetime, headers: Sequence[tuple[str, str]] = ()) -> EmailMessage:
    """The mail as it travels. Its Message-ID is the same in every attempt, so a receiver can drop a second one.

    Raises: InvalidInput for an address that is none.
    """
    name, address = parseaddr(sender)
    domain = address.rpartition("@")[2] or "localhost"
    message = EmailMessage(policy=SMTP)
    try:
        message["From"] = Address(name, addr_spec=address)
        message["To"] = Address(addr_spec=mail.address)
    except (ValueError, IndexError, HeaderParseError) as error:
        raise InvalidInput("This is not a mail address.") from error
    message["Subject"] = mail.subject
    message["Date"] = at
    message["Message-ID"] = f"<{mail.id.hex}@{domain}>"
    message["Auto-Submitted"] = "auto-generated"
    for header, value in headers:
        message[header] = value
    message.set_content(mail.body)
    return message
