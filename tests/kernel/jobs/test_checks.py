"""What an operator is told about the work that waits, and about settings that cannot work."""

from pathlib import Path

import pytest

from ossature.kernel import clock
from ossature.kernel.config import Severity
from ossature.kernel.jobs.checks import JOBS
from ossature.kernel.jobs.settings import JobSettings
from ossature.kernel.observe.health import inspect
from ossature.kernel.service import Health
from ossature.kernel.testing.clocks import FakeClock
from ossature.kernel.testing.houses import open_house


async def test_a_queue_that_nobody_works_at_is_named_with_its_wait(tmp_path: Path, database_url: str) -> None:
    async with open_house(var_dir=tmp_path, database_url=database_url) as home:
        with clock.using(FakeClock(clock.now())) as still:
            async with home.house.occasion() as ctx:
                await ctx.enqueue(home.house.jobs.registry["quotas.tell_of_budgets"])
            fresh = await inspect(JOBS, home.house)
            still.advance(61)
            late = await inspect(JOBS, home.house)

    queues = [next(one for one in report.findings if one.name == "queues") for report in (fresh, late)]
    assert [one.health for one in queues] == [Health.OK, Health.DEGRADED]
    assert "default (61 s)" in queues[1].detail
    assert queues[1].facts["default"]["due"] == 1
    assert late.ready


@pytest.mark.parametrize(
    ("settings", "setting", "severity"),
    [
        (JobSettings(transport="rabbitmq"), "OSSATURE_JOBS_BROKER_URL", Severity.ERROR),
        (JobSettings(poll_s=20, lease_s=15), "OSSATURE_JOBS_POLL_S", Severity.WARNING),
    ],
)
def test_settings_with_which_jobs_would_not_run_are_named_at_boot(
    settings: JobSettings, setting: str, severity: Severity
) -> None:
    (found,) = settings.findings(None)  # type: ignore[arg-type] # it looks at itself only

    assert (found.setting, found.severity) == (setting, severity)
