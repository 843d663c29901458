"""Settings of the cache."""

from typing import Literal

from pydantic import Field

from ossature.kernel.config import Settings


class CacheSettings(Settings, room="cache"):
    """How much is kept in memory, and where the rest goes."""

    memory_bytes: int = Field(default=64 * 1024 * 1024, ge=0, description="Size of the first level, per process.")
    level2: Literal["auto", "redis", "disk", "none"] = Field(
        default="auto",
        description="Where processes share answers: `redis`, a file of this machine (`var/cache.db`), or nowhere. "
        "`auto` is Redis if there is one, else the file.",
    )
    disk_bytes: int = Field(default=512 * 1024 * 1024, ge=0, description="Size of the second level on disk.")
    compress_over_bytes: int = Field(default=4096, ge=0, description="Larger entries are compressed; 0 is never.")
    time_limit_s: float = Field(default=0.5, gt=0, description="How long the second level may take to answer.")
    lease_s: float = Field(
        default=30.0, gt=0, description="How long one process may fetch an answer while the others wait for it."
    )
