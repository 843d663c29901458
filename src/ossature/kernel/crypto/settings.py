"""Settings of the key ring."""

import re
from collections.abc import Iterator

from pydantic import Field, SecretStr

from ossature.kernel.config import Config, Finding, Settings, Severity

_KEYS = re.compile(r"\s*[0-9a-f]{12}:[A-Za-z0-9_-]{43}=?\s*(,\s*[0-9a-f]{12}:[A-Za-z0-9_-]{43}=?\s*)*")


class CryptoSettings(Settings, room="crypto"):
    """With what the house seals what nobody is to read in its tables and files."""

    ring_file: str = Field(
        default="",
        description="File of the key ring, made at the first use. Empty: `keyring.json` in the var directory.",
    )
    keys: SecretStr = Field(
        default=SecretStr(""),
        description="The key ring itself, instead of a file: ID:KEY,ID:KEY, the active key first. "
        "`ossature keys new` prints such a key.",
    )
    rotation_days: int = Field(
        default=90, ge=1, le=3650, description="Age at which the active key is replaced; looked at once a week."
    )
    batch: int = Field(
        default=200, ge=1, le=10_000, description="Rows that re-encryption seals anew in one transaction."
    )

    def findings(self, config: Config) -> Iterator[Finding]:
        """A ring that cannot be read, and one that other machines would not have."""
        given = self.keys.get_secret_value()
        if given and not _KEYS.fullmatch(given):
            yield Finding(
                self.variable("keys"),
                "is no key ring",
                "Write ID:KEY,ID:KEY, the active key first; `ossature keys new` prints such a key.",
            )
        if not given and not self.ring_file and config.main.hosts > 1:
            yield Finding(
                self.variable("keys"),
                "is not set, so each machine would make a key ring of its own and could not read what others sealed",
                "Set it, or let OSSATURE_CRYPTO_RING_FILE lead to a file that all machines share.",
                Severity.ERROR if config.main.profile == "production" else Severity.WARNING,
            )
