"""Settings of legal documents."""

from pydantic import Field

from ossature.kernel.config import Settings


class LegalSettings(Settings, room="legal"):
    """Where the texts lie that customers accept."""

    dir: str = Field(
        default="",
        description="A folder with texts named KIND.YYYY-MM-DD.LANGUAGE.md (terms.2026-11-01.en.md); empty: there are none.",
    )
