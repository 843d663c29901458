"""Settings of the jobs room."""

from collections.abc import Iterator, Mapping
from typing import ClassVar, Literal

from pydantic import Field, PositiveInt, SecretStr

from ossature.kernel.config import Config, Finding, Settings, Severity


class JobSettings(Settings, room="jobs"):
    """How work outside requests is found, run and kept."""

    open_fields: ClassVar[Mapping[str, str]] = {
        "queue_concurrency": "QUEUE_CONCURRENCY_",
        "queue_per_minute": "QUEUE_PER_MINUTE_",
    }

    concurrency: int = Field(default=20, ge=1, le=1000, description="Jobs that one worker process runs at a time.")
    queue_concurrency: dict[str, PositiveInt] = Field(
        default_factory=dict, description="Jobs of one queue that run at a time, over all workers, by queue."
    )
    queue_per_minute: dict[str, PositiveInt] = Field(
        default_factory=dict, description="Jobs of one queue that start within a minute, over all workers, by queue."
    )
    lease_s: float = Field(
        default=30.0, gt=0, description="A worker that is not heard of for this long has lost its jobs to others."
    )
    drain_s: float = Field(default=30.0, ge=0, description="How long a stopping worker waits for what it runs.")
    poll_s: float = Field(
        default=1.0, gt=0, description="How often an idle worker looks for jobs that nothing woke it for."
    )
    sqlite_poll_s: float = Field(
        default=0.015, gt=0, description="How often a worker asks SQLite whether another process wrote."
    )
    arguments_most_bytes: int = Field(default=262_144, ge=1024, description="Largest arguments of one job, as JSON.")
    transport: Literal["table", "redis", "rabbitmq"] = Field(
        default="table", description="What wakes workers: the job table itself, Redis Streams or RabbitMQ."
    )
    broker_url: SecretStr = Field(
        default=SecretStr(""), description="URL of Redis or RabbitMQ when `transport` is one of them."
    )
    broker_prefix: str = Field(default="ossature.jobs", description="Begins the names of queues and streams.")
    processes: int = Field(default=2, ge=1, le=64, description="Processes for heavy numbers, per worker process.")
    process_memory_most_bytes: int = Field(
        default=2_147_483_648, ge=134_217_728, description="Address space of one such process."
    )

    def findings(self, config: Config) -> Iterator[Finding]:
        """A broker that is chosen needs an address; a worker that is silent must not be given up between two beats."""
        del config
        if self.transport != "table" and not self.broker_url.get_secret_value():
            yield Finding(
                self.variable("broker_url"),
                f"is not set, and the transport is {self.transport}",
                "Set the broker's URL.",
            )
        if self.poll_s > self.lease_s:
            yield Finding(
                self.variable("poll_s"),
                "is longer than a worker's lease",
                "Make it a second or less.",
                Severity.WARNING,
            )
