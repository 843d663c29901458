"""Settings of what the house says about itself."""

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field, SecretStr

from ossature.kernel.config import Config, Settings


class ObserveSettings(Settings, room="observe"):
    """Logs, traces, metrics and probes."""

    well_known: ClassVar[Mapping[str, str]] = {
        "otlp_endpoint": "OTEL_EXPORTER_OTLP_ENDPOINT",
        "service_name": "OTEL_SERVICE_NAME",
        "sentry_dsn": "SENTRY_DSN",
        "sentry_release": "SENTRY_RELEASE",
        "metrics_dir": "PROMETHEUS_MULTIPROC_DIR",
    }

    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Lines below this level are not written."
    )
    log_format: Literal["auto", "json", "console"] = Field(
        default="auto", description="`auto` writes for people when a terminal is there, JSON otherwise."
    )
    log_zone: str = Field(default="UTC", description="IANA zone of the times in console lines; JSON is always UTC.")
    log_burst: int = Field(
        default=200, ge=1, description="Lines of one event per second that are all written; above that, one in 100."
    )
    log_flush_s: float = Field(
        default=0.5, gt=0, le=10, description="Lines are written together after this; warnings and worse at once."
    )
    trace_ratio: float = Field(
        default=0.01, ge=0, le=1, description="Share of requests whose spans are exported; errors always are."
    )
    trust_sampling: bool = Field(
        default=True, description="Whether a caller's `traceparent` may say that its request is exported."
    )
    otlp_endpoint: str = Field(default="", description="Where spans are sent (OTLP over http); empty sends none.")
    otlp_time_limit_s: float = Field(default=5.0, gt=0, description="How long one export may take.")
    service_name: str = Field(default="ossature", description="Name of this installation in traces.")
    sentry_dsn: SecretStr = Field(
        default=SecretStr(""), description="Where unexpected failures are told (DSN of Sentry); empty tells nobody."
    )
    sentry_release: str = Field(
        default="", description="What is running, as Sentry knows it; empty: ossature@ with the version."
    )
    sentry_messages: bool = Field(
        default=False,
        description="Also send what exceptions say, masked as log lines are. A name in a sentence cannot be told from other "
        "words, so by default only their kinds and where they happened leave the house.",
    )
    metrics_dir: Path | None = Field(
        default=None, description="Folder shared by the processes of one machine; `ossature serve` sets it by itself."
    )
    ready_needs: list[Literal["redis", "broker"]] | None = Field(
        default=None,
        description="What else must answer for /ready, where it is configured. Not set: `redis,broker` in production and "
        "nothing otherwise; empty: nothing. Without them the house serves, slower or later.",
    )
    min_free_disk_mb: int = Field(default=200, ge=0, description="Less free space than this makes /ready fail.")

    def decides(self, what: Literal["redis", "broker"], config: Config) -> bool:
        """Whether a process that cannot reach this is not to get requests."""
        if self.ready_needs is None:
            return config.main.profile == "production"
        return what in self.ready_needs
