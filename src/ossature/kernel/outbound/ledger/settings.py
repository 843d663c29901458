"""Settings of the quota ledger."""

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from ossature.kernel.config import Config, Finding, Settings, Severity


class LedgerSettings(Settings, room="ledger"):
    """Where quotas are counted, and how carefully."""

    store: Literal["database", "redis"] = Field(
        default="database", description="Where the counters are: the house's database, or its Redis."
    )
    durability: Literal["normal", "full"] = Field(
        default="normal",
        description="`normal` survives the death of any process of ours; `full` waits for the disk, so that a power cut "
        "(and a crash of the PostgreSQL server) forgets nothing either.",
    )
    url: str = Field(
        default="",
        description="PostgreSQL only: a URL straight to the server, if the database's own goes through a pooler.",
    )
    time_limit_s: float = Field(default=5.0, gt=0, description="How long the store may take before nothing is sent.")
    attempts_keep_days: int = Field(default=7, ge=1, description="How long the trail of an attempt is kept.")
    windows_keep_days: int = Field(default=400, ge=32, description="How long the counters of days and months are kept.")

    def findings(self, config: Config) -> Iterator[Finding]:
        """What the chosen store cannot keep of the promise."""
        del config
        if self.store == "redis" and self.durability == "full":
            yield Finding(
                self.variable("durability"),
                "is `full`, which depends on the Redis server",
                "Set `appendonly yes` and `appendfsync always` there.",
                Severity.WARNING,
            )
