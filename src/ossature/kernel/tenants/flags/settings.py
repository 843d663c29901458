"""Settings of flags."""

from collections.abc import Iterator
from pathlib import Path

from pydantic import Field

from ossature.kernel.config import Config, Finding, Settings
from ossature.kernel.tenants.flags.file import read_flags


class FlagSettings(Settings, room="tenants_flags"):
    """Where flags come from beside the database, and how long experiments are remembered."""

    file: str = Field(
        default="",
        description="Flags of the house in a TOML file, which win over the database; read again when it changes.",
    )
    keep_days: int = Field(
        default=400, ge=1, description="How long it is known who was shown which variant of an experiment."
    )

    def findings(self, config: Config) -> Iterator[Finding]:
        """A file of flags that says nothing, or nonsense."""
        del config
        if not self.file:
            return
        try:
            read_flags(Path(self.file))
        except (OSError, ValueError) as error:
            fix = "Write flags as docs/guides/turn-it-on-for-some.md says, or leave the setting out."
            yield Finding(self.variable("file"), f"cannot be read: {error}", fix)
