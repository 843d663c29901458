"""Settings of facts and signals."""

from pydantic import Field

from ossature.kernel.config import Settings


class EventSettings(Settings, room="events"):
    """How long facts are kept and how signals travel."""

    keep_days: int = Field(default=90, ge=1, description="Delivered facts can be replayed for this long.")
    poll_s: float = Field(default=0.1, gt=0, le=0.5, description="SQLite: how often a process looks for signals.")
    signal_keep_s: float = Field(default=120.0, ge=10, description="SQLite and live frames too large for a signal.")
    live_keep_s: float = Field(default=600.0, ge=10, description="How far back a live client can resume.")
    live_keep_frames: int = Field(default=10_000, ge=100, description="... and over how many frames of a tenant.")
