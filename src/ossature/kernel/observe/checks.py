"""Checks of the machine itself: room on the disk, and a clock that can be trusted."""

import shutil
import time
from typing import TYPE_CHECKING

from ossature.kernel import clock
from ossature.kernel.observe.settings import ObserveSettings
from ossature.kernel.service import Check, CheckResult, Health

if TYPE_CHECKING:
    from ossature.kernel.house import House

_MB = 1024 * 1024
_STARTED_WALL = clock.now()
_STARTED_STEADY = time.monotonic()
MAX_DRIFT_S = 2.0


async def _disk(house: "House") -> CheckResult:
    var_dir = house.config.main.var_dir
    wanted_mb = house.config[ObserveSettings].min_free_disk_mb
    # Before the first start the folder is not there yet: the room is where it will be made.
    folder = next(place for place in (var_dir.absolute(), *var_dir.absolute().parents) if place.exists())
    usage = shutil.disk_usage(folder)
    free_mb = usage.free // _MB
    facts = {"free_mb": free_mb, "total_mb": usage.total // _MB}
    if free_mb < wanted_mb:
        return CheckResult(
            Health.DOWN,
            f"{free_mb} MB are free where {folder} lies.",
            f"Free some space, or lower {ObserveSettings.variable('min_free_disk_mb')} (now {wanted_mb}).",
            facts,
        )
    if free_mb < 2 * wanted_mb:
        return CheckResult(Health.DEGRADED, f"Only {free_mb} MB are free.", "Free some space soon.", facts)
    return CheckResult(Health.OK, facts=facts)


async def _clock(house: "House") -> CheckResult:
    """Whether the wall clock ran as steadily as the steady one since the start: a jump breaks leases and windows."""
    del house
    if not clock.is_real():
        return CheckResult(Health.DEGRADED, "This process runs on replayed time.", "Not for production.")
    steady_s = time.monotonic() - _STARTED_STEADY
    drift_s = (clock.now() - _STARTED_WALL).total_seconds() - steady_s
    facts = {"drift_s": round(drift_s, 3)}
    if abs(drift_s) > MAX_DRIFT_S:
        return CheckResult(
            Health.DEGRADED,
            f"The clock was set by {drift_s:+.1f} s while this process ran.",
            "Let NTP slew the clock; restart the processes after a step.",
            facts,
        )
    return CheckResult(Health.OK, facts=facts)


MACHINE = (
    Check(name="disk", run=_disk, ready=True, time_limit_s=1.0),
    Check(name="clock", run=_clock, time_limit_s=1.0),
)
"""What is checked on every machine."""
