"""Settings of tenants."""

from pydantic import Field

from ossature.kernel.config import Settings


class TenantSettings(Settings, room="tenants"):
    """What a tenant that takes its data along gets."""

    export_keep_days: int = Field(default=7, ge=1, description="How long the archive of a tenant can be downloaded.")
    export_max_bytes: int = Field(default=50 * 1024**3, gt=0, description="A larger archive of a tenant is given up.")
