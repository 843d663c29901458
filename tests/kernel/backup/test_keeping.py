"""Which backups stay, and when the next one is due."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from ossature.kernel import clock
from ossature.kernel.backup import drill as drills
from ossature.kernel.backup import jobs
from ossature.kernel.backup.domain import BackupDamaged, Keeping, kept
from ossature.kernel.backup.service import look
from ossature.kernel.service import Health
from ossature.kernel.testing.clocks import FakeClock
from ossature.kernel.testing.context import SmallHouse
from tests.kernel.backup.conftest import Installation

if TYPE_CHECKING:
    from ossature.kernel.house import House

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
moments = st.lists(st.integers(0, 10_000_000).map(lambda minutes: NOON - timedelta(minutes=minutes / 10)))
counts = st.builds(Keeping, *[st.integers(0, 40)] * 4)


def test_each_period_keeps_its_newest() -> None:
    made = [NOON - number * HOUR / 4 for number in range(4 * 24 * 60)]

    stay = sorted(kept(made, Keeping(hourly=3, daily=3, weekly=2, monthly=2)), reverse=True)

    assert stay == [
        NOON,
        datetime(2026, 3, 1, 11, 45, tzinfo=UTC),
        datetime(2026, 3, 1, 10, 45, tzinfo=UTC),
        datetime(2026, 2, 28, 23, 45, tzinfo=UTC),  # of its day and of its month
        datetime(2026, 2, 27, 23, 45, tzinfo=UTC),
        datetime(2026, 2, 22, 23, 45, tzinfo=UTC),  # of its week, which ends on a Sunday
    ]


@given(moments, counts)
def test_the_newest_always_stays_and_never_more_than_was_said(made: list[datetime], keeping: Keeping) -> None:
    stay = kept(made, keeping)

    assert stay <= set(made)
    assert not made or max(made) in stay
    assert len(stay) <= 1 + keeping.hourly + keeping.daily + keeping.weekly + keeping.monthly


@given(moments, counts)
def test_what_was_thinned_out_once_is_not_thinned_out_further(made: list[datetime], keeping: Keeping) -> None:
    once = kept(made, keeping)

    assert kept(once, keeping) == once


@pytest.fixture
def still() -> Iterator[FakeClock]:
    with clock.using(FakeClock(NOON)) as moved:
        yield moved


async def run(home: Installation, job: Any, **settings: Any) -> Any:
    async with home.opened() as database, database.begin() as db:
        return await job(SmallHouse(settings=home.backups(**settings).config).ctx(db))


def figure(name: str) -> float | None:
    return REGISTRY.get_sample_value(f"backup_{name}")


async def test_a_backup_is_made_when_its_time_has_come_and_old_ones_go(small: Installation, still: FakeClock) -> None:
    settings = {"every_s": 3600, "keep_hourly": 2, "keep_daily": 0, "keep_weekly": 0, "keep_monthly": 0}
    made = [await run(small, jobs.make_due, **settings)]
    still.advance(1800)
    assert await run(small, jobs.make_due, **settings) == ""
    for _ in range(3):
        still.advance(3600)
        made.append(await run(small, jobs.make_due, **settings))

    assert small.backups().shelf.names() == made[-2:]
    assert figure("last_timestamp_seconds") == clock.now().timestamp()
    assert figure("kept") == 2
    assert figure("interval_seconds") == 3600
    assert figure("last_bytes") == small.backups().shelf.manifest("latest").size_bytes


@pytest.mark.usefixtures("still")
async def test_without_a_schedule_none_is_made(small: Installation) -> None:
    assert await run(small, jobs.make_due) == ""
    assert await run(small, jobs.hold_due_drill) is False
    assert small.backups().shelf.names() == []


async def test_a_drill_is_held_when_its_time_has_come(small: Installation, still: FakeClock) -> None:
    settings = {"every_s": 3600, "drill_every_s": 86_400}
    assert await run(small, jobs.hold_due_drill, **settings) is False  # there is nothing to restore yet
    await run(small, jobs.make_due, **settings)
    still.advance(600)

    assert await run(small, jobs.hold_due_drill, **settings) is True
    assert await run(small, jobs.hold_due_drill, **settings) is False

    found = drills.last(small.backups())
    assert found is not None
    assert (found.passed, found.rpo_s) == (True, 600.0)
    assert (figure("drill_rpo_seconds"), figure("drill_faults")) == (600.0, 0)
    assert figure("drill_rto_seconds") == found.rto_s > 0


async def test_a_backup_that_does_not_read_as_it_was_written_is_none(
    small: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = type(small.backups()).create

    async def on_a_bad_disk(backups: Any, **options: Any) -> Any:
        manifest = await real(backups, **options)
        path = backups.shelf.path(manifest.name, manifest.parts["state"].file)
        path.write_bytes(path.read_bytes()[:-1])
        return manifest

    monkeypatch.setattr(type(small.backups()), "create", on_a_bad_disk)
    failed = REGISTRY.get_sample_value("backup_made_total", {"outcome": "failed"}) or 0

    with pytest.raises(BackupDamaged):
        await run(small, jobs.make_due, every_s=3600)

    assert small.backups().shelf.names() == []
    assert REGISTRY.get_sample_value("backup_made_total", {"outcome": "failed"}) == failed + 1


async def test_a_check_tells_of_backups_that_are_overdue(small: Installation, still: FakeClock) -> None:
    house = cast("House", SmallHouse(settings=small.backups(every_s=3600).config))
    house.config = small.backups(every_s=3600).config

    assert (await look(house)).health is Health.DEGRADED
    await small.backups().create()
    assert (await look(house)).health is Health.OK
    still.advance(7201)
    assert (await look(house)).detail == "The newest is of 2026-03-01 12:00:00."
