"""Figures of backups for `/metrics`: what the newest backup and the newest drill were like."""

from typing import Final

from prometheus_client import Counter, Gauge

_MODE: Final = "mostrecent"

INTERVAL_SECONDS = Gauge(
    "backup_interval_seconds", "Time between scheduled backups; 0: none are.", multiprocess_mode=_MODE
)
LAST_TIMESTAMP_SECONDS = Gauge(
    "backup_last_timestamp_seconds",
    "When the newest good backup was taken; 0 before the first.",
    multiprocess_mode=_MODE,
)
LAST_BYTES = Gauge("backup_last_bytes", "What the newest good backup takes on the disk.", multiprocess_mode=_MODE)
KEPT = Gauge("backup_kept", "How many backups there are.", multiprocess_mode=_MODE)
MADE = Counter("backup_made_total", "Scheduled backups, by how they ended.", ["outcome"])
DRILL_TIMESTAMP_SECONDS = Gauge(
    "backup_drill_timestamp_seconds", "When the newest drill was held; 0 before the first.", multiprocess_mode=_MODE
)
DRILL_FAULTS = Gauge("backup_drill_faults", "What the newest drill found wrong.", multiprocess_mode=_MODE)
RPO_SECONDS = Gauge(
    "backup_drill_rpo_seconds", "Time that would have been lost, by the newest drill.", multiprocess_mode=_MODE
)
RTO_SECONDS = Gauge("backup_drill_rto_seconds", "Time that the newest drill took to restore.", multiprocess_mode=_MODE)
