"""Mail goes out here: by SMTP, or into a folder of `.eml` files that sends nothing."""

import asyncio
import smtplib
import ssl
from collections.abc import Sequence
from contextlib import suppress
from copy import copy
from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import getaddresses, parseaddr
from pathlib import Path
from typing import Final, Literal, Protocol, Self

from pydantic import Field, SecretStr

from ossature.kernel import clock
from ossature.kernel.config import Config, Finding, Settings
from ossature.kernel.errors import UpstreamFailed
from ossature.kernel.outbound.http import Outcome, Undelivered, refuse_while_writing
from ossature.kernel.outbound.provider import ErrorKind
from ossature.kernel.outbound.threads import Brink, in_thread
from ossature.kernel.retry import WORTH_IT, Retry, Verdict

_PERMANENT: Final = 500
_TAKEN: Final = 250
_ACCEPTED: Final = frozenset({250, 251, 252})


class SmtpSettings(Settings, room="smtp"):
    """The mail server. Without a host, mail is written to `mail/` in the var directory and nothing is sent."""

    host: str = Field(default="", description="Name of the mail server; empty writes .eml files instead.")
    port: int = Field(default=587, ge=1, le=65535, description="587 with starttls, 465 with tls.")
    security: Literal["starttls", "tls", "none"] = Field(default="starttls", description="How the way is encrypted.")
    user: str = Field(default="", description="Name to log in with; empty logs nobody in.")
    password: SecretStr = Field(default=SecretStr(""), description="Password to log in with.")
    time_limit_s: float = Field(default=20.0, gt=0, le=120, description="How long the server may be silent.")

    def findings(self, config: Config) -> list[Finding]:
        """A password must not travel in clear, except on this machine."""
        del config
        local = self.host in ("", "localhost", "127.0.0.1", "::1")
        if self.security == "none" and self.user and not local:
            return [Finding(self.variable("security"), "sends the password in clear", "Use starttls or tls.")]
        return []


class MailRefused(UpstreamFailed):
    """The mail server will never take this message: the address is wrong, or it does not want it."""

    title = "Mail refused"


class MailNotSent(UpstreamFailed):
    """The mail server did not take the message this time."""

    title = "Mail not sent"
    retry_after_s = 30.0


class Mailer(Protocol):
    """The way to send mail."""

    async def send(self, message: EmailMessage) -> None:
        """Hand a complete message over. Raises: MailRefused, MailNotSent; SentWhileWriting."""


class SinkMailer:
    """Writes mail to a folder, for eyes and tests; nothing leaves the machine."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def send(self, message: EmailMessage) -> None:
        """Write `TIME-ID.eml`."""
        refuse_while_writing()
        await asyncio.to_thread(self._write, message)

    def _write(self, message: EmailMessage) -> None:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        name = f"{clock.now():%Y%m%dT%H%M%S}-{clock.new_id().hex}"
        part = self._folder / f".{name}"
        part.write_bytes(message.as_bytes())
        part.replace(self._folder / f"{name}.eml")


class SmtpMailer:
    """Sends mail by SMTP, one connection per message, in a thread. A server that cannot be reached is tried again."""

    def __init__(self, settings: SmtpSettings, *, context: ssl.SSLContext | None = None) -> None:
        """A mailer for a server. context: how its certificate is checked; the machine's authorities if None."""
        self._settings = settings
        self._context = context or ssl.create_default_context()

    async def send(self, message: EmailMessage) -> None:
        """Send one message."""
        refuse_while_writing()
        envelope = Envelope.of(message)
        try:
            await _RETRY.run(
                lambda: hand_over(self._settings, envelope, context=self._context), on=(Undelivered,), judge=_judge
            )
        except Undelivered as error:
            never = error.kind in {ErrorKind.BAD_REQUEST, ErrorKind.CONTENT_POLICY}
            raise (MailRefused if never else MailNotSent)(error.detail) from error


_RETRY: Final = Retry("smtp", attempts=3, first_s=0.2, most_s=2.0)


def _judge(error: Undelivered) -> Verdict | None:
    """A server that could not be reached may be in a moment; one that put us off means minutes, which a job waits for."""
    return WORTH_IT if error.kind is ErrorKind.CONNECT else None


@dataclass(frozen=True, slots=True)
class Envelope:
    """A message with the addresses that it really goes to. message: RFC 5322 bytes, lines ended by CRLF."""

    sender: str
    recipients: Sequence[str]
    message: bytes

    @classmethod
    def of(cls, message: EmailMessage) -> Self:
        """From its own headers; `Bcc` is kept out of what is sent."""
        addressed = [value for name in ("To", "Cc", "Bcc") for value in message.get_all(name, [])]
        recipients = tuple(address for _, address in getaddresses([str(value) for value in addressed]))
        sender = parseaddr(str(message.get("Sender") or message.get("From") or ""))[1]
        kept = copy(message)
        del kept["Bcc"]
        utf8 = not "".join((sender, *recipients)).isascii()
        return cls(sender, recipients, kept.as_bytes(policy=SMTP.clone(utf8=utf8)))


async def hand_over(settings: SmtpSettings, envelope: Envelope, *, context: ssl.SSLContext) -> str:
    """What the server said when it took the message. Raises: Undelivered.

    It is not sent until its text is on the way, and ambiguous from there until the server has said yes or no.
    """
    # The thread's own steps have the server's limit each: connect, greet, log in, addresses, text, its word.
    limit_s = settings.time_limit_s * 6
    return await in_thread(lambda brink: _handed(settings, envelope, context, brink), time_limit_s=limit_s)


def _handed(settings: SmtpSettings, envelope: Envelope, context: ssl.SSLContext, brink: Brink) -> str:
    try:
        server = _connected(settings, context)
        try:
            _addressed(server, settings, envelope, context)
            brink.cross()
            code, text = server.data(envelope.message)
        finally:
            _hung_up(server)
    except smtplib.SMTPAuthenticationError as error:
        raise _refusal(ErrorKind.AUTH, error.smtp_code, error.smtp_error) from error
    except smtplib.SMTPResponseException as error:
        raise _refused(error.smtp_code, error.smtp_error) from error
    except ValueError as error:  # a line end or a letter in an address that SMTP cannot say
        raise Undelivered(
            ErrorKind.BAD_REQUEST, Outcome.NOT_SENT, f"It cannot be said to a mail server: {error}"
        ) from None
    except (smtplib.SMTPException, OSError) as error:  # also ssl.SSLError and TimeoutError
        why = f"{type(error).__name__}: the mail server could not be used."
        if brink.crossed:
            raise Undelivered(ErrorKind.TIMEOUT_AFTER_SEND, Outcome.AMBIGUOUS, why) from error
        raise Undelivered(ErrorKind.CONNECT, Outcome.NOT_SENT, why) from error
    if code != _TAKEN:
        raise _refused(code, text)
    return text.decode(errors="replace")


def _connected(settings: SmtpSettings, context: ssl.SSLContext) -> smtplib.SMTP:
    if settings.security == "tls":
        return smtplib.SMTP_SSL(settings.host, settings.port, timeout=settings.time_limit_s, context=context)
    return smtplib.SMTP(settings.host, settings.port, timeout=settings.time_limit_s)


def _addressed(server: smtplib.SMTP, settings: SmtpSettings, envelope: Envelope, context: ssl.SSLContext) -> None:
    """Everything before the text. Every recipient must be taken: who gets it is not left to chance."""
    if settings.security == "starttls":
        server.starttls(context=context)
    if settings.user:
        server.login(settings.user, settings.password.get_secret_value())
    server.ehlo_or_helo_if_needed()
    plain = "".join((envelope.sender, *envelope.recipients)).isascii()
    if not plain and not server.has_extn("smtputf8"):
        raise _refused(_PERMANENT, "The server knows only plain addresses.")
    replies = [server.mail(envelope.sender, [] if plain else ["SMTPUTF8", "BODY=8BITMIME"])]
    replies += [server.rcpt(recipient) for recipient in envelope.recipients]
    for code, text in replies:
        if code not in _ACCEPTED:
            raise _refused(code, text)


def _hung_up(server: smtplib.SMTP) -> None:
    """Say goodbye; what the server thinks of that changes nothing."""
    with suppress(smtplib.SMTPException, OSError):
        server.quit()
    server.close()


def mailer_for(settings: SmtpSettings, var_dir: Path) -> Mailer:
    """SMTP when a host is set, else the sink in `mail/` of the var directory."""
    return SmtpMailer(settings) if settings.host else SinkMailer(var_dir / "mail")


def _refused(code: int, text: bytes | str) -> Undelivered:
    return _refusal(ErrorKind.BAD_REQUEST if code >= _PERMANENT else ErrorKind.RATE, code, text)


def _refusal(kind: ErrorKind, code: int, text: bytes | str) -> Undelivered:
    said = text.decode(errors="replace") if isinstance(text, bytes) else str(text)
    return Undelivered(kind, Outcome.ANSWERED, f"The mail server answered {code}: {said[:200]}")
