"""Settings of the database."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from ossature.kernel.config import Config, Finding, Settings, Severity


class DatabaseSettings(Settings, room="database"):
    """Where the data lies and how it is reached."""

    well_known: ClassVar[Mapping[str, str]] = {"profiling": "OSSATURE_DB_PROFILING"}

    url: str = Field(default="", description="SQLAlchemy URL; empty means SQLite in the var directory.")
    system_url: str = Field(
        default="",
        description="PostgreSQL only: URL of the role that migrates and works across tenants (BYPASSRLS). "
        "Empty means the same role as `url`.",
    )
    direct_url: str = Field(
        default="",
        description="PostgreSQL only: set it when `url` leads to a pooler of transactions (pgbouncer). URL that leads "
        "around it, with the role that migrates; for migrations and for news between processes.",
    )
    pool_size: int = Field(default=10, ge=1, le=200, description="Connections kept open per process.")
    pool_wait_s: float = Field(default=10.0, gt=0, description="How long a request waits for a free connection.")
    statement_time_limit_s: float = Field(default=30.0, gt=0, description="PostgreSQL cancels a longer statement.")
    migration_lock_time_limit_s: int = Field(
        default=5, ge=1, le=600, description="PostgreSQL: how long a migration waits for a table, before it gives up."
    )
    migration_statement_time_limit_s: int = Field(
        default=60, ge=1, le=86_400, description="PostgreSQL: how long one statement of a migration may take."
    )
    busy_time_limit_s: float = Field(default=5.0, gt=0, description="How long SQLite waits for another writer.")
    durability: Literal["normal", "full"] = Field(
        default="normal",
        description="SQLite `synchronous`: `normal` survives kill -9, `full` also a power cut.",
    )
    profiling: bool = Field(default=False, description="Send X-DB-Query-Count and X-DB-Total-Time-Ms.")
    repeat_limit: int = Field(
        default=20, ge=2, description="As many alike statements in one request or job are an N+1 pattern."
    )
    slow_statement_s: float = Field(default=1.0, gt=0, description="A slower statement is logged with its plan.")

    def findings(self, config: Config) -> Iterator[Finding]:
        """SQLite is one file on one machine."""
        if config.main.hosts > 1 and (not self.url or self.url.startswith("sqlite")):
            severity = Severity.ERROR if config.main.profile == "production" else Severity.WARNING
            yield Finding(
                self.variable("url"), "is SQLite, shared by several machines", "Set a PostgreSQL URL.", severity
            )

    @property
    def statement_time_limit_ms(self) -> int:
        """`statement_time_limit_s` as PostgreSQL takes it."""
        return int(self.statement_time_limit_s * 1000)

    def resolved_url(self, var_dir: Path) -> str:
        """The URL to connect to, with the embedded default filled in."""
        return self.url or f"sqlite:///{var_dir / 'ossature.db'}"
