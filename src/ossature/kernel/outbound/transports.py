"""The ways out beside HTTP, by the name that a manifest gives as its transport; `local` needs none."""

from collections.abc import Mapping

from ossature.kernel.outbound.occasion import Sender
from ossature.kernel.outbound.senders.file import FileSender
from ossature.kernel.outbound.senders.process import ProcessSender
from ossature.kernel.outbound.senders.smtp import SmtpSender
from ossature.kernel.outbound.settings import OutboundSettings


def transports(settings: OutboundSettings) -> Mapping[str, Sender]:
    """A sender for each transport but HTTP."""
    return {"process": ProcessSender(), "file": FileSender(settings.folders), "smtp": SmtpSender()}
