"""Settings of dispatch."""

from pydantic import Field

from ossature.kernel.config import Settings


class DispatchSettings(Settings, room="dispatch"):
    """How bookings become windows of time, and days become plans."""

    detour_factor: float = Field(default=1.3, ge=1, le=3, description="A drive, as a multiple of the great circle.")
    speed_mps: float = Field(default=8.3, gt=0, le=50, description="Mean speed of a drive, without a routing engine.")
    service_p_s: int = Field(default=300, ge=0, le=3600, description="Service at a pickup.")
    service_d_s: int = Field(default=600, ge=0, le=3600, description="Service at a drop-off.")
    ride_floor_s: int = Field(default=1800, gt=0, le=14400, description="Longest ride of a short trip.")
    ride_factor: float = Field(default=1.5, ge=1, le=5, description="Longest ride, as a multiple of the direct way.")
    urgent_window_s: int = Field(default=1800, gt=0, le=14400, description="An urgent trip begins within this.")
    promise_width_s: int = Field(default=900, gt=0, le=7200, description="Width of the window that a client is told.")
    accept_from_staff: bool = Field(default=True, description="What a dispatcher books is confirmed at once.")
    cancel_cutoff_s: int = Field(
        default=3600, ge=0, description="Until so long before the pickup, patients and requesters cancel alone."
    )
    plan_time_limit_s: float = Field(default=5.0, gt=0, le=60, description="Search for a day plan, unless a run says.")
    reserve_cost_s: float = Field(default=3600.0, ge=0, description="Driving that is saved before a reserve is called.")
    import_keep_days: int = Field(default=30, ge=1, le=365, description="How long an imported file itself is kept.")
    driver_pipelines: list[str] = Field(
        default=[],
        description="Pipelines of sync whose employees drive: their names, or `*` for all that publish employees.",
    )
