"""Settings of backups."""

from pathlib import Path

from pydantic import Field

from ossature.kernel.config import Config, Settings


class BackupSettings(Settings, room="backup"):
    """Where backups lie, how often one is made, and which are kept."""

    folder: str = Field(
        default="backups",
        description="Folder of the backups, inside the var directory unless absolute. Let it be another disk.",
    )
    every_s: int = Field(default=0, ge=0, description="Time between scheduled backups; 0 makes none.")
    drill_every_s: int = Field(
        default=7 * 86_400, ge=0, description="Time between drills, where backups are scheduled; 0 makes none."
    )
    keep_hourly: int = Field(default=24, ge=0, description="So many hours keep their newest backup.")
    keep_daily: int = Field(default=7, ge=0, description="So many days keep their newest backup.")
    keep_weekly: int = Field(default=4, ge=0, description="So many weeks keep their newest backup.")
    keep_monthly: int = Field(default=12, ge=0, description="So many months keep their newest backup.")
    blobs: bool = Field(default=True, description="Take the files of this machine too; a bucket is never copied.")
    sealed: bool = Field(default=True, description="Encrypt backups with the key ring, which is never in a backup.")
    programs: str = Field(
        default="", description="Folder of pg_dump, pg_restore and psql; empty looks where systems put them."
    )
    time_limit_s: float = Field(default=4 * 3600.0, gt=0, description="A program that takes longer is ended.")

    def place(self, config: Config) -> Path:
        """The folder of the backups."""
        return config.main.var_dir / self.folder
