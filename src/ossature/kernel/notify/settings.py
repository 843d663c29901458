"""Settings of notifications."""

from pydantic import Field

from ossature.kernel.config import Settings


class NotifySettings(Settings, room="notify"):
    """How people are told."""

    sender: str = Field(default="ossature <noreply@localhost>", description="From address of all mail.")
    inbox_keep_days: int = Field(default=180, ge=1, description="How long a message stays in an inbox.")
    mail_keep_days: int = Field(default=30, ge=1, description="How long mail that was sent is kept in the log.")
