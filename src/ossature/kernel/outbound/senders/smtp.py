"""Mail servers as providers: the account says which server, the credential has the password."""

import re
import ssl
from typing import Any

from pydantic import ValidationError

from ossature.kernel import clock
from ossature.kernel.outbound.guard import check_literal
from ossature.kernel.outbound.http import Outcome, Undelivered
from ossature.kernel.outbound.policy import Candidate
from ossature.kernel.outbound.provider import Document, ErrorKind, Mail, Program, Reply
from ossature.kernel.outbound.smtp import Envelope, SmtpSettings, hand_over

_FIELDS = ("host", "port", "security", "user")
_LINE_END = re.compile(rb"\r?\n")


class SmtpSender:
    """Hands messages over. The account's values are `host`, `port`, `security` and `user`; the secret `key` is the password.

    A provider that names a host in its manifest (`hosts`) needs none in the account.
    """

    def __init__(self, *, context: ssl.SSLContext | None = None) -> None:
        """context: how certificates are checked; by the machine's authorities if None."""
        self._context = context or ssl.create_default_context()

    async def send(self, sending: Program | Mail | Document, candidate: Candidate, /) -> Reply:
        """The server's word that it took the message. Raises: Undelivered, AddressRefused."""
        if not isinstance(sending, Mail):
            raise Undelivered(ErrorKind.POLICY, Outcome.NOT_SENT, "A mail provider sends messages.")
        settings = _server(candidate)
        message = _LINE_END.sub(b"\r\n", sending.message)
        envelope = Envelope(sending.sender, sending.recipients, message)
        said = await hand_over(settings, envelope, context=self._context)
        return Reply(200, {}, said.encode(), received_at=clock.now())


def _server(candidate: Candidate) -> SmtpSettings:
    """The server of an account. Raises: Undelivered when the account does not say one."""
    manifest, credential = candidate.provider.manifest, candidate.credential
    values: dict[str, Any] = {"host": manifest.hosts[0] if manifest.hosts else ""}
    values |= {name: credential.values[name] for name in _FIELDS if name in credential.values}
    if not values["host"]:
        raise Undelivered(ErrorKind.AUTH, Outcome.NOT_SENT, "The account names no mail server.")
    check_literal(values["host"], private=manifest.private)
    values |= {"password": credential.secrets.get("key", ""), "time_limit_s": manifest.time_limits.first_byte_s}
    try:
        return SmtpSettings.model_validate(values)
    except ValidationError as error:
        wrong = ", ".join(str(each["loc"][0]) for each in error.errors())
        raise Undelivered(ErrorKind.AUTH, Outcome.NOT_SENT, f"The account's {wrong} cannot be used.") from error
