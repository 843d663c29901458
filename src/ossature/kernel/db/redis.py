"""The Redis of a process: one setting, one pool, for everybody who can use it."""

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING

from pydantic import Field, SecretStr

from ossature.kernel.config import Config, Finding, Settings, Severity
from ossature.kernel.errors import Misconfigured

if TYPE_CHECKING:
    from redis.asyncio import Redis


class RedisSettings(Settings, room="redis"):
    """Where Redis is. Empty: there is none, and each user of it falls back on what it states itself."""

    url: SecretStr = Field(
        default=SecretStr(""), description="redis://, rediss:// or unix:// URL; empty means no Redis."
    )
    pool_size: int = Field(default=20, ge=1, le=1000, description="Connections kept per process.")
    pool_wait_s: float = Field(default=2.0, gt=0, description="How long a command waits for a free connection.")
    connect_time_limit_s: float = Field(default=2.0, gt=0, description="How long a connection may take to open.")
    time_limit_s: float = Field(default=2.0, gt=0, description="How long one command may take.")
    prefix: str = Field(
        default="ossature:", pattern=r"^[\w.-]{1,40}:$", description="Begins every key, so that a server can be shared."
    )

    def findings(self, config: Config) -> Iterator[Finding]:
        """Machines that share no Redis count rate limits and forget caches each for itself."""
        if config.main.hosts > 1 and not self.configured:
            severity = Severity.ERROR if config.main.profile == "production" else Severity.WARNING
            yield Finding(self.variable("url"), "is not set, on several machines", "Set a Redis URL.", severity)

    @property
    def configured(self) -> bool:
        """Whether there is a Redis at all."""
        return bool(self.url.get_secret_value())


def end_if_cancelled() -> None:
    """Raise the cancellation that the client swallowed: it does when one comes in the middle of its own time limit."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def connect(settings: RedisSettings) -> "Redis":
    """A pooled client; answers are bytes. `await client.aclose()` at the end.

    Raises: Misconfigured when no URL is set or the extra is not installed; redis.RedisError later, by command.
    """
    if not settings.configured:
        raise Misconfigured(f"No Redis is configured: set {RedisSettings.variable('url')}.")
    try:
        from redis.asyncio import BlockingConnectionPool, Redis  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise Misconfigured("Redis needs the extra: pip install 'ossature[redis]'.") from error
    pool = BlockingConnectionPool.from_url(
        settings.url.get_secret_value(),
        max_connections=settings.pool_size,
        timeout=settings.pool_wait_s,
        socket_connect_timeout=settings.connect_time_limit_s,
        socket_timeout=settings.time_limit_s,
        health_check_interval=30,
    )
    return Redis.from_pool(pool)
