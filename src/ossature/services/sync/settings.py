"""Settings of sync."""

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field, SecretStr

from ossature.kernel.config import Settings


class SyncSettings(Settings, room="sync"):
    """How sources are read and targets are written."""

    open_fields: ClassVar[Mapping[str, str]] = {"secrets": "SECRET_", "tenant_secrets": "TENANT_SECRET_"}

    secrets: dict[str, SecretStr] = Field(
        default_factory=dict, description="Secrets that connections of all tenants name: OSSATURE_SYNC_SECRET_<NAME>."
    )
    tenant_secrets: dict[str, SecretStr] = Field(
        default_factory=dict,
        description="Secrets of one tenant, before those of all: OSSATURE_SYNC_TENANT_SECRET_<TENANT>__<NAME>, "
        "hyphens of the tenant as underscores.",
    )
    shared_secrets: bool = Field(
        default=True,
        description="Whether every tenant may name the secrets of all; turn it off where tenants are strangers.",
    )
    sim_url: str = Field(default="", description="Ask the simulator here instead of every target.")
    files_dir: str = Field(
        default="",
        description="Where files of connections lie, one folder for each tenant; empty: in the var directory.",
    )
    spill_dir: str = Field(
        default="",
        description="Where records lie for which a plan may not take more memory; empty: in the var directory.",
    )
    four_eyes: bool = Field(default=False, description="Who made a plan may not approve it, and no command may.")
    pack_dirs: list[str] = Field(
        default_factory=list, description='Folders with packs beside those of the product, as JSON: ["/srv/packs"].'
    )
    lock_wait_s: float = Field(default=0.0, ge=0, description="How long a plan or a run waits for a target.")
    lock_expires_s: float = Field(
        default=120.0, gt=3, description="After so long without a sign of life a run is dead."
    )
    call_time_limit_s: float = Field(default=30.0, gt=0, le=300, description="One call to a target.")
    source_read_time_limit_s: float = Field(default=900.0, gt=0, description="One whole read of a source.")
    max_file_mb: int = Field(default=200, ge=1, description="A larger file is not read.")

    def secret(self, tenant: str, name: str) -> SecretStr | None:
        """A secret by the name that a connection has for it: the tenant's own, or one of all. tenant: its slug."""
        # A name with two underscores could reach into what is another tenant's: `a` and `b__c`, `a--b` and `c`.
        own = None if "__" in name else self.tenant_secrets.get(_key(tenant, name))
        if own is None and self.shared_secrets:
            return self.secrets.get(name.lower())
        return own

    def secret_variable(self, tenant: str, name: str) -> str:
        """The variable that a missing secret is looked for in."""
        return self.variable(f"secret_{name}" if self.shared_secrets else f"tenant_secret_{_key(tenant, name)}")


def _key(tenant: str, name: str) -> str:
    return f"{tenant.replace('-', '_')}__{name.lower()}"
